package explain

import (
	"regexp"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
)

// A call that was busy has nothing green in its picture; of one that was answered, only what was answered is.
func TestOnlyWhatWasAnsweredIsGreenInThePicture(t *testing.T) {
	lines := recordings.Events("1.1-f_sip")
	painted := regexp.MustCompile("\x1b\\[32m([^\x1b]*)")
	for outcome, answered := range map[string]bool{"BUSY": false, "ANSWERED": true} {
		picture := string(Text(tellLines(t, "events", lines, Query{Party: "alice", Outcome: outcome}), Width, true))
		_, picture, _ = strings.Cut(picture, "Drawn")
		picture, _, _ = strings.Cut(picture, "What came of it")
		all := painted.FindAllStringSubmatch(picture, -1)
		if (len(all) > 0) != answered {
			t.Errorf("%s: %d stretches are green in\n%s", outcome, len(all), picture)
		}
		for _, m := range all {
			if strings.Trim(m[1], string([]rune{markCharge, markFree})) != "" {
				t.Errorf("%s: %q is green", outcome, m[1])
			}
		}
	}
}

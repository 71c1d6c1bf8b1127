package explain

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"januscdr/internal/fixtures/script"
)

// The stories in testdata/stories are scripts of what a Janus server says, and how the session is told. After a look at
// each changed line, `go test ./explain -run TestStoriesOf -rewrite` takes over what the program says now. How
// the same looks on a screen is in testdata/*.txt.
//
// A block is a scene (how something begins) or a story, of the session whose event comes first.
func TestStoriesOfCallsAreToldInPlainWords(t *testing.T) {
	datadriven.Walk(t, filepath.Join("testdata", "stories"), func(t *testing.T, path string) {
		scenes := map[string][]string{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			title := strings.TrimPrefix(strings.TrimPrefix(d.FullCmd(), d.Cmd), " ")
			lines := strings.Split(d.Input, "\n")
			switch d.Cmd {
			case "scene":
				scenes[title] = lines
				return ""
			case "story":
			default:
				d.Fatalf(t, "%q is no block: it is scene or story", d.Cmd)
			}
			p, scripted := &play{}, script.New(scenes)
			given := 0
			for _, line := range lines {
				if err := p.read(scripted, []string{line}); err != nil {
					d.Fatalf(t, "%s: %v", line, err)
				}
				if strings.HasPrefix(line, "given ") {
					given = len(p.inputs)
				}
			}
			return brief(p.tell(t, p.sessions()[0]), int64(given))
		})
	})
}

// brief is a story in few lines. The first entries of the timeline, up to an offset, are left out: they are those of a
// scene.
func brief(s *Story, from int64) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Headline)
	if s.Personal != "" {
		fmt.Fprintln(&b, s.Personal)
	}
	for _, o := range s.Outcomes {
		mark := "-"
		if o.Chargeable {
			mark = "$"
		}
		fmt.Fprintf(&b, "%s %s [%s]\n", mark, o.Text, o.Confidence)
	}
	for _, e := range s.Timeline {
		if e.Last < from {
			continue
		}
		where := string(e.Kind)
		if e.Handle != "" {
			where = e.Handle
		}
		fmt.Fprintf(&b, "%s %s: %s\n", relative(e.Time-s.Begin), where, e.Text)
		for _, c := range e.Because {
			fmt.Fprintf(&b, "  -> %s\n", c.Text)
		}
	}
	for _, a := range s.Records {
		fmt.Fprintf(&b, "record %.8s, %s, %s: %s %s\n", a.RecordID, a.Title, a.Confidence, a.Billing, a.Certainty)
	}
	for _, n := range s.Noticed {
		fmt.Fprintf(&b, "noticed: %s\n", n)
	}
	return b.String()
}

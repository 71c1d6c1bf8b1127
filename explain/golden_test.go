package explain

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

var update = flag.Bool("update", false, "write the stories of testdata anew")

// scenes are the stories that are written down in testdata: read them after a change.
var scenes = []struct {
	name, recording string
	of              Query
}{
	{"sip", "1.1-f_sip", Query{OpaqueID: "sip-acct-77"}},
	{"busy", "1.1-f_sip", Query{Outcome: "BUSY"}}, // one call of those
	{"publisher", "1.1-c_videoroom", Query{OpaqueID: "bill-2024-A17"}},
	{"killed_client", "1.1-b_abnormal_ends", Query{OpaqueID: "b-kill-http"}},
	{"killed_server", "1.1-h_restart", Query{OpaqueID: "run2-amy"}},
	{"claimed_twice", "1.1-j_reclaim", Query{OpaqueID: "rc-yve"}},
}

func TestTheStoriesReadAsTheyDid(t *testing.T) {
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			got := Text(tell(t, scene.recording, scene.of), Width, false)
			path := filepath.Join("testdata", scene.name+".txt")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("another story; see whether it is a better one, then run with -update:\n%s", firstDifference(got, want))
			}
		})
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			old := "(end)"
			if i < len(w) {
				old = w[i]
			}
			return "line " + strconv.Itoa(i+1) + "\n- " + old + "\n+ " + g[i]
		}
	}
	return "it ends earlier"
}

// everySession calls f with the story of each session of each recording.
func everySession(t *testing.T, f func(t *testing.T, name string, records map[cdr.ID]bool, s *Story)) {
	t.Helper()
	for _, name := range recordings.Names() {
		lines := recordings.Events(name)
		type one struct {
			emitter string
			session janus.SessionID
		}
		all, order := map[one]map[cdr.ID]bool{}, []one{}
		err := follow(t.Context(), options(name), recorded(lines), listener{conclusion: func(c cdr.Conclusion) {
			key := one{strings.Clone(c.Emitter), c.Session}
			if all[key] == nil {
				all[key] = map[cdr.ID]bool{}
				order = append(order, key)
			}
			if c.Record != nil {
				all[key][c.Record.RecordID] = true
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range order[:min(len(order), 3)] {
			s, err := Tell(t.Context(), options(name), recorded(lines), key.emitter, key.session)
			if err != nil {
				t.Fatal(err)
			}
			f(t, name, all[key], s)
		}
	}
}

func TestEveryStoryHasAllRecordsAndAllEventsAndFitsTheScreen(t *testing.T) {
	colour := regexp.MustCompile("\x1b\\[[0-9]+m")
	everySession(t, func(t *testing.T, name string, records map[cdr.ID]bool, s *Story) {
		for _, a := range s.Records {
			found := false
			for id := range records {
				found = found || id.String() == a.RecordID
			}
			if !found {
				t.Errorf("%s %s: the fold makes no record %s", name, s.Session, a.RecordID)
			}
		}
		if len(s.Records) != len(records) {
			t.Errorf("%s %s: %d records are told, the fold makes %d", name, s.Session, len(s.Records), len(records))
		}
		told := 0
		for _, e := range s.Timeline {
			if e.Kind != KindElsewhere && e.Kind != KindTime {
				told += e.Count
			}
			if e.Text == "" {
				t.Errorf("%s %s: an entry without words: %+v", name, s.Session, e)
			}
		}
		if told != s.Events {
			t.Errorf("%s %s: %d of %d events are told", name, s.Session, told, s.Events)
		}
		plain := Text(s, Width, false)
		for line := range strings.SplitSeq(string(plain), "\n") {
			if columns(line) > Width {
				t.Errorf("%s %s: %d columns: %s", name, s.Session, columns(line), line)
			}
			if strings.Contains(line, "{") || strings.Contains(line, "\x1b") {
				t.Errorf("%s %s: %q", name, s.Session, line)
			}
		}
		painted := Text(s, Width, true)
		if !bytes.Equal(colour.ReplaceAll(painted, nil), plain) || bytes.Equal(painted, plain) {
			t.Errorf("%s %s: colours change the text, or there are none", name, s.Session)
		}
		if _, err := JSON(s); err != nil {
			t.Error(err)
		}
		if _, err := Page(s); err != nil {
			t.Error(err)
		}
	})
}

func TestTheSameLogTellsTheSameStory(t *testing.T) {
	write := func() map[string]string {
		return written(t, tell(t, "1.1-c_videoroom", Query{OpaqueID: "bill-2024-A17"}))
	}
	if !maps.Equal(write(), write()) {
		t.Error("another story")
	}
}

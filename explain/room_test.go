package explain

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"januscdr/cdr"
	"januscdr/internal/fixtures/recordings"
)

// tellRoom is the story of a room in some events, or why there is none.
func tellRoom(t *testing.T, o Options, lines [][]byte, q Query) (*RoomStory, error) {
	t.Helper()
	survey, err := Find(t.Context(), o, recorded(lines), q)
	if err != nil {
		t.Fatal(err)
	}
	return TellRoom(t.Context(), q, survey.Found, func(int32) (Options, Inputs) { return o, recorded(lines) })
}

func mustTellRoom(t *testing.T, recording string, q Query) *RoomStory {
	t.Helper()
	s, err := tellRoom(t, options(recording), recordings.Events(recording), q)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheStoryOfARoomReadsAsItDid(t *testing.T) {
	got := RoomText(mustTellRoom(t, "1.1-c_videoroom", Query{Room: "7001"}), Width, false)
	path := filepath.Join("testdata", "room.txt")
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
}

// What a room's story says of legs is what their records say, each once, and nobody is in before they came.
func TestEachLegOfTheRoomIsOfOnePerson(t *testing.T) {
	for recording, q := range map[string]Query{
		"1.1-c_videoroom": {Room: "7001"}, "1.1-d_audiobridge": {Room: "8001"}, "1.1-e_textroom": {Room: "9001"},
	} {
		lines := recordings.Events(recording)
		var rooms, want []string
		err := follow(t.Context(), options(recording), recorded(lines), listener{conclusion: func(c cdr.Conclusion) {
			if r := c.Record; r != nil && r.RecordType == cdr.Leg && r.IsFinal && r.RoomID != "" {
				rooms = append(rooms, strings.Clone(r.RoomID))
				safe := safe(r)
				want = append(want, outcome(&safe))
			}
		}})
		if err != nil || len(rooms) == 0 {
			t.Fatalf("%s: %v, %d legs in rooms", recording, err, len(rooms))
		}
		q.Room = rooms[0]
		s := mustTellRoom(t, recording, q)
		checkPresence(t, s)
		var got []string
		for _, p := range s.People {
			for _, o := range p.Outcomes {
				got = append(got, o.Text)
			}
		}
		for i, text := range want {
			n := strings.Count(strings.Join(got, "\n"), text)
			if rooms[i] == q.Room && n != strings.Count(strings.Join(want, "\n"), text) {
				t.Errorf("%s: told %d times: %s", recording, n, text)
			}
		}
		for _, width := range []int{LeastWidth, 80, Width} {
			for line := range strings.Lines(string(RoomText(s, width, false))) {
				if n := columns(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%s: %d columns of %d: %s", recording, n, width, line)
				}
			}
		}
		var again RoomStory
		text, err := RoomJSON(s)
		if err == nil {
			err = json.Unmarshal(text, &again)
		}
		if err != nil || len(again.People) != len(s.People) || again.Headline != s.Headline {
			t.Errorf("%s: %v, %s", recording, err, text)
		}
	}
}

// checkPresence holds who was in when, and how many, to each other.
func checkPresence(t *testing.T, s *RoomStory) {
	t.Helper()
	for _, p := range s.People {
		if len(p.In) == 0 || len(p.Legs) != len(p.Outcomes) || p.Name == "" {
			t.Errorf("%s: %+v", s.From, p)
		}
		for i, bar := range p.In {
			if bar.Start < s.Begin || bar.End > s.End || i > 0 && bar.Start <= p.In[i-1].End {
				t.Errorf("%s: %s is in from %d to %d", s.From, p.Name, bar.Start, bar.End)
			}
		}
	}
	in := 0
	for _, m := range s.Moves {
		if m.Comes {
			in++
		} else {
			in--
		}
		if m.In != in || in < 0 || in > s.AtOnce {
			t.Errorf("%s: %+v, with %d in", s.From, m, in)
		}
	}
}

func TestARoomThatGoesOnHasThoseWhoAreIn(t *testing.T) {
	lines := recordings.Events("1.1-c_videoroom")
	o := options("events")
	o.Ends = false
	s, err := tellRoom(t, o, lines[:len(lines)/2], Query{Room: "7001"})
	if err != nil {
		t.Fatal(err)
	}
	text := string(RoomText(s, Width, false))
	if !s.Open || !strings.Contains(text, "it goes on where the log ends") || !strings.Contains(text, "Zoë") ||
		!strings.Contains(text, "it is open where the log ends") {
		t.Errorf("%s", text)
	}
}

func TestRoomsOfTheSameIdAreNotOneRoom(t *testing.T) {
	lines := recordings.Events("1.1-c_videoroom")
	twice := append([][]byte{}, lines...)
	for _, b := range lines {
		twice = append(twice, bytes.ReplaceAll(b, []byte("janus-par-01"), []byte("other")))
	}
	_, err := tellRoom(t, options("events"), twice, Query{Room: "7001"})
	const want = "there are 2 rooms \"7001\"; say which one:\n  --emitter \"janus-par-01\" --plugin videoroom\n" +
		"  --emitter \"other\" --plugin videoroom"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	s, err := tellRoom(t, options("events"), twice, Query{Room: "7001", Emitter: "other", Plugin: "videoroom"})
	if err != nil || s.Emitter != "other" || len(s.People) != 3 {
		t.Errorf("%v, %+v", err, s)
	}
	if _, err := tellRoom(t, options("events"), lines, Query{Room: "7002"}); err == nil ||
		!strings.Contains(err.Error(), "nobody was in room") {
		t.Errorf("%v", err)
	}
}

func TestThePageOfARoomIsSafeAndWellFormed(t *testing.T) {
	lines := recordings.Events("1.1-c_videoroom")
	for i := range lines {
		lines[i] = bytes.ReplaceAll(lines[i], []byte("Zo\u00eb"), []byte(`<script>alert(1)</script>`))
		lines[i] = bytes.ReplaceAll(lines[i], []byte("Zoë"), []byte(`<script>alert(1)</script>`))
	}
	s, err := tellRoom(t, options("events"), lines, Query{Room: "7001"})
	if err != nil {
		t.Fatal(err)
	}
	page, err := RoomPage(s)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page, []byte("<script")) || !bytes.Contains(page, []byte("&lt;script&gt;")) {
		t.Error("a name gets into the page as it is")
	}
	if err := inOrder(page); err != nil {
		t.Error(err)
	}
	if n := bytes.Count(page, []byte("<rect class=\"answered")); n < 8 {
		t.Errorf("%d bars", n)
	}
}

func TestAChartShowsWhatIsKnown(t *testing.T) {
	p := newPrinter(Width, false)
	const s = 1_000_000
	c := &chart{printer: p, from: 0, to: 71 * s} // a second is a column
	c.row("李小龍李小龍李小龍李小龍李小龍", false, []Bar{
		{Start: 0, End: 3 * s}, {Start: 10 * s, Answer: 12 * s, End: 15 * s, Chargeable: true},
		{Start: 20 * s, Answer: 20 * s, End: 22 * s, Earliest: 22 * s, Latest: 26 * s},
		{Start: 70 * s, Answer: 70 * s, Open: true},
	})
	got := p.out.String()
	const want = "  李小龍李小龍李小龍李小…  ····      ··████    ▒▒▒????" // the rest is far away
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " ▒▒\n") || columns(strings.TrimSpace(got)) > Width {
		t.Errorf("%q\n%q", got, want)
	}
}

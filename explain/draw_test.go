package explain

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/script"
	"januscdr/janus"
)

// drawn is the story of a script, and its picture.
func drawn(t *testing.T, lines ...string) (*Story, *drawing) {
	t.Helper()
	p := &play{}
	if err := p.read(script.New(nil), lines); err != nil {
		t.Fatal(err)
	}
	s := p.tell(t, p.sessions()[0])
	return s, draw(s)
}

// classes are the bars of a picture in their order: what they are, and from where to where they go.
func classes(d *drawing) string {
	var all []string
	for _, b := range d.Bars {
		all = append(all, fmt.Sprintf("%s %.0f-%.0f", b.Class, b.X, b.X+b.W))
	}
	return strings.Join(all, ", ")
}

var aMinute = []string{
	"event session=7 created at=10:00:00",
	"event session=7 handle=1 attached plugin=echotest at=10:00:00",
	"event session=7 handle=1 jsep offer from=client at=10:00:00",
	"event session=7 handle=1 up at=10:00:30",
}

// The picture is 1040 wide, with a margin of 12: what happened takes nearly all of it.
func TestACallIsDrawnAsItsSetupAndTheTimeItWasAnswered(t *testing.T) {
	s, d := drawn(t, append(slices.Clone(aMinute[:3]), // it is up before one may doubt which connection that is
		"event session=7 handle=1 up at=10:00:05",
		"event session=7 handle=1 hangup reason=\"DTLS alert\" at=10:01:00",
		"event session=7 handle=1 detached at=10:01:00", "event session=7 destroyed at=10:01:00", "flush")...)
	const want = "session 22-1008, thin 22-1008, setup 22-104, answered 104-1008"
	if got := classes(d); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(d.Marks) != len(s.Timeline) {
		t.Errorf("%d marks for %d entries", len(d.Marks), len(s.Timeline))
	}
	if len(d.Ticks) < 4 || d.Ticks[0].Label != "+0:00" || d.Ticks[1].Label != "+0:10" || d.Ticks[0].X != d.Bars[0].X {
		t.Errorf("ticks %+v", d.Ticks)
	}
	var labels []string
	for _, l := range d.Labels {
		labels = append(labels, l.Text)
	}
	if want := []string{"session 7", "handle 1, EchoTest", "PeerConnection"}; !slices.Equal(labels, want) {
		t.Errorf("labels %q, want %q", labels, want)
	}
}

func TestACallThatNobodyAnsweredIsDrawnAsSetup(t *testing.T) {
	_, d := drawn(t, append(slices.Clone(aMinute[:3]),
		"event session=7 handle=1 hangup reason=\"ICE failed\" at=10:01:00", "event session=7 destroyed", "flush")...)
	if got := classes(d); !strings.Contains(got, "setup") || strings.Contains(got, "answered") {
		t.Error(got)
	}
}

func TestWhatIsOpenIsDrawnToTheEdge(t *testing.T) {
	_, d := drawn(t, append(slices.Clone(aMinute), "event session=7 handle=1 receiving audio true at=10:01:00")...)
	last := d.Bars[len(d.Bars)-1]
	if last.Class != "answered free" || last.X+last.W != drawWidth-drawMargin ||
		!strings.Contains(last.Title, "open where") {
		t.Errorf("%+v", last) // whether it is charged its record will say
	}
}

// The true end may lie hours away: as much again as what happened is drawn, and no more.
func TestAnEndThatIsNotCertainIsHatchedAndDoesNotSquashThePicture(t *testing.T) {
	_, d := drawn(t, append(slices.Clone(aMinute),
		"event session=7 handle=1 receiving audio true at=10:01:00", "flush")...)
	i := slices.IndexFunc(d.Bars, func(b shape) bool { return b.Class == "unsure" })
	if i < 0 {
		t.Fatal(classes(d))
	}
	unsure := d.Bars[i]
	if unsure.X < 480 || unsure.X > 540 || unsure.X+unsure.W != drawWidth-drawMargin ||
		!strings.Contains(unsure.Title, "between 10:01:00.000 and 11:01:00.000") {
		t.Errorf("%+v", unsure)
	}
}

func TestLegsOfOneKindShareALane(t *testing.T) {
	lines := slices.Clone(aMinute[:2])
	for i := range 3 {
		lines = append(lines,
			fmt.Sprintf("event session=7 handle=1 plugin sip calling callee=sip:bob@example.com call-id=%d at=10:0%d:10", i, i),
			fmt.Sprintf("event session=7 handle=1 plugin sip hangup code=486 at=10:0%d:20", i))
	}
	lines[1] = strings.ReplaceAll(lines[1], "echotest", "sip")
	_, d := drawn(t, append(lines, "event session=7 destroyed", "flush")...)
	ys := map[float64]int{}
	for _, b := range d.Bars {
		if b.Class == "setup" {
			ys[b.Y]++
		}
	}
	if len(ys) != 1 || d.Labels[len(d.Labels)-1].Text != "SIP call 1 to 3" {
		t.Errorf("setups by lane: %v, labels %+v", ys, d.Labels)
	}
}

// Whatever happened: nothing lies outside of the picture, no bar goes backwards, lanes do not lie on each other, and
// marks lead to entries.
func TestEveryPictureStaysInItsFrame(t *testing.T) {
	n := 0
	everyPlay(t, func(t *testing.T, name string, p *play) {
		for _, at := range p.sessions() {
			n++
			s := p.tell(t, at)
			if err := inFrame(draw(s), len(s.Timeline)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	if n < 250 {
		t.Errorf("%d pictures: nothing is tested", n)
	}
}

// inFrame tells what is wrong with the picture of a story of so many entries.
func inFrame(d *drawing, entries int) error {
	if len(d.Ticks) == 0 || len(d.Ticks) > 12 || len(d.Marks) != entries {
		return fmt.Errorf("%d ticks, %d marks for %d entries", len(d.Ticks), len(d.Marks), entries)
	}
	for _, b := range d.Bars {
		if b.X < 0 || b.W < leastWidth || b.X+b.W > d.Width || b.Y < d.AxisY || b.Y+b.H > d.Height {
			return fmt.Errorf("a bar sticks out of %.0f×%.0f: %+v", d.Width, d.Height, b)
		}
	}
	for _, l := range d.Labels {
		if l.Y > d.Height || l.Text == "" {
			return fmt.Errorf("label %+v", l)
		}
	}
	for _, m := range d.Marks {
		var entry int
		if _, err := fmt.Sscanf(m.Href, "#e%d", &entry); err != nil || entry < 1 || entry > entries {
			return fmt.Errorf("a mark leads to %q", m.Href)
		}
		var x, y float64
		if _, err := fmt.Sscanf(m.Path, "M%g %g", &x, &y); err != nil || x < 0 || x > d.Width || y > d.Height {
			return fmt.Errorf("a mark at %s", m.Path)
		}
		if i := slices.IndexFunc(d.Bars, func(b shape) bool { return b.Y < y+1 && y+1 < b.Y+b.H }); i >= 0 {
			return fmt.Errorf("the mark %s lies in the lane of the bar %+v", m.Path, d.Bars[i])
		}
	}
	return nil
}

func TestAnAxisHasTenStepsAtMostHoweverLongTheStory(t *testing.T) {
	const day = 86_400_000_000
	for _, length := range []janus.Micros{1, 1000, 123_456, 60_000_000, 3600_000_000, day, 365 * day} {
		d := draw(&Story{
			Session: "7", Begin: 1e15, End: 1e15 + length,
			Sessions: []Bar{{Name: "session", Start: 1e15, End: 1e15 + length}},
		})
		if n := len(d.Ticks); n < 2 || n > 11 || d.Ticks[0].Label[:2] != "+0" {
			t.Errorf("%s: %d ticks: %+v", span(length), n, d.Ticks)
		}
		for i := range d.Ticks[1:] {
			if d.Ticks[i+1].X <= d.Ticks[i].X {
				t.Errorf("%s: ticks %+v", span(length), d.Ticks)
			}
		}
	}
}

func TestEachKindOfEntryHasItsMark(t *testing.T) {
	paths := map[string]Kind{}
	for _, kind := range []Kind{
		KindSession, KindHandle, KindSignal, KindConnect, KindMedia, KindPlugin, KindElsewhere, KindTime,
	} {
		if _, ok := markRows[kind]; !ok {
			t.Errorf("%s has no row", kind)
		}
		inLegend := slices.ContainsFunc(legend, func(l legendItem) bool { return l.Kind == kind })
		if !inLegend && kind != KindHandle { // which looks like a signal
			t.Errorf("%s is not in the legend", kind)
		}
		paths[markPath(kind, 7, 7)] = kind
	}
	if len(paths) != 5 {
		t.Errorf("%d shapes: %v", len(paths), paths)
	}
}

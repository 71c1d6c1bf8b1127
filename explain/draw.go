package explain

import (
	"fmt"
	"math"
	"strings"

	"januscdr/janus"
)

// The drawing: time goes to the right; each session life, handle and kind of leg has a lane of its own. What it shows
// stands in the timeline too, so it is a picture and no more.

// Measures of the drawing, in pixels.
const (
	drawWidth  = 1040
	drawMargin = 12
	axisHeight = 26
	labelSpace = 17
	barHeight  = 14
	thinHeight = 6
	markStep   = 11
	laneGap    = 12
	leastWidth = 2
)

// drawing is the picture as shapes.
type drawing struct {
	Width, Height float64
	AxisY         float64
	Ticks         []tick
	Labels        []label
	Bars          []shape
	Marks         []shape
}

type tick struct {
	X     float64
	Label string
	Last  bool
}

type label struct {
	X, Y float64
	Text string
	Dim  bool
}

// shape is a bar, or the mark of an event.
type shape struct {
	Class      string
	X, Y, W, H float64
	Href       string // of a mark: its line in the timeline
	Path       string // of a mark
	Title      string
}

// markRows say in which row of a lane the marks of a kind stand.
var markRows = map[Kind]int{KindHandle: 0, KindSignal: 0, KindPlugin: 1, KindConnect: 2, KindMedia: 3, KindSession: 0, KindElsewhere: 1, KindTime: 2}

// draw makes the picture of a story.
func draw(s *Story) *drawing {
	from, to := s.Begin, s.End
	reach := func(b Bar) {
		if b.Start != 0 {
			from = min(from, b.Start)
		}
		to = max(to, b.End)
	}
	latest := janus.Micros(0)
	for _, b := range s.Sessions {
		reach(b)
		latest = max(latest, b.Latest)
	}
	for _, h := range s.Handles {
		reach(h.Bar)
		for _, l := range h.Legs {
			reach(l)
			latest = max(latest, l.Latest)
		}
	}
	for i := range s.Timeline {
		if e := &s.Timeline[i]; e.Kind == KindElsewhere && s.Open { // after the end they matter no more
			to = max(to, e.Time)
		}
	}
	from -= (to - from) / 100
	to += (to - from) / 50
	if latest > to { // an end that nobody told may lie hours away
		to = min(latest, to+(to-from))
	}
	to = max(to, from+1000)
	d := &drawing{Width: drawWidth, AxisY: axisHeight}
	x := func(t janus.Micros) float64 {
		part := float64(min(max(t, from), to)-from) / float64(to-from)
		return round(drawMargin + part*(drawWidth-2*drawMargin))
	}
	y := float64(axisHeight + 8)

	bar := func(b Bar, y, h float64, class string) {
		end := b.End
		if b.Open || end == 0 {
			end = to
		}
		rect := func(class string, a, z janus.Micros, title string) {
			w := math.Max(x(z)-x(a), leastWidth)
			d.Bars = append(d.Bars, shape{Class: class, X: x(a), Y: y, W: round(w), H: h, Title: title})
		}
		title := b.Name + ": " + barWords(b)
		switch {
		case class == "thin" || class == "session":
			rect(class, b.Start, end, title)
		case b.Answer == 0:
			rect("setup", b.Start, end, title)
		default:
			if b.Answer > b.Start {
				rect("setup", b.Start, b.Answer, title)
			}
			if b.Chargeable {
				rect("answered", b.Answer, end, title)
			} else {
				rect("answered free", b.Answer, end, title)
			}
		}
		if b.Latest > b.Earliest && b.Earliest != 0 && class != "thin" {
			rect("unsure", b.Earliest, b.Latest, b.Name+": the true end lies between "+clockTime(b.Earliest)+" and "+clockTime(b.Latest))
		}
	}
	marks := func(y float64, fits func(*Entry) bool) (rows int) {
		for i := range s.Timeline {
			e := &s.Timeline[i]
			if !fits(e) {
				continue
			}
			row := markRows[e.Kind]
			rows = max(rows, row+1)
			cy := y + float64(row)*markStep + markStep/2
			text := relative(e.Time-s.Begin) + "  " + e.Text
			for _, b := range e.Because {
				text += "\n→ " + b.Text
			}
			m := shape{Class: "mark " + string(e.Kind), Href: fmt.Sprintf("#e%d", i+1), Title: text, Path: markPath(e.Kind, x(e.Time), cy)}
			if e.Until > e.Time && x(e.Until)-x(e.Time) > 1 {
				m.Path += fmt.Sprintf("M%g %gV%gH%gV%gZ", x(e.Time), cy-1, cy+1, x(e.Until), cy-1) // turned as the mark is, or they would cut holes
			}
			d.Marks = append(d.Marks, m)
		}
		return rows
	}
	name := func(text string, dim bool) {
		d.Labels = append(d.Labels, label{X: drawMargin, Y: y + 12, Text: text, Dim: dim})
		y += labelSpace
	}

	name("session "+s.Session, false)
	for _, b := range s.Sessions {
		bar(b, y, barHeight, "session")
	}
	y += barHeight + 3
	y += float64(marks(y, func(e *Entry) bool { return e.Handle == "" })*markStep) + laneGap
	for _, h := range s.Handles {
		title := h.Name + ", " + pluginName(h.Plugin)
		if h.OpaqueID != "" {
			title += ", " + h.OpaqueID
		}
		name(title, false)
		bar(h.Bar, y, thinHeight, "thin")
		y += thinHeight + 3
		y += float64(marks(y, func(e *Entry) bool { return e.handleID.String() == h.ID && e.Handle != "" })*markStep) + 7
		kinds, lanes := []string{}, map[string][]Bar{}
		for _, l := range h.Legs {
			if lanes[l.Kind] == nil {
				kinds = append(kinds, l.Kind)
			}
			lanes[l.Kind] = append(lanes[l.Kind], l)
		}
		for _, k := range kinds {
			legs := lanes[k]
			kind := legs[0].Name
			if len(legs) > 1 {
				kind = fmt.Sprintf("%s to %d", kind, len(legs))
			}
			name(kind, true)
			for _, l := range legs {
				bar(l, y, barHeight, "leg")
			}
			y += barHeight + 4
		}
		y += laneGap
	}
	d.Height = y
	d.ticks(s.Begin, from, to, x)
	return d
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// ticks puts moments on the axis, counted from the beginning of the story, ten at the most.
func (d *drawing) ticks(begin, from, to janus.Micros, x func(janus.Micros) float64) {
	step := janus.Micros(0)
	for _, unit := range []janus.Micros{1000, 10_000, 100_000, 1e6, 10e6, 60e6, 600e6, 3600e6, 36000e6, 86400e6, 864000e6} {
		for _, times := range []janus.Micros{1, 2, 5} {
			if step == 0 && (to-from)/(unit*times) <= 10 {
				step = unit * times
			}
		}
	}
	if step == 0 {
		step = to - from
	}
	for t := begin; t <= to; t += step {
		text := relative(t - begin)
		if step >= 1e6 {
			text = strings.TrimSuffix(text, ".000")
		}
		d.Ticks = append(d.Ticks, tick{X: x(t), Label: text, Last: x(t) > drawWidth-60})
	}
}

// markPath is the shape of a kind's mark around a point.
func markPath(kind Kind, x, y float64) string {
	switch kind {
	case KindSignal, KindHandle, KindSession: // square
		return fmt.Sprintf("M%g %gh8v8h-8Z", round(x-4), round(y-4))
	case KindPlugin, KindElsewhere: // triangle
		return fmt.Sprintf("M%g %gl5 9h-10Z", round(x), round(y-5))
	case KindConnect: // diamond
		return fmt.Sprintf("M%g %gl5 5l-5 5l-5 -5Z", round(x), round(y-5))
	case KindTime: // hourglass
		return fmt.Sprintf("M%g %gh8l-8 8h8Z", round(x-4), round(y-4))
	}
	return fmt.Sprintf("M%g %ga3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z", round(x-3.5), round(y))
}

// barWords are the moments of a bar in words.
func barWords(b Bar) string {
	words := []string{"from " + clockTime(b.Start)}
	if b.Answer != 0 {
		words = append(words, "answered "+clockTime(b.Answer))
	}
	switch {
	case b.Open:
		words = append(words, "open where the log ends")
	case b.End != 0:
		words = append(words, "to "+clockTime(b.End))
	}
	return strings.Join(words, ", ")
}

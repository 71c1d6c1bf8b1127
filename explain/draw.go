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
	Title, About  string // for who cannot see it
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
	First bool // it stands at the left edge
	Last  bool // at the right one
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
var markRows = map[Kind]int{
	KindHandle: 0, KindSignal: 0, KindSession: 0, KindPlugin: 1, KindElsewhere: 1, KindConnect: 2, KindTime: 2,
	KindMedia: 3,
}

// canvas draws a story, lane below lane.
type canvas struct {
	*drawing
	story    *Story       // nil: of a room
	begin    janus.Micros // that times are counted from
	from, to janus.Micros // what is seen
	y        float64      // where the next lane begins
}

// draw makes the picture of a story.
func draw(s *Story) *drawing {
	c := &canvas{
		drawing: &drawing{Width: drawWidth, AxisY: axisHeight, Title: "Session, handles and legs over time",
			About: "Bars show how long the session, its handles and its legs lasted; marks show events. " +
				"The timeline below says the same in words."},
		story: s, begin: s.Begin, y: axisHeight + 8,
	}
	c.from, c.to = scope(s)
	c.session()
	for i := range s.Handles {
		c.handle(&s.Handles[i])
	}
	c.Height = c.y
	c.ticks()
	return c.drawing
}

// scope is from when to when the picture goes: a bit more than what happened, and where an end is not certain, as much
// again at the most, for it may lie hours away.
func scope(s *Story) (from, to janus.Micros) {
	from, to = s.Begin, s.End
	latest := janus.Micros(0)
	reach := func(b *Bar) {
		if b.Start != 0 {
			from = min(from, b.Start)
		}
		to = max(to, b.End)
	}
	for i := range s.Sessions {
		reach(&s.Sessions[i])
		latest = max(latest, s.Sessions[i].Latest)
	}
	for i := range s.Handles {
		reach(&s.Handles[i].Bar)
		for j := range s.Handles[i].Legs {
			reach(&s.Handles[i].Legs[j])
			latest = max(latest, s.Handles[i].Legs[j].Latest)
		}
	}
	for i := range s.Timeline {
		if e := &s.Timeline[i]; e.Kind == KindElsewhere && s.Open { // after the end they matter no more
			to = max(to, e.Time)
		}
	}
	from -= (to - from) / 100
	to += (to - from) / 50
	if latest > to {
		to = min(latest, to+(to-from))
	}
	return from, max(to, from+1000)
}

// x is where a moment stands; what is outside stands at the edge.
func (c *canvas) x(t janus.Micros) float64 {
	part := float64(min(max(t, c.from), c.to)-c.from) / float64(c.to-c.from)
	return round(drawMargin + part*(drawWidth-2*drawMargin))
}

// session draws the lane of the session.
func (c *canvas) session() {
	c.label("session "+c.story.Session, false)
	for i := range c.story.Sessions {
		b := &c.story.Sessions[i]
		c.stretch("session", b, barHeight)
		c.unsure(b)
	}
	c.y += barHeight + 3
	c.marks(func(e *Entry) bool { return e.Handle == "" })
	c.y += laneGap
}

// handle draws the lanes of a handle: its own, and one for each kind of leg.
func (c *canvas) handle(h *Handle) {
	title := h.Name + ", " + pluginName(h.Plugin)
	if h.OpaqueID != "" {
		title += ", " + h.OpaqueID
	}
	c.label(title, false)
	c.stretch("thin", &h.Bar, thinHeight)
	c.y += thinHeight + 3
	c.marks(func(e *Entry) bool { return e.handleID.String() == h.ID && e.Handle != "" })
	c.y += 7
	var kinds []string
	lanes := map[string][]*Bar{}
	for i := range h.Legs {
		l := &h.Legs[i]
		if lanes[l.Kind] == nil {
			kinds = append(kinds, l.Kind)
		}
		lanes[l.Kind] = append(lanes[l.Kind], l)
	}
	for _, kind := range kinds {
		legs := lanes[kind]
		name := legs[0].Name
		if len(legs) > 1 {
			name = fmt.Sprintf("%s to %d", name, len(legs))
		}
		c.label(name, true)
		for _, l := range legs {
			c.leg(l)
		}
		c.y += barHeight + 4
	}
	c.y += laneGap
}

// label names what is drawn below it.
func (c *canvas) label(text string, dim bool) {
	c.Labels = append(c.Labels, label{X: drawMargin, Y: c.y + 12, Text: text, Dim: dim})
	c.y += labelSpace
}

// leg draws a leg: its setup, the time for which it was answered, and where its end is not certain.
func (c *canvas) leg(b *Bar) {
	title := barTitle(b)
	if b.Answer == 0 {
		c.rect("setup", b.Start, c.end(b), barHeight, title)
	} else {
		if b.Answer > b.Start {
			c.rect("setup", b.Start, b.Answer, barHeight, title)
		}
		class := "answered free"
		if b.Chargeable {
			class = "answered"
		}
		c.rect(class, b.Answer, c.end(b), barHeight, title)
	}
	c.unsure(b)
}

// stretch draws a bar of one colour.
func (c *canvas) stretch(class string, b *Bar, height float64) {
	c.rect(class, b.Start, c.end(b), height, barTitle(b))
}

// unsure draws where the true end may lie.
func (c *canvas) unsure(b *Bar) {
	if b.Earliest != 0 && b.Latest > b.Earliest {
		c.rect("unsure", b.Earliest, b.Latest, barHeight,
			b.Name+": the true end lies between "+clockTime(b.Earliest)+" and "+clockTime(b.Latest))
	}
}

// end is where a bar ends; one without an end goes on to the edge.
func (c *canvas) end(b *Bar) janus.Micros {
	if b.Open || b.End == 0 {
		return c.to
	}
	return b.End
}

func (c *canvas) rect(class string, from, to janus.Micros, height float64, title string) {
	width := math.Max(c.x(to)-c.x(from), leastWidth)
	c.Bars = append(c.Bars, shape{Class: class, X: c.x(from), Y: c.y, W: round(width), H: height, Title: title})
}

// marks draws the marks of the entries that fit, in as many rows as they need.
func (c *canvas) marks(fits func(*Entry) bool) {
	rows := 0
	for i := range c.story.Timeline {
		e := &c.story.Timeline[i]
		if !fits(e) {
			continue
		}
		row := markRows[e.Kind]
		rows = max(rows, row+1)
		y := c.y + float64(row)*markStep + markStep/2
		text := relative(e.Time-c.story.Begin) + "  " + e.Text
		for _, b := range e.Because {
			text += "\n→ " + b.Text
		}
		path := markPath(e.Kind, c.x(e.Time), y)
		if e.Until > e.Time && c.x(e.Until)-c.x(e.Time) > 1 {
			// Turned as the mark is, or they would cut holes.
			path += fmt.Sprintf("M%g %gV%gH%gV%gZ", c.x(e.Time), y-1, y+1, c.x(e.Until), y-1)
		}
		c.Marks = append(c.Marks,
			shape{Class: "mark " + string(e.Kind), Href: fmt.Sprintf("#e%d", i+1), Title: text, Path: path})
	}
	c.y += float64(rows * markStep)
}

func round(f float64) float64 { return math.Round(f*10) / 10 }

// tickUnits are steps of the axis, from a millisecond to ten days; each may be taken once, twice or five times.
var tickUnits = []janus.Micros{
	1000, 10_000, 100_000, 1e6, 10e6, 60e6, 600e6, 3600e6, 36000e6, 86400e6, 864000e6,
}

// ticks puts moments on the axis, counted from the beginning of the story, ten at the most.
func (c *canvas) ticks() {
	begin, from, to := c.begin, c.from, c.to
	step := janus.Micros(0)
	for _, unit := range tickUnits {
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
		c.Ticks = append(c.Ticks, tick{X: c.x(t), Label: text, First: c.x(t) < 30, Last: c.x(t) > drawWidth-60})
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

// barTitle is the name of a bar and its moments in words.
func barTitle(b *Bar) string {
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
	return b.Name + ": " + strings.Join(words, ", ")
}

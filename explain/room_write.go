package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
)

// RoomText writes the story of a room for a terminal of so many columns; colours only where they are asked for.
func RoomText(s *RoomStory, columns int, colours bool) []byte {
	p := newPrinter(columns, colours)
	p.block("", 0, bold, "Room "+s.Room+" of "+pluginName(s.Plugin)+" on "+s.Emitter)
	p.block("", 0, "", s.Headline)
	p.block("", 0, dim, "from "+s.From)

	p.title("Who was in when", "UTC by the clock of the server")
	c := &chart{printer: p, from: s.Begin, to: s.End}
	c.axis()
	for i := range s.People {
		person := &s.People[i]
		c.row(person.Name, true, person.In)
		names, bars := lanes(person.Legs)
		for i, name := range names {
			c.row("  "+name, false, bars[i])
		}
	}
	p.block("  ", 2, dim, chartLegend)

	p.title("Who came and went", "")
	for _, m := range s.Moves {
		p.block(fmt.Sprintf("  %11s  %s  ", relative(m.Time-s.Begin), clockTime(m.Time)), 29, "", m.text())
	}

	p.title("What came of it", "")
	for i := range s.People {
		person := &s.People[i]
		p.block("  ", 2, bold, person.Name)
		p.block("  ", 2, dim, person.about())
		for _, o := range person.Outcomes {
			p.outcome("  ", o)
		}
	}
	p.block("  ", 2, dim, outcomeLegend)
	p.notices(&Story{Noticed: s.Noticed})
	p.line("")
	p.block("", 0, dim, "cdr explain SESSION tells all of one session.")
	return p.out.Bytes()
}

func (m *Move) text() string {
	now := "nobody is in"
	if m.In > 0 {
		now = fmt.Sprintf("%d in", m.In)
	}
	switch {
	case m.Comes:
		return m.Person + " comes; " + now
	case m.Unsure != 0:
		return m.Person + " goes, at " + clockTime(m.Unsure) + " at the latest; " + now
	}
	return m.Person + " goes; " + now
}

// about says how a person is found elsewhere.
func (p *Person) about() string {
	words := []string{"session " + p.Session}
	if len(p.Participants) > 0 {
		words = append(words, "participant "+strings.Join(p.Participants, ", "))
	}
	if len(p.OpaqueIDs) > 0 {
		words = append(words, "opaque id "+strings.Join(p.OpaqueIDs, ", "))
	}
	return strings.Join(words, "; ")
}

// RoomJSON writes the story of a room as one JSON object.
func RoomJSON(s *RoomStory) ([]byte, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	if err := w.Encode(s); err != nil {
		return nil, fmt.Errorf("write story: %w", err)
	}
	return b.Bytes(), nil
}

// roomTemplate is the page of a room; it has the style and the drawing of the page of a session.
var roomTemplate = template.Must(template.Must(pageTemplate.Clone()).New("room").Funcs(template.FuncMap{
	"move":  func(m Move) string { return m.text() },
	"about": func(p Person) string { return p.about() },
}).Parse(roomText))

// RoomPage writes the story of a room as one HTML file that refers to nothing else.
func RoomPage(s *RoomStory) ([]byte, error) {
	var b bytes.Buffer
	err := roomTemplate.Execute(&b, struct {
		*RoomStory
		Drawing *drawing
	}{s, drawRoom(s)})
	if err != nil {
		return nil, fmt.Errorf("write page: %w", err)
	}
	return b.Bytes(), nil
}

// drawRoom makes the picture: each person has a lane, and one for each kind of leg.
func drawRoom(s *RoomStory) *drawing {
	c := &canvas{drawing: &drawing{Width: drawWidth, AxisY: axisHeight,
		Title: "People of the room over time",
		About: "Bars show when each was in, and how long their legs lasted. The lists below say the same in words."},
		begin: s.Begin, y: axisHeight + 8}
	c.from, c.to = s.Begin, s.End
	for i := range s.People {
		for _, l := range s.People[i].Legs {
			if l.Latest > c.to {
				c.to = min(l.Latest, s.End+(s.End-s.Begin))
			}
		}
	}
	c.from -= (c.to - c.from) / 100
	c.to = max(c.to+(c.to-c.from)/50, c.from+1000)
	for i := range s.People {
		c.person(&s.People[i])
	}
	c.Height = c.y
	c.ticks()
	return c.drawing
}

func (c *canvas) person(p *Person) {
	c.label(p.Name, false)
	for i := range p.In {
		c.stretch("thin", &p.In[i], thinHeight)
	}
	c.y += thinHeight + 4
	names, bars := lanes(p.Legs)
	for i, name := range names {
		c.label(name, true)
		for j := range bars[i] {
			c.leg(&bars[i][j])
		}
		c.y += barHeight + 4
	}
	c.y += laneGap
}

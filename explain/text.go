package explain

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// The columns that the text form takes: Width where there are as many, and never less than LeastWidth.
const (
	Width      = 100
	LeastWidth = 72
)

// Text writes a story for a terminal of so many columns; colours only where they are asked for.
func Text(s *Story, columns int, colours bool) []byte {
	p := newPrinter(columns, colours)
	p.head(s)
	p.picture(s)
	p.outcomes(s)
	p.timeline(s)
	p.records(s)
	p.notices(s)
	p.rules(s)
	return p.out.Bytes()
}

type printer struct {
	out     bytes.Buffer
	width   int
	colours bool
}

func newPrinter(columns int, colours bool) *printer {
	return &printer{width: min(max(columns, LeastWidth), Width), colours: colours}
}

// Colours of a terminal.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (p *printer) paint(colour, text string) string {
	if !p.colours || colour == "" || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	line := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	p.out.WriteString(line)
	p.out.WriteByte('\n')
}

// block writes text behind a prefix, broken into lines; the lines after the first are indented as far.
func (p *printer) block(prefix string, indent int, colour, text string) {
	for i, l := range wrap(text, p.width-indent) {
		if i > 0 {
			prefix = strings.Repeat(" ", indent)
		}
		p.line("%s%s", prefix, p.paint(colour, l))
	}
}

func (p *printer) title(text, aside string) {
	p.line("")
	if aside != "" {
		aside = "   " + p.paint(dim, aside)
	}
	p.line("%s%s", p.paint(bold, text), aside)
}

func (p *printer) head(s *Story) {
	p.block("", 0, bold, "Session "+s.Session+" on "+s.Emitter)
	p.block("", 0, "", s.Headline)
	if s.Left != "" {
		p.block("", 0, yellow, s.Left)
	}
	p.block("", 0, dim, fmt.Sprintf("%s, offsets %d to %d of %s", many(s.Events, "event", "events"), s.From.First,
		s.From.Last, s.From.Name))
	for _, h := range s.Handles {
		text := h.Name + ": " + h.ID + ", " + pluginName(h.Plugin)
		if h.OpaqueID != "" {
			text += ", opaque id " + h.OpaqueID
		}
		p.block("", 0, dim, text)
	}
	if s.Personal != "" {
		p.block("", 0, dim, s.Personal)
	}
}

func (p *printer) outcomes(s *Story) {
	p.title("What came of it", "")
	if len(s.Outcomes) == 0 {
		p.line("  no leg: there was nothing to charge")
	}
	for _, o := range s.Outcomes {
		p.outcome("", o)
	}
	if len(s.Outcomes) > 0 {
		p.block("  ", 2, dim, outcomeLegend)
	}
}

const outcomeLegend = "$ charged   0 chargeable, and not answered   - not chargeable"

// outcome writes what came of a leg. Only what was answered is green.
func (p *printer) outcome(indent string, o Outcome) {
	mark, colour := "- ", dim
	switch {
	case o.Chargeable && o.Answered:
		mark, colour = p.paint(green, "$")+" ", ""
	case o.Chargeable:
		mark, colour = p.paint(yellow, "0")+" ", ""
	}
	text := o.Text
	if o.Confidence != "" && o.Confidence != "EXACT" {
		text += " [" + o.Confidence + "]"
	}
	p.block(indent+"  "+mark, 4+len(indent), colour, text)
}

// picture draws the session, its handles and its legs.
func (p *printer) picture(s *Story) {
	p.title("Drawn", "UTC by the clock of the server")
	c := &chart{printer: p}
	c.from, c.to = scope(s)
	c.axis()
	for i := range s.Sessions {
		c.row(s.Sessions[i].Name, true, s.Sessions[i:i+1])
	}
	for i := range s.Handles {
		h := &s.Handles[i]
		c.row(h.Name+", "+pluginName(h.Plugin), true, []Bar{h.Bar})
		names, bars := lanes(h.Legs)
		for j, name := range names {
			c.row("  "+name, false, bars[j])
		}
	}
	p.block("  ", 2, dim, chartLegend)
}

// The columns of the timeline: from the beginning, by the clock, where.
const textAt = 38

func (p *printer) timeline(s *Story) {
	p.title("Timeline", "from the first event; UTC by the clock of the server")
	for i := range s.Timeline {
		e := &s.Timeline[i]
		about := " "
		if e.About {
			about = "~"
		}
		where := string(e.Kind)
		if e.Handle != "" {
			where = e.Handle
		}
		text := e.Text
		if e.Until-e.Time >= 100_000 {
			text += ", until " + clockTime(e.Until)
		}
		colour := ""
		if e.Kind == KindTime || e.Kind == KindElsewhere {
			colour = dim
		}
		since := relative(e.Time - s.Begin)
		at := textAt + max(len(since)-11, 0) // beyond ten hours
		when := fmt.Sprintf("%s%11s  %s", about, since, clockTime(e.Time))
		prefix := p.paint(dim, when) + "  " + pad(where, 9) + " "
		p.block(prefix, at, colour, text)
		for _, b := range e.Because {
			p.block(strings.Repeat(" ", textAt)+p.paint(cyan, "→ "), textAt+2, cyan, b.Text)
		}
	}
}

func pad(text string, to int) string {
	if n := utf8.RuneCountInString(text); n < to {
		return text + strings.Repeat(" ", to-n)
	}
	return text
}

func (p *printer) records(s *Story) {
	p.title("Records", "as these events make them under this policy")
	if len(s.Records) == 0 {
		p.line("  none yet")
	}
	for _, a := range s.Records {
		confidence := p.paint(confidenceColour(a.Confidence), a.Confidence)
		if columns(a.Title)+columns(a.RecordID)+columns(a.Confidence)+6 <= p.width {
			p.line("  %s  %s  %s", p.paint(bold, a.Title), p.paint(dim, a.RecordID), confidence)
		} else {
			p.block("  ", 4, bold, a.Title)
			p.line("    %s  %s", p.paint(dim, a.RecordID), confidence)
		}
		p.block("    ", 4, "", a.Text)
		p.block("    ", 4, "", a.Billing)
		p.block("    ", 4, dim, a.Certainty)
	}
}

func confidenceColour(confidence string) string {
	switch confidence {
	case "EXACT":
		return green
	case "BOUNDED":
		return yellow
	}
	return red
}

func (p *printer) notices(s *Story) {
	p.title("Noticed", "")
	if len(s.Noticed) == 0 {
		p.line("  nothing out of the ordinary")
	}
	for _, n := range s.Noticed {
		p.block("  - ", 4, yellow, n)
	}
}

// rules explains the rules that touched money.
func (p *printer) rules(s *Story) {
	p.title("The rules, and what they mean for money", "")
	for _, r := range s.Rules {
		if strings.HasPrefix(r.Billing, "None") {
			continue
		}
		p.block("  "+p.paint(bold, r.Rule)+" ", 4, "", "")
		p.block("    ", 4, "", r.Means)
		p.block("    ", 4, dim, r.Billing)
	}
}

var unit = regexp.MustCompile(`(\d) (s|ms|µs|min|h|B|kB|MB|GB)\b`)

// whole is a space at which no line is broken.
const whole = "\x00"

// wrap breaks text into lines of so many columns, at spaces where there are any.
func wrap(text string, width int) []string {
	var lines []string
	line, n := "", 0
	text = unit.ReplaceAllString(text, "$1"+whole+"$2") // a number stays with its unit
	flush := func() {
		lines, line, n = append(lines, strings.TrimRight(strings.ReplaceAll(line, whole, " "), " ")), "", 0
	}
	for word := range strings.SplitSeq(text, " ") {
		w := columns(word)
		if n > 0 && n+1+w > width {
			flush()
		}
		for w > width { // an id without a space
			cut := 0
			for i := range word {
				if columns(word[:i]) > width-n-1 {
					break
				}
				cut = i
			}
			if cut == 0 {
				break
			}
			line += word[:cut]
			flush()
			word = word[cut:]
			w = columns(word)
		}
		if n > 0 {
			line, n = line+" ", n+1
		}
		line, n = line+word, n+w
	}
	if line != "" || len(lines) == 0 {
		flush()
	}
	return lines
}

// columns is how wide a text is on a terminal: East Asian letters and pictures take two columns, marks none.
func columns(s string) (n int) {
	for _, r := range s {
		switch {
		case r >= 0x300 && r <= 0x36f || r == 0x200d || r >= 0xfe00 && r <= 0xfe0f:
		case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
			r >= 0xfe30 && r <= 0xfe4f, r >= 0xff00 && r <= 0xff60, r >= 0x1f300 && r <= 0x1faff,
			r >= 0x20000 && r <= 0x3fffd:
			n += 2
		default:
			n++
		}
	}
	return n
}

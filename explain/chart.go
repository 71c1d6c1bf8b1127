package explain

import (
	"fmt"
	"strings"

	"januscdr/janus"
)

// chartLabel is what the names of a chart take, in columns of the terminal.
const chartLabel = 24

// width is what its bars take.
func (c *chart) width() int { return c.printer.width - chartLabel - 4 }

// The marks of a chart.
const (
	markIn     = '─'
	markSetup  = '·'
	markFree   = '▒'
	markCharge = '█'
	markUnsure = '?'
)

// chartLegend is not broken within an item.
var chartLegend = strings.NewReplacer(" ", whole, "|", "   ").Replace("─ there|· setup, or never answered|" +
	"█ answered, charged|▒ answered, not charged|? its end lies in here")

// chart draws bars on one axis of time, a row each, with letters.
type chart struct {
	*printer
	from, to janus.Micros
}

// cell is where a moment stands.
func (c *chart) cell(t janus.Micros) int {
	return int(int64(min(max(t, c.from), c.to)-c.from) * int64(c.width()-1) / int64(max(c.to-c.from, 1)))
}

// axis writes the moments at the beginning, in between and at the end.
func (c *chart) axis() {
	digits := len("15:04:05")
	if c.to-c.from < 10_000_000 {
		digits = len("15:04:05.000")
	}
	first, last := clockTime(c.from)[:digits], clockTime(c.to)[:digits]
	middle := clockTime(c.from + (c.to-c.from)/2)[:digits]
	between := c.width() - len(first) - len(middle) - len(last)
	c.line("  %s%s", strings.Repeat(" ", chartLabel+1),
		c.paint(dim, first+strings.Repeat(" ", between/2)+middle+strings.Repeat(" ", between-between/2)+last))
}

// row draws some bars. Thin ones show only that something was there.
func (c *chart) row(label string, thin bool, bars []Bar) {
	cells := []rune(strings.Repeat(" ", c.width()))
	fill := func(from, to janus.Micros, mark rune) {
		for i := c.cell(from); i <= c.cell(to); i++ {
			cells[i] = mark
		}
	}
	for i := range bars {
		b := &bars[i]
		end := b.End
		if b.Open || end == 0 {
			end = c.to
		}
		answered := markFree
		if b.Chargeable {
			answered = markCharge
		}
		if b.Earliest != 0 && b.Latest > b.Earliest {
			fill(b.Earliest, b.Latest, markUnsure)
		}
		switch {
		case thin:
			fill(b.Start, end, markIn)
		case b.Answer == 0:
			fill(b.Start, end, markSetup)
		default:
			fill(b.Start, b.Answer, markSetup)
			fill(b.Answer, end, answered)
		}
	}
	label = cut(label, chartLabel)
	pad := strings.Repeat(" ", max(chartLabel-columns(label), 0))
	c.line("  %s%s %s", label, pad, c.coloured(strings.TrimRight(string(cells), " ")))
}

// coloured paints green what was answered, and nothing else: a busy call is setup from its beginning to its end.
func (c *chart) coloured(cells string) string {
	var b strings.Builder
	for rest := cells; rest != ""; {
		answered := strings.HasPrefix(rest, string(markCharge)) || strings.HasPrefix(rest, string(markFree))
		n := strings.IndexFunc(rest, func(r rune) bool { return (r == markCharge || r == markFree) != answered })
		if n < 0 {
			n = len(rest)
		}
		if answered {
			b.WriteString(c.paint(green, rest[:n]))
		} else {
			b.WriteString(rest[:n])
		}
		rest = rest[n:]
	}
	return b.String()
}

// cut is a text that takes no more columns than there are.
func cut(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if columns(b.String()+string(r)) > width-1 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// lanes are legs by their kind, in the order of the first of each: those of one lane are drawn in one row.
func lanes(legs []Bar) (names []string, bars [][]Bar) {
	index := map[string]int{}
	for _, l := range legs {
		name := strings.TrimRight(l.Name, " 0123456789")
		i, ok := index[name]
		if !ok {
			i = len(names)
			index[name] = i
			names, bars = append(names, name), append(bars, nil)
		}
		bars[i] = append(bars[i], l)
	}
	for i := range names {
		if n := len(bars[i]); n > 1 {
			names[i] = fmt.Sprintf("%d × %s", n, names[i])
		}
	}
	return names, bars
}

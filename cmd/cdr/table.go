package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"januscdr/cdr"
	"januscdr/janus"
)

// callTable shows records as rows of one width, as they come: no column waits for the rows to come. It has layouts for
// small terminals, for those of 80 and of 120 columns and for wide ones. A column that is told in fewer words where
// there is little room keeps what matters most of it; what still does not fit is cut, with an ellipsis. Where nobody
// knows the width, or all was asked for, nothing is cut.
type callTable struct {
	terminal
	columns []column
	uncut   bool
}

type column struct {
	title string
	width int // in columns of the terminal
	most  int // that it grows to where there is room
	right bool
	of    func(r *cdr.Record, width int) string
	paint func(*cdr.Record) string
}

const (
	smallColumns  = 72
	mediumColumns = 120
	broadColumns  = 190 // from here on there is room for all
	leastColumns  = 52
	gap           = 2
)

// newCallTable has the layout for a terminal; wide is the largest one, whatever the terminal is.
func newCallTable(t terminal, wide bool) *callTable {
	width := t.columns
	if wide {
		width = max(width, wideColumns)
	}
	width = max(width, leastColumns)
	start := func(form string) column {
		return column{title: "START UTC", width: len(form), of: func(r *cdr.Record, _ int) string {
			return time.UnixMicro(int64(r.StartTime)).UTC().Format(form)
		}}
	}
	var (
		names   = column{title: "WHO", of: who}
		kinds   = column{title: "KIND", width: 14, most: 24, of: kind}
		became  = column{title: "OUTCOME", width: 15, of: plain(outcomeOf), paint: outcomeColour}
		lasted  = column{title: "DURATION", width: 9, right: true, of: plain(duration)}
		known   = column{title: "KNOWN", width: 9, of: plain(certainty)}
		ends    = column{title: "HOW IT ENDED", width: 27, most: 44, of: ended}
		emitter = column{title: "EMITTER", width: 12, of: plain(func(r *cdr.Record) string { return printable(r.Emitter) })}
		carried = column{title: "MEDIA IN/OUT", width: 22, right: true, of: media}
		session = column{title: "SESSION", width: 16, of: plain(func(r *cdr.Record) string { return printable(r.SessionID) })}
		columns []column
	)
	switch {
	case width < smallColumns:
		columns = []column{start("01-02 15:04"), names, became, lasted}
	case width < mediumColumns:
		columns = []column{start("01-02 15:04:05"), names, kinds, became, lasted}
	case width < broadColumns:
		kinds.width = 18
		columns = []column{start(time.DateTime), names, kinds, became, lasted, ends}
	default:
		kinds.width, ends.width = kinds.most, 30
		columns = []column{start("2006-01-02 15:04:05.000"), names, kinds, became, lasted, known, ends, emitter, carried,
			session}
	}
	const least = 22 // of names, before others grow
	room := width - gap*(len(columns)-1)
	for _, c := range columns {
		room -= c.width
	}
	for i := range columns {
		if c := &columns[i]; c.most > c.width && room > least {
			more := min(c.most-c.width, (room-least+1)/2)
			c.width, room = c.width+more, room-more
		}
	}
	columns[1].width = room
	return &callTable{terminal: t, columns: columns, uncut: wide || !t.known}
}

// plain is a text that is the same whatever room there is.
func plain(of func(*cdr.Record) string) func(*cdr.Record, int) string {
	return func(r *cdr.Record, _ int) string { return of(r) }
}

func certainty(r *cdr.Record) string { return words(r.Confidence.String()) }

// header is the line above the rows.
func (t *callTable) header() string {
	cells := make([]string, len(t.columns))
	for i := range t.columns {
		cells[i] = t.terminal.paint(bold, t.columns[i].fit(t.columns[i].title, t.uncut))
	}
	return t.line(cells)
}

// row is a record. It has no end of line.
func (t *callTable) row(r *cdr.Record) string {
	cells := make([]string, len(t.columns))
	for i := range t.columns {
		c := &t.columns[i]
		cells[i] = c.fit(c.of(r, c.width), t.uncut)
		if c.paint != nil {
			cells[i] = t.terminal.paint(c.paint(r), cells[i])
		}
	}
	return t.line(cells)
}

func (t *callTable) line(cells []string) string {
	return strings.TrimRight(strings.Join(cells, strings.Repeat(" ", gap)), " ")
}

// narrow counts the columns that text takes: two for wide letters, whatever the language of the machine is.
var narrow = &runewidth.Condition{}

// fit makes a text as wide as its column, or wider if it may be.
func (c *column) fit(text string, uncut bool) string {
	if !uncut {
		text = narrow.Truncate(text, c.width, "…")
	}
	if c.right {
		return narrow.FillLeft(text, c.width)
	}
	return narrow.FillRight(text, c.width)
}

// outcomeOf is what became of a call, or what a summary is about.
func outcomeOf(r *cdr.Record) string {
	switch {
	case r.RecordType == cdr.SessionSummary:
		return count(int(r.LegCount), "leg")
	case !r.IsFinal:
		return "so far " + words(r.Disposition.String())
	}
	return words(r.Disposition.String())
}

// outcomeColour is green for what was answered only.
func outcomeColour(r *cdr.Record) string {
	if r.RecordType == cdr.SessionSummary {
		return plainly
	}
	switch r.Disposition {
	case cdr.Answered:
		return green
	case cdr.Failed, cdr.NeverConnected:
		return red
	case cdr.DispositionUnknown:
		return plainly
	}
	return yellow
}

// who names whoever a record is about, by the best that it has. Where parties do not fit, they are named without their
// hosts.
func who(r *cdr.Record, width int) string {
	if r.CallingParty == "" && r.CalledParty == "" {
		return printable(cmp.Or(r.DisplayName, r.OpaqueID, r.SessionID))
	}
	from, to := party(r.CallingParty), party(r.CalledParty)
	caller, _, _ := strings.Cut(from, "@")
	called, _, _ := strings.Cut(to, "@")
	return firstThatFits(width, from+" to "+to, caller+" to "+called)
}

func party(uri string) string {
	uri = strings.TrimPrefix(strings.TrimPrefix(uri, "sips:"), "sip:")
	return printable(cmp.Or(uri, "?"))
}

// kind says on which plugin a leg is and what it is there. Where that does not fit, the room is left out, then
// what it is.
func kind(r *cdr.Record, width int) string {
	if r.RecordType == cdr.SessionSummary {
		return "session"
	}
	plugin := printable(strings.TrimPrefix(r.Plugin, "janus.plugin."))
	is := plugin
	switch {
	case r.LegKind == cdr.PeerConnection:
		is += " pc"
	case r.Role != cdr.RoleUnknown:
		is += " " + words(r.Role.String())
	}
	if r.RoomID != "" {
		return firstThatFits(width, is+" in "+printable(r.RoomID), is, plugin)
	}
	return firstThatFits(width, is, plugin)
}

// firstThatFits is the first of some texts that fits, or the last one.
func firstThatFits(width int, texts ...string) string {
	for _, text := range texts[:len(texts)-1] {
		if narrow.StringWidth(text) <= width {
			return text
		}
	}
	return texts[len(texts)-1]
}

// duration marks with ~ what is not known exactly.
func duration(r *cdr.Record) string {
	if r.AnswerTime == 0 || r.RecordType == cdr.SessionSummary {
		return "-"
	}
	about := ""
	if r.Confidence != cdr.Exact {
		about = "~"
	}
	return about + length(time.Duration(r.Duration)*time.Microsecond)
}

// length is a duration as people read it.
func length(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	s := int64(d.Round(time.Second) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// ended says how a call ended, by whom, and what was given as the reason. Where that does not fit, who and why do.
func ended(r *cdr.Record, width int) string {
	if r.EndBasis == 0 {
		return ""
	}
	by, why := "", printable(r.Diagnostics)
	if r.DisconnectInitiator != cdr.InitiatorUnknown {
		by = "by " + words(r.DisconnectInitiator.String())
	}
	if why == "" && r.CauseForRecordClosing == cdr.CauseTransportGone {
		why = "connection lost"
	}
	short := joined(": ", by, why)
	return firstThatFits(width, joined(": ", joined(" ", words(r.EndBasis.String()), by), why),
		cmp.Or(short, words(r.EndBasis.String())))
}

// joined leaves out what is empty.
func joined(with string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), with)
}

// media is what a leg carried to Janus and from it. Where that does not fit, the kinds are initials.
func media(r *cdr.Record, width int) string {
	var in, out int64
	var kinds, initials []string
	for i := range r.Streams {
		st := &r.Streams[i]
		in, out = in+st.BytesReceived, out+st.BytesSent
		if k := words(st.Media.String()); !slices.Contains(kinds, k) {
			kinds, initials = append(kinds, k), append(initials, k[:1])
		}
	}
	if len(kinds) == 0 {
		return "-"
	}
	volume := fmt.Sprintf(" %d/%d kB", in/1000, out/1000)
	if max(in, out) >= 100_000_000 {
		volume = fmt.Sprintf(" %d/%d MB", in/1_000_000, out/1_000_000)
	}
	return firstThatFits(width, strings.Join(kinds, "+")+volume, strings.Join(initials, "+")+volume)
}

func words(symbol string) string { return strings.ToLower(strings.ReplaceAll(symbol, "_", " ")) }

// endOf is where a record ends: of a partial one, where its part does.
func endOf(r *cdr.Record) janus.Micros { return cmp.Or(r.EndTime, r.RecordClosureTime) }

func span(micros int64) string {
	return (time.Duration(micros) * time.Microsecond).Round(time.Millisecond).String()
}

// sheet is a table whose rows are all known before one is shown: each column is as wide as its widest cell. Texts are
// in the first columns, numbers in the others.
type sheet struct {
	left   int // columns of texts
	rows   [][]string
	widths []int
}

// add adds a row; all have as many cells.
func (s *sheet) add(cells ...string) {
	s.rows = append(s.rows, cells)
	for i, cell := range cells {
		if i == len(s.widths) {
			s.widths = append(s.widths, 0)
		}
		s.widths[i] = max(s.widths[i], narrow.StringWidth(cell))
	}
}

func (s *sheet) String() string {
	var b strings.Builder
	for _, row := range s.rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			if i < s.left {
				b.WriteString(narrow.FillRight(cell, s.widths[i]))
			} else {
				b.WriteString(narrow.FillLeft(cell, s.widths[i]))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

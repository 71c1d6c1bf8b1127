package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"januscdr/cdr"
	"januscdr/janus"
)

// callTable shows records as rows of one width, as they come: no column waits for the rows to come. It has three
// layouts, for terminals of 80 and of 120 columns and for wider ones; what does not fit is cut, with an ellipsis.
type callTable struct {
	terminal
	columns []column
}

type column struct {
	title string
	width int // in columns of the terminal; the last one may be shorter
	right bool
	of    func(*cdr.Record) string
	// ofWidth is of for a text that is told in fewer words where there is little room.
	ofWidth func(r *cdr.Record, width int) string
	paint   func(*cdr.Record) string
}

const (
	mediumColumns = 120
	broadColumns  = 160 // from here on there is room for all
	gap           = 2
)

// newCallTable has the layout for a terminal; wide is the largest one, whatever the terminal is.
func newCallTable(t terminal, wide bool) *callTable {
	width := t.terminalWidth(wide)
	start := func(form string) func(*cdr.Record) string {
		return func(r *cdr.Record) string { return time.UnixMicro(int64(r.StartTime)).UTC().Format(form) }
	}
	var columns []column
	switch {
	case width < mediumColumns:
		columns = []column{
			{title: "START UTC", width: 14, of: start("01-02 15:04:05")},
			{title: "WHO", ofWidth: who},
			{title: "KIND", width: 13, of: kind},
			{title: "OUTCOME", width: 15, of: outcomeOf, paint: outcomeColour},
			{title: "DURATION", width: 10, right: true, of: duration},
		}
	case width < broadColumns:
		columns = []column{
			{title: "START UTC", width: 19, of: start(time.DateTime)},
			{title: "WHO", ofWidth: who},
			{title: "KIND", width: 17, of: kind},
			{title: "OUTCOME", width: 15, of: outcomeOf, paint: outcomeColour},
			{title: "DURATION", width: 10, right: true, of: duration},
			{title: "HOW IT ENDED", width: 27, of: ended},
		}
	default:
		columns = []column{
			{title: "START UTC", width: 23, of: start("2006-01-02 15:04:05.000")},
			{title: "WHO", ofWidth: who},
			{title: "KIND", width: 24, of: kind},
			{title: "OUTCOME", width: 15, of: outcomeOf, paint: outcomeColour},
			{title: "DURATION", width: 10, right: true, of: duration},
			{title: "KNOWN", width: 9, of: func(r *cdr.Record) string { return words(r.Confidence.String()) }},
			{title: "HOW IT ENDED", width: 34, of: ended},
			{title: "EMITTER", width: 12, of: func(r *cdr.Record) string { return printable(r.Emitter) }},
			{title: "MEDIA", width: 24, right: true, of: media},
		}
	}
	room := width - gap*(len(columns)-1)
	for _, c := range columns {
		room -= c.width
	}
	for i := range columns {
		if columns[i].width == 0 {
			columns[i].width = max(room, 10)
		}
	}
	return &callTable{terminal: t, columns: columns}
}

// terminalWidth is how wide a row may be.
func (t terminal) terminalWidth(wide bool) int {
	if wide {
		return max(t.columns, wideColumns)
	}
	return max(t.columns, 60)
}

// header is the line above the rows.
func (t *callTable) header() string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = t.terminal.paint(bold, c.fit(c.title))
	}
	return t.line(cells)
}

// row is a record. It has no end of line.
func (t *callTable) row(r *cdr.Record) string {
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		if c.ofWidth != nil {
			cells[i] = c.fit(c.ofWidth(r, c.width))
		} else {
			cells[i] = c.fit(c.of(r))
		}
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

// fit makes a text as wide as its column.
func (c column) fit(text string) string {
	text = narrow.Truncate(text, c.width, "…")
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
	if text := from + " to " + to; narrow.StringWidth(text) <= width {
		return text
	}
	from, _, _ = strings.Cut(from, "@")
	to, _, _ = strings.Cut(to, "@")
	return from + " to " + to
}

func party(uri string) string {
	uri = strings.TrimPrefix(strings.TrimPrefix(uri, "sips:"), "sip:")
	return printable(cmp.Or(uri, "?"))
}

func kind(r *cdr.Record) string {
	if r.RecordType == cdr.SessionSummary {
		return "session"
	}
	k := strings.TrimPrefix(r.Plugin, "janus.plugin.")
	switch {
	case r.LegKind == cdr.PeerConnection:
		k += " pc"
	case r.Role != cdr.RoleUnknown:
		k += " " + words(r.Role.String())
	}
	if r.RoomID != "" {
		k += " in " + printable(r.RoomID)
	}
	return k
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

// ended says how a call ended and, where nobody said so, that the true end is later.
func ended(r *cdr.Record) string {
	if r.EndBasis == 0 {
		return ""
	}
	end := words(r.EndBasis.String())
	switch {
	case r.Diagnostics != "":
		end += ": " + printable(r.Diagnostics)
	case r.CauseForRecordClosing == cdr.CauseTransportGone:
		end += ", connection lost"
	}
	if by := r.DisconnectInitiator; by != cdr.InitiatorUnknown {
		end += ", by " + words(by.String())
	}
	return end
}

func media(r *cdr.Record) string {
	var up, down int64
	var kinds []string
	for i := range r.Streams {
		st := &r.Streams[i]
		up, down = up+st.BytesReceived, down+st.BytesSent
		k := words(st.Media.String())
		if len(kinds) == 0 || kinds[len(kinds)-1] != k {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s %d/%d kB", strings.Join(kinds, "+"), up/1000, down/1000)
}

func words(symbol string) string { return strings.ToLower(strings.ReplaceAll(symbol, "_", " ")) }

// endOf is where a record ends: of a partial one, where its part does.
func endOf(r *cdr.Record) janus.Micros { return cmp.Or(r.EndTime, r.RecordClosureTime) }

func span(micros int64) string {
	return (time.Duration(micros) * time.Microsecond).Round(time.Millisecond).String()
}

package docs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPicturesOnThePagesAreThoseOfTheRecordedCalls(t *testing.T) {
	each(t, func(t *testing.T, p place) string {
		c := p.call(t)
		return fenced("text", draw(t, c.events, p.pick(t, c.records)))
	}, "life")
}

// said is an event, in so many words.
type said struct {
	at      int64
	session string
	handle  string
	words   string
	plugin  string
	room    string
	user    string
	server  bool
}

// draw shows what Janus reported while some legs lived, and how these lived: a column for each leg.
func draw(t *testing.T, events [][]byte, legs []record) string {
	t.Helper()
	slices.SortStableFunc(legs, func(a, b record) int { return int(a.number("start_time") - b.number("start_time")) })
	from, to := legs[0].number("start_time"), int64(0)
	for _, l := range legs {
		to = max(to, l.number("end_time"), l.number("record_closure_time"))
	}
	type line struct {
		at    int64
		words string
		times int
		until int64
	}
	var lines []line
	marked := func(at int64) bool {
		return slices.ContainsFunc(legs, func(l record) bool {
			return at == l.number("start_time") || at == l.number("answer_time") || at == l.number("end_time")
		})
	}
	for _, value := range events {
		e := say(t, value)
		closes := slices.ContainsFunc(legs, func(l record) bool { return e.at == l.number("end_latest_time") })
		if e.at < from || e.at > to && !closes || e.words == "" && !marked(e.at) || !concerns(e, legs) {
			continue
		}
		if e.words == "" {
			e.words = "ICE gathering"
		}
		if n := len(lines); n > 0 && lines[n-1].words == e.words && !marked(e.at) && !marked(lines[n-1].at) {
			lines[n-1].times++
			lines[n-1].until = e.at
			continue
		}
		lines = append(lines, line{e.at, e.words, 1, e.at})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.at - b.at) })

	columns := make([][3]string, len(legs)) // the heading of each: kind, role, whether it is charged
	for i, l := range legs {
		columns[i][0] = l.text("leg_kind")
		if role := l.text("role"); role != "null" {
			columns[i][1] = role
		}
		if l.text("chargeable") == "true" {
			columns[i][2] = "charged"
		}
	}
	var out string
	for row, text := range []string{"", "", fmt.Sprintf("%9s  %s", "seconds", "Janus reports")} {
		text = pad(text, 57)
		for _, c := range columns {
			text += "  " + pad(c[row], columnWidth)
		}
		out += strings.TrimRight(text, " ") + "\n"
	}
	for _, n := range lines {
		words := n.words
		if n.times > 1 {
			words = fmt.Sprintf("%s, %d times until %.3f", words, n.times, float64(n.until-from)/1e6)
		}
		text := pad(fmt.Sprintf("%9.3f  %s", float64(n.at-from)/1e6, words), 57)
		for _, l := range legs {
			text += "  " + pad(mark(l, n.at), columnWidth)
		}
		out += strings.TrimRight(text, " ") + "\n"
	}
	return out
}

// columnWidth is that of the longest word of a leg's kind.
const columnWidth = len("PEER_CONNECTION")

// mark is how a leg is at a moment.
func mark(l record, at int64) string {
	start, answer, end := l.number("start_time"), l.number("answer_time"), l.number("end_time")
	switch {
	case at == end && at == start:
		return "start and end"
	case at == start && at == answer:
		return "start, ANSWER"
	case at == answer:
		return "ANSWER"
	case at == start:
		return "start"
	case at == end:
		return "END"
	case at < start || at > end:
		return ""
	case answer != 0 && at > answer:
		return "#"
	}
	return ":"
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

// concerns tells whether an event is about one of the legs.
func concerns(e said, legs []record) bool {
	for _, l := range legs {
		switch {
		case e.server && e.session == "":
			return true
		case e.session == l.text("session_id") && (e.handle == "" || e.handle == l.text("handle_id")):
			return true
		case e.room != "" && e.plugin == l.text("plugin") && e.room == l.text("room_id") &&
			(e.user == l.text("participant_id") && e.session == "" || strings.HasPrefix(e.words, "destroyed")):
			return true
		}
	}
	return false
}

// say reads an event; its words are empty when it is not worth a line.
func say(t *testing.T, value []byte) said {
	t.Helper()
	var e struct {
		Type      int             `json:"type"`
		Subtype   int             `json:"subtype"`
		Timestamp int64           `json:"timestamp"`
		Session   json.Number     `json:"session_id"`
		Handle    json.Number     `json:"handle_id"`
		Event     json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(value, &e); err != nil {
		t.Fatal(err)
	}
	s := said{at: e.Timestamp, session: e.Session.String(), handle: e.Handle.String()}
	if e.Type == 32 {
		if e.Subtype == 3 {
			s.words = "statistics"
		}
		return s
	}
	var b struct {
		Name       string
		Owner      string
		JSEP       struct{ Type string }
		Connection string
		Reason     string
		Status     string
		Plugin     string
		Data       map[string]any
	}
	if err := json.Unmarshal(e.Event, &b); err != nil {
		return s // an external event, of any form
	}
	switch e.Type {
	case 1:
		s.words = "session " + b.Name
	case 2:
		s.words = "handle " + b.Name
	case 8:
		from := map[string]string{"local": "of Janus", "remote": "of the client"}[b.Owner]
		s.words = "jsep: " + b.JSEP.Type + " " + from
	case 16:
		if b.Connection == "webrtcup" || b.Connection == "hangup" {
			s.words = b.Connection
			if b.Reason != "" {
				s.words += ": " + b.Reason
			}
		}
	case 64:
		text := func(name string) string {
			if v, ok := b.Data[name]; ok {
				return plain(v)
			}
			return ""
		}
		name := text("event")
		if name == "" {
			name = text("status")
		}
		if name == "sip-in" || name == "sip-out" || name == "" {
			return s
		}
		s.plugin, s.room, s.user = b.Plugin, text("room"), text("id")
		s.words = b.Plugin[strings.LastIndex(b.Plugin, ".")+1:] + ": " + name
		if name == "destroyed" {
			s.words = "destroyed: room " + s.room
		}
		for _, more := range []string{"code", "reason"} {
			if v := text(more); v != "" {
				s.words += " " + v
			}
		}
		if s.session == "" {
			s.words += " (names no session)"
		}
	case 256:
		if b.Status == "started" || b.Status == "shutdown" {
			s.words, s.server = "server "+b.Status, true
		}
	}
	return s
}

func plain(v any) string {
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprint(v)
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"januscdr/cdr"
)

// screen is what the demo shows. On a terminal progress is one line that moves; elsewhere each recording is a line.
type screen struct {
	w        io.Writer
	terminal bool
	bold     func(string) string
	started  time.Time
}

func newScreen(w io.Writer, environ []string) *screen {
	s := &screen{w: w, bold: func(t string) string { return t }, started: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	plain := slices.ContainsFunc(environ,
		func(e string) bool { return strings.HasPrefix(e, "NO_COLOR=") && e != "NO_COLOR=" })
	if s.terminal && !plain {
		s.bold = func(t string) string { return "\x1b[1m" + t + "\x1b[0m" }
	}
	return s
}

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

func (s *screen) begin(o demoOptions, broker, events, health string, kept int) {
	s.say("%s: call detail records from what Janus reports, all in this process", s.bold("januscdr demo"))
	s.say("")
	s.say("  Janus, recorded --HTTP--> ingest --> janus.events --> cdr --transaction--> janus.cdr")
	s.say("")
	s.say("  broker   %s  (embedded: for trying out and for tests)", broker)
	s.say("  ingest   %s", events)
	s.say("  health   %s/readyz  %s/metrics", health, health)
	s.say("  data     %s", o.dir)
	s.say("")
	if kept > 0 {
		s.say("There is data of an earlier start: %s on janus.cdr. Going on from there.", count(kept, "record"))
		s.say("What is played now was played before, so every event is a repetition and must not make a call.")
		s.say("")
	}
}

func (s *screen) playing(n, of int, name string, done, total int) {
	if !s.terminal {
		return
	}
	const width = 30
	bar := strings.Repeat("=", width*done/total)
	fmt.Fprintf(s.w, "\r  playing %d/%d %-20s [%-*s] %3d %%", n, of, name, width, bar, 100*done/total)
}

func (s *screen) played(name string, requests, events int) {
	if s.terminal {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
	s.say("  played %-20s %4d requests, %4d events", name, requests, events)
}

func (s *screen) waiting() {
	s.say("  waiting until what nobody ended is given up ...")
	s.say("")
}

// calls shows the legs that are charged, and counts the rest.
func (s *screen) calls(all []cdr.Record, kept int) {
	legs := slices.DeleteFunc(slices.Clone(all),
		func(r cdr.Record) bool { return r.RecordType != cdr.Leg || !r.Chargeable || !r.IsFinal })
	slices.SortFunc(legs, func(a, b cdr.Record) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), strings.Compare(a.RecordID.String(), b.RecordID.String()))
	})
	s.say("%s", s.bold("The calls, as they stand on janus.cdr"))
	s.say("")
	table := tabwriter.NewWriter(s.w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "  START UTC\tWHO\tKIND\tOUTCOME\tDURATION\tHOW IT ENDED\tKNOWN\tMEDIA")
	for i := range legs {
		r := &legs[i]
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", time.UnixMicro(int64(r.StartTime)).UTC().Format("15:04:05"),
			who(r), kind(r), words(r.Disposition.String()), duration(r), ended(r), strings.ToLower(r.Confidence.String()),
			media(r))
	}
	table.Flush()
	s.say("")
	var sessions, others int
	for i := range all {
		switch {
		case all[i].RecordType == cdr.SessionSummary:
			sessions++
		case !all[i].Chargeable:
			others++
		}
	}
	s.say("%s that are charged; besides %s that are not (PeerConnections of SIP calls, rooms, views), and %s.",
		count(len(legs), "leg"), count(others, "leg"),
		strings.Replace(count(sessions, "session summary"), "summarys", "summaries", 1))
	switch fresh := len(all) - kept; {
	case kept > 0 && fresh == 0:
		s.say("New records in this run: none. All events came a second time, and no call is counted twice.")
	case kept > 0:
		s.say("New records in this run: %d.", fresh)
	}
	s.say("")
}

func (s *screen) end(o demoOptions, events, health string) {
	if o.exit {
		s.say("Done in %v. The data is kept in %s; start again to see that nothing is counted twice.",
			time.Since(s.started).Round(100*time.Millisecond), o.dir)
		return
	}
	s.say("%s", s.bold("What to try next"))
	s.say("")
	s.say("  watch the records       cdr tail --config %s --from earliest", o.configFile())
	s.say("  the same as JSON        cdr tail --config %s --from earliest --once --json", o.configFile())
	s.say("  would they come again?  cdr replay --config %s --verify", o.configFile())
	s.say("  post an event           curl -sS -d '%s' %s", demoEvent(), events)
	s.say("  see what was refused    curl -sS -d 'not JSON' %s; cdr tail --config %s --dlq --from earliest --once", events,
		o.configFile())
	s.say("  look                    %s/readyz  %s/metrics", health, health)
	s.say("")
	s.say("(cdr is this program: go run ./cmd/cdr. The log is in %s.)", filepath.Join(o.dir, "demo.log"))
	s.say("Ctrl-C ends the demo.")
}

func (s *screen) bye(o demoOptions) {
	s.say("")
	s.say("Stopped in order. The data is kept in %s.", o.dir)
}

// demoEvent is a session of one's own.
func demoEvent() string {
	return fmt.Sprintf(`{"emitter":"mine","type":1,"timestamp":%d,"session_id":4711,"event":{"name":"created"}}`,
		time.Now().UnixMicro())
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// who names whoever a record is about, by the best that it has.
func who(r *cdr.Record) string {
	name := cmp.Or(r.DisplayName, r.OpaqueID, r.SessionID)
	if r.CallingParty != "" || r.CalledParty != "" {
		name = cmp.Or(r.CallingParty, "?") + " to " + cmp.Or(r.CalledParty, "?")
	}
	return shorten(printable(name), 60)
}

func kind(r *cdr.Record) string {
	k := strings.TrimPrefix(r.Plugin, "janus.plugin.")
	if r.Role != cdr.RoleUnknown {
		k += " " + words(r.Role.String())
	}
	if r.RoomID != "" {
		k += " in " + shorten(printable(r.RoomID), 20)
	}
	return k
}

func duration(r *cdr.Record) string {
	if r.AnswerTime == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f s", float64(r.Duration)/1e6)
}

// ended says how a call ended and, where nobody said so, that the true end is later.
func ended(r *cdr.Record) string {
	end := words(r.EndBasis.String())
	switch {
	case r.Diagnostics != "":
		end += ": " + shorten(printable(r.Diagnostics), 24)
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
		if k := words(st.Media.String()); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s %d/%d kB", strings.Join(kinds, "+"), up/1000, down/1000)
}

func words(symbol string) string { return strings.ToLower(strings.ReplaceAll(symbol, "_", " ")) }

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"januscdr/cdr"
)

// screen is what the demo shows. On a terminal progress is one line that moves; elsewhere each recording is a line.
type screen struct {
	terminal
	mu      sync.Mutex // of live and line
	w       io.Writer
	wide    bool
	program string // how its user starts this program
	live    *callTable
	line    string // that moves
	started time.Time
}

func newScreen(w io.Writer, environ []string) *screen {
	return &screen{terminal: terminalOf(w, environ), w: w, program: invocation(), started: time.Now()}
}

func (s *screen) bold(text string) string { return s.paint(bold, text) }

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

func (s *screen) begin(o demoOptions, broker, events, health string, kept int) {
	s.say("%s: call detail records from what Janus reports, all in this process", s.bold("januscdr demo"))
	s.say("")
	s.say("  Janus --HTTP--> ingest --> janus.events --> cdr --transaction--> janus.cdr")
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
	if !s.moves() {
		return
	}
	const width = 30
	bar := strings.Repeat("=", width*done/total)
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf("  playing %d/%d %-20s [%-*s] %3d %%", n, of, name, width, bar, 100*done/total)
	s.line = "\r" + narrow.Truncate(line, s.columns-1, "") // one that is broken cannot be written over
	fmt.Fprint(s.w, s.line)
}

// callEnded shows a call as soon as it has ended, above the line that moves.
func (s *screen) callEnded(r *cdr.Record) {
	if !s.moves() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(s.w, "\r\x1b[K")
	if s.live == nil {
		s.live = newCallTable(s.terminal, s.wide)
		s.say("%s", s.live.header())
	}
	s.say("%s", s.live.row(r))
	fmt.Fprint(s.w, s.line)
}

func (s *screen) played(name string, requests, events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = ""
	if s.moves() {
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
	if !s.moves() || kept > 0 { // else they were shown as they ended
		s.say("%s", s.bold("The calls, as they stand on janus.cdr"))
		s.say("")
		table := newCallTable(s.terminal, s.wide)
		s.say("%s", table.header())
		for i := range legs {
			s.say("%s", table.row(&legs[i]))
		}
	}
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
	s.say("%s that are charged; besides %s that are not\n(PeerConnections of SIP calls, rooms, views), and %s.",
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

// end says what to try next, in commands that run as they stand.
func (s *screen) end(o demoOptions, events, health, session string) {
	if o.exit {
		s.say("Done in %v. The data is kept in %s; start again to see that nothing is counted twice.",
			time.Since(s.started).Round(100*time.Millisecond), o.dir)
		s.say("")
	}
	s.say("%s", s.bold("What to try next"))
	s.say("")
	try := func(what, format string, args ...any) {
		s.say("  # %s\n  %s", what, fmt.Sprintf(format, args...))
	}
	cdr, config, file := s.program, shell(o.configFile()), shell(o.eventFile())
	if session != "" {
		try("what happened in a call, and why its record says so", "%s explain %s %s --config %s", cdr, session, file, config)
	}
	if o.exit {
		try("the records of all these events, without Kafka", "%s assemble %s --config %s", cdr, file, config)
		try("the same, and it stays up to look around", "%s demo%s", cdr, o.again())
		return
	}
	try("the records", "%s tail --config %s --from earliest --once", cdr, config)
	try("all that they say", "%s tail --config %s --from earliest --once --json", cdr, config)
	try("would the same records come again?", "%s replay --config %s --verify", cdr, config)
	try("the same calls once more, as calls of now", "%s play --fresh --speed 0 %s", cdr, events)
	try("post an event", "curl -sS -d '%s' %s", demoEvent(), events)
	try("post what is none, and see where it went",
		"curl -sS -d 'not JSON' %s; %s tail --config %s --dlq --from earliest --once", events, cdr, config)
	try("is it well?", "curl -sS %s/readyz", health)
	s.say("")
	s.say("The log is in %s. Ctrl-C ends the demo.", filepath.Join(o.dir, "demo.log"))
}

// invocation is how the user starts this program again.
func invocation() string {
	if strings.Contains(os.Args[0], "go-build") { // by go run
		if _, err := os.Stat("cmd/cdr"); err != nil {
			return "go run januscdr/cmd/cdr"
		}
		return "go run ./cmd/cdr"
	}
	if path, err := exec.LookPath(filepath.Base(os.Args[0])); err == nil && path == os.Args[0] {
		return filepath.Base(path)
	}
	return shell(os.Args[0])
}

// again are the flags by which the demo is started once more as it was, but for --exit.
func (o demoOptions) again() (flags string) {
	for _, f := range []struct{ name, is, usual string }{
		{"dir", o.dir, demoDir}, {"broker-listen", o.broker, demoBroker}, {"ingest-listen", o.ingest, demoIngest},
		{"admin-listen", o.admin, demoAdmin},
		{"recording", strings.Join(o.recordings, ","), strings.Join(demoRecordings, ",")},
	} {
		if f.is != f.usual {
			flags += " --" + f.name + " " + shell(f.is)
		}
	}
	return flags
}

// shell is a word as a shell takes it for one.
func shell(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%", r) && (r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a')
	}) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
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

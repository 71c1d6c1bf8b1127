package cdr_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"januscdr/cdr"
	"januscdr/janus"
)

// A line of a script is one of these. Words in capitals stand for values; what is in brackets may be left out.
//
//	given TITLE                  the lines of the scene with this title
//	event WHAT...                an event that Janus sends; what there is to say is in story_janus_test.go
//	copy WHAT...                 the copy of an event that ingest wrote to this partition, because it concerns others
//	raw JSON                     an event as it stands
//	alive [TIME] [emitter=NAME]  ingest says that events of the emitter come: once, or every 30 s up to a time
//	tick TIME                    time passes on an idle partition: its owner appends a tick every minute up to this time
//	dup [N]                      the last N events come once more, byte for byte
//	restart                      the partition goes on somewhere else, from its states
//	flush                        the input is at its end
//	each FROM..TO LINE           the line for each of these numbers, with the number in place of #
//	emitter NAME [N]             who sends what follows, edge-1 by default; a number has the name N times in a row
//	policy KEY=VALUE...          before the first event: what the operator decided (grace, leg-silence, partial-every,
//	                             silence-without-statistics, emitter-silence, stub, partial-volume, midnight, address, display)
//	show WORD...                 what the records show besides: counts, media, lineage, ids, setup
//	# ...                        a remark
//
// Any line that appends takes append=TIME, the append time of the broker. By default a record is appended when its
// event happened, or at the last append time, if that is later.
//
// A TIME is the time of day, 10:00:01.5, or the time since the event (for ticks: since the last append), +1.5s. By
// default an event comes a millisecond after the one before it.
type script struct {
	scenes map[string][]string
	policy cdr.Policy
	shown  shown

	now      janus.Micros // time of the last event
	appended janus.Micros // append time of the last record
	events   []cdr.Input  // the last events, for dup
	voice    *voice
	depth    int
}

func newScript(scenes map[string][]string) *script {
	return &script{scenes: scenes, policy: cdr.DefaultPolicy(), voice: newVoice(), now: clock(0), appended: clock(0)}
}

// act is one thing that a line of a script makes happen.
type act struct {
	what   actKind
	record cdr.Input
	line   string
}

type actKind int

const (
	actRecord actKind = iota
	actFlush
	actRestart
)

// midnight is when the day of the stories begins.
var midnight = janus.Micros(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).UnixMicro())

// clock is a time of the day of the stories.
func clock(d time.Duration) janus.Micros { return midnight + janus.Micros(d.Microseconds()) }

func (s *script) read(lines []string) ([]act, error) {
	var acts []act
	for _, line := range lines {
		more, err := s.readLine(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		acts = append(acts, more...)
	}
	return acts, nil
}

func (s *script) readLine(line string) ([]act, error) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "", "#":
		return nil, nil
	case "given":
		scene, ok := s.scenes[rest]
		if !ok || s.depth > 5 {
			return nil, fmt.Errorf("there is no scene with this title above")
		}
		s.depth++
		defer func() { s.depth-- }()
		return s.read(scene)
	case "each":
		return s.each(rest)
	case "emitter":
		name, times, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(times); err == nil {
			name = strings.Repeat(name, n)
		} else if times != "" {
			return nil, fmt.Errorf("emitter NAME [N]: %w", err)
		}
		s.voice.emitter = name
		return nil, nil
	case "flush":
		return []act{{what: actFlush, line: line}}, nil
	case "restart":
		return []act{{what: actRestart, line: line}}, nil
	case "show":
		return nil, s.shown.read(strings.Fields(rest))
	case "raw":
		return s.append(line, cdr.Input{Value: []byte(rest)}, s.appended)
	}
	w, err := parseWords(rest)
	if err != nil {
		return nil, err
	}
	switch verb {
	case "policy":
		return nil, s.decide(w)
	case "event":
		return s.event(line, w, cdr.KindEvent)
	case "copy":
		return s.event(line, w, cdr.KindCopy)
	case "dup":
		return s.repeat(line, w)
	case "tick":
		return s.pass(line, w, minute, cdr.Input{Kind: cdr.KindTick})
	case "alive":
		name := w.take("emitter", s.voice.emitter)
		in := cdr.Input{Kind: cdr.KindAlive, Key: []byte(name)}
		if len(w.bare) == 0 {
			at, err := w.time("append", s.appended, s.appended)
			if err != nil {
				return nil, err
			}
			return s.append(line, in, at)
		}
		return s.pass(line, w, 30*second, in)
	}
	return nil, fmt.Errorf("%q is no word that a line begins with", verb)
}

const (
	second = janus.Micros(1_000_000)
	minute = 60 * second
)

// each reads a line for each of some numbers.
func (s *script) each(rest string) ([]act, error) {
	numbers, line, _ := strings.Cut(rest, " ")
	var from, to int
	if _, err := fmt.Sscanf(numbers, "%d..%d", &from, &to); err != nil {
		return nil, fmt.Errorf("each FROM..TO LINE: %w", err)
	}
	var acts []act
	for n := from; n <= to; n++ {
		more, err := s.readLine(strings.ReplaceAll(line, "#", strconv.Itoa(n)))
		if err != nil {
			return nil, err
		}
		acts = append(acts, more...)
	}
	return acts, nil
}

// event appends one event.
func (s *script) event(line string, w *words, kind cdr.Kind) ([]act, error) {
	at, err := w.time("at", s.now, s.now+1000)
	if err != nil {
		return nil, err
	}
	s.now = at
	appended, err := w.time("append", s.appended, max(s.appended, at))
	if err != nil {
		return nil, err
	}
	in := cdr.Input{Kind: kind, Emitter: w.take("sender", "")}
	if in.Value, err = s.voice.say(at, w); err != nil {
		return nil, err
	}
	if left := w.left(); left != "" {
		return nil, fmt.Errorf("%s says nothing here", left)
	}
	s.events = append(s.events, in)
	return s.append(line, in, appended)
}

// repeat appends the last events once more.
func (s *script) repeat(line string, w *words) ([]act, error) {
	n := 1
	if len(w.bare) > 0 {
		var err error
		if n, err = strconv.Atoi(w.bare[0]); err != nil || n > len(s.events) {
			return nil, fmt.Errorf("there are %d events before this", len(s.events))
		}
	}
	at, err := w.time("append", s.appended, s.appended)
	if err != nil {
		return nil, err
	}
	var acts []act
	for _, in := range s.events[len(s.events)-n:] {
		more, _ := s.append(line, in, at)
		acts = append(acts, more...)
	}
	return acts, nil
}

// pass appends a record at every step up to a time.
func (s *script) pass(line string, w *words, step janus.Micros, in cdr.Input) ([]act, error) {
	if len(w.bare) != 1 {
		return nil, fmt.Errorf("one time is wanted")
	}
	until, err := moment(w.bare[0], s.appended)
	if err != nil {
		return nil, err
	}
	var acts []act
	for {
		at := min(s.appended+step, until)
		more, _ := s.append(line, in, at)
		acts = append(acts, more...)
		if at >= until {
			return acts, nil
		}
	}
}

func (s *script) append(line string, in cdr.Input, at janus.Micros) ([]act, error) {
	in.Append, s.appended = at, at
	return []act{{what: actRecord, record: in, line: line}}, nil
}

// decide sets the policy of the story.
func (s *script) decide(w *words) error {
	p := &s.policy
	for key, to := range map[string]*janus.Micros{
		"grace": &p.Grace, "leg-silence": &p.LegSilence, "silence-without-statistics": &p.LegSilenceWithoutStatistics,
		"emitter-silence": &p.EmitterSilence, "stub": &p.StubRetention, "partial-every": &p.Partial.Every,
	} {
		text := w.take(key, "")
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		*to = janus.Micros(d.Microseconds())
	}
	if text := w.take("partial-volume", ""); text != "" {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		p.Partial.Volume = v
	}
	if place := w.take("midnight", ""); place != "" {
		l, err := time.LoadLocation(place)
		if err != nil {
			return err
		}
		p.Partial.Midnight = l
	}
	for key, to := range map[string]*cdr.Disclosure{"address": &p.Address, "display": &p.DisplayName} {
		if how := w.take(key, ""); how != "" {
			i := slices.Index(cdr.Disclosures, how)
			if i < 0 {
				return fmt.Errorf("%s is emit, hash or omit", key)
			}
			*to = cdr.Disclosure(i)
		}
	}
	p.HashKey = []byte("a key of the stories, no secret")
	if left := w.left(); left != "" {
		return fmt.Errorf("%s is no policy", left)
	}
	return nil
}

// words are the words of a line: bare ones, and those that give a key a value.
type words struct {
	bare   []string
	keys   []string // in the order of the line
	values map[string]string
	quoted map[string]bool // the value stood in quotes
}

// parseWords cuts a line at spaces that are not in quotes. A quoted value is written as in Go.
func parseWords(line string) (*words, error) {
	w := &words{values: map[string]string{}, quoted: map[string]bool{}}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := strings.IndexAny(line, " \"")
		if end < 0 {
			end = len(line)
		}
		word := line[:end]
		line = line[end:]
		key, value, isKey := strings.Cut(word, "=")
		quoted := strings.HasPrefix(line, `"`)
		if quoted {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("the quotes do not close")
			}
			line = line[len(q):]
			if value, err = strconv.Unquote(q); err != nil {
				return nil, err
			}
		}
		if !isKey {
			w.bare = append(w.bare, word)
			continue
		}
		if _, twice := w.values[key]; twice {
			return nil, fmt.Errorf("%s= stands twice", key)
		}
		w.keys = append(w.keys, key)
		w.values[key], w.quoted[key] = value, quoted
	}
	return w, nil
}

// take takes the value of a key off the line.
func (w *words) take(key, otherwise string) string {
	v, ok := w.values[key]
	if !ok {
		return otherwise
	}
	delete(w.values, key)
	return v
}

func (w *words) time(key string, since, otherwise janus.Micros) (janus.Micros, error) {
	text := w.take(key, "")
	if text == "" {
		return otherwise, nil
	}
	return moment(text, since)
}

// left names a key that nobody took.
func (w *words) left() string {
	for _, k := range w.keys {
		if _, ok := w.values[k]; ok {
			return k + "="
		}
	}
	return ""
}

// moment reads a time of day, or a time since another one.
func moment(text string, since janus.Micros) (janus.Micros, error) {
	if text[0] == '+' || text[0] == '-' {
		d, err := time.ParseDuration(text)
		return since + janus.Micros(d.Microseconds()), err
	}
	day, rest := 0, text
	if d, r, ok := strings.Cut(text, "d"); ok { // 1d10:00:00 is the next day
		n, err := strconv.Atoi(d)
		if err != nil {
			return 0, err
		}
		day, rest = n, r
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, rest); err == nil {
			since := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
			return clock(time.Duration(day)*24*time.Hour + since), nil
		}
	}
	return 0, fmt.Errorf("%q is no time", text)
}

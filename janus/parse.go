package janus

import (
	"math"
	"strconv"
)

// The earliest and latest timestamp that is taken for microseconds since 1970: July 2017 and October 2096. A clock that
// was never set, and a sender that counts in another unit, fall outside.
const (
	EarliestTime Micros = 1_500_000_000_000_000
	LatestTime   Micros = 4_000_000_000_000_000
)

// Parser parses events one after another into the same memory. The zero value is ready. Not for concurrent use.
type Parser struct {
	// ReuseText lets strings with escapes, of which a copy must be made, be valid until the next Parse only, as the rest
	// is. It is for whoever clones all that is kept.
	ReuseText bool

	scanner scanner
	event   Event

	// One of each, so that a body needs no allocation.
	sessionCreated       SessionCreated
	sessionDestroyed     SessionDestroyed
	sessionTimedOut      SessionTimedOut
	handleAttached       HandleAttached
	handleDetached       HandleDetached
	external             External
	jsep                 JSEP
	iceState             ICEState
	localCandidate       LocalCandidate
	remoteCandidate      RemoteCandidate
	selectedPair         SelectedPair
	dtlsState            DTLSState
	peerConnectionUp     PeerConnectionUp
	peerConnectionHangup PeerConnectionHangup
	mediaState           MediaState
	slowLink             SlowLink
	mediaReport          MediaReport
	pluginEvent          PluginEvent
	transportEvent       TransportEvent
	serverStarted        ServerStarted
	serverUpdate         ServerUpdate
	serverShutdown       ServerShutdown
	unknown              Unknown
}

// value is a value of the envelope before it is judged: keys may be repeated, and the last one counts.
type value struct {
	kind   byte // its first byte, 0 when the key is absent
	number number
	at     int // where it stands
	end    int // where it ends
}

// Parse parses one event, an object as Split returns it. Event, body and their slices are valid until the next Parse;
// their strings are not copied but alias b (only strings with escapes are copies), so b must not change while they are
// in use, and whoever keeps one of them keeps b, or clones it.
//
// The error is an *Error. It means that b is no event: it is not JSON (as encoding/json sees it, but with valid UTF-8
// and nested as deep as it likes), or emitter, type, timestamp, session_id or handle_id is not what Janus writes. What
// Parse does not know otherwise, in the envelope or in the body, is no error: the body is Unknown, the field zero.
func (p *Parser) Parse(b []byte) (*Event, error) {
	s := &p.scanner
	s.b, s.i, s.depth, s.field, s.err = b, 0, 0, "", nil
	if s.reuse, s.texts = p.ReuseText, s.texts[:0]; cap(s.texts) > maxTexts {
		s.texts = nil
	}
	err := p.parse(s, b)
	s.b, s.deep = nil, nil // b may be large, and the next event may be long in coming
	if err != nil {
		return nil, err
	}
	return &p.event, nil
}

func (p *Parser) parse(s *scanner, b []byte) error {
	if s.peek() != '{' {
		return notAnObject(s)
	}

	var typ, subtype, timestamp, session, handle, emitter value
	var name, opaque string
	body, bodyAt := Body(&p.unknown), -1
	var bodyType, bodySubtype int

	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "emitter":
			s.field = "emitter"
			emitter = value{kind: s.peek(), at: s.i}
			name = s.text()
		case "type":
			s.field = "type"
			s.value(&typ)
		case "subtype":
			s.field = "subtype"
			s.value(&subtype)
		case "timestamp":
			s.field = "timestamp"
			s.value(&timestamp)
		case "session_id":
			s.field = "session_id"
			s.value(&session)
		case "handle_id":
			s.field = "handle_id"
			s.value(&handle)
		case "opaque_id":
			s.field = "opaque_id"
			opaque = s.text()
		case "event":
			s.field = "event"
			s.peek()
			// Janus writes type and subtype first, so one pass does it. Should they come later, or change, the
			// body is read again below.
			bodyAt, bodyType, bodySubtype = s.i, typ.small(), subtype.small()
			body = p.body(s, Type(bodyType), bodySubtype)
		default:
			s.skip()
		}
		s.field = ""
	}
	if s.err == nil {
		s.space()
		if s.i < len(b) {
			s.fail(s.i, "not JSON: "+quoted(b[s.i:])+" after the end of the event")
		}
	}
	if s.err != nil {
		return s.err
	}

	e := &p.event
	*e = Event{Emitter: name, OpaqueID: opaque}
	if emitter.kind != 0 && emitter.kind != '"' {
		return &Error{"emitter", "is " + kindName(emitter.kind) + ", want a string", emitter.at}
	}
	t, err := typ.integer("type", b)
	if err != nil {
		return err
	}
	if t < 0 || t > math.MaxInt32 {
		return &Error{"type", quoted(b[typ.at:typ.end]) + " is out of range, want 0 to 2^31-1", typ.at}
	}
	e.Type = Type(t)
	if e.Type == TypeWebRTC || e.Type == TypeMedia || e.Type == TypeCore {
		e.Subtype = subtype.small()
	}
	if err := timestamp.time(&e.Time, b); err != nil {
		return err
	}
	id, err := session.id("session_id", b)
	if err != nil {
		return err
	}
	e.Session = SessionID(id)
	if id, err = handle.id("handle_id", b); err != nil {
		return err
	}
	e.Handle = HandleID(id)
	if e.Handle != 0 && e.Session == 0 {
		return &Error{"handle_id", "without a session_id; Janus never sends one alone", handle.at}
	}

	if bodyAt >= 0 && (bodyType != int(e.Type) || bodySubtype != subtype.small()) {
		s.i, s.depth = bodyAt, 1
		body = p.body(s, e.Type, e.Subtype)
	}
	e.Body = body
	return nil
}

// notAnObject tells a wrong value from no JSON at all.
func notAnObject(s *scanner) error {
	kind, at := s.peek(), s.i
	if at >= len(s.b) {
		return &Error{Reason: "is empty, want an object", Offset: at}
	}
	s.skip()
	if s.err != nil {
		return s.err
	}
	return &Error{Reason: "is " + kindName(kind) + ", want an object", Offset: at}
}

// value reads a value of the envelope to be judged later.
func (s *scanner) value(v *value) {
	v.kind, v.at = s.peek(), s.i
	v.number = s.numeric()
	v.end = s.i
}

// small is the value as an int, 0 when it is none.
func (v *value) small() int {
	n, ok := v.number.int64()
	if !ok || int64(int(n)) != n {
		return 0
	}
	return int(n)
}

// integer is the value as an integer that must be there; b is the event.
func (v *value) integer(field string, b []byte) (int64, error) {
	switch {
	case v.kind == 0:
		return 0, &Error{field, "is missing", len(b)}
	case v.kind != '-' && v.kind-'0' > 9:
		return 0, &Error{field, "is " + kindName(v.kind) + ", want an integer", v.at}
	case !v.number.integer:
		return 0, &Error{field, quoted(b[v.at:v.end]) + " is not an integer", v.at}
	}
	n, ok := v.number.int64()
	if !ok {
		return 0, &Error{field, quoted(b[v.at:v.end]) + " does not fit 64 bits", v.at}
	}
	return n, nil
}

// id is the value as the id of a session or handle, 0 when it is absent.
func (v *value) id(field string, b []byte) (uint64, error) {
	if v.kind == 0 {
		return 0, nil
	}
	n, err := v.integer(field, b)
	if err != nil {
		return 0, err
	}
	if n <= 0 || v.number.minus {
		return 0, &Error{field, strconv.FormatInt(n, 10) + " is out of range, want 1 to 2^63-1", v.at}
	}
	return uint64(n), nil
}

// time sets at from the value of timestamp.
func (v *value) time(at *Micros, b []byte) error {
	n, err := v.integer("timestamp", b)
	if err != nil {
		return err
	}
	if in(n, 1) {
		*at = Micros(n)
		return nil
	}
	reason := strconv.FormatInt(n, 10)
	switch {
	case in(n, 1_000_000):
		reason += " looks like seconds; Janus writes microseconds"
	case in(n, 1_000):
		reason += " looks like milliseconds; Janus writes microseconds"
	case n/1_000 >= int64(EarliestTime) && n/1_000 <= int64(LatestTime):
		reason += " looks like nanoseconds; Janus writes microseconds"
	default:
		reason += " is not a time from 2017 to 2096 in microseconds since 1970; is the clock of the server set?"
	}
	return &Error{"timestamp", reason, v.at}
}

// in tells whether n, in a unit of so many microseconds, is a time that we take.
func in(n, unit int64) bool {
	return n >= int64(EarliestTime)/unit && n <= int64(LatestTime)/unit
}

// kindName names the JSON type of a value by its first byte.
func kindName(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

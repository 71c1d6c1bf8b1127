package explain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// Query says which session, or which of its calls, is meant. All terms that are set must hold for one leg, or for
// events of one handle where there is no record yet.
type Query struct {
	// ID is a session id in decimal, or the first digits of a record_id, cdr_id or session_uid, minPrefix at least.
	ID string
	// Emitter is the server.
	Emitter string
	// OpaqueID, CallID and Room are as they stand in records. Plugin is a package name, or the end of one: sip. Party is
	// a part of a name or URI of whoever took part, in any letter case. Outcome is a disposition: BUSY.
	OpaqueID, CallID, Room, Plugin, Party, Outcome string
}

// minPrefix is how many digits of an id are needed to look for it.
const minPrefix = 6

// pluginPrefix is what the package names of Janus' own plugins begin with.
const pluginPrefix = "janus.plugin."

// Check tells what is wrong with the query.
func (q Query) Check() error {
	switch {
	case q.ID == "" && len(q.terms()) == 0:
		return errors.New("say which session: its id, the beginning of a record_id, cdr_id or session_uid, " +
			"or --opaque-id, --call-id, --room, --party, --plugin or --outcome")
	case q.ID == "" || q.Session() != 0:
		return nil
	case len(q.ID) < minPrefix:
		return fmt.Errorf("%q is no session id, and of a record_id, cdr_id or session_uid at least %d digits are needed",
			q.ID, minPrefix)
	case len(q.ID) > 32 || strings.Trim(strings.ToLower(q.ID), "0123456789abcdef") != "":
		return fmt.Errorf("%q is neither a session id (a decimal number) nor the beginning of a record_id, cdr_id or "+
			"session_uid (up to 32 hexadecimal digits)", q.ID)
	}
	return nil
}

// Session is the session id that the query names, 0 when it names none.
func (q Query) Session() janus.SessionID {
	n, err := strconv.ParseUint(q.ID, 10, 63)
	if err != nil {
		return 0
	}
	return janus.SessionID(n)
}

// OfRoom tells whether the query is about a room as a whole: it names one, and nothing else but where it is.
func (q Query) OfRoom() bool {
	return q.Room != "" && q == Query{Room: q.Room, Emitter: q.Emitter, Plugin: q.Plugin}
}

// ofCalls tells whether the query is about some calls of a session, and not about the session.
func (q Query) ofCalls() bool { return q.CallID != "" || q.Party != "" || q.Outcome != "" }

// term is what must hold, besides the id and the emitter.
type term struct {
	name, value string
	inRecord    func(r *cdr.Record) bool
	inEvent     func(e *janus.Event) bool // nil: no event tells
}

// terms are those that are set.
func (q Query) terms() []term {
	all := []term{
		{"opaque id", q.OpaqueID, func(r *cdr.Record) bool { return r.OpaqueID == q.OpaqueID },
			func(e *janus.Event) bool { return e.OpaqueID == q.OpaqueID }},
		{"Call-ID", q.CallID, func(r *cdr.Record) bool { return r.SIPCallID == q.CallID },
			ofPlugin(func(b *janus.PluginEvent) bool { return b.CallID == q.CallID })},
		{"room", q.Room, func(r *cdr.Record) bool { return r.RoomID == q.Room },
			ofPlugin(func(b *janus.PluginEvent) bool { return b.Room.Text == q.Room })},
		{"plugin", q.Plugin, func(r *cdr.Record) bool { return shortPlugin(r.Plugin) == shortPlugin(q.Plugin) },
			func(e *janus.Event) bool { return shortPlugin(pluginOf(e)) == shortPlugin(q.Plugin) }},
		{"party", q.Party, func(r *cdr.Record) bool {
			return q.names(r.Parties()...)
		}, ofPlugin(func(b *janus.PluginEvent) bool {
			return q.names(b.Username, b.Display, b.DisplayName, b.Identity, b.Caller, b.Callee)
		})},
		{"outcome", q.Outcome, func(r *cdr.Record) bool {
			return r.RecordType == cdr.Leg && r.Disposition.String() == q.Outcome
		}, nil},
	}
	return slices.DeleteFunc(all, func(t term) bool { return t.value == "" })
}

// names tells whether one of some texts names the party.
func (q Query) names(texts ...string) bool {
	part := strings.ToLower(q.Party)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), part) })
}

func ofPlugin(f func(*janus.PluginEvent) bool) func(*janus.Event) bool {
	return func(e *janus.Event) bool {
		b, ok := e.Body.(*janus.PluginEvent)
		return ok && f(b)
	}
}

func shortPlugin(name string) string { return strings.TrimPrefix(name, pluginPrefix) }

// pluginOf is the plugin that an event names, or "".
func pluginOf(e *janus.Event) string {
	switch b := e.Body.(type) {
	case *janus.HandleAttached:
		return b.Plugin
	case *janus.HandleDetached:
		return b.Plugin
	case *janus.PluginEvent:
		return b.Plugin
	}
	return ""
}

// String says what is looked for.
func (q Query) String() string {
	var words []string
	for _, t := range q.terms() {
		words = append(words, t.name+" "+strconv.Quote(clean(t.value)))
	}
	switch {
	case q.ID == "":
	case q.Session() != 0 && len(q.ID) < minPrefix:
		words = append([]string{"session id " + q.ID}, words...)
	default:
		words = append([]string{"id " + clean(q.ID)}, words...)
	}
	return list(words)
}

// held are the terms that an event meets, as bits.
func held(terms []term, e *janus.Event) (bits uint) {
	for i, t := range terms {
		if t.inEvent != nil && t.inEvent(e) {
			bits |= 1 << i
		}
	}
	return bits
}

// fitsRecord tells whether a record fits, and whether it is by the session id, if one is named, and not by a hash.
func (q Query) fitsRecord(terms []term, r *cdr.Record) (fits, bySession bool) {
	for _, t := range terms {
		if !t.inRecord(r) {
			return false, false
		}
	}
	if q.ID == "" || r.SessionID == q.ID {
		return true, true
	}
	if len(q.ID) < minPrefix {
		return false, false
	}
	for _, id := range []cdr.ID{r.RecordID, r.CDRID, r.SessionUID} {
		if strings.HasPrefix(id.String(), q.ID) {
			return true, false
		}
	}
	return false, false
}

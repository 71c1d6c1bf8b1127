package explain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"januscdr/cdr"
	"januscdr/janus"
)

// Query says which session is meant.
type Query struct {
	// ID is a session id in decimal, or the first digits of a record_id, cdr_id or session_uid, minPrefix at least.
	ID string
	// Emitter is the server, where several have a session with the same id.
	Emitter string
	// OpaqueID, CallID and Room are looked for in events and records where ID is empty.
	OpaqueID, CallID, Room string
}

// minPrefix is how many digits of an id are needed to look for it.
const minPrefix = 6

// Check tells what is wrong with the query.
func (q Query) Check() error {
	by := 0
	for _, s := range []string{q.ID, q.OpaqueID, q.CallID, q.Room} {
		if s != "" {
			by++
		}
	}
	switch {
	case by == 0:
		return errors.New("say which session: its id, the beginning of a record_id, cdr_id or session_uid, " +
			"or --opaque-id, --call-id or --room")
	case by > 1:
		return errors.New("say in one way which session is meant: its id, --opaque-id, --call-id or --room")
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

// String says what is looked for.
func (q Query) String() string {
	switch {
	case q.OpaqueID != "":
		return "opaque id " + strconv.Quote(clean(q.OpaqueID))
	case q.CallID != "":
		return "Call-ID " + strconv.Quote(clean(q.CallID))
	case q.Room != "":
		return "room " + strconv.Quote(clean(q.Room))
	case q.Session() != 0 && len(q.ID) < minPrefix:
		return "session id " + q.ID
	}
	return "id " + clean(q.ID)
}

// fitsEvent tells by what an event fits, "" when it does not. Id is the session id that the query names.
func (q Query) fitsEvent(e *janus.Event, id janus.SessionID) string {
	switch {
	case id != 0 && e.Session == id:
		return "session id " + e.Session.String()
	case q.OpaqueID != "" && e.OpaqueID == q.OpaqueID:
		return "opaque id " + clean(q.OpaqueID)
	}
	b, ok := e.Body.(*janus.PluginEvent)
	switch {
	case !ok:
	case q.CallID != "" && b.CallID == q.CallID:
		return "Call-ID " + clean(q.CallID)
	case q.Room != "" && b.Room.Text == q.Room:
		return "room " + clean(q.Room)
	}
	return ""
}

// fitsRecord tells by which of its fields a record fits, "" when it does not.
func (q Query) fitsRecord(r *cdr.Record) string {
	switch {
	case q.ID != "" && len(q.ID) >= minPrefix:
		for _, id := range []struct {
			name  string
			value cdr.ID
		}{{"record_id", r.RecordID}, {"cdr_id", r.CDRID}, {"session_uid", r.SessionUID}} {
			if strings.HasPrefix(id.value.String(), q.ID) {
				return id.name + " " + id.value.String()
			}
		}
	case q.CallID != "" && r.SIPCallID == q.CallID:
		return "Call-ID " + clean(q.CallID)
	case q.Room != "" && r.RoomID == q.Room:
		return "room " + clean(q.Room)
	case q.OpaqueID != "" && r.OpaqueID == q.OpaqueID:
		return "opaque id " + clean(q.OpaqueID)
	}
	return ""
}

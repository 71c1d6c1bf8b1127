package cdr

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"januscdr/janus"
)

// stay is one participant in one room, as the requests of the clients tell it.
type stay struct {
	session, handle json.Number
	plugin          string
	room, user      string
	display         string
	came, went      [2]janus.Micros // between the request and its answer
	word            bool            // a request ended it
	opaque          string
}

// stays plays the requests of all clients and compares who sat where with the ROOM_MEMBERSHIP legs.
func (a *audit) stays() {
	for _, s := range a.replay() {
		what := fmt.Sprintf("handle %s in room %q as %q", s.handle, s.room, s.user)
		found := slices.DeleteFunc(a.of(s.session, s.handle, RoomMembership), func(r *Record) bool {
			return r.RoomID != s.room || r.ParticipantID != s.user || !within(r.StartTime, s.came[0], s.came[1])
		})
		if len(found) != 1 {
			a.Errorf("%s from %d has %d legs", what, s.came[0], len(found))
			continue
		}
		r := found[0]
		a.taken[r.CDRID] = true
		if r.AnswerTime != r.StartTime || r.AnswerBasis != AnswerJoined || r.Role != Member || r.DisplayName != s.display || r.OpaqueID != s.opaque || r.Plugin != s.plugin {
			a.Errorf("%s: answered %d after its start by %v, %v, display %q, opaque %q", what, r.AnswerTime-r.StartTime, r.AnswerBasis, r.Role, r.DisplayName, r.OpaqueID)
		}
		if !within(r.EndTime, s.went[0], s.went[1]) && !(r.EndMissing && within(s.went[0], r.EndEarliestTime, r.EndLatestTime)) {
			a.Errorf("%s ends at %d (%v), the clients say %d to %d", what, r.EndTime, r.EndBasis, s.went[0], s.went[1])
		}
		if s.word && r.EndBasis != EndPluginEvent {
			a.Errorf("%s was ended by a request, and the record says %v", what, r.EndBasis)
		}
	}
}

func (a *audit) replay() (done []*stay) {
	type moment struct {
		at janus.Micros
		do func()
	}
	var script []moment
	var open []*stay
	leave := func(from, to janus.Micros, word bool, which func(*stay) bool) {
		open = slices.DeleteFunc(open, func(s *stay) bool {
			if !which(s) {
				return false
			}
			s.went, s.word = [2]janus.Micros{from, to}, word
			done = append(done, s)
			return true
		})
	}
	of := func(handle json.Number) func(*stay) bool { return func(s *stay) bool { return s.handle == handle } }

	handles := map[json.Number]*handleDiary{}
	sessions := map[json.Number]*sessionDiary{}
	chat := map[string]json.Number{} // the text room handle of a client
	for i := range a.diary.Sessions {
		s := &a.diary.Sessions[i]
		for j := range s.Handles {
			h := &s.Handles[j]
			handles[h.ID], sessions[h.ID] = h, s
			if h.Plugin == janus.PluginTextRoom {
				chat[s.Client] = h.ID
			}
			gone := cmp.Or(h.Ended, s.Ended)
			script = append(script, moment{gone, func() { leave(gone, gone, false, of(h.ID)) }})
			if h.Plugin != janus.PluginAudioBridge && h.Plugin != janus.PluginTextRoom {
				continue
			}
			for _, pc := range h.PCs { // there the end of the PeerConnection ends the stay
				from, to := pc.Ended, max(pc.Ended, pc.HangupEvent)
				script = append(script, moment{from, func() { leave(from, to, false, of(h.ID)) }})
			}
		}
	}
	for i := range a.diary.Timeline {
		e := &a.diary.Timeline[i]
		if e.Action != "message" && e.Action != "textroom" || e.Error != nil || e.Answer.Error != "" {
			continue
		}
		handle, req, word, to := e.Handle, e.Body, e.Body.Request, cmp.Or(e.Reply, e.At)
		if e.Action == "textroom" {
			handle, req, word, to = chat[e.Actor], e.Message, e.Message.TextRoom, e.At+5*millisecond
		}
		h := handles[handle]
		if h == nil || h.Plugin != janus.PluginVideoRoom && h.Plugin != janus.PluginAudioBridge && h.Plugin != janus.PluginTextRoom {
			continue
		}
		script = append(script, moment{e.At, func() {
			switch word {
			case "leave", "changeroom":
				leave(e.At, to, true, of(handle))
			case "kick":
				leave(e.At, to, true, func(s *stay) bool {
					return s.plugin == h.Plugin && s.room == string(req.Room) && s.user == cmp.Or(string(req.ID), req.Username)
				})
			case "destroy":
				leave(e.At, to, true, func(s *stay) bool { return s.plugin == h.Plugin && s.room == string(req.Room) })
			}
			switch word {
			case "join", "joinandconfigure", "changeroom":
				if req.PType != "subscriber" {
					user := string(e.Answer.ID)
					if e.Action == "textroom" {
						user = req.Username
					}
					open = append(open, &stay{session: sessions[handle].ID, handle: handle, plugin: h.Plugin, room: string(req.Room), user: user,
						display: req.Display, opaque: h.OpaqueID, came: [2]janus.Micros{e.At, to}})
				}
			}
		}})
	}
	slices.SortStableFunc(script, func(x, y moment) int { return cmp.Compare(x.at, y.at) })
	for _, m := range script {
		m.do()
	}
	for _, s := range open {
		a.Errorf("handle %s never left room %q: the test does not know how", s.handle, s.room)
	}
	return done
}

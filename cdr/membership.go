package cdr

import "januscdr/janus"

// join opens a ROOM_MEMBERSHIP: it starts and is answered when the plugin says so. A second `joined` of the same
// participant is the same membership.
func (f *eventFold) join(room, user janus.ID, display string) {
	h := f.h
	for _, m := range h.legs {
		if m.kind == RoomMembership && m.room == room && m.user == user && (!m.told || f.e.Time <= m.toldTime) {
			return
		}
	}
	m := f.openBeside(h, RoomMembership) // a text room handle may be in several rooms
	if m == nil {
		return
	}
	f.take(m)
	m.accepted = f.e.Time
	f.p.conclude(RuleAnsweredJoined, f.s, h, m, facts{at: m.accepted})
	m.room.Text, m.room.Quoted = keep(room.Text, &m.cut), room.Quoted
	m.user.Text, m.user.Quoted = keep(user.Text, &m.cut), user.Quoted
	m.display = keep(display, &m.cut)
	f.p.index.seat(f.k, h, m)
	if pc := h.current(PeerConnection, f.e.Time); pc != nil {
		pc.sitsIn(m)
		if pc.told && f.hangupLeaves() { // its end has overtaken this event
			f.tell(h, m, pc.toldBasis, pc.toldTime, pc.toldReason)
		}
	}
}

// leave ends the membership of a participant in a room, by an event of the plugin.
func (f *eventFold) leave(h *handle, room, user janus.ID, all bool, word string, by Initiator) {
	for _, m := range h.legs {
		if m.kind != RoomMembership || m.told || m.room != room || !all && m.user != user || f.e.Time < m.start {
			continue
		}
		m.by = by
		f.tell(h, m, EndPluginEvent, f.e.Time, word)
	}
}

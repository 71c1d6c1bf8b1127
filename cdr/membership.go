package cdr

import (
	"slices"

	"januscdr/janus"
)

// join opens a ROOM_MEMBERSHIP: it starts and is answered when the plugin says so. A second `joined` of the same
// participant is the same membership.
func (f *eventFold) join(room, user janus.ID, display string) {
	h := f.h
	for _, m := range slices.Clone(h.legs) {
		switch same := m.room == room && m.user == user; {
		case m.kind != RoomMembership:
		case same && (f.t == m.start || f.t < m.start && !m.ended || m.ended && f.t <= m.endedAt):
			return // told again
		case !m.ended && f.t > m.start && (same || h.plugin != janus.PluginTextRoom):
			// One is in one room at a time, and not twice in the same: it was over by then.
			f.p.conclude(RuleSuperseded, f.s, h, m, facts{at: f.t})
			f.p.emitHandle(f.k, h, closeTrigger{cause: CauseInactivity, until: f.t}, func(l *leg) bool { return l == m })
		}
	}
	m := f.openConcurrent(h, RoomMembership) // a text room handle may be in several rooms
	if m == nil {
		return
	}
	f.take(m)
	m.accepted = f.t
	f.p.conclude(RuleAnsweredJoined, f.s, h, m, facts{at: m.accepted})
	m.room.Text, m.room.Quoted = keep(room.Text, &m.truncated), room.Quoted
	m.user.Text, m.user.Quoted = keep(user.Text, &m.truncated), user.Quoted
	m.display = keep(display, &m.truncated)
	f.p.index.addMembership(f.k, h, m)
	if pc := h.current(PeerConnection, f.t); pc != nil {
		pc.copyRoomFrom(m)
		if pc.ended && f.hangupLeaves() { // its end has overtaken this event
			f.endLeg(h, m, pc.endBasis, pc.endedAt, pc.endWord)
		}
	}
}

// leave ends the membership of a participant in a room, by an event of the plugin.
func (f *eventFold) leave(h *handle, room, user janus.ID, all bool, word string, by Initiator) {
	for _, m := range h.legs {
		if m.kind != RoomMembership || m.ended || m.room != room || !all && m.user != user {
			continue
		}
		if f.t < m.start { // by its clock before it began
			if h.leftBefore(m, f.raw) {
				continue
			}
			m.clockSuspect = true
		}
		m.by = by
		if m.hangTime != 0 && !together(m.hangTime, f.t) {
			f.endLeg(h, m, EndWebRTCHangup, m.hangTime, m.hangWord)
			continue
		}
		f.endLeg(h, m, EndPluginEvent, max(f.t, m.start), word)
	}
}

// leftBefore tells whether an earlier stay of the same participant ended at a timestamp.
func (h *handle) leftBefore(m *leg, timestamp janus.Micros) bool {
	return slices.ContainsFunc(h.past, func(p pastLeg) bool {
		return p.kind == RoomMembership && p.id == m.identity() && p.to == timestamp
	})
}

package cdr

import "januscdr/janus"

// videoRoom folds an event of a VideoRoom handle. A publisher is a participant, from `joined` to `leaving`, `kicked` or
// the end of the room (reach.go); a subscriber is none: its PeerConnection names the room and the feeds.
func (f *eventFold) videoRoom(b *janus.PluginEvent) {
	switch b.Name {
	//mutant:videoroom-joined
	case "joined":
		f.join(b.Room, b.ID, b.Display)
		if m := f.h.openLeg(RoomMembership); m != nil && m.user == b.ID && m.room == b.Room {
			f.p.index.dropMembership(f.k, f.h, m)
			m.private = b.PrivateID
			f.p.index.addMembership(f.k, f.h, m)
		}
	case "subscribing", "updated":
		if b.Name == "updated" && b.ID.Known() {
			return // a publisher changed its streams
		}
		pc := f.h.openLeg(PeerConnection)
		if pc == nil || pc.offer == offerByClient {
			return // `updated` of a subscription may come with the ids of a publisher who left
		}
		if !pc.room.Known() {
			pc.room.Text, pc.room.Quoted = keep(b.Room.Text, &pc.truncated), b.Room.Quoted
		}
		if m := f.owner(pc.room, b.PrivateID); m != nil {
			pc.peerParty = m.user.Text
		}
		pc.addFeed(b.Feed)
		for _, id := range b.Feeds {
			//mutant:subscriber-feeds
			pc.addFeed(id)
		}
	}
}

// owner is the membership in a room to which a subscription belongs, by the private_id that only the participant knows; nil where
// none that is open stands in a handle of this session.
func (f *eventFold) owner(room janus.ID, private uint64) *leg {
	if private == 0 {
		return nil
	}
	for _, seat := range f.p.index.rooms[roomRef{f.k.ref.emitter, janus.PluginVideoRoom, room}] {
		//mutant:owner-of-subscription
		if seat.ref != f.k.ref || seat.private != private {
			continue
		}
		if h := f.p.handle(f.k, seat.handle); h != nil {
			for _, m := range h.legs {
				//mutant:membership-of-subscription
				if m.kind == RoomMembership && m.private == private && m.room == room {
					return m
				}
			}
		}
	}
	return nil
}

package cdr

import "januscdr/janus"

// videoRoom folds an event of a VideoRoom handle. A publisher is a participant, from `joined` to `leaving`, `kicked` or
// the end of the room (reach.go); a subscriber is none: its PeerConnection names the room and the feeds.
func (f *eventFold) videoRoom(b *janus.PluginEvent) {
	switch b.Name {
	//mutant:videoroom-joined
	case "joined":
		f.join(b.Room, b.ID, b.Display)
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
		pc.addFeed(b.Feed)
		for _, id := range b.Feeds {
			//mutant:subscriber-feeds
			pc.addFeed(id)
		}
	}
}

package cdr

import "januscdr/janus"

// textRoom folds an event of a TextRoom handle. Rooms are joined and left inside the data channel; a handle may be in
// several rooms at once.
func (f *eventFold) textRoom(b *janus.PluginEvent) {
	user := janus.ID{Text: b.Username, Quoted: true}
	switch b.Name {
	//mutant:textroom-join
	case "join":
		//mutant:joined-over-its-connection
		if pc := f.h.openLeg(PeerConnection); pc != nil && pc.next == nil && !pc.connected() {
			pc.proved(f.t) // Janus was asked over it
		}
		f.join(b.Room, user, b.Display)
	case "leave":
		f.leave(f.h, b.Room, user, false, b.Name, InitiatorUnknown)
	}
}

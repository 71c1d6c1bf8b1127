package cdr

import "januscdr/janus"

// recordPlay folds an event of a Record&Play handle: `recording` or `playout` says what it is, `stopped` ends it. The
// end of a playout that reaches the end of its file is told by the PeerConnection only.
func (f *eventFold) recordPlay(b *janus.PluginEvent) {
	//mutant:next-recording
	if pc := f.h.openLeg(PeerConnection); pc != nil && begins(b) && f.t > pc.life && (pc.role != RoleUnknown || pc.longUp(f.t)) {
		f.takeOver(pc)
		f.openCompanionLeg()
	}
	var buf [fewLegs]*leg
	_, all := f.withCompanion(buf[:0])
	for _, l := range all {
		switch b.Name {
		case "recording":
			l.role = Recorder
		case "playout", "playing":
			l.role = Player
		}
		if b.ID.Known() && !l.room.Known() {
			l.room.Text, l.room.Quoted = keep(b.ID.Text, &l.truncated), b.ID.Quoted
		}
		if b.Name == "stopped" && l.kind == Recording {
			l.by = ByLocal
			f.endLeg(f.h, l, EndPluginEvent, f.t, b.Name)
		}
	}
	if len(all) == 0 && b.Name == "playout" { // it comes before the offer that plays it
		f.h.offered.Text, f.h.offered.Quoted = keep(b.ID.Text, &f.h.truncated), b.ID.Quoted
	}
}

// begins tells whether an event is one that Record&Play says once of each PeerConnection, and only while there is no other.
func begins(b *janus.PluginEvent) bool { return b.Name == "recording" || b.Name == "playout" }

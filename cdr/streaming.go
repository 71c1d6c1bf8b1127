package cdr

import "januscdr/janus"

// streaming folds an event of a Streaming viewer. `watch` tells nothing: the mountpoint is first known at `starting`.
// Pausing and switching do not cut the view, `stopping` ends it.
func (f *eventFold) streaming(b *janus.PluginEvent) {
	if b.Key != "status" {
		return
	}
	var buf [fewLegs]*leg
	_, all := f.withCompanion(buf[:0])
	for _, l := range all {
		if b.ID.Known() {
			if !l.room.Known() {
				l.room.Text, l.room.Quoted = keep(b.ID.Text, &l.truncated), b.ID.Quoted
			}
			l.addFeed(b.ID)
		}
		if l.kind != StreamView {
			//mutant:started-with-its-connection
			if b.Name == "started" && !l.connected() {
				l.proved(f.t) // Janus says so when it is set up, and webrtcup is its next word
			}
			continue
		}
		switch b.Name {
		case "started":
			if l.accepted == 0 {
				l.accepted = f.t
				f.p.conclude(RuleAnsweredStreamStarted, f.s, f.h, l, facts{at: f.t})
			}
		//mutant:view-stopping
		case "stopping":
			l.by = ByLocal
			//mutant:stopping-ends-view
			f.endLeg(f.h, l, EndPluginEvent, f.t, b.Name)
		}
	}
}

package cdr

import "januscdr/janus"

// audioBridge folds an event of an AudioBridge handle. A membership may begin before its PeerConnection and outlive it;
// `changeroom` is `left` and `joined`. Who else an event ends is in reach.go.
func (f *eventFold) audioBridge(b *janus.PluginEvent) {
	//mutant:audiobridge-joined
	if b.Name == "joined" {
		f.join(b.Room, b.ID, b.Display)
	}
}

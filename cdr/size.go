package cdr

import (
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strings"

	"januscdr/janus"
)

// maxState is the most bytes that the state of a handle may have when an event of its own was folded; what the events
// of others add (who left a room) stays within 64 KiB. A commit carries many states, and a broker refuses a record beyond
// its max.message.bytes: a client that opens legs without end, with long names, would stop the partition. No client
// in its senses comes near.
const maxState = 60 << 10

// enforceSizeLimit keeps the state of the handle within maxState. An event adds no more to it than it has bytes, and the
// names that a leg it opens takes over from another one; so the state is written down to be measured only when so many
// have come as could have filled it.
func (f *eventFold) enforceSizeLimit(bytes int) {
	h := f.h
	if h == nil {
		return
	}
	if f.opened {
		bytes += 8 * maxText
	}
	h.unweighed += int32(min(bytes, maxState))
	if h.weight+h.unweighed <= maxState {
		return
	}
	h.weight, h.unweighed = f.weigh(), 0
	if h.weight <= maxState {
		return
	}
	h.truncated = true
	f.p.conclude(RuleLeftOut, f.s, h, nil, facts{word: "state"})
	// References go last, and never without a hash.
	for _, keep := range []struct{ text, references, feeds, streams int }{
		{32, maxText, 16, 64}, {32, maxText, 4, 16}, {16, 128, 2, 4}, {16, shortest, 0, 1},
	} {
		f.truncateTo(h, keep.text, keep.references, keep.feeds, keep.streams)
		if h.weight = f.weigh(); h.weight <= maxState/2 {
			return
		}
	}
}

// weigh is how many bytes the state of the handle has in the form of version 2: what is left out, and when, does not
// depend on how states are written.
func (f *eventFold) weigh() int32 {
	f.p.scratch = encode(f.p.scratch[:0], f.h.fields)
	return int32(len(f.p.scratch))
}

// truncateTo leaves out what is beyond the bounds: text, feeds and streams of the legs.
func (f *eventFold) truncateTo(h *handle, text, references, feeds, streams int) {
	for _, legs := range [2][]*leg{h.legs, h.asleep} {
		for _, l := range legs {
			seat := l.kind == RoomMembership && !l.ended // the index knows a membership by what is shortened
			if seat {
				f.p.index.dropMembership(f.k, h, l)
			}
			l.truncateTo(text, references, feeds, streams)
			if seat {
				f.p.index.addMembership(f.k, h, l)
			}
		}
	}
	for _, t := range []*string{&h.opaqueID, &h.account, &h.offered.Text, &h.invitation.referredBy, &h.invitation.replaces} {
		shorten(t, references)
	}
	shorten(&h.plugin, max(references, 48)) // Janus' own plugins stay what they are
}

func (l *leg) truncateTo(text, references, feeds, streams int) {
	for _, t := range []*string{&l.display, &l.reason, &l.address, &l.local, &l.remote, &l.protocol, &l.hangWord, &l.endWord, &l.releaseText} {
		shorten(t, max(text, shortest))
	}
	for _, t := range []*string{&l.calling, &l.called, &l.room.Text, &l.user.Text, &l.callID, &l.referredBy, &l.replaces, &l.peerParty} {
		shorten(t, references)
	}
	l.feeds = slices.Clone(l.feeds[:min(len(l.feeds), feeds)])
	for i := range l.feeds {
		shorten(&l.feeds[i], references)
	}
	slices.Sort(l.feeds)
	l.feeds = slices.Compact(l.feeds)
	l.cut = l.cut || len(l.streams) > streams
	l.streams = slices.Clone(l.streams[:min(len(l.streams), streams)])
	for i := range l.streams {
		shorten(&l.streams[i].codec, max(text, shortest))
	}
	l.truncated = true
	if l.next != nil {
		l.next.truncateTo(text, references, feeds, streams)
	}
}

// shortest is the least that a text is cut to: room for the hash, and to see what it was.
const shortest = 32

// shorten cuts a text that is longer than so many bytes. It ends in a hash of the whole, so that two that differ stay two.
func shorten(t *string, bytes int) bool {
	if len(*t) <= bytes {
		return false
	}
	hash := cutHash(*t)
	if hash == "" {
		sum := fnv.New64a()
		sum.Write([]byte(*t))
		hash = "~" + hex.EncodeToString(sum.Sum(nil))
	}
	*t = strings.ToValidUTF8((*t)[:bytes-len(hash)], "") + hash
	return true
}

// hashLength is how long the end of a text is that was cut.
const hashLength = 1 + 16

// cutHash is that end, "" of a text that was not cut.
func cutHash(t string) string {
	if len(t) < hashLength || t[len(t)-hashLength] != '~' || strings.Trim(t[len(t)-hashLength+1:], "0123456789abcdef") != "" {
		return ""
	}
	return t[len(t)-hashLength:]
}

// clip cuts the names of an event by which things are known again as they are cut where they are kept, so that one that is too
// long is known again as well.
func clip(e *janus.Event) {
	name := func(t *string) { shorten(t, maxText) }
	switch b := e.Body.(type) {
	case *janus.PluginEvent:
		for _, t := range []*string{&b.CallID, &b.Room.Text, &b.ID.Text, &b.Feed.Text, &b.Username, &b.Identity} {
			name(t)
		}
		for i := range b.Feeds {
			name(&b.Feeds[i].Text)
		}
	case *janus.MediaState:
		name(&b.Mid)
	case *janus.SlowLink:
		name(&b.Mid)
	case *janus.MediaReport:
		for i := range b.Streams {
			name(&b.Streams[i].Mid)
		}
	case *janus.SessionCreated:
		name(&b.TransportID)
	case *janus.TransportEvent:
		name(&b.ID)
	}
}

package cdr

import (
	"slices"
	"strings"
)

// maxState is the most bytes that the state of a session may have when an event of its own was folded; what the events
// of others add (who left a room) stays within 64 KiB. A commit carries many states, and a broker refuses a record beyond
// its max.message.bytes: a client that opens handles without end, with long names, would stop the partition. No client
// in its senses comes near.
const maxState = 60 << 10

// enforceSizeLimit keeps the state of the session within maxState. An event adds no more to it than it has bytes, and the names that
// a leg it opens takes over from another one; so the state is written down to be measured only when so many have come as
// could have filled it.
func (f *eventFold) enforceSizeLimit(bytes int) {
	s := f.s
	if f.opened {
		bytes += 8 * maxText
	}
	s.unweighed += int32(min(bytes, maxState))
	if s.weight+s.unweighed <= maxState {
		return
	}
	s.weight, s.unweighed = s.size(), 0
	if s.weight <= maxState {
		return
	}
	s.truncated = true
	f.p.conclude(RuleLeftOut, s, nil, nil, facts{word: "state"})
	for _, keep := range []struct{ text, feeds, streams, handles, legs int }{
		{128, 16, 16, 128, maxClosedLegs}, {32, 2, 4, 32, maxClosedLegs / 2}, {16, 0, 1, 0, maxClosedLegs / 4},
	} {
		f.truncateTo(keep.text, keep.feeds, keep.streams, keep.handles)
		s.legs = slices.Clone(s.legs[:min(len(s.legs), keep.legs)]) // their number is counted besides
		if s.weight = s.size(); s.weight <= maxState/2 {
			return
		}
	}
}

func (s *session) size() int32 { return int32(len(encode(nil, s.fields))) }

// truncateTo leaves out what is beyond the bounds: text, feeds and streams of a leg, handles on which nothing is open.
func (f *eventFold) truncateTo(text, feeds, streams, handles int) {
	s := f.s
	idle := 0
	type seat struct {
		h *handle
		l *leg
	}
	var seats []seat // the index knows a membership by what is shortened
	kept := s.handles[:0]
	for _, h := range s.handles {
		if len(h.legs) == 0 {
			if idle++; idle > handles {
				s.lose(h)
				continue
			}
		}
		kept = append(kept, h)
		for _, l := range h.legs {
			if l.kind == RoomMembership && !l.ended {
				f.p.index.dropMembership(f.k, h, l)
				seats = append(seats, seat{h, l})
			}
			l.truncateTo(text, feeds, streams)
		}
		for _, t := range []*string{&h.opaqueID, &h.account, &h.offered.Text, &h.invitation.referredBy, &h.invitation.replaces} {
			shorten(t, text)
		}
		shorten(&h.plugin, max(text, 32)) // Janus' own plugins stay what they are
	}
	clear(s.handles[len(kept):])
	s.handles = kept
	for _, t := range seats {
		f.p.index.addMembership(f.k, t.h, t.l)
	}
}

func (l *leg) truncateTo(text, feeds, streams int) {
	for _, t := range []*string{
		&l.calling, &l.called, &l.display, &l.room.Text, &l.user.Text, &l.callID, &l.reason, &l.address, &l.local, &l.remote,
		&l.protocol, &l.hangWord, &l.endWord, &l.releaseText, &l.referredBy, &l.replaces, &l.peerParty,
	} {
		shorten(t, text)
	}
	l.feeds = slices.Clone(l.feeds[:min(len(l.feeds), feeds)])
	for i := range l.feeds {
		shorten(&l.feeds[i], text)
	}
	slices.Sort(l.feeds)
	l.feeds = slices.Compact(l.feeds)
	l.streams = slices.Clone(l.streams[:min(len(l.streams), streams)])
	for i := range l.streams {
		shorten(&l.streams[i].codec, text)
	}
	l.truncated = true
}

func shorten(t *string, bytes int) {
	if len(*t) > bytes {
		*t = strings.Clone(strings.ToValidUTF8((*t)[:bytes], ""))
	}
}

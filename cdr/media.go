package cdr

import (
	"slices"
	"strings"

	"januscdr/janus"
)

// finalSpan is how close to the end of its PeerConnection the last report must be to hold its totals.
const finalSpan = 100 * millisecond

// wrap is where Janus' packet counters, 32 bits inside, start again at 0.
const wrap = 1 << 32

// stream finds or makes the stream of a medium or layer; nil when there is no room.
func (l *leg) stream(mid string, hasMid bool, media janus.Media, layer int) *stream {
	for i := range l.streams {
		//mutant:same-stream
		if s := &l.streams[i]; s.mid == mid && s.media == media && s.layer == int32(layer) && s.hasMid == hasMid {
			return s
		}
	}
	if len(l.streams) >= maxStreams {
		l.truncated, l.cut = true, true
		return nil
	}
	l.streams = append(l.streams, stream{mid: keep(mid, &l.truncated), hasMid: hasMid, media: media, layer: int32(layer)})
	return &l.streams[len(l.streams)-1]
}

// find is the stream that a report is about, nil when nothing was seen of it.
func (l *leg) find(r *janus.StreamStats) *stream {
	for i := range l.streams {
		if s := &l.streams[i]; s.mid == r.Mid && s.media == r.Media && s.layer == int32(r.Layer) && s.hasMid == r.HasMid {
			return s
		}
	}
	return nil
}

// report folds one report of one stream. Reports are taken in the order of their timestamps: an older one that comes
// late changes only the number of samples.
func (l *leg) report(r *janus.StreamStats, t janus.Micros) {
	if r.Media == janus.MediaUnknown {
		return
	}
	s := l.stream(r.Mid, r.HasMid, r.Media, r.Layer)
	if s == nil {
		return
	}
	s.count++
	//mutant:older-report
	if s.count > 1 && t <= s.last {
		return
	}
	if s.codec == "" && r.Codec != "" {
		s.codec = keep(r.Codec, &l.truncated)
	}
	now := StreamCounters{
		BytesReceived: r.BytesReceived, BytesSent: r.BytesSent, PacketsReceived: r.PacketsReceived, PacketsSent: r.PacketsSent,
		Lost: r.Lost, LostByRemote: r.LostByRemote, NACKsReceived: r.NACKsReceived, NACKsSent: r.NACKsSent,
		RetransmissionsReceived: r.RetransmissionsReceived,
	}
	if s.count > 1 {
		s.growthBefore = s.growth
		s.growth = now.BytesReceived + now.BytesSent - s.seen.BytesReceived - s.seen.BytesSent
		s.cadence(t - s.last)
		if now.BytesReceived > s.seen.BytesReceived && s.media != janus.MediaData {
			//mutant:sign-of-client
			l.lastClientActivity = max(l.lastClientActivity, s.last) // the client lived when the report before was made
		}
	}
	if now.BytesReceived > s.seen.BytesReceived && s.media != janus.MediaData && (s.count > 1 || !l.amid) {
		l.received = max(l.received, t) // what a data channel received and sent is told the wrong way round by some versions
	}
	//mutant:media-flowed
	if now.BytesReceived > s.seen.BytesReceived || now.BytesSent > s.seen.BytesSent {
		if s.firstMedia == 0 {
			s.firstMedia = t
		}
		s.lastMedia = t
	}
	since := t - s.last
	if s.count == 1 {
		since = t - max(l.up, l.start)
	}
	for i, g := range [gauges]janus.Gauge{r.RTT, r.JitterLocal, r.JitterRemote, r.InLinkQuality, r.OutLinkQuality} {
		//mutant:gauge-known
		if g.Known && (i != gaugeRTT || g.Value != 0) { // a round trip of 0 means unknown
			s.gauges[i].sample(g.Value, since)
		}
	}
	if s.count == 1 && l.amid && t-l.start <= finalSpan {
		s.base = now.negative()
	} else {
		s.base.carry(s.seen, now)
	}
	s.seen, s.last = now, t
}

// medium is the stream that a media state is about, nil when nothing was seen of it.
func (l *leg) medium(b *janus.MediaState) *stream {
	return l.find(&janus.StreamStats{Mid: b.Mid, HasMid: b.Mid != "", Media: b.Media, Layer: b.Layer})
}

// negative are the counters below zero: what a leg begins with that is opened in the middle of a PeerConnection.
func (n StreamCounters) negative() StreamCounters {
	return StreamCounters{
		BytesReceived: -n.BytesReceived, BytesSent: -n.BytesSent, PacketsReceived: -n.PacketsReceived, PacketsSent: -n.PacketsSent,
		NACKsReceived: -n.NACKsReceived, NACKsSent: -n.NACKsSent, RetransmissionsReceived: -n.RetransmissionsReceived,
	}
}

// carry adds to base what a counter had reached before it fell: by a wrap of 32 bits, or because it was reset.
func (n *StreamCounters) carry(before, now StreamCounters) {
	rise(&n.BytesReceived, before.BytesReceived, now.BytesReceived, false)
	rise(&n.BytesSent, before.BytesSent, now.BytesSent, false)
	rise(&n.PacketsReceived, before.PacketsReceived, now.PacketsReceived, true)
	rise(&n.PacketsSent, before.PacketsSent, now.PacketsSent, true)
	rise(&n.NACKsReceived, before.NACKsReceived, now.NACKsReceived, true)
	rise(&n.NACKsSent, before.NACKsSent, now.NACKsSent, true)
	rise(&n.RetransmissionsReceived, before.RetransmissionsReceived, now.RetransmissionsReceived, true)
}

func rise(base *int64, before, now int64, wraps bool) {
	switch {
	case now >= before:
	//mutant:counter-wraps
	case wraps && before-now > wrap/2:
		*base += wrap
	//mutant:counter-resets
	default:
		*base += before
	}
}

// cadence notes the interval between two reports. The last one of a PeerConnection comes at an irregular time, so an
// interval counts only when another one follows. One report may be late and the next one in time: a short interval behind
// a longer one is no cadence.
func (s *stream) cadence(interval janus.Micros) {
	if s.interval != 0 {
		if onTime(s.before, s.interval) && (s.shortest == 0 || s.interval < s.shortest) {
			s.shortest = s.interval
		}
		s.longest = max(s.longest, s.interval)
		s.intervals++
	}
	s.before, s.interval = s.interval, interval
}

// onTime tells whether an interval, after the one before, may be the cadence.
func onTime(before, interval janus.Micros) bool { return 4*before <= 5*interval }

// interim tells whether reports are missing in between or before the end: three in a row are, where an interval is four
// times the cadence.
func (l *leg) interim(end ending) Interim {
	v := InterimUnknown
	for i := range l.streams {
		s := &l.streams[i]
		longest := max(s.longest, s.interval)
		if !end.missing() {
			longest = max(longest, end.time-s.last)
		}
		//mutant:reports-missing
		switch {
		case s.intervals+1 < 3 || s.shortest == 0:
		//mutant:hole-of-reports
		case longest*2 >= s.shortest*7: // 3.5 and more: timers jitter
			return InterimYes
		default:
			v = InterimNo
		}
	}
	return v
}

// sample folds a value that held since a span before now.
func (g *gauge) sample(v int64, since janus.Micros) {
	v = min(max(v, -1<<31), 1<<31-1)
	if !g.known {
		g.known, g.min, g.max = true, v, v
	}
	g.min, g.max, g.last = min(g.min, v), max(g.max, v), v
	//mutant:gauge-weight
	ms := max(int64(since/millisecond), 1)
	g.sum += v * ms
	g.time += ms
}

func (g *gauge) quality() Quality {
	if !g.known {
		return Quality{}
	}
	mean := g.sum / g.time * 1000
	mean += g.sum % g.time * 1000 / g.time
	return Quality{Known: true, Min: int32(g.min), Max: int32(g.max), Last: int32(g.last), MeanMilli: int32(min(max(mean, -1<<31), 1<<31-1))}
}

// mediaState notes when media really began to flow from the client.
func (l *leg) mediaState(b *janus.MediaState, t janus.Micros) {
	if b.Media == janus.MediaUnknown {
		return
	}
	s := l.medium(b)
	if s == nil && b.Receiving {
		s = l.stream(b.Mid, b.Mid != "", b.Media, b.Layer)
	}
	if s == nil {
		return
	}
	if s.receiving = b.Receiving; b.Receiving && (s.firstMedia == 0 || t < s.firstMedia) {
		s.firstMedia = t
	}
}

func (l *leg) slowLink(b *janus.SlowLink) {
	if b.Media == janus.MediaUnknown {
		return
	}
	if s := l.stream(b.Mid, b.Mid != "", b.Media, 0); s != nil {
		//mutant:slow-links
		s.slow++
	}
}

// media writes down the streams of which there were reports, in the order of mid, media and layer.
func (l *leg) media(end ending) []Stream {
	var out []Stream
	for i := range l.streams {
		s := &l.streams[i]
		//mutant:streams-of-reports
		if s.count == 0 {
			continue
		}
		r := Stream{
			Mid: s.mid, HasMid: s.hasMid, Media: StreamMedia(s.media), Layer: s.layer, Codec: s.codec,
			BytesReceived:           s.base.BytesReceived + s.seen.BytesReceived,
			BytesSent:               s.base.BytesSent + s.seen.BytesSent,
			PacketsReceived:         s.base.PacketsReceived + s.seen.PacketsReceived,
			PacketsSent:             s.base.PacketsSent + s.seen.PacketsSent,
			Lost:                    s.seen.Lost,
			LostByRemote:            s.seen.LostByRemote,
			NACKsReceived:           s.base.NACKsReceived + s.seen.NACKsReceived,
			NACKsSent:               s.base.NACKsSent + s.seen.NACKsSent,
			RetransmissionsReceived: s.base.RetransmissionsReceived + s.seen.RetransmissionsReceived,
			SlowLinks:               s.slow, Samples: s.count,
			RTT: s.gauges[gaugeRTT].quality(), JitterLocal: s.gauges[gaugeJitterLocal].quality(), JitterRemote: s.gauges[gaugeJitterRemote].quality(),
			InLinkQuality: s.gauges[gaugeInLink].quality(), OutLinkQuality: s.gauges[gaugeOutLink].quality(),
			//mutant:final-sample
			FinalSample: !end.missing() && s.last >= end.time-finalSpan && s.last <= end.time+finalSpan,
		}
		if s.lastMedia != 0 { // else nothing flowed
			r.FirstMediaTime = min(s.firstMedia, s.lastMedia)
			r.LastMediaTime = s.lastMedia
			if end.time != 0 {
				r.LastMediaTime = max(min(r.LastMediaTime, end.time), r.FirstMediaTime)
			}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Stream) int {
		if c := strings.Compare(a.Mid, b.Mid); c != 0 {
			return c
		}
		if c := strings.Compare(a.Media.String(), b.Media.String()); c != 0 {
			return c
		}
		return int(a.Layer - b.Layer)
	})
	return out
}

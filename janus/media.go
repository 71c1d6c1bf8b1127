package janus

// The subtypes of type 32.
const (
	subMediaState = iota + 1
	subSlowLink
	subMediaReport
)

// mediaBody reads a body of type 32 that is an object. Each subtype has a key of its own, by which a body without
// subtype is known.
func (p *Parser) mediaBody(s *scanner, subtype int) Body {
	if subtype == subMediaReport {
		// Four of ten events are these: read nothing else beside.
		r := &p.mediaReport
		r.Streams = append(r.Streams[:0], StreamStats{})
		if !r.Streams[0].read(s) {
			r.Streams = r.Streams[:0]
			return &p.unknown
		}
		return r
	}
	start, depth := s.i, s.depth
	var mid, media, link string
	var receiving, receivingKnown, counters bool
	var layer int
	var lost int64
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "mid":
			mid = s.text()
		case "media":
			media = s.text()
		case "substream":
			layer = s.small()
		case "receiving":
			receiving, receivingKnown = s.boolean()
		case "slow_link":
			link = s.text()
		case "lost_lastsec":
			lost = s.integer()
		case "packets-received", "bytes-received":
			counters = true
			s.skip()
		default:
			s.skip()
		}
	}
	is := func(want int) bool { return subtype == want || subtype == subAbsent }
	switch {
	case s.err != nil:
	case is(subMediaState) && receivingKnown:
		m, l := mediaOf(media)
		if layer == 0 {
			layer = l
		}
		p.mediaState = MediaState{Mid: mid, Media: m, Layer: layer, Receiving: receiving}
		return &p.mediaState
	case is(subSlowLink) && (link == "uplink" || link == "downlink"):
		m, _ := mediaOf(media)
		p.slowLink = SlowLink{Mid: mid, Media: m, Uplink: link == "uplink", Lost: lost}
		return &p.slowLink
	case subtype == subAbsent && counters:
		s.i, s.depth = start, depth
		return p.mediaBody(s, subMediaReport)
	}
	return &p.unknown
}

// mediaReports reads a report of all streams of a PeerConnection at once. What is no report of a stream is left out;
// a report in which nothing else is, is Unknown.
func (p *Parser) mediaReports(s *scanner) Body {
	r := &p.mediaReport
	r.Streams = r.Streams[:0]
	elements := 0
	for ok := s.firstElement(); ok; ok = s.nextElement() {
		elements++
		if s.peek() != '{' {
			s.skip()
			continue
		}
		r.Streams = append(r.Streams, StreamStats{})
		if !r.Streams[len(r.Streams)-1].read(s) {
			r.Streams = r.Streams[:len(r.Streams)-1]
		}
	}
	if elements > 0 && len(r.Streams) == 0 {
		return &p.unknown
	}
	return r
}

// read reads the statistics of one stream into zeroed memory; false when they do not say of which medium they are. The
// caller has peeked '{'.
func (st *StreamStats) read(s *scanner) bool {
	named := false
	var audio, video string // Janus 0.x names the codec per medium
	for key, ok := s.first(); ok; key, ok = s.next() {
		switch key {
		case "mid":
			st.HasMid = s.peek() == '"'
			st.Mid = s.text()
		case "media":
			named = s.peek() == '"'
			st.Media, st.Layer = mediaOf(s.text())
		case "codec":
			st.Codec = s.text()
		case "audio-codec":
			audio = s.text()
		case "video-codec":
			video = s.text()
		case "bytes-received":
			st.BytesReceived = s.integer()
		case "bytes-sent":
			st.BytesSent = s.integer()
		case "packets-received":
			st.PacketsReceived = s.integer()
		case "packets-sent":
			st.PacketsSent = s.integer()
		case "lost":
			st.Lost = s.integer()
		case "lost-by-remote":
			st.LostByRemote = s.integer()
		case "nacks-received":
			st.NACKsReceived = s.integer()
		case "nacks-sent":
			st.NACKsSent = s.integer()
		case "retransmissions-received":
			st.RetransmissionsReceived = s.integer()
		case "rtt":
			st.RTT = s.gauge()
			st.usual(s)
		case "jitter-local":
			st.JitterLocal = s.gauge()
		case "jitter-remote":
			st.JitterRemote = s.gauge()
		case "in-link-quality":
			st.InLinkQuality = s.gauge()
		case "out-link-quality":
			st.OutLinkQuality = s.gauge()
		default:
			s.skip()
		}
	}
	if st.Codec == "" {
		switch st.Media {
		case MediaAudio:
			st.Codec = audio
		case MediaVideo:
			st.Codec = video
		}
	}
	return named
}

// usual reads what follows the round trip, as far as it stands in the order in which Janus writes it: a key that is
// known beforehand need not be read to be compared. It reads each value as read does, and leaves to it what comes
// otherwise.
func (st *StreamStats) usual(s *scanner) {
	if s.follows(`,"lost":`) {
		st.Lost = s.integer()
	}
	if s.follows(`,"lost-by-remote":`) {
		st.LostByRemote = s.integer()
	}
	if s.follows(`,"jitter-local":`) {
		st.JitterLocal = s.gauge()
	}
	if s.follows(`,"jitter-remote":`) {
		st.JitterRemote = s.gauge()
	}
	if s.follows(`,"in-link-quality":`) {
		st.InLinkQuality = s.gauge()
	}
	if s.follows(`,"in-media-link-quality":`) {
		s.skip()
	}
	if s.follows(`,"out-link-quality":`) {
		st.OutLinkQuality = s.gauge()
	}
	if s.follows(`,"out-media-link-quality":`) {
		s.skip()
	}
	for _, counter := range [...]struct {
		key string
		to  *int64
	}{
		{`,"packets-received":`, &st.PacketsReceived}, {`,"packets-sent":`, &st.PacketsSent},
		{`,"bytes-received":`, &st.BytesReceived}, {`,"bytes-sent":`, &st.BytesSent},
		{`,"bytes-received-lastsec":`, nil}, {`,"bytes-sent-lastsec":`, nil},
		{`,"nacks-received":`, &st.NACKsReceived}, {`,"nacks-sent":`, &st.NACKsSent},
		{`,"retransmissions-received":`, &st.RetransmissionsReceived},
	} {
		switch {
		case !s.follows(counter.key):
		case counter.to == nil:
			s.skip()
		default:
			*counter.to = s.integer()
		}
	}
}

// mediaOf is the medium and the simulcast layer that a word of Janus means.
func mediaOf(word string) (Media, int) {
	switch word {
	case "audio":
		return MediaAudio, 0
	case "video":
		return MediaVideo, 0
	case "video-sim1":
		return MediaVideo, 1
	case "video-sim2":
		return MediaVideo, 2
	case "data":
		return MediaData, 0
	}
	return MediaUnknown, 0
}

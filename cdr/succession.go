package cdr

import (
	"cmp"
	"slices"
	"strings"

	"januscdr/janus"
)

// A handle carries one PeerConnection after another, and no event says which one it is about. Where the end of one is
// lost, the next one looks like a renegotiation of it, until something shows that it is none: counters that begin anew, a
// second webrtcup or DTLS handshake. So what may be the next one is kept apart, as a leg behind the open one (leg.next),
// and takes the events that may be its own. Then it is either absorbed, and nothing has happened, or takes over: the old
// one has ended before it began, and the events that it took are none of the old one's.

// verdict is which PeerConnection an event of Janus' core is about.
type verdict uint8

const (
	ofThis   verdict = iota // the open one: what may have been the next one was a renegotiation
	ofEither                // the open one, or the next one: later events tell
	ofNext                  // the next one
)

// setupStep is how far a PeerConnection has come, by what was seen of it.
type setupStep uint8

const (
	stepNone setupStep = iota
	stepGathering
	stepConnecting
	stepConnected // ICE is, or was
	stepHandshake // DTLS trying
	stepFailed    // ICE or DTLS
	stepUp        // DTLS connected, webrtcup, media
)

// heldBy is the leg that takes an event of Janus' core: the open PeerConnection, or what may be the next one.
func (f *eventFold) heldBy(pc *leg) *leg {
	var aside *leg
	//mutant:set-aside
	if n := pc.next; n != nil && (n.vague() && beginsSetup(f.e.Body) || n.answeredAgain(f.e.Body)) {
		aside, pc.next = n, nil
	}
	verdict := f.distinguish(pc)
	switch {
	case verdict == ofNext:
		pc.discount(aside)
		return f.takeOver(pc)
	case verdict == ofEither:
		if pc.next == nil {
			pc.next = f.successor()
		}
		if aside != nil {
			pc.next.next = aside
		}
		return pc.next
	case pc.next == nil:
		pc.next = aside
	}
	if pc.next != nil {
		pc.absorb()
	}
	return pc
}

// beginsSetup tells whether an event is one with which a PeerConnection, or a renegotiation, begins.
func beginsSetup(body janus.Body) bool {
	switch b := body.(type) {
	case *janus.JSEP, *janus.DTLSState:
		return true
	case *janus.ICEState:
		return b.State == "gathering" || b.State == "connecting"
	}
	return false
}

// vague tells whether nothing of what may be the next PeerConnection is more than what any goes through in its life.
func (l *leg) vague() bool { return !l.begun() && !l.foreign && l.reports == 0 }

// answeredAgain tells whether an answer comes to what may be the next PeerConnection, and its offer has had its own: that of this one
// was lost, and so what was before it may have been a renegotiation.
func (l *leg) answeredAgain(body janus.Body) bool {
	b, ok := body.(*janus.JSEP)
	if !ok || b.Offer || l.kind != PeerConnection || l.answered == 0 || l.asked {
		return false
	}
	origin := originOf(b.SDP)
	//mutant:answered-again
	return origin != 0 && origin != l.client && !slices.Contains(l.origins, origin)
}

// outlivedBy tells whether a PeerConnection without reports, whose hangup comes, may have ended before what may be the next one
// began: a medium is told to come in that came in before, or a candidate long after the setup.
func (l *leg) outlivedBy(n *leg) bool {
	if l.reports > 0 || l.ended {
		return false
	}
	//mutant:received-anew
	if slices.ContainsFunc(n.streams, func(s stream) bool {
		before := l.find(&janus.StreamStats{Mid: s.mid, HasMid: s.hasMid, Media: s.media, Layer: int(s.layer)})
		return s.receiving && before != nil && before.receiving
	}) {
		return true
	}
	//mutant:late-candidate
	return len(n.streams) == 0 && n.pair == 0 && n.start-max(l.up, l.secured, l.renewed) > longConnect
}

// discount drops what may have been of the open PeerConnection or of the next one, when that begins only behind it: nobody knows
// of which it was, so it is no life of either. It counts for the open one. Until that is known it stands behind what may be the next
// one.
func (l *leg) discount(n *leg) {
	if n == nil {
		return
	}
	l.events, l.duplicates, l.late = l.events+n.events, l.duplicates+n.duplicates, l.late+n.late
	l.last, l.lastOffset = max(l.last, n.last), max(l.lastOffset, n.lastOffset)
	l.discount(n.next)
}

// successor is what may be the next PeerConnection, begun by the event at hand.
func (f *eventFold) successor() *leg {
	return &leg{
		kind: PeerConnection, start: f.t, first: f.t, last: f.t, life: f.t, lifeClock: f.p.pos.clock.now,
		firstOffset: f.offset, lastOffset: f.offset, shift: f.em.timeline.shift,
	}
}

// distinguish says which PeerConnection an event of Janus' core is about.
func (f *eventFold) distinguish(pc *leg) verdict {
	n, t := pc.next, f.t
	undecided := ofThis
	if n != nil {
		undecided = ofEither
	}
	//mutant:ice-restart
	if n == nil && pc.renewed != 0 && t >= pc.renewed && t-pc.renewed < longConnect && pc.restarts(f.e.Body) {
		return ofThis // its client has asked for it
	}
	switch b := f.e.Body.(type) {
	case *janus.JSEP:
		return f.tellSDP(pc, b)
	case *janus.ICEState:
		if (b.State == "gathering" || b.State == "connecting") && n == nil && pc.step > stepConnecting && t > pc.life {
			return ofEither // an ICE restart does, too
		}
		//mutant:connected-again
		if (b.State == "connected" || b.State == "ready") && pc.longUp(t) {
			return ofEither
		}
	case *janus.SelectedPair:
		if pc.longUp(t) {
			return ofEither // another pair may be better
		}
	case *janus.LocalCandidate, *janus.RemoteCandidate:
		//mutant:candidate-of-either
		if (pc.connected() || pc.step >= stepConnected && t-pc.stepTime > longConnect) && t > pc.life {
			return ofEither // one may come late
		}
	case *janus.DTLSState:
		//mutant:second-handshake
		if pc.secured != 0 && t > pc.secured || pc.longUp(t) || pc.up != 0 && t > pc.up+second {
			return ofNext // one handshake is all that a PeerConnection has
		}
	case *janus.PeerConnectionUp:
		return pc.tellUp(t)
	case *janus.MediaState:
		if b.Receiving && pc.receivesAnew(b, t) {
			return ofEither
		}
	case *janus.MediaReport:
		return pc.tellReport(b, t)
	case *janus.PeerConnectionHangup:
		if n != nil && n.foreign {
			return ofNext
		}
		if n != nil && (n.begun() || n.reports > 0 || pc.outlivedBy(n)) && pc.connected() {
			pc.doubted(pc.life)
		}
		return ofThis
	}
	return undecided
}

// tellUp says which PeerConnection a webrtcup is about.
func (l *leg) tellUp(t janus.Micros) verdict {
	//mutant:second-webrtcup
	if l.up != 0 && t > l.up || l.next != nil && l.next.foreign {
		return ofNext
	}
	//mutant:up-long-after-its-handshake
	if l.up == 0 && l.secured != 0 && t-l.secured > longConnect {
		l.doubted(l.secured) // it is Janus' next word
	}
	return ofThis
}

// receivesAnew tells whether what is received may be another PeerConnection's.
func (l *leg) receivesAnew(b *janus.MediaState, t janus.Micros) bool {
	s := l.medium(b)
	never := s == nil || !s.receiving && s.seen.BytesReceived == 0
	//mutant:another-medium
	if never && l.longUp(t) && !l.steady(t) {
		return true // one that was offered before may begin to flow late
	}
	return s != nil && s.receiving && t > l.life // it is told when it begins, and when it goes on after a pause
}

// steady tells whether no report was missing up to a moment: then no other PeerConnection was set up in between.
func (l *leg) steady(t janus.Micros) bool {
	every := least(least(l.period(), l.cadence), l.interval)
	//mutant:steady
	return l.reports > 0 && every != 0 && 10*(t-l.reported) <= 11*every
}

// restarts tells whether an event is one of ICE, as they come when ICE is restarted. They come when a PeerConnection is set up, too: so
// where there are reports, the next one tells.
func (l *leg) restarts(body janus.Body) bool {
	switch body.(type) {
	case *janus.ICEState, *janus.SelectedPair, *janus.LocalCandidate, *janus.RemoteCandidate:
		return l.reports == 0
	}
	return false
}

// tellSDP says which PeerConnection an offer or an answer is about. The origin (o=) of the client's SDPs stays the same
// for the life of its PeerConnection; Janus' own changes with whom it speaks for.
func (f *eventFold) tellSDP(pc *leg, b *janus.JSEP) verdict {
	n := pc.next
	if f.t <= pc.life && n == nil {
		return ofThis // out of order by a little, or told again
	}
	origin := originOf(b.SDP)
	same := origin != 0 && (origin == pc.client || slices.Contains(pc.origins, origin))
	other := b.FromClient && origin != 0 && pc.client != 0 && !same
	switch {
	case b.FromClient && same && pc.client != 0:
		if pc.connected() {
			pc.renewed = f.t
		}
		return ofThis
	case !b.Offer && (n != nil || other && pc.step > stepNone):
		if other && (n == nil || n.offer != offerByClient) {
			f.foreign(pc)
		}
		return ofEither
	//mutant:answer-to-nothing
	case !b.Offer && !pc.asked && !same && (pc.longUp(f.t) || pc.connected() && pc.answered != 0):
		return ofEither // its offer was lost, which may have been the next one's
	case !b.Offer:
		return ofThis
	case pc.offer == 0 && pc.step <= stepGathering && !pc.connected():
		return ofThis // Janus gathers before it offers
	//mutant:second-offer
	case b.FromClient && !pc.acted:
		return ofNext // a second offer before anything of Janus is a second attempt
	case other && !pc.connected():
		return ofNext
	case other, !b.FromClient && pc.longUp(f.t) && firstOffer(f.h.plugin, b.SDP):
		f.foreign(pc)
	}
	return ofEither
}

// firstOffer tells whether an offer of Janus is the first one of its PeerConnection: the plugins that offer by themselves count
// their offers in the version of the origin, from 1. The version is the third word of an o= line.
func firstOffer(plugin, sdp string) bool {
	switch plugin {
	case janus.PluginVideoRoom, janus.PluginStreaming, janus.PluginTextRoom, janus.PluginRecordPlay:
	default:
		return false
	}
	at := strings.Index(sdp, "o=")
	if at < 0 {
		return false
	}
	line, _, _ := strings.Cut(sdp[at:], "\r")
	words := strings.Fields(line)
	//mutant:first-offer
	return len(words) > 2 && words[2] == "1"
}

// foreign notes that what may be the next PeerConnection has an SDP of another origin: if reports do not contradict, it is.
func (f *eventFold) foreign(pc *leg) {
	if pc.next == nil {
		pc.next = f.successor()
	}
	pc.next.foreign = true
}

// longUp tells whether the setup of a PeerConnection was over for some time.
func (l *leg) longUp(t janus.Micros) bool {
	return l.connected() && t > l.life && t > max(l.up, l.secured, l.evidence)+second
}

// connected tells whether the PeerConnection was up, by anything that proves it.
func (l *leg) connected() bool { return l.up != 0 || l.secured != 0 || l.evidence != 0 }

// tellReport says which PeerConnection a report is about, by its counters: they begin at zero with each, all at once.
func (l *leg) tellReport(r *janus.MediaReport, t janus.Micros) verdict {
	known, fell := 0, 0
	for i := range r.Streams {
		s := l.find(&r.Streams[i])
		if s == nil || s.count == 0 || s.seen.BytesReceived == 0 && s.seen.BytesSent == 0 || t <= s.last {
			continue
		}
		known++
		switch now := &r.Streams[i]; {
		case now.BytesReceived < s.seen.BytesReceived/2 || now.BytesSent < s.seen.BytesSent/2:
			fell++
		case now.BytesReceived < s.seen.BytesReceived || now.BytesSent < s.seen.BytesSent:
			l.doubted(l.life) // not near to zero: nobody knows why
		}
	}
	n := l.next
	switch {
	case known == 0:
		if n != nil && (l.reports > 0 || !l.connected() || n.begun() && idle(r)) {
			return ofEither
		}
		return ofThis
	case fell < known:
		return ofThis
	//mutant:counters-begin-anew
	case fell > 1 || l.live() <= 1:
		return ofNext
	case n != nil:
		if s := n.find(&r.Streams[0]); s != nil && s.count > 0 || n.live()+1 >= l.live() {
			return ofNext
		}
	}
	return ofEither
}

// idle tells whether nothing flowed yet, by a report.
func idle(r *janus.MediaReport) bool {
	return !slices.ContainsFunc(r.Streams, func(s janus.StreamStats) bool { return s.BytesReceived != 0 || s.BytesSent != 0 })
}

// live is how many streams of the leg had traffic and were reported in its last two ticks: some of the last one may be to come.
func (l *leg) live() (n int) {
	since := l.reported - second
	//mutant:fell-alone
	since -= l.interval
	for i := range l.streams {
		if s := &l.streams[i]; s.count > 0 && s.last >= since && (s.seen.BytesReceived != 0 || s.seen.BytesSent != 0) {
			n++
		}
	}
	return n
}

// begun tells whether what may be the next PeerConnection shows more than a candidate that comes late.
func (l *leg) begun() bool { return l.offer != 0 || l.step != stepNone }

// absorb takes back what may have been the next PeerConnection and was none.
func (l *leg) absorb() {
	n := l.next
	l.next = nil
	if l.next, n.next = n.next, nil; l.next != nil {
		l.absorb()
	}
	if n.foreign {
		l.changedClient()
	}
	l.events, l.duplicates, l.late = l.events+n.events, l.duplicates+n.duplicates, l.late+n.late
	l.last, l.lastOffset = max(l.last, n.last), max(l.lastOffset, n.lastOffset)
	l.life, l.lifeClock = max(l.life, n.life), max(l.lifeClock, n.lifeClock)
	l.gathered, l.acted, l.answered = l.gathered || n.gathered, l.acted || n.acted, cmp.Or(l.answered, n.answered)
	l.asked = n.asked || l.asked && n.answered == 0
	l.reports, l.reported = l.reports+n.reports, max(l.reported, n.reported)
	if n.step > l.step {
		l.step, l.stepTime = n.step, n.stepTime
	}
	l.remember(n.client, true)
	for _, o := range n.origins {
		l.remember(o, false)
	}
	if n.secured != 0 && l.secured == 0 {
		l.secured = n.secured
	}
	if n.evidence != 0 {
		l.proved(n.evidence)
	}
	if n.pair > l.pair {
		l.pair, l.address, l.local, l.remote, l.protocol = n.pair, n.address, n.local, n.remote, n.protocol
	}
	l.lastClientActivity = max(l.lastClientActivity, n.lastClientActivity)
	l.received = max(l.received, n.received)
	for i := range n.streams {
		l.merge(&n.streams[i])
	}
	l.truncated, l.cut = l.truncated || n.truncated, l.cut || n.cut
}

// merge takes over what was folded of a stream apart.
func (l *leg) merge(n *stream) {
	s := l.stream(n.mid, n.hasMid, n.media, int(n.layer))
	switch {
	case s == nil:
	case s.count == 0:
		slow, first := s.slow, s.firstMedia
		*s = *n
		s.slow += slow
		if first != 0 && (s.firstMedia == 0 || first < s.firstMedia) {
			s.firstMedia = first
		}
	default:
		s.slow += n.slow
		if n.count > 0 && n.last > s.last { // it fell alone: a medium that was set up anew
			s.base.carry(s.seen, n.seen)
			s.seen, s.last, s.count = n.seen, n.last, s.count+n.count
			//mutant:first-media-of-both
			s.firstMedia = least(s.firstMedia, n.firstMedia)
			s.lastMedia = max(s.lastMedia, n.lastMedia)
		}
	}
}

// takeOver ends the open PeerConnection and what it carries, because the event at hand is of the next one, and opens that.
func (f *eventFold) takeOver(pc *leg) *leg {
	n, over := pc.next, f.t
	//mutant:silent-before-it-took-over
	if n != nil && !n.vague() && (n.foreign || f.t-n.life <= longConnect) {
		over = n.start // else the old one may have ended after what was seen first
	} else if _, report := f.e.Body.(*janus.MediaReport); n != nil && !report {
		pc.discount(n)
		n = nil
	}
	if n == nil {
		n = f.successor()
	}
	pc.discount(n.next)
	pc.next, n.next = nil, nil
	began := max(n.start, pc.opening()) // what was told of the old one stays
	over = max(over, began)
	f.p.conclude(RuleSuperseded, f.s, f.h, pc, facts{at: began})
	kind := companionKind(f.h.plugin)
	f.p.emitHandle(f.k, f.h, closeTrigger{cause: CauseInactivity, until: over}, func(l *leg) bool {
		switch {
		case l == pc:
			return true
		//mutant:ends-with-its-carrier
		case l.kind == SIPCall && pc.callID != "":
			return !l.ended && l.hangTime == 0 && l.callID == pc.callID
		case l.kind == RoomMembership && !l.ended && f.h.plugin == janus.PluginTextRoom:
			//mutant:joined-over-it
			return l.start < began // a text room is joined over the PeerConnection
		case l.ended || l.start > pc.life:
			return false
		case l.kind == SIPCall:
			return l.hangTime == 0
		case l.kind == RoomMembership:
			return f.hangupLeaves()
		}
		return l.kind == kind && l.index == pc.index
	})
	return f.adopt(n, began)
}

// adopt makes a leg of its own of what took over at a moment.
func (f *eventFold) adopt(n *leg, began janus.Micros) *leg {
	n.start, n.foreign = max(n.start, began), false
	l := f.openLeg(f.h, n, n.openedAs(f.e.Body))
	if l != nil {
		f.copyContext(l)
		if _, up := f.e.Body.(*janus.PeerConnectionUp); !up && l.evidence != l.secured && l.up == 0 {
			f.p.conclude(RuleAnsweredByEvidence, f.s, f.h, l, facts{at: l.evidence})
		}
	}
	return l
}

// openedAs is the rule by which a PeerConnection opened that took over: by the first that was seen of it.
func (l *leg) openedAs(body janus.Body) TraceRule {
	switch {
	case l.offer == offerMissed:
		return RuleLegOpenedByAnswer
	case l.offer != 0:
		return RuleLegOpenedByOffer
	case l.gathered:
		return RuleLegOpenedByGathering
	}
	if _, ok := body.(*janus.PluginEvent); ok {
		return RuleLegOpenedWithCall
	}
	return openedBy(PeerConnection, body)
}

// part decides at the end of a handle or a session what may have been the next PeerConnection: with another origin it was
// one, else the open one is not known to have gone on.
func (h *handle) part(p *Partition, s *session) {
	for _, l := range slices.Clone(h.legs) {
		n := l.next
		switch {
		case n == nil:
		//mutant:foreign-at-the-end
		case n.foreign:
			l.discount(n.next)
			l.changedClient()
			l.next, n.next, n.foreign = nil, nil, false
			n.index = h.next[PeerConnection]
			h.next[PeerConnection]++
			n.closing, n.closeClock = l.closing, l.closeClock
			h.legs = append(h.legs, n)
			p.conclude(n.openedAs(nil), s, h, n, facts{at: n.start})
		default:
			if l.connected() {
				l.doubted(l.life)
			}
			l.absorb()
		}
	}
}

// doubtCarried notes in the calls that a PeerConnection carried, and that no event of their own ended, when it may have ended.
func (h *handle) doubtCarried(pc *leg) {
	for _, c := range h.legs {
		//mutant:doubt-of-what-is-carried
		if c.kind == SIPCall && pc.doubt != 0 && pc.carries(c) && !c.named() {
			c.doubted(pc.doubt)
		}
	}
}

// changedClient doubts a PeerConnection of which another client's SDP came: it may be that one's since there is a hole in the reports,
// before the only one, or before it came up.
func (l *leg) changedClient() {
	//mutant:another-origin-behind-a-hole
	if every := least(least(l.period(), l.cadence), l.interval); l.reports == 1 || every != 0 && 20*l.gap > 21*every {
		l.doubted(l.gapFrom)
	}
	//mutant:another-origin-came-up-late
	if at, _ := l.answer(); l.connected() && at-max(l.start, l.answered) > slowConnect {
		l.doubted(max(l.start, l.answered))
	}
}

// doubted notes that the leg may have ended at a moment, and that what came after was another one's.
func (l *leg) doubted(at janus.Micros) {
	if l.doubt == 0 || at < l.doubt {
		l.doubt = at
	}
}

// remember notes the origin of an SDP. The client has one; those of Janus' side are kept, the first few, as some
// applications offer again with what they were answered.
func (l *leg) remember(origin uint64, client bool) {
	switch {
	case origin == 0:
	case client && l.client == 0:
		l.client = origin
	case !slices.Contains(l.origins, origin) && len(l.origins) < maxOrigins:
		l.origins = append(l.origins, origin)
	}
}

// maxOrigins bounds the origins that are remembered of a PeerConnection besides the client's.
const maxOrigins = 4

// originOf is a hash of who made an SDP and in which session of his: the first two words of its o= line. 0 for none.
func originOf(sdp string) uint64 {
	at := 0
	if !strings.HasPrefix(sdp, "o=") {
		if at = strings.Index(sdp, "\no="); at < 0 {
			return 0
		}
		at++
	}
	sum, words := uint64(14695981039346656037), 0
	user := strings.IndexByte(sdp[at+2:], ' ')
	if user < 0 {
		return 0
	}
	for _, c := range []byte(sdp[at+2+user+1:]) { // the user name is "-" for most, and Janus writes its own
		if c == ' ' || c == '\r' || c == '\n' {
			break
		}
		sum, words = (sum^uint64(c))*1099511628211, words+1
	}
	if words == 0 {
		return 0
	}
	return sum
}

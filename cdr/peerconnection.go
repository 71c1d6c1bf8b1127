package cdr

import (
	"slices"

	"januscdr/janus"
)

// What the first jsep of a PeerConnection was.
const (
	offerByClient int8 = 1 + iota
	offerByJanus
	offerMissed // it was an answer: the offer was not seen
)

// opens tells whether the event is the first sign of a PeerConnection: jsep, ICE `gathering`, webrtcup or media, or the only
// one: its hangup.
func (f *eventFold) opens() bool {
	ended := f.h.lastEnd[PeerConnection]
	switch b := f.e.Body.(type) {
	case *janus.JSEP:
		//mutant:opens-peerconnection
		return b.Offer || ended == 0 // an answer after the end is refused: Janus tells it before it looks
	case *janus.PeerConnectionUp:
		return true
	case *janus.MediaReport, *janus.SlowLink:
		return ended == 0 || f.t > ended+lateSpan // old versions send the last report behind the hangup
	case *janus.MediaState:
		//mutant:receives-behind-the-end
		return ended == 0 || f.t > ended+lateSpan || b.Receiving && f.t > ended+finalSpan
	case *janus.ICEState:
		//mutant:opens-by-ice
		return b.State == "gathering"
	case *janus.PeerConnectionHangup:
		// Janus says it once of each PeerConnection, so there was one, of which nothing else came.
		//mutant:opens-by-hangup
		return ended == 0 && f.h.next[PeerConnection] == 0 || f.h.ended && f.t > ended+lateSpan
	}
	return false
}

// lateSpan is how long after the end of a PeerConnection a report is still of it.
const lateSpan = 2 * second

// held is the PeerConnection leg that takes an event of Janus' core; nil for none.
func (f *eventFold) held() *leg {
	pc := f.h.current(PeerConnection, f.t)
	switch {
	case pc == nil:
		if !f.opens() {
			return nil
		}
		amid := !f.h.ended && f.h.next[PeerConnection] > 0
		if pc = f.open(f.h, PeerConnection); pc == nil {
			return nil
		}
		switch f.e.Body.(type) {
		case *janus.MediaReport:
			pc.amid = amid
		case *janus.PeerConnectionHangup:
			pc.noStart = true
		}
		f.copyContext(pc)
	case f.h.old(pc, f.t):
		return nil
	case !pc.ended:
		if pc = f.heldBy(pc); pc == nil {
			return nil
		}
		if f.openedEarlier(pc) {
			f.startsAt(pc, f.t)
		}
	case pc.noStart && f.openedEarlier(pc):
		f.startsAt(pc, f.t)
	}
	return pc
}

// openedEarlier tells whether the event at hand opened the leg, and comes behind others.
func (f *eventFold) openedEarlier(l *leg) bool {
	switch b := f.e.Body.(type) {
	case *janus.JSEP, *janus.PeerConnectionUp, *janus.MediaState, *janus.MediaReport, *janus.SlowLink:
	case *janus.ICEState:
		if b.State != "gathering" {
			return false
		}
	default:
		return false
	}
	if l.parts > 0 || f.t >= l.start || f.s.precedes(f.t) {
		return false
	}
	return f.t > f.h.lastEnd[PeerConnection] || l.ended && l.index == 0
}

// openCompanionLeg makes the STREAM_VIEW or RECORDING beside the open PeerConnection, as soon as the plugin is known.
func (f *eventFold) openCompanionLeg() {
	kind := companionKind(f.h.plugin)
	if kind == LegKindUnknown {
		return
	}
	pc := f.h.openLeg(PeerConnection)
	if pc == nil || f.h.next[kind] > pc.index || f.h.openLeg(kind) != nil {
		return
	}
	// What was told of the one before stays, should it have turned out only now that its PeerConnection was over.
	l := f.successor()
	l.kind, l.index, l.start, l.first, l.firstOffset = kind, pc.index, max(pc.start, f.h.lastEnd[kind]), pc.first, pc.firstOffset
	//mutant:beside-over-the-step
	l.shift, l.clockSuspect = pc.shift, pc.clockSuspect // it begins when that began, by the clock as it was
	if l = f.openLeg(f.h, l, RuleLegOpenedBeside); l != nil {
		l.up, l.evidence, l.offer, l.offerTime = pc.up, pc.evidence, pc.offer, pc.offerTime
		l.answered, l.gathered, l.lastClientActivity = pc.answered, pc.gathered, pc.lastClientActivity
		l.role, l.room = pc.role, pc.room
		l.truncated = l.truncated || pc.truncated
		l.mate, l.mateIndex = PeerConnection, pc.index
	}
}

// companionKind is the kind of leg that stands beside each PeerConnection of a plugin.
func companionKind(plugin string) LegKind {
	switch plugin {
	//mutant:companion-of-streaming
	case janus.PluginStreaming:
		return StreamView
	//mutant:companion-of-recordplay
	case janus.PluginRecordPlay:
		return Recording
	}
	return LegKindUnknown
}

// withCompanion are the PeerConnection of the moment and what shares its life on this handle, appended to all.
func (f *eventFold) withCompanion(all []*leg) (pc *leg, _ []*leg) {
	t := f.t
	if pc = f.h.current(PeerConnection, t); pc == nil || f.h.old(pc, t) {
		//mutant:woken-without-its-connection
		if l := f.h.openLeg(companionKind(f.h.plugin)); pc == nil && l != nil && l.revised > 0 {
			all = append(all, l) // it was woken up, and its PeerConnection sleeps
		}
		return nil, all
	}
	all = append(all, pc)
	if kind := companionKind(f.h.plugin); kind != LegKindUnknown {
		if l := f.h.current(kind, t); l != nil && l.index == pc.index {
			all = append(all, l)
		}
	}
	return pc, all
}

// peerConnection folds an event of Janus' core into the PeerConnection that it is about.
func (f *eventFold) peerConnection() {
	if signOf(f.h.plugin, f.e.Body) == signNone {
		f.takeAll(nil)
		return
	}
	pc := f.held()
	f.openCompanionLeg()
	f.takeAll(pc)
	if pc == nil {
		return
	}
	apart := !slices.Contains(f.h.legs, pc) // it may be the next one: what is carried by the open one is not touched
	var buf [fewLegs]*leg
	all := append(buf[:0], pc)
	if kind := companionKind(f.h.plugin); kind != LegKindUnknown && !apart {
		if l := f.h.current(kind, f.t); l != nil && l.index == pc.index {
			all = append(all, l)
		}
	}
	if _, ends := f.e.Body.(*janus.PeerConnectionHangup); !ends {
		var buf [fewLegs]*leg
		carried := append(buf[:0], pc)
		if !apart {
			carried = f.carriedBy(pc, buf[:0])
		}
		f.reported(pc, carried)
		if apart {
			pc.life, pc.lifeClock = max(pc.life, f.t), f.p.pos.clock.now
		} else {
			f.live(carried)
		}
	}
	f.core(pc, all)
	//mutant:heard-of-the-client
	if _, report := f.e.Body.(*janus.MediaReport); !f.heard() || report && pc.received != f.t {
		return
	}
	pc.received = max(pc.received, f.t)
	for _, c := range f.h.legs {
		if !apart && c.kind == SIPCall && pc.carries(c) && f.t <= c.overAt()+togetherSpan {
			c.received = max(c.received, pc.received)
		}
	}
}

// overAt is when a call or its PeerConnection was told to have ended, far ahead while it has not.
func (l *leg) overAt() janus.Micros {
	switch {
	case l.ended:
		return l.endedAt
	case l.hangTime != 0:
		return l.hangTime
	}
	return 1 << 61
}

// heard tells whether the event may be a sign of the client itself: what it sent, what only it can bring about, a report, of
// which the counters say. What is asked of Janus to end it is none: the application asks that for a client that is gone, too.
func (f *eventFold) heard() bool {
	switch b := f.e.Body.(type) {
	case *janus.JSEP:
		return b.FromClient
	case *janus.ICEState:
		return b.State == "connected"
	case *janus.DTLSState:
		return b.State == "connected"
	case *janus.MediaState:
		return b.Receiving
	case *janus.PeerConnectionHangup:
		return b.Reason == "DTLS alert"
	case *janus.RemoteCandidate, *janus.PeerConnectionUp, *janus.MediaReport:
		return true
	}
	return false
}

// core folds an event into a PeerConnection and what shares its life.
func (f *eventFold) core(pc *leg, all []*leg) {
	t := f.t
	switch b := f.e.Body.(type) {
	case *janus.JSEP:
		for _, l := range all {
			l.offered(b, t)
			l.answeredBy(b, t)
		}
		pc.remember(originOf(b.SDP), b.FromClient)
		if pc.acted = pc.acted || !b.FromClient; t+slack >= pc.life { // else it is told again
			pc.asked = b.Offer
		}
		if f.h.plugin == janus.PluginVideoCall && b.Offer && !b.FromClient {
			f.rings(pc)
		}
		if b.FromClient {
			f.s.lastClientActivity = max(f.s.lastClientActivity, t)
		}
	case *janus.ICEState:
		pc.acted = true
		for _, l := range all {
			l.gathered = l.gathered || b.State == "gathering"
		}
		switch b.State {
		case "gathering":
			pc.reach(stepGathering, t)
		case "connecting":
			pc.reach(stepConnecting, t)
		case "connected", "ready":
			pc.reach(stepConnected, t)
		case "failed":
			pc.reach(stepFailed, t)
		}
	case *janus.DTLSState:
		pc.acted = true
		switch b.State {
		case "connected": // webrtcup is its next word, if that is not lost
			pc.secured = t
			pc.reach(stepUp, t)
			for _, l := range all {
				l.proved(t)
			}
		case "failed":
			pc.reach(stepFailed, t)
		default:
			pc.reach(stepHandshake, t)
		}
	case *janus.SelectedPair:
		pc.acted = true
		if t >= pc.pair {
			pc.pair = t
			pc.address = keep(b.Remote.Address, &pc.truncated)
			pc.local, pc.remote = keep(b.Local.Type, &pc.truncated), keep(b.Remote.Type, &pc.truncated)
			pc.protocol = keep(b.Remote.Transport, &pc.truncated)
		}
	case *janus.PeerConnectionUp:
		pc.reach(stepUp, t)
		for _, l := range all {
			if l.up == 0 {
				l.up = t
				f.p.conclude(RuleAnsweredWebRTCUp, f.s, f.h, l, facts{at: t})
			}
		}
		if c := f.h.openLeg(SIPCall); c != nil && c.up == 0 && pc.carries(c) {
			c.up = t // it is no answer by itself
			//mutant:late-to-its-call
			if c.accepted != 0 && t-c.accepted > longConnect && pc.connectedLate() && !f.em.timeline.settled(&f.p.pos.clock) {
				c.clockSuspect, f.s.clockSuspect = true, true // nor was it so long on its way
			}
		}
		f.noteClientActivity(t)
	case *janus.PeerConnectionHangup:
		f.hangup(b, all)
	case *janus.MediaState:
		if b.Receiving {
			for _, l := range all {
				f.proof(l)
			}
		}
		pc.mediaState(b, t)
	case *janus.MediaReport:
		f.report(pc, b, all)
	case *janus.SlowLink:
		pc.slowLink(b)
	}
}

// reach notes how far the PeerConnection has come.
func (l *leg) reach(step setupStep, t janus.Micros) {
	l.acted = true
	if step > l.step || step == stepConnecting && l.step == stepFailed {
		l.step, l.stepTime = step, t
	}
}

// report folds a report of statistics. Counters of audio and video prove media; those of a data channel do only once DTLS
// is connected, for Janus counts the handshake with them.
func (f *eventFold) report(pc *leg, b *janus.MediaReport, all []*leg) {
	both := [2]bool{}
	for i := range b.Streams {
		st := &b.Streams[i]
		flows := st.PacketsReceived > 0 || st.PacketsSent > 0 || st.BytesReceived > 0 || st.BytesSent > 0
		if flows && (st.Media != janus.MediaData || pc.up != 0 || pc.secured != 0) {
			pc.reach(stepUp, f.t)
			for _, l := range all {
				f.proof(l)
			}
		}
		if st.Media != janus.MediaData {
			both[0], both[1] = both[0] || st.PacketsReceived > 0, both[1] || st.PacketsSent > 0
		}
		pc.report(st, f.t)
	}
	if both[0] && both[1] && pc.twoWay == 0 {
		pc.twoWay = f.t
		if c := f.h.openLeg(SIPCall); c != nil && c.twoWay == 0 && pc.carries(c) {
			c.twoWay = f.t
		}
	}
	//mutant:reports-behind-its-call
	if over := f.h.lastEnd[SIPCall]; pc.mate == SIPCall && over > pc.start && f.t > over+lateSpan && f.h.openLeg(SIPCall) == nil {
		pc.doubted(over) // Janus closes it with its call: it may be the next one's
	}
	f.cutsByVolume(pc)
	f.noteClientActivity(pc.lastClientActivity)
}

// reported notes a tick of reports in a PeerConnection and in what it carries: Janus sends one at each end of one.
func (f *eventFold) reported(pc *leg, carried []*leg) {
	b, ok := f.e.Body.(*janus.MediaReport)
	if !ok {
		return
	}
	f.s.period = least(f.s.period, pc.period())
	for _, l := range carried {
		l.tick(f.t, func() bool { return pc.counts(b, f.t) })
		l.cadence = least(l.cadence, f.s.period)
	}
}

// least is the smaller of two spans that are known.
func least(a, b janus.Micros) janus.Micros {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// knowsCadence notes at the end of a leg the cadence of the reports that it should have had: what becomes known of it later does
// not count, for later may be after its record.
func (f *eventFold) knowsCadence(l *leg) {
	l.cadence = least(l.cadence, f.s.period)
}

// carries tells whether a PeerConnection carries a call.
func (l *leg) carries(c *leg) bool { return l.mate == SIPCall && l.mateIndex == c.index }

// period is the cadence of the reports of a PeerConnection, 0 while it is not known.
func (l *leg) period() (least janus.Micros) {
	for i := range l.streams {
		if p := l.streams[i].shortest; p != 0 && (least == 0 || p < least) {
			least = p
		}
	}
	return least
}

// longLived is for how many ms a PeerConnection must have been up for its rate to be known: it took a moment to begin.
const longLived = 10_000

// counts tells whether a report after a hole has counted more than a PeerConnection that began in the hole could have, at
// the rate of before.
func (l *leg) counts(b *janus.MediaReport, t janus.Micros) bool {
	if l.up == 0 {
		return false
	}
	for i := range b.Streams {
		s := l.find(&b.Streams[i])
		if s == nil || s.count == 0 || s.media != janus.MediaAudio || s.last <= l.up {
			continue
		}
		before := s.seen.PacketsReceived + s.seen.PacketsSent
		now := b.Streams[i].PacketsReceived + b.Streams[i].PacketsSent
		lived, hole := int64((s.last-l.up)/millisecond), int64((t-s.last)/millisecond)
		return before > 0 && lived >= longLived && now*lived > before*hole+before/2*lived
	}
	return false
}

// tick notes a report. Those of the streams of one PeerConnection come together. Whether one goes on from before a hole is asked
// only where there is one.
func (l *leg) tick(t janus.Micros, goesOn func() bool) {
	since := t - l.reported
	if l.reported != 0 && since <= finalSpan {
		l.reported = max(l.reported, t)
		return
	}
	before := l.reported
	if l.reports == 0 {
		before = max(l.start, l.up)
		if since = t - before; l.up != 0 || l.secured != 0 {
			l.firstReport = max(since, 0)
		}
	} else if l.interval != 0 && l.reports > 1 && onTime(l.intervalBefore, l.interval) && (l.cadence == 0 || l.interval < l.cadence) {
		l.cadence = l.interval // the last one comes out of turn: so each counts when the next one is there
	}
	if since > l.gap && !goesOn() {
		l.gap, l.gapFrom = since, before
	}
	l.intervalBefore, l.interval = l.interval, since
	l.reports++
	l.reported = t
}

// offered notes the first jsep, by which Janus' plugins tell who called.
func (l *leg) offered(b *janus.JSEP, t janus.Micros) {
	if l.offer != 0 && t >= l.offerTime {
		return
	}
	l.offerTime = t
	switch {
	case !b.Offer:
		l.offer = offerMissed
	case b.FromClient:
		l.offer = offerByClient
	default:
		l.offer = offerByJanus
	}
}

// answeredBy notes the first answer. One that comes from the side of the offer is the answer to another offer, which was not seen.
func (l *leg) answeredBy(b *janus.JSEP, t janus.Micros) {
	//mutant:answered-once-more
	if l.answeredAgain(b) && !l.connected() {
		l.offer = offerMissed
	}
	if b.Offer || l.answered != 0 {
		return
	}
	l.answered = t
	//mutant:answer-to-oneself
	if !l.connected() && (l.offer == offerByClient && b.FromClient || l.offer == offerByJanus && !b.FromClient) {
		l.offer = offerMissed
	}
}

// noteClientActivity notes a sign of the client in all that is open on the handle: the call and the membership live no shorter than
// the PeerConnection that carries them.
func (f *eventFold) noteClientActivity(t janus.Micros) {
	f.s.lastClientActivity = max(f.s.lastClientActivity, t)
	for _, l := range f.h.legs {
		if !l.ended {
			l.lastClientActivity = max(l.lastClientActivity, t)
		}
	}
}

// proof notes an event that proves media. It answers the leg when webrtcup was lost.
func (f *eventFold) proof(l *leg) {
	// What may be the next one is told of when it is one.
	if t := f.t; l.proved(t) && l.up == 0 && l.accepted == 0 && slices.Contains(f.h.legs, l) {
		f.p.conclude(RuleAnsweredByEvidence, f.s, f.h, l, facts{at: t})
	}
}

// proved keeps the earliest proof.
func (l *leg) proved(t janus.Micros) bool {
	first := l.evidence == 0 || t < l.evidence
	if first {
		l.evidence = t
	}
	return first
}

// hangup ends a PeerConnection and what cannot live without it.
func (f *eventFold) hangup(b *janus.PeerConnectionHangup, all []*leg) {
	t := f.t
	if b.Reason == "Janus API" || b.Reason == "DTLS alert" {
		f.s.lastClientActivity = max(f.s.lastClientActivity, t)
	}
	until := f.mayHaveLived(all[0])
	for _, l := range all {
		if !l.ended {
			l.endLatest = until
		}
		//mutant:hangup-ends-peerconnection
		f.endLeg(f.h, l, EndWebRTCHangup, t, b.Reason)
	}
	for _, l := range f.h.legs {
		if doubt := all[0].mayHaveEnded(); doubt != 0 && !l.ended && (l.kind == SIPCall || l.kind == RoomMembership) {
			l.doubted(doubt)
		}
		switch {
		case l.ended || t < l.start || !l.carriedBy(all[0]):
		case l.kind == SIPCall: // the plugin says BYE now, and its own `hangup` tells the end
			if l.hangTime == 0 {
				f.knowsCadence(l)
				l.hangTime, l.hangWord = t, keep(b.Reason, &l.truncated)
				f.p.conclude(RuleCallWaitsForSIP, f.s, f.h, l, facts{at: t, word: b.Reason, limit: f.p.terms(f.em, f.h.plugin).Grace})
				f.close(l)
			}
		case l.kind == RoomMembership && f.hangupLeaves() && l.hangTime == 0: // and its own `left` may tell the end
			f.knowsCadence(l)
			l.hangTime, l.hangWord = t, keep(b.Reason, &l.truncated)
			f.close(l)
		}
	}
}

// hangupLeaves tells whether the end of the PeerConnection ends the handle's memberships too.
func (f *eventFold) hangupLeaves() bool {
	//mutant:membership-ends-with-peerconnection
	return f.h.plugin == janus.PluginAudioBridge || f.h.plugin == janus.PluginTextRoom
}

// copyContext tells a new PeerConnection what the handle knows of the room, the call or the recording it is for.
func (f *eventFold) copyContext(pc *leg) {
	for _, m := range f.h.legs {
		if m.kind == RoomMembership && !m.ended { // of several the first names the room
			pc.copyRoomFrom(m)
		}
	}
	if c := f.h.openLeg(SIPCall); c != nil && c.hangTime == 0 { // else it has had its own
		c.shareParties(pc)
	}
	if f.h.offered.Known() {
		pc.room, pc.role, f.h.offered = f.h.offered, Player, janus.ID{}
	}
}

func (l *leg) copyRoomFrom(m *leg) {
	m.mate, m.mateIndex = PeerConnection, l.index
	//mutant:room-of-membership
	if !l.room.Known() && !l.user.Known() {
		l.room, l.user, l.display = m.room, m.user, m.display
		l.partner = m.index + 1
		l.truncated = l.truncated || m.truncated
	}
}

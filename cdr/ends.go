package cdr

import (
	"strings"

	"januscdr/janus"
)

// ending is how a leg or a session ended, and how that is known.
type ending struct {
	basis            EndBasis
	time             janus.Micros
	earliest, latest janus.Micros
	cause            Cause
	by               Initiator
	diagnostics      string
}

// missing tells whether the end was not seen.
func (e ending) missing() bool {
	return e.basis == EndLastEvidence || e.basis == EndEmitterRestart || e.basis == EndEmitterShutdown
}

// closeTrigger is why something is closed of which no event tells the end.
type closeTrigger struct {
	cause  Cause        // CauseInactivity or CauseEmitterSilent; 0 when an event should tell it
	latest janus.Micros // partition clock of the deadline that closed it
	until  janus.Micros // or the timestamp of the event that did
}

// explicitEnd is an end that an event told to the point.
func explicitEnd(basis EndBasis, at janus.Micros, diagnostics string) ending {
	return ending{basis: basis, time: at, earliest: at, latest: at, diagnostics: diagnostics}
}

// inferredEnd is an end that nobody told: it is put at the last evidence, and the true one lies up to latest.
func inferredEnd(basis EndBasis, last, latest janus.Micros) ending {
	//mutant:unseen-end
	return ending{basis: basis, time: last, earliest: last, latest: max(latest, last)}
}

// resolve says how a leg ended, of all that is known when its grace is over. The policy has a say where its client was gone.
func (s *session) resolve(h *handle, l *leg, why closeTrigger, vanished Vanished) ending {
	e := s.proven(h, l, why)
	//mutant:vanished-client
	if e.basis == EndSessionTimeout && vanished == LastSign {
		e.time = max(e.earliest, l.opening())
	}
	if e.cause == 0 {
		e.cause = s.cause(e, why)
	}
	e.by = initiator(e, l.whoEnded())
	//mutant:call-broken
	if l.kind == SIPCall && l.hangTime != 0 && l.hangTime <= e.time && l.brokenBefore() {
		broken := explicitEnd(EndWebRTCHangup, l.hangTime, l.hangWord)
		e.cause = s.cause(broken, why)
		broken.cause = e.cause
		e.by = initiator(broken, e.by)
	}
	return e
}

// whoEnded is who ended a leg as far as its plugin tells.
func (l *leg) whoEnded() Initiator {
	if l.by == InitiatorUnknown {
		return l.bye
	}
	return l.by
}

// brokenBefore tells whether the PeerConnection of a call was ended by a failure or an administrator, and nobody had hung
// up before.
func (l *leg) brokenBefore() bool {
	return (abnormal(l.hangWord) || l.hangWord == "Admin API") && (l.byeTime == 0 || l.hangTime <= l.byeTime)
}

// proven is the end that the evidence proves. The own end of the leg tells it to the point. That its handle or session
// was let go says only that it was over by then, unless its last report came with it: Janus sends one at every end of a
// PeerConnection.
func (s *session) proven(h *handle, l *leg, why closeTrigger) ending {
	switch {
	case l.kind == SIPCall && (l.ended || l.hangTime != 0 || l.byeTime != 0):
		e := l.callEnd()
		//mutant:end-of-what-is-carried
		if !l.named() { // what the plugin says then was lost
			if at, _ := l.answer(); l.kind == SIPCall && l.up == 0 && at != 0 {
				e.earliest = min(at, e.time) // nor had it a PeerConnection that came up: that may be another attempt's
			}
			//mutant:unreported-call
			if l.up != 0 && l.reports == 0 && e.time-l.up > longConnect {
				e.earliest = min(l.up, e.time) // nothing shows that it lived
			}
			return l.questionedEnd(e)
		}
		return e
	case l.kind == RoomMembership && l.hangTime != 0 && !l.ended:
		return l.questionedEnd(explicitEnd(EndWebRTCHangup, l.hangTime, l.hangWord))
	case l.ended:
		e := explicitEnd(l.endBasis, l.endedAt, l.endWord)
		e.latest = max(e.latest, l.endLatest)
		return l.questionedEnd(e)
	case l.superseded():
		return l.lastEvidence(l.endLatest)
	//mutant:end-by-detached
	case h.detachedAt != 0:
		return s.letGo(l, h.detachedAt)
	case s.destroyed != 0 && why.until != 0 && together(why.until, s.destroyed):
		// Its id was created again at once: what comes right behind the end, its last report, is not waited for.
		e := explicitEnd(EndSessionDestroyed, s.destroyed, "")
		e.earliest, e.latest = min(l.life, e.time), e.time+togetherSpan
		return e
	case s.timedOut != 0 || s.destroyed != 0:
		// Its `detached` was lost, and what else was nobody knows.
		e := s.letGo(l, max(s.timedOut, s.destroyed))
		e.earliest = min(e.earliest, l.life)
		e.latest = max(e.latest, e.time) + togetherSpan
		return e
	case s.emitterEnd.basis != 0 && why.cause == 0:
		e := l.lastEvidence(s.emitterEnd.time)
		e.basis = s.emitterEnd.basis
		return e
	}
	return l.lastEvidence(why.bound(l.life, l.lifeClock))
}

// lastEvidence is the end of a leg that nobody told and that was over by a moment.
func (l *leg) lastEvidence(latest janus.Micros) ending {
	e := inferredEnd(EndLastEvidence, l.life, latest)
	//mutant:last-sign-in-doubt
	if l.doubt != 0 {
		e.earliest = min(e.earliest, max(l.doubt, l.opening()))
		at, _ := l.answer()
		e.time = max(e.earliest, min(at, e.time))
	}
	return l.widened(e)
}

// widened is the end of a leg at a last evidence that may be another one's, though nothing says so: what it came up with or lived
// by came so late that there was time for its end, and for the setup of the next one.
func (l *leg) widened(e ending) ending {
	//mutant:last-sign-of-what-connected-late
	if l.connectedLate() {
		e.earliest = min(e.earliest, max(l.start, l.answered, l.opening()))
	}
	//mutant:last-sign-of-a-call-up-late
	if l.kind == SIPCall && l.accepted == 0 && l.up-l.start > longConnect {
		e.earliest = min(e.earliest, l.opening())
	}
	//mutant:last-sign-behind-the-reports
	if l.lostLastReport(e.time) {
		e.time = max(l.reported, l.opening())
		e.earliest = min(e.earliest, e.time)
	}
	return e
}

// timedOutWith tells whether what was let go at a moment went with the time-out of the session.
func (s *session) timedOutWith(gone janus.Micros) bool {
	//mutant:let-go-before-the-timeout
	return s.timedOut != 0 && together(gone, s.timedOut) && gone >= s.timedOut-finalSpan
}

// letGo is the end of a leg whose handle was let go at a moment, and of which no event tells the end.
func (s *session) letGo(l *leg, gone janus.Micros) ending {
	var e ending
	switch {
	//mutant:end-with-timeout
	case s.timedOutWith(gone):
		e = s.timeout(l.lastSeenAlive())
	//mutant:end-with-destroyed
	case s.destroyed != 0 && together(gone, s.destroyed):
		e = explicitEnd(EndSessionDestroyed, gone, "")
	default:
		e = explicitEnd(EndHandleDetached, gone, "")
	}
	switch {
	case l.reports == 0: // nothing confirms it
		//mutant:let-go-unconfirmed
		e.earliest = min(e.earliest, l.life)
	//mutant:let-go-without-report
	case gone-l.reported > finalSpan:
		e = inferredEnd(EndLastEvidence, l.life, gone)
		e.cause = CauseInactivity
	}
	return l.questionedEnd(e)
}

// questionedEnd is an end that was told, as far as the reports do not question it.
func (l *leg) questionedEnd(e ending) ending {
	//mutant:end-questioned
	if at := l.questioned(e.time); at != 0 {
		e.earliest = min(e.earliest, at)
		if e.basis == EndLastEvidence { // nobody told it, and what seemed to be evidence is another one's
			e.time = e.earliest
		}
	}
	return e
}

// questioned is when a PeerConnection may have ended before the end that was told, 0 for no doubt. What fills a hole in
// its reports, or before its end, may be the end of one PeerConnection and the beginning of the next, if it is so long that
// the counters of that one could have come where they are.
func (l *leg) questioned(end janus.Micros) janus.Micros {
	if l.named() || l.endBasis == EndPluginEvent {
		return 0
	}
	at := l.mayHaveEnded()
	hole := func(from, span, cadence janus.Micros) {
		if lived := from - max(l.start, l.up); cadence != 0 && 2*span > 7*cadence && 2*span > lived && (at == 0 || from < at) {
			at = from
		}
	}
	//mutant:no-report-at-all
	if up := max(l.start, l.up); l.reports == 0 {
		hole(up, end-up, l.cadence) // others of its session had them
	}
	hole(l.gapFrom, l.gap, l.atMost())
	if l.lostLastReport(end) && (at == 0 || l.reported < at) {
		at = l.reported
	}
	return at
}

// lostLastReport tells whether the last report of a PeerConnection, which comes right before its end, was told so long before that
// the end was lost, or was lost itself and so may have been the end and the setup of another one. Old versions of Janus send it
// behind the hangup, which shows nothing. Nor does it where nothing came for so long that the leg had been given up: that is
// more than some events that were dropped.
func (l *leg) lostLastReport(end janus.Micros) bool {
	tail, cadence := end-l.reported, l.atMost()
	if l.reports == 0 || l.revised > 0 || tail <= finalSpan || cadence == 0 {
		return false
	}
	//mutant:last-report-out-of-turn
	return 2*tail > 3*cadence || 10*l.interval < 9*l.cadence
}

// atMost is what the cadence of the reports is at the most, 0 for not known. The first report comes a period after webrtcup, more or
// less.
func (l *leg) atMost() janus.Micros {
	cadence := least(l.cadence, l.apart())
	//mutant:first-report-in-time
	if l.firstReport != 0 {
		cadence = least(cadence, max(l.firstReport, second))
	}
	return cadence
}

// mayHaveEnded is when a PeerConnection may have ended by what its events and the counters of its reports say, 0 for no doubt.
func (l *leg) mayHaveEnded() janus.Micros {
	at := l.doubt
	earlier := func(from janus.Micros) {
		if at == 0 || from < at {
			at = from
		}
	}
	if !l.ended && l.hangTime == 0 {
		return at
	}
	//mutant:thin
	if l.thin() {
		earlier(max(l.start, l.up))
	}
	//mutant:ended-before-it-connected
	if l.connectedLate() {
		earlier(max(l.start, l.answered))
	}
	return at
}

// fewPackets is how many packets an audio or video stream that flows has at least in a second, but for pauses.
const fewPackets = 15 // a codec sends each 60 ms at the least often

// thin tells whether the first report of a PeerConnection holds much less than what should have flowed since it was up: it may be of
// a later one. Where more than two came, the holes between them tell.
func (l *leg) thin() bool {
	from, found := max(l.start, l.up), false
	if !l.connected() {
		return false
	}
	for i := range l.streams {
		s := &l.streams[i]
		switch {
		case s.count == 0 || s.media == janus.MediaData:
			continue
		case s.before == 0 && s.interval <= finalSpan: // one report, or the last one right behind it
			flowed, lived := max(s.seen.PacketsReceived, s.seen.PacketsSent), s.last-from
			untold := flowed == 0 && s.seen.BytesReceived+s.seen.BytesSent > 0
			if untold || lived < 5*second || flowed*int64(second) >= fewPackets*int64(lived) {
				return false
			}
		case s.before == 0 && s.growth > 0:
			first, lived := s.seen.BytesReceived+s.seen.BytesSent-s.growth, s.last-s.interval-from
			if lived < 5*second || 2*first/s.growth*int64(s.interval) >= int64(lived) {
				return false
			}
		default:
			return false
		}
		found = true
	}
	return found
}

// named tells whether the end of a call or a membership was told by an event that names it, and not by the end of its
// PeerConnection alone.
func (l *leg) named() bool {
	return (l.kind == SIPCall || l.kind == RoomMembership) && (l.ended && l.endBasis != EndWebRTCHangup || l.byeTime != 0)
}

// apart is how far the last reports of a stream lie apart, at most, 0 for not known: the cadence of a PeerConnection of which
// too few came is no more than that. The very last report comes early, so the one before it counts as well.
func (l *leg) apart() (least janus.Micros) {
	for i := range l.streams {
		s := &l.streams[i]
		if most := max(s.before, s.interval); s.before != 0 && (least == 0 || most < least) {
			least = most
		}
	}
	return least
}

// outlivedByServer tells whether a session whose connection had gone with all of its handles was over before its server ended, if that
// did: then it is of no matter whether a tick came between the two.
func (s *session) outlivedByServer() bool {
	//mutant:gone-before-its-server
	return s.emitterEnd.basis == 0 || s.closing && s.transportLostAt != 0 && s.transportLostAt+togetherSpan < s.emitterEnd.time
}

// end says how the session itself ended.
func (s *session) end(why closeTrigger) ending {
	var e ending
	all := s.detached > 0 && s.attached == 0
	switch {
	case s.timedOut != 0:
		sign := s.lastClientActivity
		if s.lastDetached != 0 && !together(s.lastDetached, s.timedOut) && s.lastDetached < s.timedOut {
			sign = max(sign, s.lastDetached)
		}
		e = s.timeout(sign)
	case s.destroyed != 0:
		e = explicitEnd(EndSessionDestroyed, s.destroyed, "")
	//mutant:end-after-shutdown
	case all && (s.lostConnection(s.lastDetached) || s.shutDown(s.lastDetached)):
		e = explicitEnd(EndHandleDetached, s.lastDetached, "")
	case all && s.transportLostAt != 0 && s.lastDetached > s.transportLostAt && s.outlivedByServer() && (why.cause == 0 || why.until != 0):
		e = explicitEnd(EndHandleDetached, s.lastDetached, "")
		e.cause = CauseTransportGone
	case s.emitterEnd.basis != 0 && why.cause == 0 && !(all && s.outlivedByServer()):
		e = inferredEnd(s.emitterEnd.basis, s.lastTime, s.emitterEnd.time)
	case all && s.transportLostAt != 0 && (why.cause == 0 || why.until != 0):
		// The connection went after the handles: the session may have been destroyed before, which we did not see.
		e = inferredEnd(EndLastEvidence, s.lastTime, s.transportLostAt)
		e.cause = CauseTransportGone
	default:
		e = inferredEnd(EndLastEvidence, s.lastTime, why.bound(s.lastTime, s.touched))
	}
	if e.cause == 0 {
		e.cause = s.cause(e, why)
	}
	e.by = initiator(e, InitiatorUnknown)
	return e
}

// timeout is the end by Janus' watchdog: it held the resources until then, and the client may be gone since its last
// sign.
func (s *session) timeout(sign janus.Micros) ending {
	e := explicitEnd(EndSessionTimeout, s.timedOut, "")
	//mutant:timeout-reaches-back
	e.earliest = min(sign, e.time)
	return e
}

// bound is the latest possible end, in the emitter's clock: what closed it, or the last evidence and the partition time
// from that to the deadline.
func (w closeTrigger) bound(last, clock janus.Micros) janus.Micros {
	if w.until != 0 {
		return w.until
	}
	return last + max(w.latest-clock, 0)
}

// together tells whether a handle's end and its session's are one.
func together(a, b janus.Micros) bool { return a-b <= togetherSpan && b-a <= togetherSpan }

// lostConnection tells whether an end came right after the session's connection was lost. An orderly client disconnects
// after it, and a session that was claimed by another connection keeps the old transport id.
func (s *session) lostConnection(at janus.Micros) bool {
	//mutant:lost-connection
	return s.transportLostAt != 0 && at >= s.transportLostAt && at-s.transportLostAt < togetherSpan
}

// shutDown tells whether an end came with the shutdown of the emitter.
func (s *session) shutDown(at janus.Micros) bool {
	return s.emitterEnd.basis == EndEmitterShutdown && at >= s.emitterEnd.time && at-s.emitterEnd.time < shutdownSpan
}

// cause is why the record is closed, answered or not: "How a call ended" in docs/records.md.
func (s *session) cause(e ending, why closeTrigger) Cause {
	switch e.basis {
	//mutant:cause-timeout
	case EndSessionTimeout:
		return CauseSessionTimeout
	case EndEmitterShutdown:
		return CauseEmitterShutdown
	case EndEmitterRestart:
		return CauseEmitterRestart
	case EndLastEvidence:
		if why.cause == 0 {
			return CauseInactivity
		}
		return why.cause
	case EndHandleDetached, EndSessionDestroyed:
		at := e.time
		if e.basis == EndSessionDestroyed {
			at = s.destroyed // the connection of an orderly client may go before its last handle
		}
		switch {
		//mutant:cause-shutdown
		case s.shutDown(e.time):
			return CauseEmitterShutdown
		//mutant:cause-transport-gone
		case s.lostConnection(at):
			return CauseTransportGone
		}
	case EndWebRTCHangup:
		switch {
		//mutant:cause-management
		case e.diagnostics == "Admin API":
			return CauseManagementIntervention
		case abnormal(e.diagnostics):
			return CauseAbnormalRelease
		}
	}
	return CauseNormalRelease
}

// abnormal tells whether a hangup reason of Janus' core is a failure. A DTLS alert is none: it is how a browser closes
// its PeerConnection.
func abnormal(hangup string) bool {
	switch hangup {
	//mutant:ice-failed
	case "ICE failed", "ICE gathering error", "Gathering error", "DTLS-SRTP stack error":
		return true
	//mutant:dtls-alert
	case "DTLS alert":
		return false
	}
	//mutant:dtls-failure
	return strings.HasPrefix(hangup, "DTLS ")
}

// initiator is who ended it, by what told the end; by is what a plugin knows better.
func initiator(e ending, by Initiator) Initiator {
	switch e.basis {
	//mutant:by-timer
	case EndSessionTimeout:
		return ByTimer
	//mutant:by-server
	case EndEmitterShutdown, EndEmitterRestart:
		return ByServer
	}
	switch e.cause {
	//mutant:by-network-of-lost-connection
	case CauseTransportGone:
		return ByNetwork
	case CauseEmitterShutdown:
		return ByServer
	}
	if e.basis == EndWebRTCHangup {
		switch e.diagnostics {
		//mutant:by-local
		case "Janus API", "DTLS alert":
			return ByLocal
		//mutant:by-admin
		case "Admin API":
			return ByAdmin
		case "DTLS timeout":
			return ByTimer
		}
		//mutant:by-network
		if abnormal(e.diagnostics) {
			return ByNetwork
		}
	}
	return by
}

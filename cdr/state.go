package cdr

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"januscdr/janus"
)

// What is kept between records: sessions (or their stubs), emitters and the position of the partition. Each type has
// one walk over its fields, which codec.go uses to write and to read.

// session is one incarnation of a session id on an emitter, or what is left of it.
type session struct {
	emitter string
	id      janus.SessionID

	stub *stub // not nil: the incarnation is closed and reported; nothing else is set unless it sleeps

	incarnation     janus.Micros // timestamp of `created`, or of the first event seen
	shift           janus.Micros // its emitter's timeline.shift then
	steps           int32        // its emitter's timeline.steps, by its last event
	period          janus.Micros // shortest cadence of reports that was seen of its PeerConnections, 0 for none
	basis           IdentityBasis
	firstTime       janus.Micros // smallest timestamp
	lastTime        janus.Micros // largest timestamp
	transport       string
	transportID     string
	transportLostAt janus.Micros // `disconnected` of its transport, 0 for not seen

	firstOffset, lastOffset int64
	events, duplicates      int32
	late                    int32

	touched            janus.Micros // partition clock at the last event
	touchedAlive       janus.Micros // the emitter's alive clock at the last event
	lastClientActivity janus.Micros // last sign of the client, by timestamp

	numbered     int32        // handles that it has had
	attached     int32        // handles that are attached
	detached     int32        // handles that were detached and forgotten or not
	lastDetached janus.Micros // largest timestamp of a `detached`

	destroyed, timedOut janus.Micros // session events that end it
	emitterEnd          emitterEnd   // the emitter's end, which may be its own
	closing             bool         // an end is known: the grace runs
	closeClock          janus.Micros // partition clock when it began to close

	chunks   map[int32]*legChunk // of the list of legs whose final record was emitted: those that are in memory
	listed   int32               // legs in that list
	legCount int32               // these, and those that it has no room for
	leftOut  int32               // legs without a record
	answered int32
	revised  int32 // SESSION records that were emitted of it
	emitted  bool  // a record of this incarnation was emitted: its identity is fixed

	clockSuspect bool
	truncated    bool // something of its own was left out, which all its records have
	cut          bool // something of its legs was left out

	past     []janus.HandleID // the last handles that are gone and forgotten
	newest   janus.Micros     // what its emitter had told when this one began in the middle and long before; 0 for no such one
	goneLegs int32            // most legs of a kind of a handle that is gone
	lostLegs int32            // most legs of a kind of a handle that was not gone and is not kept any more

	version string // of its emitter, by the last `started` before it

	oldHandles []*handle // of a state of version 1: see divide
	oldLegs    []closedLeg
}

// stub is what is left of a session after its SESSION record.
type stub struct {
	incarnation janus.Micros
	last        janus.Micros // its end as it was told, else the largest moment among its events
	silent      bool         // it was closed because nothing told its end: life after it is a new incarnation
	expires     janus.Micros // partition clock
	late        int32
	sleeps      bool // nobody told its end: what comes of it wakes it up, and its records are amended
}

// closedLeg is what a SESSION record says of a leg.
type closedLeg struct {
	id          ID
	start       janus.Micros // by the clock as it was
	answer, end janus.Micros
	basis       AnswerBasis
	beside      bool // it is one call with another leg, which counts
}

// emitterEnd is a core event of the emitter that ends what was open, if nothing shows that it lives on.
type emitterEnd struct {
	basis EndBasis // EndEmitterShutdown, EndEmitterRestart, or 0 for none
	time  janus.Micros
	clock janus.Micros // partition clock when it came
}

// handle is a plugin handle of a session.
type handle struct {
	id            janus.HandleID
	number        int32 // it is the session's number-th
	plugin        string
	opaqueID      string
	detachedAt    janus.Micros // `detached`
	detachedClock janus.Micros // partition clock of `detached`
	last          janus.Micros // largest timestamp of its events
	alive         janus.Micros // the emitter's alive clock at its last event
	attached      bool         // `attached` was seen
	since         janus.Micros // when it was attached, 0 when that was not seen
	ended         bool         // the last PeerConnection's own end was seen

	helper     bool       // of SIP: its account is that of another handle
	refused    int32      // bits of the kinds of which an attempt was left out
	invitation invitation // of the SIP call to come

	account string   // SIP identity, or VideoCall user name
	offered janus.ID // recording whose playout was announced before its PeerConnection

	past    []pastLeg              // the last legs that were reported
	again   janus.Micros           // timestamp of the last event that was told again, 0 for none
	next    [legKinds]int32        // next leg_index, by kind
	lastEnd [legKinds]janus.Micros // end of the last leg that was closed, by kind
	legs    []*leg                 // open, or in their grace
	asleep  []*leg                 // reported, though nobody had told their end

	truncated         bool  // something was left out
	weight, unweighed int32 // bytes of this state when it was measured, and of the events since
}

// pastLeg is what is remembered of a leg that was reported, to know what is told of it again.
type pastLeg struct {
	kind     LegKind
	from, to janus.Micros // timestamps of its start and its end
	up       janus.Micros // timestamp of its webrtcup, 0 for none
	client   uint64       // origin of its client's SDP, 0 for none
	id       uint64       // hash of the Call-ID, or of room and participant; 0 for none
}

// leg is a chargeable unit that is open or waits for late events.
type leg struct {
	kind  LegKind
	index int32

	firstOffset, lastOffset  int64
	events, duplicates, late int32
	first, last              janus.Micros // smallest and largest timestamp of its events

	life           janus.Micros // last evidence that it lives, in the emitter's clock: see evidence.go
	lifeClock      janus.Micros // partition clock when that came
	reported       janus.Micros // timestamp of the last report of its PeerConnection, 0 for none
	reports        int32        // ticks of reports of its PeerConnection
	interval       janus.Micros // span between the last two of these ticks
	intervalBefore janus.Micros // and between the two before
	cadence        janus.Micros // of the reports, by its own and those of its session; 0 while not known
	firstReport    janus.Micros // span from webrtcup to the first of these ticks, 0 for not known
	gap            janus.Micros // longest span without one, since it was up
	gapFrom        janus.Micros // when that began

	start     janus.Micros // its first opening event
	shift     janus.Micros // its emitter's timeline.shift when it began
	noStart   bool         // that was not what opens such a leg; of a PeerConnection: it was its end
	accepted  janus.Micros // what answers it by its plugin: SIP `accepted`, `joined`, `started`
	up        janus.Micros // webrtcup
	evidence  janus.Micros // first event that proves media
	offer     int8         // of the first jsep: 1 by the client, 2 by Janus, 3 it was an answer
	offerTime janus.Micros
	gathered  bool         // ICE gathering was seen: what comes first where jsep events are not sent
	answered  janus.Micros // first answer to an offer
	asked     bool         // the last SDP of it was an offer
	renewed   janus.Micros // last SDP of its client, once it was up
	acted     bool         // something of Janus' side of the PeerConnection was seen
	step      setupStep    // how far the PeerConnection had come, by what was seen
	stepTime  janus.Micros // when it came there
	secured   janus.Micros // DTLS connected
	client    uint64       // hash of the origin (o=) of the client's SDPs, 0 for none
	origins   []uint64     // of other SDPs of it
	amid      bool         // a report opened it, and its PeerConnection may have counted before: see StreamCounters.negative
	doubt     janus.Micros // it may have ended then, and what came after be another one's; 0 for no doubt
	next      *leg         // what may be the next PeerConnection: see succession.go
	foreign   bool         // of such a one: its SDP has another origin than the one before

	role      Role
	direction Direction
	calling   string
	called    string
	display   string
	room      janus.ID
	user      janus.ID
	feeds     []string
	callID    string
	code      int32
	reason    string
	address   string
	local     string
	remote    string
	protocol  string
	pair      janus.Micros // timestamp of the selected pair
	declined  bool
	missed    bool
	bye       Initiator // who sent BYE
	hangWord  string    // VideoCall: reason of the first `hangup`
	hangTime  janus.Micros

	ended      bool // an event of its own told its end
	endBasis   EndBasis
	endedAt    janus.Micros
	endOffset  int64        // of what told it
	endLatest  janus.Micros // it may have lived until then, as its end was told late; 0 if no longer
	byeOffset  int64        // of BYE
	endWord    string
	by         Initiator
	closing    bool
	closeClock janus.Micros

	lastClientActivity janus.Micros // last sign of the client
	streams            []stream
	clockSuspect       bool
	truncated          bool // something was left out
	cut                bool // that was a volume

	ok200     janus.Micros // 200 to the INVITE
	byeTime   janus.Micros // BYE
	early     bool         // `progress` or `progressed` was seen: media may flow before the answer
	twoWay    janus.Micros // first report with media both ways
	dialog    bool         // something was seen that only an established dialog has
	mate      LegKind      // what it is one call with: of a PeerConnection the SIP call that it carries, of others their PeerConnection
	mateIndex int32        // which one of the handle's
	pays      bool         // a partial record was charged though the call was not known

	listed      int32        // its place in its session's list of closed legs, from 1; 0 while it has none
	revised     int32        // records that were emitted of the running part
	saidLife    janus.Micros // its last evidence when the last of them was
	received    janus.Micros // last sign of the client itself: a report that had grown, or what only it can bring about
	partner     int32        // 1 + the index of a call's PeerConnection, of a PeerConnection's membership; 0 for none
	ringing     janus.Micros // 180
	progress    janus.Micros // 183 or early media
	release     int32        // Q.850
	releaseText string
	elsewhere   bool // another phone of the called user has taken it
	referredBy  string
	replaces    string // Call-ID of the call in whose place it came
	private     uint64 // private_id of a VideoRoom participant
	peerParty   string // of a subscriber, to whom the subscription belongs; of VideoCall the other side
	peer        ID     // CDRID of the other side
	hold        hold

	parts       int32 // partial records emitted; what they said of start and answer is fixed
	answerFixed janus.Micros
	basisFixed  AnswerBasis
	partStart   janus.Micros // where the running part begins
	partVolume  int64        // volume of the leg when it began
	cumulative  int64        // duration of the parts
}

// stream is what is known of one medium or layer of a PeerConnection.
type stream struct {
	mid    string
	hasMid bool
	media  janus.Media
	layer  int32
	codec  string

	seen  StreamCounters // as of the last report
	base  StreamCounters // what wraps and resets have taken
	last  janus.Micros   // timestamp of the last report
	count int32          // reports

	firstMedia, lastMedia janus.Micros
	receiving             bool // by the last media state
	slow                  int32
	shortest, longest     janus.Micros // intervals between reports, but for the last one
	interval              janus.Micros // the last one
	before                janus.Micros // the one before
	growth                int64        // bytes, both ways, in the last one
	growthBefore          int64        // and in the one before
	intervals             int32

	gauges [gauges]gauge
}

// StreamCounters are the cumulative counters of a report.
type StreamCounters struct {
	BytesReceived, BytesSent, PacketsReceived, PacketsSent                int64
	Lost, LostByRemote, NACKsReceived, NACKsSent, RetransmissionsReceived int64
}

// The gauges of a stream.
const (
	gaugeRTT = iota
	gaugeJitterLocal
	gaugeJitterRemote
	gaugeInLink
	gaugeOutLink
	gauges
)

// gauge sums up a value that a report shows, weighted by the time since the report before.
type gauge struct {
	known          bool
	min, max, last int64
	sum, time      int64 // value times milliseconds, milliseconds
}

// emitter is what a partition knows of a Janus server.
type emitter struct {
	name    string
	seen    janus.Micros // partition clock at its last event or alive
	alive   janus.Micros // sum of the steps between these, each at most maxStep
	reclaim int64        // reclaim_session_timeout in seconds, by its last `started`
	version string       // version_string of that
	ringing []ring       // offers to callees of VideoCall that no `calling` has followed yet

	timeline timeline
}

func (e *emitter) fields(c *codec) {
	text(c, 2, &e.name)
	num(c, 3, &e.seen)
	num(c, 4, &e.alive)
	num(c, 5, &e.reclaim)
	one(c, 6, e.timeline.fields)
	text(c, 7, &e.version)
	list(c, 8, &e.ringing, func(c *codec, r *ring) { r.fields(c) })
}

func (s *session) fields(c *codec) {
	text(c, 2, &s.emitter)
	num(c, 3, &s.id)
	if c.reading {
		if c.next(4<<1 | 1) {
			s.stub = &stub{}
			nested(c, 4, s.stub.fields)
		}
	} else if s.stub != nil {
		nested(c, 4, s.stub.fields)
		if !s.stub.sleeps {
			return
		}
	}
	when(c, 5, &s.incarnation)
	num(c, 6, &s.basis)
	when(c, 7, &s.firstTime)
	when(c, 8, &s.lastTime)
	text(c, 9, &s.transport)
	text(c, 10, &s.transportID)
	when(c, 11, &s.transportLostAt)
	num(c, 12, &s.firstOffset)
	num(c, 13, &s.lastOffset)
	num(c, 14, &s.events)
	num(c, 15, &s.duplicates)
	num(c, 16, &s.late)
	num(c, 17, &s.touched)
	num(c, 18, &s.touchedAlive)
	when(c, 19, &s.lastClientActivity)
	list(c, 20, &s.oldHandles, func(c *codec, h **handle) {
		if *h == nil {
			*h = &handle{}
		}
		(*h).fields(c)
	})
	num(c, 21, &s.detached)
	when(c, 22, &s.lastDetached)
	when(c, 23, &s.destroyed)
	when(c, 24, &s.timedOut)
	num(c, 25, &s.emitterEnd.basis)
	when(c, 26, &s.emitterEnd.time)
	num(c, 27, &s.emitterEnd.clock)
	flag(c, 28, &s.closing)
	num(c, 29, &s.closeClock)
	list(c, 30, &s.oldLegs, func(c *codec, l *closedLeg) { l.fields(c) })
	num(c, 31, &s.legCount)
	num(c, 32, &s.answered)
	flag(c, 33, &s.emitted)
	flag(c, 34, &s.clockSuspect)
	flag(c, 35, &s.truncated)
	list(c, 38, &s.past, func(c *codec, id *janus.HandleID) { num(c, 1, id) })
	num(c, 39, &s.lostLegs)
	num(c, 41, &s.shift)
	num(c, 42, &s.steps)
	num(c, 43, &s.period)
	num(c, 44, &s.revised)
	text(c, 45, &s.version)
	num(c, 46, &s.leftOut)
	num(c, 47, &s.numbered)
	num(c, 48, &s.attached)
	num(c, 49, &s.listed)
	flag(c, 50, &s.cut)
	num(c, 51, &s.goneLegs)
	when(c, 52, &s.newest)
}

// base is a moment near those of a state.
func (s *session) base() janus.Micros {
	if s.stub != nil {
		return s.stub.last
	}
	return s.lastTime
}

func (h *handle) base() janus.Micros { return h.last }

func (l *closedLeg) fields(c *codec) {
	id := string(l.id[:])
	text(c, 1, &id)
	copy(l.id[:], id)
	num(c, 2, &l.start)
	num(c, 3, &l.answer)
	num(c, 4, &l.end)
	num(c, 5, &l.basis)
	flag(c, 6, &l.beside)
}

func (b *stub) fields(c *codec) {
	when(c, 1, &b.incarnation)
	when(c, 2, &b.last)
	flag(c, 3, &b.silent)
	num(c, 4, &b.expires)
	num(c, 5, &b.late)
	flag(c, 6, &b.sleeps)
}

// The fields of a handle begin at tag 2 where it is a state of its own: tag 1 is the version there. A session of version 1
// has its handles within, and their ids at tag 1.
func (h *handle) fields(c *codec) {
	if c.reading && c.version < 2 {
		num(c, 1, &h.id)
	}
	text(c, 2, &h.plugin)
	text(c, 3, &h.opaqueID)
	when(c, 5, &h.detachedAt)
	num(c, 6, &h.detachedClock)
	when(c, 7, &h.last)
	num(c, 8, &h.alive)
	text(c, 9, &h.account)
	ident(c, 10, &h.offered)
	flag(c, 12, &h.attached)
	flag(c, 13, &h.ended)
	list(c, 14, &h.past, func(c *codec, l *pastLeg) {
		num(c, 1, &l.kind)
		when(c, 2, &l.from)
		when(c, 3, &l.to)
		num(c, 4, &l.id)
		when(c, 5, &l.up)
		num(c, 6, &l.client)
	})
	when(c, 15, &h.again)
	flag(c, 16, &h.helper)
	num(c, 17, &h.refused)
	if c.reading || h.invitation.id != 0 {
		one(c, 18, h.invitation.fields)
	}
	for k := range h.next { // tags 20 to 39: leg kinds that are to come have room
		num(c, 20+2*k, &h.next[k])
		when(c, 21+2*k, &h.lastEnd[k])
	}
	list(c, 40, &h.legs, legFields)
	list(c, 41, &h.asleep, legFields)
	num(c, 42, &h.number)
	num(c, 43, &h.weight)
	num(c, 44, &h.unweighed)
	num(c, 45, &h.id)
	flag(c, 46, &h.truncated)
	when(c, 47, &h.since)
}

func legFields(c *codec, l **leg) {
	if *l == nil {
		*l = c.used.leg()
	}
	(*l).fields(c)
}

func (l *leg) fields(c *codec) {
	num(c, 1, &l.kind)
	num(c, 2, &l.index)
	num(c, 3, &l.firstOffset)
	num(c, 4, &l.lastOffset)
	num(c, 5, &l.events)
	num(c, 6, &l.duplicates)
	num(c, 7, &l.late)
	when(c, 9, &l.first)
	when(c, 10, &l.last)
	when(c, 11, &l.start)
	flag(c, 12, &l.noStart)
	when(c, 13, &l.accepted)
	when(c, 14, &l.up)
	when(c, 15, &l.evidence)
	offer := int32(l.offer)
	num(c, 16, &offer)
	l.offer = int8(offer)
	when(c, 17, &l.offerTime)
	num(c, 18, &l.role)
	num(c, 19, &l.direction)
	text(c, 20, &l.calling)
	text(c, 21, &l.called)
	text(c, 22, &l.display)
	ident(c, 23, &l.room)
	ident(c, 25, &l.user)
	list(c, 27, &l.feeds, func(c *codec, s *string) { text(c, 1, s) })
	text(c, 28, &l.callID)
	num(c, 29, &l.code)
	text(c, 30, &l.reason)
	text(c, 31, &l.address)
	text(c, 32, &l.local)
	text(c, 33, &l.remote)
	text(c, 34, &l.protocol)
	when(c, 35, &l.pair)
	flag(c, 36, &l.declined)
	flag(c, 37, &l.missed)
	num(c, 38, &l.bye)
	text(c, 39, &l.hangWord)
	when(c, 40, &l.hangTime)
	flag(c, 41, &l.ended)
	num(c, 42, &l.endBasis)
	when(c, 43, &l.endedAt)
	text(c, 44, &l.endWord)
	num(c, 45, &l.by)
	flag(c, 46, &l.closing)
	num(c, 47, &l.closeClock)
	//mutant:state-kept
	when(c, 48, &l.lastClientActivity)
	list(c, 49, &l.streams, func(c *codec, s *stream) { s.fields(c) })
	flag(c, 50, &l.clockSuspect)
	flag(c, 51, &l.truncated)
	flag(c, 52, &l.gathered)
	num(c, 53, &l.parts)
	when(c, 54, &l.answerFixed)
	num(c, 55, &l.basisFixed)
	when(c, 56, &l.partStart)
	num(c, 57, &l.partVolume)
	num(c, 58, &l.cumulative)
	l.evidenceFields(c)
}

// evidenceFields are the fields that came after the first format of a state: what proves the times of the leg, and what
// it knows of others. Their tags go on from those before.
func (l *leg) evidenceFields(c *codec) {
	when(c, 60, &l.life)
	num(c, 61, &l.lifeClock)
	when(c, 62, &l.reported)
	num(c, 63, &l.reports)
	num(c, 64, &l.cadence)
	flag(c, 65, &l.acted)
	num(c, 66, &l.step)
	when(c, 67, &l.stepTime)
	when(c, 68, &l.secured)
	list(c, 69, &l.origins, func(c *codec, o *uint64) { num(c, 1, o) })
	if c.reading {
		if c.next(70<<1 | 1) {
			l.next = c.used.leg()
			nested(c, 70, l.next.fields)
		}
	} else if l.next != nil {
		nested(c, 70, l.next.fields)
	}
	flag(c, 71, &l.foreign)
	when(c, 72, &l.ok200)
	when(c, 73, &l.byeTime)
	flag(c, 74, &l.early)
	when(c, 75, &l.twoWay)
	flag(c, 76, &l.dialog)
	num(c, 77, &l.mate)
	flag(c, 78, &l.pays)
	num(c, 79, &l.client)
	when(c, 80, &l.doubt)
	flag(c, 81, &l.amid)
	num(c, 82, &l.mateIndex)
	num(c, 83, &l.interval)
	num(c, 84, &l.gap)
	when(c, 85, &l.gapFrom)
	num(c, 86, &l.shift)
	num(c, 87, &l.intervalBefore)
	num(c, 88, &l.revised)
	when(c, 89, &l.saidLife)
	when(c, 90, &l.received)
	num(c, 91, &l.partner)
	when(c, 92, &l.ringing)
	when(c, 93, &l.progress)
	num(c, 94, &l.release)
	text(c, 95, &l.releaseText)
	flag(c, 96, &l.elsewhere)
	text(c, 97, &l.referredBy)
	text(c, 98, &l.replaces)
	num(c, 99, &l.private)
	text(c, 100, &l.peerParty)
	if c.reading || l.hold != (hold{}) {
		one(c, 101, l.hold.fields)
	}
	if c.reading || l.peer != (ID{}) {
		id := string(l.peer[:])
		text(c, 102, &id)
		copy(l.peer[:], id)
	}
	num(c, 103, &l.listed)
	flag(c, 104, &l.cut)
	when(c, 105, &l.answered)
	flag(c, 106, &l.asked)
	when(c, 107, &l.renewed)
	num(c, 108, &l.endOffset)
	num(c, 109, &l.byeOffset)
	num(c, 110, &l.firstReport)
	when(c, 111, &l.endLatest)
}

func (s *stream) fields(c *codec) {
	text(c, 1, &s.mid)
	flag(c, 2, &s.hasMid)
	num(c, 3, &s.media)
	num(c, 4, &s.layer)
	text(c, 5, &s.codec)
	one(c, 6, s.seen.fields)
	one(c, 7, s.base.fields)
	when(c, 8, &s.last)
	num(c, 9, &s.count)
	when(c, 10, &s.firstMedia)
	when(c, 11, &s.lastMedia)
	num(c, 12, &s.slow)
	num(c, 13, &s.shortest)
	num(c, 14, &s.longest)
	num(c, 15, &s.interval)
	num(c, 16, &s.intervals)
	num(c, 17, &s.before)
	num(c, 18, &s.growth)
	flag(c, 19, &s.receiving)
	for i := range s.gauges {
		if g := &s.gauges[i]; c.reading || g.known {
			one(c, 20+i, g.fields)
		}
	}
	num(c, 30, &s.growthBefore)
}

func (n *StreamCounters) fields(c *codec) {
	num(c, 1, &n.BytesReceived)
	num(c, 2, &n.BytesSent)
	num(c, 3, &n.PacketsReceived)
	num(c, 4, &n.PacketsSent)
	num(c, 5, &n.Lost)
	num(c, 6, &n.LostByRemote)
	num(c, 7, &n.NACKsReceived)
	num(c, 8, &n.NACKsSent)
	num(c, 9, &n.RetransmissionsReceived)
}

func (g *gauge) fields(c *codec) {
	flag(c, 1, &g.known)
	num(c, 2, &g.min)
	num(c, 3, &g.max)
	num(c, 4, &g.last)
	num(c, 5, &g.sum)
	num(c, 6, &g.time)
}

// ident is a field of an id; it takes two tags.
func ident(c *codec, tag int, id *janus.ID) {
	text(c, tag, &id.Text)
	flag(c, tag+1, &id.Quoted)
}

// position is how far a partition has come.
type position struct {
	next  int64 // next input offset
	clock clock
	local int64 // local_record_sequence_number of the next record
	told  told
}

func (p *position) fields(c *codec) {
	num(c, 2, &p.next)
	one(c, 3, p.clock.fields)
	num(c, 4, &p.local)
	p.told.fields(c)
}

// PositionOf reads the state of a partition that says how far the fold has come: the next offset to read, and the one up
// to which records are out, which is not before it.
func PositionOf(value []byte) (next, told int64, err error) {
	var p position
	err = decode(value, p.fields)
	return p.next, max(p.next, p.told.next), err
}

// The keys of states: a kind byte, then the length-prefixed emitter, then the session id.
const (
	positionKey   = "p"
	emitterPrefix = "e"
	sessionPrefix = "s"
)

func emitterKey(emitter string) []byte {
	return append(binary.AppendUvarint([]byte(emitterPrefix), uint64(len(emitter))), emitter...)
}

func sessionKey(emitter string, id janus.SessionID) []byte { return appendSessionKey(nil, emitter, id) }

func appendSessionKey(b []byte, emitter string, id janus.SessionID) []byte {
	b = append(binary.AppendUvarint(append(b, sessionPrefix...), uint64(len(emitter))), emitter...)
	return binary.BigEndian.AppendUint64(b, uint64(id))
}

// keep is a copy of a string of an event that may be put into a state: events alias the record they came in. It is cut
// at maxText, with a hash of the whole at its end, and cut says so.
func keep(s string, cut *bool) string {
	if shorten(&s, maxText) {
		*cut = true
		return s
	}
	*cut = *cut || len(s) > maxText-utf8.UTFMax && cutHash(s) != ""
	return strings.Clone(s)
}

package janustest

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"januscdr/cdr"
	"januscdr/ingest"
)

const (
	echoTest  = "janus.plugin.echotest"
	videoRoom = "janus.plugin.videoroom"

	audio = webrtc.RTPCodecTypeAudio
	video = webrtc.RTPCodecTypeVideo
)

// The stories share a site and a Janus, so they are told at once; the last one ends the Janus.
func TestEachCallOfARealJanusHasItsRecord(t *testing.T) {
	if lack != "" {
		t.Skip(lack)
	}
	site := startSite(t)
	server := startJanus(t, ingest.JanusConfig([]ingest.Source{site.events}, "127.0.0.1"))

	t.Run("calls", func(t *testing.T) {
		t.Run("a call that is hung up", func(t *testing.T) { hungUp(t, site) })
		t.Run("two calls on one handle", func(t *testing.T) { twice(t, site) })
		t.Run("a call that ends with its handle", func(t *testing.T) { detached(t, site) })
		t.Run("a caller who vanishes", func(t *testing.T) { vanished(t, site) })
		t.Run("a room of three", func(t *testing.T) { meeting(t, site) })
	})
	t.Run("a call that ends with its server", func(t *testing.T) { shutDown(t, site, server) })

	t.Run("each event counts once", func(t *testing.T) {
		events, parked := site.count(t)
		equal(t, "the number of parked events", parked, 0)
		equal(t, "the number of events in all SESSION records", site.counted(), events)
	})
}

// echo calls the echo test.
func echo(t *testing.T, h *handle) *call {
	t.Helper()
	return h.offer(t, map[string]any{"audio": true}, audio)
}

func hungUp(t *testing.T, site *site) {
	t.Parallel()
	c := newClient(t)
	call := echo(t, c.attach(t, echoTest, "bill 1"))
	call.talk(t, 4*time.Second)
	call.hears(audio, call.sent(audio))
	call.ended = call.hangUp(t)
	destroyed := c.destroy(t)

	legs, summary := site.session(t, c)
	r := call.leg(t, legs, 0)
	equal(t, "role", r.Role, cdr.Peer)
	equal(t, "opaque_id", r.OpaqueID, "bill 1")
	told(t, r, cdr.EndWebRTCHangup)
	equal(t, "diagnostics", r.Diagnostics, "Janus API")
	equal(t, "disconnect_initiator", r.DisconnectInitiator, cdr.ByLocal)
	equal(t, "interim_missing", r.InterimMissing, cdr.InterimNo)
	call.echoed(t, r)
	c.summary(t, legs, summary, 1, destroyed)
	told(t, summary, cdr.EndSessionDestroyed)
}

func twice(t *testing.T, site *site) {
	t.Parallel()
	c := newClient(t)
	h := c.attach(t, echoTest, "bill 2")
	var calls []*call
	for range 2 {
		h.released(t)
		call := echo(t, h)
		call.talk(t, time.Second)
		call.hears(audio, call.sent(audio))
		call.ended = call.hangUp(t)
		calls = append(calls, call)
	}
	destroyed := c.destroy(t)

	legs, summary := site.session(t, c)
	for i, call := range calls {
		r := call.leg(t, legs, int32(i))
		told(t, r, cdr.EndWebRTCHangup)
		call.echoed(t, r) // of this call alone
	}
	c.summary(t, legs, summary, 2, destroyed)
	equal(t, "max_concurrent_legs", summary.MaxConcurrentLegs, 1)
}

func detached(t *testing.T, site *site) {
	t.Parallel()
	c := newClient(t)
	call := echo(t, c.attach(t, echoTest, "bill 3"))
	call.talk(t, 2*time.Second)
	call.hears(audio, call.sent(audio))
	call.ended = call.detach(t)
	site.await(t, c, cdr.Leg) // billing does not wait for the session, and this end is not that of the session
	destroyed := c.destroy(t)

	legs, summary := site.session(t, c)
	r := call.leg(t, legs, 0)
	told(t, r, cdr.EndHandleDetached)
	call.echoed(t, r)
	c.summary(t, legs, summary, 1, destroyed)
	told(t, summary, cdr.EndSessionDestroyed)
}

func vanished(t *testing.T, site *site) {
	t.Parallel()
	c := newClient(t)
	call := echo(t, c.attach(t, echoTest, "bill 4"))
	call.talk(t, 3*time.Second)
	call.hears(audio, call.sent(audio))
	last := c.vanish(t)
	// Janus looks every 2 s, and 1.1.2 once more before it acts.
	call.ended = span{last.from.Add(sessionTimeout), last.to.Add(sessionTimeout + 4*time.Second + slack)}

	legs, summary := site.session(t, c)
	r := call.leg(t, legs, 0)
	for _, r := range []cdr.Record{r, summary} {
		equal(t, "end_basis", r.EndBasis, cdr.EndSessionTimeout)
		equal(t, "cause_for_record_closing", r.CauseForRecordClosing, cdr.CauseSessionTimeout)
		equal(t, "disconnect_initiator", r.DisconnectInitiator, cdr.ByTimer)
		equal(t, "confidence", r.Confidence, cdr.Bounded)
		equal(t, "end_latest_time", r.EndLatestTime, r.EndTime)
	}
	// The caller fell silent in the interval of the record, which reaches no further back than it must.
	between(t, "end_earliest_time", int64(r.EndEarliestTime), call.talked.to.Add(-2*statsPeriod-time.Second).UnixMicro(),
		call.talked.to.UnixMicro())
	call.echoed(t, r)
	c.summary(t, legs, summary, 1, call.ended)
}

func shutDown(t *testing.T, site *site, server *server) {
	c := newClient(t)
	call := echo(t, c.attach(t, echoTest, "bill 5"))
	call.talk(t, 2*time.Second)
	call.hears(audio, call.sent(audio))
	heard := time.Now()
	stopped := server.stop(t)
	call.ended = span{call.talked.from, stopped.to} // at the last evidence

	legs, summary := site.session(t, c)
	r := call.leg(t, legs, 0)
	equal(t, "end_basis", r.EndBasis, cdr.EndEmitterShutdown)
	equal(t, "cause_for_record_closing", r.CauseForRecordClosing, cdr.CauseEmitterShutdown)
	equal(t, "disconnect_initiator", r.DisconnectInitiator, cdr.ByServer)
	equal(t, "end_missing", r.EndMissing, true)
	equal(t, "end_earliest_time", r.EndEarliestTime, r.EndTime)
	between(t, "end_time", int64(r.EndTime), heard.Add(-statsPeriod-time.Second).UnixMicro(), stopped.to.UnixMicro())
	stopped.contains(t, "end_latest_time", r.EndLatestTime)
	equal(t, "the leg count", summary.LegCount, 1)
	equal(t, "end_basis of the session", summary.EndBasis, cdr.EndEmitterShutdown)
}

// A participant is a client in a room: it publishes on one handle and subscribes to the others on a second one.
type participant struct {
	*client
	id       int
	name     string
	joined   span
	left     span
	pub, sub *call
	feeds    []string
}

// isIn compares what the records say of a participant and of the room.
func (p *participant) isIn(t *testing.T, room int, legs []cdr.Record, pub, sub cdr.Record) {
	t.Helper()
	equal(t, "role of who publishes", pub.Role, cdr.Publisher)
	equal(t, "participant_id of who publishes", pub.ParticipantID, strconv.Itoa(p.id))
	equal(t, "display_name of who publishes", pub.DisplayName, p.name)
	equal(t, "feeds of who publishes", fmt.Sprint(pub.Feeds), "[]")
	equal(t, "role of who subscribes", sub.Role, cdr.Subscriber)
	equal(t, "feeds of who subscribes", fmt.Sprint(sub.Feeds), fmt.Sprint(p.feeds))

	member := legOf(t, legs, cdr.RoomMembership, p.pub.handle, 0)
	equal(t, "role of a member", member.Role, cdr.Member)
	equal(t, "participant_id of a member", member.ParticipantID, strconv.Itoa(p.id))
	equal(t, "display_name of a member", member.DisplayName, p.name)
	equal(t, "answer_basis of a member", member.AnswerBasis, cdr.AnswerJoined)
	equal(t, "chargeable of a member", member.Chargeable, false)
	p.joined.contains(t, "start_time of "+p.name, member.StartTime)
	p.left.contains(t, "end_time of "+p.name, member.EndTime)
	equal(t, "duration of a member", member.Duration, int64(member.EndTime-member.StartTime))
	told(t, member, cdr.EndPluginEvent)
	for _, r := range []cdr.Record{pub, sub, member} {
		equal(t, "room_id", r.RoomID, strconv.Itoa(room))
	}
}

func meeting(t *testing.T, site *site) {
	t.Parallel()
	const room = 4711
	host := newClient(t)
	host.attach(t, videoRoom, "host").send(t, map[string]any{
		"request": "create", "room": room, "publishers": 3, "audiocodec": "opus", "videocodec": "vp8",
	}, nil)

	ada, bob := &participant{id: 1001, name: "Ada"}, &participant{id: 1002, name: "Bob"}
	cem := &participant{id: 1003, name: "Cem"}
	all := []*participant{ada, bob, cem}
	for _, p := range all {
		p.client = newClient(t)
		h := p.attach(t, videoRoom, p.name+" publishes")
		at := time.Now()
		m, _ := h.send(t, map[string]any{"request": "join", "ptype": "publisher", "room": room, "id": p.id,
			"display": p.name}, nil)
		p.joined = span{at, m.seen}
		p.pub = h.offer(t, map[string]any{"request": "publish"}, audio, video)
	}
	for _, p := range all {
		var streams []map[string]any
		for _, other := range all {
			if other != p {
				streams = append(streams, map[string]any{"feed": other.id})
				p.feeds = append(p.feeds, strconv.Itoa(other.id))
			}
		}
		p.sub = p.attach(t, videoRoom, p.name+" subscribes").accept(t,
			map[string]any{"request": "join", "ptype": "subscriber", "room": room, "streams": streams},
			map[string]any{"request": "start"})
	}
	var talking sync.WaitGroup
	for _, p := range all {
		talking.Go(func() { p.pub.talk(t, 3*time.Second) })
	}
	talking.Wait()
	sent := map[webrtc.RTPCodecType]int64{}
	for _, kind := range []webrtc.RTPCodecType{audio, video} {
		for _, p := range all {
			sent[kind] += p.pub.sent(kind)
		}
		for _, p := range all {
			p.sub.hears(kind, sent[kind]-p.pub.sent(kind))
		}
	}

	// Ada leaves in order, Bob hangs up and then detaches, Cem closes the browser tab.
	at := time.Now()
	m, _ := ada.pub.send(t, map[string]any{"request": "leave"}, nil)
	ada.left = span{at, m.seen}
	ada.sub.ended = ada.sub.hangUp(t)
	ada.pub.ended = ada.pub.hangUp(t)
	adaGone := ada.destroy(t)
	bob.sub.ended = bob.sub.hangUp(t)
	bob.pub.ended = bob.pub.hangUp(t)
	bob.left = bob.pub.detach(t)
	bobGone := bob.destroy(t)
	cemGone := cem.destroy(t)
	cem.left = span{cemGone.from, cemGone.to.Add(slack)} // Janus answers first
	cem.pub.ended, cem.sub.ended = cem.left, cem.left
	host.destroy(t)

	for _, p := range all {
		legs, summary := site.session(t, p.client)
		pub, sub := p.pub.leg(t, legs, 0), p.sub.leg(t, legs, 0)
		p.isIn(t, room, legs, pub, sub)
		p.pub.carried(t, pub, 1, "received", func(kind webrtc.RTPCodecType) (least, most int64) {
			for _, other := range all { // what another heard of all, less what all others sent, came from here for sure
				if other != p {
					least = max(least, other.sub.hears(kind, 0)-(sent[kind]-p.pub.sent(kind)-other.pub.sent(kind)))
				}
			}
			return least, p.pub.sent(kind)
		})
		p.sub.carried(t, sub, 2, "sent", func(kind webrtc.RTPCodecType) (least, most int64) {
			return p.sub.hears(kind, 0), sent[kind] - p.pub.sent(kind)
		})

		basis := cdr.EndWebRTCHangup
		gone := adaGone
		switch p {
		case bob:
			gone = bobGone
		case cem:
			gone, basis = cemGone, cdr.EndSessionDestroyed
		}
		told(t, pub, basis)
		told(t, sub, basis)
		p.summary(t, legs, summary, 3, gone)
		equal(t, "max_concurrent_legs", summary.MaxConcurrentLegs, 2)
	}

	legs, summary := site.session(t, host)
	equal(t, "the number of legs of the host, who only made the room", len(legs), 0)
	equal(t, "leg_count of the host", summary.LegCount, 0)
	equal(t, "disposition of the host", summary.Disposition, cdr.DispositionUnknown)
}

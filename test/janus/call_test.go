package janustest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// A call is one PeerConnection of a handle, and what its caller knows of it.
type call struct {
	*handle
	pc     *webrtc.PeerConnection
	tracks []*track

	started  span // the offer
	answered span // from then on media can flow
	talked   span // from the first packet sent to the last
	ended    span // its record should end in it; set by the story

	mu      sync.Mutex
	heard   map[webrtc.RTPCodecType]int64 // packets received
	changed chan struct{}                 // closed and replaced at each packet
}

// A track is a medium that the caller sends.
type track struct {
	*webrtc.TrackLocalStaticRTP
	every   time.Duration // between packets
	clock   uint32        // RTP time of a packet
	payload []byte
	sent    int64 // packets
}

// What a medium is made of: Opus silence, and the first bytes of a VP8 key frame.
func newTrack(t *testing.T, kind webrtc.RTPCodecType) *track {
	t.Helper()
	tr := &track{every: 20 * time.Millisecond, clock: 960, payload: []byte{0xf8, 0xff, 0xfe}}
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	if kind == webrtc.RTPCodecTypeVideo {
		tr = &track{every: 40 * time.Millisecond, clock: 3600,
			payload: []byte{0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00}}
		codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	}
	var err error
	if tr.TrackLocalStaticRTP, err = webrtc.NewTrackLocalStaticRTP(codec, kind.String(), "caller"); err != nil {
		t.Fatal(err)
	}
	return tr
}

// newCall makes a PeerConnection at the callers' end of the cable.
func newCall(t *testing.T, h *handle) *call {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetInterfaceFilter(func(name string) bool { return name == callerInterface })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &call{handle: h, pc: pc, heard: map[webrtc.RTPCodecType]int64{}, changed: make(chan struct{})}
	var listening sync.WaitGroup
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { listening.Go(func() { c.listen(remote) }) })
	t.Cleanup(func() {
		if err := pc.Close(); err != nil {
			t.Errorf("close the caller's end: %v", err)
		}
		listening.Wait()
	})
	return c
}

// offer calls: the caller offers media of these kinds, and Janus answers. It returns when media can flow.
func (h *handle) offer(t *testing.T, body map[string]any, kinds ...webrtc.RTPCodecType) *call {
	t.Helper()
	c := newCall(t, h)
	for _, kind := range kinds {
		tr := newTrack(t, kind)
		sender, err := c.pc.AddTrack(tr)
		if err != nil {
			t.Fatal(err)
		}
		go func() { // the reports of Janus must be read for the interceptors to see them; ends with the PeerConnection
			for b := make([]byte, 1500); ; {
				if _, _, err := sender.Read(b); err != nil {
					return
				}
			}
		}()
		c.tracks = append(c.tracks, tr)
	}
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	m, taken := h.send(t, body, c.local(t, offer))
	if m.JSEP == nil {
		t.Fatalf("offer %v: no answer in %s", body, m.PluginData.Data)
	}
	c.started = taken
	at := time.Now() // there can be no handshake before we know whom to expect
	c.remote(t, m.JSEP)
	c.answered = span{at, h.await(t, "webrtcup", "").seen.Add(slack)}
	return c
}

// accept is called: Janus offers in its answer to the body, and the caller answers with the body of then. It returns
// when media can flow.
func (h *handle) accept(t *testing.T, body, then map[string]any) *call {
	t.Helper()
	c := newCall(t, h)
	at := time.Now()
	m, _ := h.send(t, body, nil)
	if m.JSEP == nil {
		t.Fatalf("send %v: no offer in %s", body, m.PluginData.Data)
	}
	c.started = span{at, m.seen}
	c.remote(t, m.JSEP)
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	local := c.local(t, answer)
	at = time.Now()
	h.send(t, then, local)
	c.answered = span{at, h.await(t, "webrtcup", "").seen.Add(slack)}
	return c
}

// local sets our description and returns it with all candidates in it.
func (c *call) local(t *testing.T, d webrtc.SessionDescription) *description {
	t.Helper()
	gathered := webrtc.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gathered:
	case <-time.After(patience):
		t.Fatal("gather the caller's candidates: it does not end")
	}
	return &description{Type: d.Type.String(), SDP: c.pc.LocalDescription().SDP}
}

func (c *call) remote(t *testing.T, d *description) {
	t.Helper()
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.NewSDPType(d.Type),
		SDP: d.SDP}); err != nil {
		t.Fatalf("take what janus offers or answers: %v", err)
	}
}

// talk sends media for a while.
func (c *call) talk(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	c.talked.from = time.Now()
	var work sync.WaitGroup
	for _, tr := range c.tracks {
		work.Go(func() {
			if err := tr.send(ctx); err != nil {
				t.Errorf("send %s: %v", tr.Kind(), err)
			}
		})
	}
	work.Wait()
	c.talked.to = time.Now()
}

// send sends packets until the context ends.
func (tr *track) send(ctx context.Context) error {
	tick := time.NewTicker(tr.every)
	defer tick.Stop()
	for {
		n := uint32(tr.sent)
		packet := &rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: true, SequenceNumber: uint16(1000 + n), Timestamp: n * tr.clock},
			Payload: tr.payload,
		}
		if err := tr.WriteRTP(packet); err != nil {
			return err
		}
		tr.sent++
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// listen counts what comes.
func (c *call) listen(remote *webrtc.TrackRemote) {
	for {
		if _, _, err := remote.ReadRTP(); err != nil {
			return
		}
		c.mu.Lock()
		c.heard[remote.Kind()]++
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// hears waits until n packets of a medium have come. A network may lose some, even this one: after a while it returns
// what there is.
func (c *call) hears(kind webrtc.RTPCodecType, n int64) int64 {
	deadline := time.After(3 * time.Second)
	for {
		c.mu.Lock()
		heard, changed := c.heard[kind], c.changed
		c.mu.Unlock()
		if heard >= n {
			return heard
		}
		select {
		case <-changed:
		case <-deadline:
			return heard
		}
	}
}

// sent are the packets of a medium that the caller sent.
func (c *call) sent(kind webrtc.RTPCodecType) int64 {
	for _, tr := range c.tracks {
		if tr.Kind() == kind {
			return tr.sent
		}
	}
	panic(errors.New("no track of this kind"))
}

package cdr

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"januscdr/internal/fixtures/recordings"
	"januscdr/janus"
)

// The recordings come with what their client program knows to be true. These tests hold the records against it, as an
// auditor would who has only the clients' diaries: every session, call and stay exactly once, when it began, was
// answered and ended, who took part, and how much was carried.

// sameMoment is how far the client's reading of a moment and Janus' may lie apart.
const sameMoment = 50 * millisecond

// diary is what the client program wrote down. Numbers that are ids may be strings in some recordings.
type diary struct {
	Sessions []sessionDiary
	Calls    []callDiary
	Timeline []entry
}

type sessionDiary struct {
	Client    string
	ID        json.Number  `json:"session_id"`
	Emitter   string       `json:"emitter"`
	Transport string       `json:"transport"`
	Created   janus.Micros `json:"created_us"`
	Ended     janus.Micros `json:"ended_us"`
	End       string
	Handles   []handleDiary
}

type handleDiary struct {
	ID       json.Number `json:"handle_id"`
	Plugin   string
	OpaqueID string       `json:"opaque_id"`
	Attached janus.Micros `json:"attached_us"`
	Ended    janus.Micros `json:"ended_us"`
	End      string
	PCs      []pcDiary `json:"peerconnections"`
}

type pcDiary struct {
	Role        string
	OfferBy     string       `json:"offer_by"`
	First       janus.Micros `json:"first_sdp_us"`
	Connected   janus.Micros `json:"client_connected_us"`
	Up          janus.Micros `json:"webrtcup_event_us"`
	HangupEvent janus.Micros `json:"hangup_event_us"`
	Ended       janus.Micros `json:"ended_us"`
	End         string
	Sent        trafficDiary
	Received    trafficDiary
}

type trafficDiary map[string]struct {
	Packets int64
	Bytes   int64 `json:"rtp_bytes"`
	Dropped int64 `json:"dropped_before_send"`
}

// entry is one line of the diary's timeline.
type entry struct {
	Action  string
	Actor   string
	At      janus.Micros `json:"t_us"`
	Reply   janus.Micros `json:"reply_us"`
	Handle  json.Number  `json:"handle_id"`
	Session json.Number  `json:"session_id"`
	Plugin  string
	Error   any
	Body    request
	Message request // over a data channel
	Answer  struct {
		ID    flexible
		Error json.Number `json:"error_code"`
	} `json:"reply"`
}

type request struct {
	Request  string
	TextRoom string
	PType    string
	Room     flexible
	ID       flexible
	Username string
	Display  string
	Streams  []struct{ Feed flexible }
}

// flexible is an id: a number or a string.
type flexible string

func (f *flexible) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		*f = flexible(b)
		return nil
	}
	return json.Unmarshal(b, (*string)(f))
}

// lossy are the recordings in which events were lost on the way to the log.
var lossy = []string{"1.1-i_outage", "1.1-m_gzip"}

// audit compares the records of one recording with its diary.
type audit struct {
	*testing.T
	name    string
	lossy   bool
	diary   diary
	records []Record
	taken   map[ID]bool               // legs that stand for something in the diary
	signs   map[string][]janus.Micros // what the log has of each handle
}

func TestTheRecordsTellWhatTheClientsKnow(t *testing.T) {
	eachRecording(t, func(t *testing.T, name string, log []Input) {
		a := &audit{T: t, name: name, lossy: slices.Contains(lossy, name), taken: map[ID]bool{}, signs: map[string][]janus.Micros{}}
		if err := json.Unmarshal(recordings.Truth(name), &a.diary); err != nil {
			t.Fatal(err)
		}
		var parser janus.Parser
		for _, in := range log {
			if e, err := parser.Parse(in.Value); err == nil && e.Session != 0 {
				at := e.Session.String() + "/" + e.Handle.String()
				a.signs[at] = append(a.signs[at], e.Time)
			}
		}
		a.records = mustRun(t, play{}, log).records
		for i := range a.diary.Sessions {
			a.session(&a.diary.Sessions[i])
		}
		a.calls()
		a.stays()
		for i := range a.records {
			if r := &a.records[i]; r.RecordType == Leg && !a.taken[r.CDRID] {
				a.Errorf("session %s, handle %s: a %v from %d that no client knows of", r.SessionID, r.HandleID, r.LegKind, r.StartTime)
			}
		}
	})
}

// of are the records of a handle, or with handle "" the SESSION records, in the order of their starts.
func (a *audit) of(session, handle json.Number, kind LegKind) (found []*Record) {
	for i := range a.records {
		if r := &a.records[i]; r.SessionID == session.String() && r.HandleID == handle.String() && r.LegKind == kind {
			found = append(found, r)
		}
	}
	slices.SortStableFunc(found, func(x, y *Record) int { return int(min(max(x.StartTime-y.StartTime, -1), 1)) })
	return found
}

// survives tells whether the log has an event of a handle in a span.
func (a *audit) survives(session, handle json.Number, from, to janus.Micros) bool {
	if handle == "" {
		handle = "0"
	}
	return slices.ContainsFunc(a.signs[session.String()+"/"+handle.String()], func(at janus.Micros) bool {
		return at >= from-sameMoment && at <= to+sameMoment
	})
}

func near(x, y janus.Micros) bool { return x != 0 && y != 0 && x-y <= sameMoment && y-x <= sameMoment }

// within tells whether a moment lies in a span, give or take.
func within(x, from, to janus.Micros) bool { return x >= from-sameMoment && x <= to+sameMoment }

func (a *audit) session(s *sessionDiary) {
	what := fmt.Sprintf("%s, session %s", s.Client, s.ID)
	all := a.of(s.ID, "", LegKindUnknown)
	if len(all) != 1 {
		survivors := 0
		for at := range a.signs {
			if strings.HasPrefix(at, s.ID.String()+"/") {
				survivors++
			}
		}
		if len(all) > 1 || survivors > 0 {
			a.Errorf("%s has %d SESSION records", what, len(all))
		}
		return
	}
	r := all[0]
	if r.Emitter != s.Emitter {
		a.Errorf("%s is on %q, not %q", what, r.Emitter, s.Emitter)
	}
	if want := map[string]string{"ws": "janus.transport.websockets", "http": "janus.transport.http"}[s.Transport]; r.Transport != want && !r.StartMissing {
		a.Errorf("%s came over %q, not %q", what, r.Transport, want)
	}
	if !near(r.StartTime, s.Created) && !(r.StartMissing && r.StartTime > s.Created) {
		a.Errorf("%s starts at %d, the client says %d", what, r.StartTime, s.Created)
	}
	if s.Ended != 0 && !within(s.Ended, r.EndEarliestTime, r.EndLatestTime) && !gaveNotice(s.End) {
		a.Errorf("%s ends between %d and %d, the client says %d (%s)", what, r.EndEarliestTime, r.EndLatestTime, s.Ended, s.End)
	}
	if s.End == "destroy" && !r.EndMissing && r.EndBasis != EndSessionDestroyed {
		a.Errorf("%s was destroyed, and ends by %v", what, r.EndBasis)
	}
	for i := range s.Handles {
		h := &s.Handles[i]
		a.peerConnections(s, h)
	}
}

// gaveNotice tells whether Janus learned of an end later than the client made it, or earlier than it noted it.
func gaveNotice(end string) bool {
	for _, word := range []string{"dropped", "killed", "vanished", "stopped", "dead", "timeout"} {
		if strings.Contains(end, word) {
			return true
		}
	}
	return false
}

// peerConnections matches the PeerConnections of a handle with its legs, in the order of time.
func (a *audit) peerConnections(s *sessionDiary, h *handleDiary) {
	legs := a.of(s.ID, h.ID, PeerConnection)
	for i := range h.PCs {
		pc := &h.PCs[i]
		what := fmt.Sprintf("%s, handle %s, %s", s.Client, h.ID, pc.Role)
		ended := pc.Ended
		if ended == 0 {
			ended = h.Ended
		}
		var found []*Record
		for _, r := range legs {
			if r.StartTime <= ended+sameMoment && r.EndTime >= pc.First-sameMoment && !a.taken[r.CDRID] {
				found = append(found, r)
			}
		}
		if len(found) == 0 {
			if a.survives(s.ID, h.ID, pc.First, ended) {
				a.Errorf("%s: its PeerConnection from %d has no leg", what, pc.First)
			}
			continue
		}
		r := found[0]
		a.taken[r.CDRID] = true
		a.identity(what, r, h)
		a.moments(what, r, h, pc, ended)
		a.traffic(what, r, pc)
		a.companion(what, r, s, h, pc)
	}
	for _, r := range legs { // an attempt that the client refused, or that never reached it
		if !a.taken[r.CDRID] && r.AnswerTime == 0 && (h.Plugin == janus.PluginSIP || h.Plugin == janus.PluginVideoCall) {
			a.taken[r.CDRID] = true
		}
	}
}

func (a *audit) identity(what string, r *Record, h *handleDiary) {
	if r.Plugin != h.Plugin && (r.Plugin != "" || !a.lossy) {
		a.Errorf("%s: plugin %q, not %q", what, r.Plugin, h.Plugin)
	}
	if r.OpaqueID != h.OpaqueID {
		a.Errorf("%s: opaque id %q, not %q", what, r.OpaqueID, h.OpaqueID)
	}
}

// wordsOfRoles are the roles by how the diary begins to name them.
var wordsOfRoles = []struct {
	word string
	role Role
}{{"echo", Peer}, {"nosip", Peer}, {"publisher", Publisher}, {"subscriber", Subscriber}, {"audiobridge", Member}, {"textroom", Member}, {"viewer", Viewer},
	{"recorder", Recorder}, {"player", Player}, {"videocall caller", Caller}, {"videocall callee", Callee}, {"sip outgoing", Caller}, {"sip incoming", Callee}}

func (a *audit) moments(what string, r *Record, h *handleDiary, pc *pcDiary, ended janus.Micros) {
	for _, w := range wordsOfRoles {
		if strings.HasPrefix(pc.Role, w.word) && r.Role != w.role && !r.StartMissing {
			a.Errorf("%s: role %v", what, r.Role)
		}
	}
	byJanus := pc.OfferBy == "janus" && r.StartTime >= h.Attached-sameMoment && r.StartTime <= pc.First+sameMoment
	if !near(r.StartTime, pc.First) && !byJanus && !(r.StartMissing && r.StartTime > pc.First) {
		a.Errorf("%s: starts at %d, the client's first offer or answer is at %d", what, r.StartTime, pc.First)
	}
	up := max(pc.Up, pc.Connected)
	switch {
	case up == 0 && r.AnswerTime != 0:
		a.Errorf("%s: answered at %d, and never came up", what, r.AnswerTime)
	case up != 0 && r.AnswerTime == 0 && !a.lossy:
		a.Errorf("%s: came up at %d, and is not answered", what, up)
	case up != 0 && r.AnswerTime != 0 && !near(r.AnswerTime, pc.Up) && !near(r.AnswerTime, pc.Connected) && !(r.StartMissing && r.AnswerTime > up):
		a.Errorf("%s: answered at %d, came up at %d", what, r.AnswerTime, up)
	}
	switch {
	case near(r.EndTime, ended) || near(r.EndTime, pc.HangupEvent):
	case r.EndEarliestTime != r.EndLatestTime && within(ended, r.EndEarliestTime, r.EndLatestTime):
	case outlived(pc.End) && r.EndTime >= ended-sameMoment && r.EndTime <= max(h.Ended, ended+second)+sameMoment:
		// The client had left; Janus kept the PeerConnection until it closed it itself or the handle went.
	case gaveNotice(pc.End) && r.EndTime <= max(ended, h.Ended)+90*second && r.EndBasis != EndWebRTCHangup:
		// Janus noticed when its watchdog did.
	default:
		a.Errorf("%s: ends at %d (%v, %d to %d), the client says %d, %s", what, r.EndTime, r.EndBasis, r.EndEarliestTime, r.EndLatestTime, ended, pc.End)
	}
}

// outlived tells whether an end of the service may leave the PeerConnection standing for a while.
func outlived(end string) bool {
	for _, word := range []string{"leave", "kicked", "unpublish", "stop", "destroyed", "videocall", "nosip", "sip", "refused", "declined", "gave up", "busy", "peer", "hangup_webrtc", "closed", "never connected"} {
		if strings.Contains(end, word) {
			return true
		}
	}
	return false
}

// traffic compares volumes: what is in flight at the end may differ, and without a last report they are a floor.
func (a *audit) traffic(what string, r *Record, pc *pcDiary) {
	slack := map[StreamMedia]int64{Audio: 600, Video: 3900}
	const packets = 3
	final := len(r.Streams) > 0
	for i := range r.Streams {
		final = final && r.Streams[i].FinalSample
	}
	for medium, bytes := range slack {
		word := strings.ToLower(medium.String())
		var in, out, inBytes, outBytes int64
		n := 0
		for i := range r.Streams {
			if s := &r.Streams[i]; s.Media == medium {
				in, out, inBytes, outBytes = in+s.PacketsReceived, out+s.PacketsSent, inBytes+s.BytesReceived, outBytes+s.BytesSent
				n++
			}
		}
		if n == 0 {
			continue
		}
		check := func(way string, got, want, slack int64) {
			if gaveNotice(pc.End) {
				slack *= 20 // a client that was killed had not written down its last moments
			}
			if got > want+slack || final && !gaveNotice(pc.End) && got < want-slack {
				a.Errorf("%s: %s of %s are %d, the client says %d", what, way, word, got, want)
			}
		}
		sent, received := pc.Sent[word], pc.Received[word]
		check("packets received", in, sent.Packets, packets)
		check("bytes received", inBytes, sent.Bytes, bytes)
		if a.name == "1.1-q_simulcast" && medium == Video && n > 1 {
			continue // the client counted one of the layers that came back
		}
		check("packets sent", out, received.Packets+received.Dropped, packets)
		check("bytes sent", outBytes, received.Bytes+received.Dropped*1300, bytes+received.Dropped*1300)
	}
}

// companion is the view or the recording beside a PeerConnection.
func (a *audit) companion(what string, pc *Record, s *sessionDiary, h *handleDiary, d *pcDiary) {
	kind := map[string]LegKind{janus.PluginStreaming: StreamView, janus.PluginRecordPlay: Recording}[h.Plugin]
	if kind == LegKindUnknown {
		return
	}
	for _, r := range a.of(s.ID, h.ID, kind) {
		if r.LegIndex != pc.LegIndex {
			continue
		}
		a.taken[r.CDRID] = true
		a.identity(what, r, h)
		if r.StartTime != pc.StartTime || r.AnswerTime != pc.AnswerTime || r.Role != pc.Role || r.RoomID != pc.RoomID || !slices.Equal(r.Feeds, pc.Feeds) {
			a.Errorf("%s: %v and its PeerConnection tell different stories: %+v and %+v", what, kind, r, pc)
		}
		if r.RoomID == "" || r.EndTime > pc.EndTime || !near(r.EndTime, d.Ended) && !near(r.EndTime, pc.EndTime) {
			a.Errorf("%s: %v of %q ends at %d, the client says %d", what, kind, r.RoomID, r.EndTime, d.Ended)
		}
		return
	}
	a.Errorf("%s: no %v beside the PeerConnection", what, kind)
}

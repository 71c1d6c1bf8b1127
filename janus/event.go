// Package janus knows what a Janus WebRTC server says: it parses the events of its event handlers into typed facts.
//
// It promises that unknown types, subtypes, names and fields are kept as unknown and are never an error, that parsing
// allocates nothing for an event without escaped strings, and that an error names the field, the reason and the place.
// It touches nothing: no disk, no network, no clock. It imports the standard library only.
package janus

import "strconv"

// Micros is a moment in microseconds since the Unix epoch, by the wall clock of the Janus server that says so, or a
// span of microseconds. Zero means "not known".
type Micros int64

// SessionID identifies a session on one Janus server: 1 to 2^63-1. Zero means that an event names none.
type SessionID uint64

// String is the id in decimal, as it stands in records and in Kafka keys.
func (id SessionID) String() string { return strconv.FormatUint(uint64(id), 10) }

// HandleID identifies a plugin handle inside its session. Zero means that an event names none.
type HandleID uint64

// String is the id in decimal.
func (id HandleID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ID is a room, participant, mountpoint or recording. Janus writes it as a number or, with string_ids, as a string;
// the number 1234 and the string "1234" are different ids. The zero value means "none".
type ID struct {
	Text   string // a number in decimal, or the string as it is
	Quoted bool   // it was a JSON string
}

// Known tells whether there is an id at all.
func (id ID) Known() bool { return id.Text != "" || id.Quoted }

// Type is the class of an event: one bit of the mask that Janus' event handlers subscribe to.
type Type int

// The types of events. Any other number is kept as it is.
const (
	TypeSession   Type = 1
	TypeHandle    Type = 2
	TypeExternal  Type = 4
	TypeJSEP      Type = 8
	TypeWebRTC    Type = 16
	TypeMedia     Type = 32
	TypePlugin    Type = 64
	TypeTransport Type = 128
	TypeCore      Type = 256
)

// Types are the types that Janus has, in the order of their bits.
var Types = [...]Type{TypeSession, TypeHandle, TypeExternal, TypeJSEP, TypeWebRTC, TypeMedia, TypePlugin, TypeTransport,
	TypeCore}

// String is the name of the type, "unknown" for any other number.
func (t Type) String() string {
	switch t {
	case TypeSession:
		return "session"
	case TypeHandle:
		return "handle"
	case TypeExternal:
		return "external"
	case TypeJSEP:
		return "jsep"
	case TypeWebRTC:
		return "webrtc"
	case TypeMedia:
		return "media"
	case TypePlugin:
		return "plugin"
	case TypeTransport:
		return "transport"
	case TypeCore:
		return "core"
	}
	return "unknown"
}

// Event is one event as a Janus event handler delivers it: the envelope and one typed fact.
type Event struct {
	Emitter  string // general.server_name of the Janus server; may be empty, and need not be unique
	Type     Type
	Subtype  int // only for types 16, 32 and 256; else 0
	Time     Micros
	Session  SessionID // 0 when the event names none
	Handle   HandleID  // 0 when the event names none; never set without Session
	OpaqueID string    // what the application said at attach
	Body     Body      // never nil; Unknown when we do not know it
}

// Body is the fact that an event tells. Its dynamic types are the pointers to the structs of this file.
type Body interface{ body() }

// SessionCreated says that a session exists (type 1).
type SessionCreated struct {
	Transport   string // package name, janus.transport.websockets
	TransportID string // equals TransportEvent.ID of the same connection, until that disconnects
}

// SessionDestroyed says that a session was ended by a request, or since Janus 1.3.2 with its transport (type 1).
type SessionDestroyed struct{}

// SessionTimedOut says that a session was ended by Janus' watchdog; no SessionDestroyed follows (type 1).
type SessionTimedOut struct{}

// HandleAttached says that a session has a new handle on a plugin (type 2).
type HandleAttached struct{ Plugin string }

// HandleDetached says that a handle is gone; it is the last event of the handle (type 2).
type HandleDetached struct{ Plugin string }

// External is what an operator injected through the Admin API (type 4).
type External struct{ Schema string }

// JSEP is half of an offer/answer exchange (type 8).
type JSEP struct {
	FromClient bool   // owner "remote": client to Janus; else Janus to client
	Offer      bool   // jsep.type is "offer" in any letter case
	SDP        string // may be empty
}

// ICEState is a state of the ICE component (type 16, subtype 1).
type ICEState struct{ State string }

// LocalCandidate is an ICE candidate of Janus (type 16, subtype 2).
type LocalCandidate struct{ Candidate string }

// RemoteCandidate is an ICE candidate of the client (type 16, subtype 3).
type RemoteCandidate struct{ Candidate string }

// Candidate is one end of a selected pair.
type Candidate struct {
	Address   string
	Port      int
	Type      string // host, srflx, prflx, relay
	Transport string // udp, tcp
}

// SelectedPair is the pair of candidates that media flows over (type 16, subtype 4).
type SelectedPair struct{ Local, Remote Candidate }

// DTLSState is a state of the DTLS handshake (type 16, subtype 5).
type DTLSState struct {
	State           string // trying, connected, failed
	Retransmissions int
}

// PeerConnectionUp is webrtcup: once per PeerConnection, after DTLS (type 16, subtype 6).
type PeerConnectionUp struct{}

// PeerConnectionHangup is hangup: the PeerConnection ended while its handle lives (type 16, subtype 6).
type PeerConnectionHangup struct{ Reason string }

// Media is the kind of a medium.
type Media int

// The media that Janus reports on. MediaUnknown is any other word.
const (
	MediaUnknown Media = iota
	MediaAudio
	MediaVideo
	MediaData
)

// MediaState says that Janus receives, or no longer receives, a medium of the client (type 32, subtype 1).
type MediaState struct {
	Mid       string
	Media     Media
	Layer     int // simulcast substream, 0 when there is none
	Receiving bool
}

// SlowLink says that packets are lost (type 32, subtype 2).
type SlowLink struct {
	Mid    string
	Media  Media
	Uplink bool // the peer misses what Janus sends; else Janus misses what the peer sends
	Lost   int64
}

// StreamStats are the statistics of one medium or simulcast layer, as of one report. Counters are cumulative per
// PeerConnection, by Janus: "received" is from the client into Janus.
type StreamStats struct {
	Mid    string // empty for Janus 0.x
	HasMid bool
	Media  Media
	Layer  int    // "video" 0, "video-sim1" 1, "video-sim2" 2
	Codec  string // may be empty

	BytesReceived, BytesSent     int64
	PacketsReceived, PacketsSent int64 // 32 bits inside Janus: they wrap
	Lost, LostByRemote           int64 // signed, may fall
	NACKsReceived, NACKsSent     int64
	RetransmissionsReceived      int64

	RTT, JitterLocal, JitterRemote, InLinkQuality, OutLinkQuality Gauge
}

// Gauge is a number that a report may lack.
type Gauge struct {
	Value int64
	Known bool
}

// MediaReport is a report of statistics (type 32, subtype 3): one stream, or all of a PeerConnection with
// combine_media_stats.
type MediaReport struct{ Streams []StreamStats }

// PluginEvent is what a plugin tells (type 64). Which members are set depends on plugin and name: EVENTS.md has the
// table. One that is absent or of another JSON type is zero. The key is named where it is not the member's own name.
type PluginEvent struct {
	Plugin string // package name: see PluginSIP
	Name   string // the first of data.event, .status, .videoroom, .audiobridge, .textroom that is a string, else ""
	Key    string // which of these five keys named it, "" for none

	Room      ID     // videoroom, audiobridge, textroom: all but subscribed with string ids, which is 0
	ID        ID     // videoroom, audiobridge: the participant; streaming: the mountpoint; recordplay: the recording
	Feed      ID     // videoroom unsubscribed; 0.x: subscribing, subscribed, switched
	PrivateID uint64 // private_id; videoroom joined, subscribing, updated of a subscription
	Feeds     []ID   // videoroom subscribing, updated: feed_id of each of streams, and the ids in source_ids
	Streams   int    // videoroom: number of elements of streams

	Username       string // textroom join, leave, kicked; videocall registered; sip: the other party's URI
	Display        string // videoroom, audiobridge, textroom: name of the participant
	DisplayName    string // displayname; sip incomingcall, updatingcall: as SIP writes it, with its quotes
	Identity       string // sip registered, unregistered: URI of the account
	Caller         string // sip missed_call: URI
	Callee         string // sip calling, incomingcall, updatingcall, missed_call: URI; declined: the caller's
	CallID         string // call-id; sip, each event of a call but missed_call
	ReferredBy     string // referred_by; sip incomingcall
	Code           int    // sip hangup, declined, proceeding, registration_failed: status code
	Reason         string // sip hangup, registration_failed: phrase beside the code; videocall hangup
	ReasonText     string // reason_header; sip hangup
	ReasonProtocol string // reason_header_protocol: Q.850, SIP; sip hangup
	ReasonCause    string // reason_header_cause, a number in decimal; sip hangup
	SIP            string // sip sip-in, sip-out: the raw message
	SDPType        string // type; nosip: offer, answer; streaming created: live, on demand; rtp_forward: of the stream
	MasterID       uint64 // master_id; sip registered, of a helper
	Helper         bool   // sip registered: the handle is a helper
	Setup          bool   // audiobridge joined: its PeerConnection is up already
}

// TransportEvent is what a transport plugin tells of a connection or of a request (type 128).
type TransportEvent struct {
	Transport string
	ID        string
	Event     string // connected, disconnected, request, created, reconnecting, failed
	Address   string // ip, as Janus writes it
	AdminAPI  bool
}

// ServerStarted says that a Janus process has finished its start: everything before it on this server is dead
// (type 256, subtype 1, status "started").
type ServerStarted struct {
	Version               string // version_string
	SessionTimeout        Gauge  // seconds
	ReclaimSessionTimeout Gauge  // seconds
}

// ServerUpdate is the heartbeat of Janus 1.2.0 and later: every 15 s (type 256, subtype 1, status "update").
//
//mutant:heartbeat
type ServerUpdate struct{ Sessions, Handles, PeerConnections, StatsPeriod Gauge }

// ServerShutdown says that a Janus process stops in an orderly way (type 256, subtype 2).
type ServerShutdown struct{ Signal int }

// Unknown is any fact that this package has no type for.
type Unknown struct{}

func (*SessionCreated) body()       {}
func (*SessionDestroyed) body()     {}
func (*SessionTimedOut) body()      {}
func (*HandleAttached) body()       {}
func (*HandleDetached) body()       {}
func (*External) body()             {}
func (*JSEP) body()                 {}
func (*ICEState) body()             {}
func (*LocalCandidate) body()       {}
func (*RemoteCandidate) body()      {}
func (*SelectedPair) body()         {}
func (*DTLSState) body()            {}
func (*PeerConnectionUp) body()     {}
func (*PeerConnectionHangup) body() {}
func (*MediaState) body()           {}
func (*SlowLink) body()             {}
func (*MediaReport) body()          {}
func (*PluginEvent) body()          {}
func (*TransportEvent) body()       {}
func (*ServerStarted) body()        {}
func (*ServerUpdate) body()         {}
func (*ServerShutdown) body()       {}
func (*Unknown) body()              {}

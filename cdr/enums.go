package cdr

import "encoding/hex"

// The words of the record. Each enum starts with its symbol UNKNOWN, which is the default of the Avro schema and, where
// the field may be null, stands for null. The order of the symbols is the order in the schema and never changes.

type (
	// RecordType says what a record is about.
	RecordType uint8
	// IdentityBasis says how the session incarnation is known.
	IdentityBasis uint8
	// ChangeKind says whether a record replaces another.
	ChangeKind uint8
	// LegKind is the kind of a chargeable unit.
	LegKind uint8
	// Direction is that of a call, as seen from the client.
	Direction uint8
	// Role is what the client was in the leg.
	Role uint8
	// AnswerBasis says which event was taken as the answer.
	AnswerBasis uint8
	// EndBasis says how the end is known.
	EndBasis uint8
	// Disposition says what became of a call.
	Disposition uint8
	// Cause says why the record was closed.
	Cause uint8
	// Initiator says who ended it.
	Initiator uint8
	// Interim says whether statistics are missing in between.
	Interim uint8
	// Confidence is one word for a billing policy.
	Confidence uint8
	// StreamMedia is the kind of a medium in a record.
	StreamMedia uint8
)

// The symbols.
const (
	RecordTypeUnknown RecordType = iota
	Leg
	SessionSummary
	Conference
)

const (
	IdentityUnknown IdentityBasis = iota
	Created
	FirstEvent
)

const (
	ChangeUnknown ChangeKind = iota
	Original
	Amendment
)

const (
	LegKindUnknown LegKind = iota
	PeerConnection
	SIPCall
	RoomMembership
	StreamView
	Recording
	legKinds // how many there are, with unknown
)

const (
	DirectionUnknown Direction = iota
	Originating
	Terminating
)

const (
	RoleUnknown Role = iota
	Caller
	Callee
	Publisher
	Subscriber
	Member
	Viewer
	Recorder
	Player
	Peer
)

const (
	AnswerUnknown AnswerBasis = iota
	AnswerSIPAccepted
	AnswerWebRTCUp
	AnswerJoined
	AnswerStreamStarted
	AnswerFirstEvidence
)

const (
	EndUnknown EndBasis = iota
	EndSIPHangup
	EndWebRTCHangup
	EndPluginEvent
	EndHandleDetached
	EndSessionDestroyed
	EndSessionTimeout
	EndEmitterShutdown
	EndEmitterRestart
	EndLastEvidence
)

const (
	DispositionUnknown Disposition = iota
	Answered
	NoAnswer
	Busy
	Rejected
	Cancelled
	Missed
	Failed
	NeverConnected
)

const (
	CauseUnknown Cause = iota
	CauseNormalRelease
	CauseTimeLimit
	CauseVolumeLimit
	CauseTariffTimeChange
	CauseUnsuccessfulCallAttempt
	CauseAbnormalRelease
	CauseSessionTimeout
	CauseTransportGone
	CauseEmitterShutdown
	CauseEmitterRestart
	CauseEmitterSilent
	CauseInactivity
	CauseManagementIntervention
)

const (
	InitiatorUnknown Initiator = iota
	ByLocal
	ByRemote
	ByNetwork
	ByServer
	ByAdmin
	ByTimer
)

const (
	InterimUnknown Interim = iota
	InterimNo
	InterimYes
)

const (
	ConfidenceUnknown Confidence = iota
	Exact
	Bounded
	Estimated
)

const (
	StreamMediaUnknown StreamMedia = iota
	Audio
	Video
	Data
)

// The words in the order of the constants.
var (
	RecordTypes     = []string{"UNKNOWN", "LEG", "SESSION", "CONFERENCE"}
	IdentityBases   = []string{"UNKNOWN", "CREATED", "FIRST_EVENT"}
	ChangeKinds     = []string{"UNKNOWN", "ORIGINAL", "AMENDMENT"}
	LegKinds        = []string{"UNKNOWN", "PEER_CONNECTION", "SIP_CALL", "ROOM_MEMBERSHIP", "STREAM_VIEW", "RECORDING"}
	Directions      = []string{"UNKNOWN", "ORIGINATING", "TERMINATING"}
	Roles           = []string{"UNKNOWN", "CALLER", "CALLEE", "PUBLISHER", "SUBSCRIBER", "MEMBER", "VIEWER", "RECORDER", "PLAYER", "PEER"}
	AnswerBases     = []string{"UNKNOWN", "SIP_ACCEPTED", "WEBRTC_UP", "JOINED", "STREAM_STARTED", "FIRST_EVIDENCE"}
	EndBases        = []string{"UNKNOWN", "SIP_HANGUP", "WEBRTC_HANGUP", "PLUGIN_EVENT", "HANDLE_DETACHED", "SESSION_DESTROYED", "SESSION_TIMEOUT", "EMITTER_SHUTDOWN", "EMITTER_RESTART", "LAST_EVIDENCE"}
	Dispositions    = []string{"UNKNOWN", "ANSWERED", "NO_ANSWER", "BUSY", "REJECTED", "CANCELLED", "MISSED", "FAILED", "NEVER_CONNECTED"}
	Causes          = []string{"UNKNOWN", "NORMAL_RELEASE", "TIME_LIMIT", "VOLUME_LIMIT", "TARIFF_TIME_CHANGE", "UNSUCCESSFUL_CALL_ATTEMPT", "ABNORMAL_RELEASE", "SESSION_TIMEOUT", "TRANSPORT_GONE", "EMITTER_SHUTDOWN", "EMITTER_RESTART", "EMITTER_SILENT", "INACTIVITY", "MANAGEMENT_INTERVENTION"}
	Initiators      = []string{"UNKNOWN", "LOCAL", "REMOTE", "NETWORK", "SERVER", "ADMIN", "TIMER"}
	Interims        = []string{"UNKNOWN", "NO", "YES"}
	Confidences     = []string{"UNKNOWN", "EXACT", "BOUNDED", "ESTIMATED"}
	StreamMediaList = []string{"UNKNOWN", "AUDIO", "VIDEO", "DATA"}
)

func (v RecordType) String() string    { return word(RecordTypes, v) }
func (v IdentityBasis) String() string { return word(IdentityBases, v) }
func (v ChangeKind) String() string    { return word(ChangeKinds, v) }
func (v LegKind) String() string       { return word(LegKinds, v) }
func (v Direction) String() string     { return word(Directions, v) }
func (v Role) String() string          { return word(Roles, v) }
func (v AnswerBasis) String() string   { return word(AnswerBases, v) }
func (v EndBasis) String() string      { return word(EndBases, v) }
func (v Disposition) String() string   { return word(Dispositions, v) }
func (v Cause) String() string         { return word(Causes, v) }
func (v Initiator) String() string     { return word(Initiators, v) }
func (v Interim) String() string       { return word(Interims, v) }
func (v Confidence) String() string    { return word(Confidences, v) }
func (v StreamMedia) String() string   { return word(StreamMediaList, v) }

// String is the id as 32 hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

func word[V ~uint8](words []string, v V) string {
	if int(v) >= len(words) {
		return words[0]
	}
	return words[v]
}

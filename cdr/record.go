package cdr

import "januscdr/janus"

// SchemaVersion is the version of the meaning of a Record. It rises when a field comes to mean something else.
const SchemaVersion = 1

// Record is one call detail record. Each field stands, with the same word, in call_detail_record.avsc, in the JSON
// form and in docs/records.md, in this order.
//
// Absent values: a string that may be null is null when it is empty; a moment that may be null is null when it is 0;
// an enum that may be null is null when it is its zero value; SIPFinalCode is null when it is 0; SetupDuration is null
// exactly when AnswerTime is; the three counts of a SESSION are null on a LEG. Times are microseconds since the epoch
// in the emitter's clock, durations are microseconds.
type Record struct {
	SchemaVersion int32
	RecordType    RecordType
	RecordID      ID
	CDRID         ID
	SessionUID    ID
	IdentityBasis IdentityBasis

	RecordSequenceNumber int32 // 0 if the only record; else 1..n over the partial records
	IsFinal              bool
	Revision             int32
	ChangeKind           ChangeKind
	Supersedes           string // may be null: 32 hex digits

	LocalRecordSequenceNumber int64 // gap-free per output partition

	Emitter   string
	SessionID string
	HandleID  string // null on SESSION
	Plugin    string // may be null
	OpaqueID  string // may be null
	LegKind   LegKind
	LegIndex  int32

	Chargeable bool

	SourceTopic             string
	SourcePartition         int32
	FirstOffset, LastOffset int64
	EventCount              int32
	DuplicateCount          int32
	LateCount               int32

	Direction      Direction // may be null
	Role           Role      // may be null
	CallingParty   string    // may be null
	CalledParty    string    // may be null
	DisplayName    string    // may be null
	RoomID         string    // may be null
	ParticipantID  string    // may be null
	Feeds          []string  // sorted, each once
	SIPCallID      string    // may be null
	SIPFinalCode   int32     // may be null
	SIPReason      string    // may be null
	Transport      string    // may be null
	RemoteAddress  string    // may be null
	LocalCandType  string    // may be null; local_candidate_type
	RemoteCandType string    // may be null; remote_candidate_type
	ICEProtocol    string    // may be null

	RecordOpeningTime  janus.Micros
	RecordClosureTime  janus.Micros
	StartTime          janus.Micros
	AnswerTime         janus.Micros // may be null
	EndTime            janus.Micros // null in a partial record
	AnswerBasis        AnswerBasis  // may be null
	EndBasis           EndBasis     // null in a partial record
	EndEarliestTime    janus.Micros // null in a partial record
	EndLatestTime      janus.Micros // null in a partial record
	SetupDuration      int64        // null when unanswered
	Duration           int64
	CumulativeDuration int64
	HoldingDuration    int64

	Disposition           Disposition
	CauseForRecordClosing Cause
	Diagnostics           string // may be null
	DisconnectInitiator   Initiator

	StartMissing   bool
	EndMissing     bool
	InterimMissing Interim
	ClockSuspect   bool
	Confidence     Confidence
	Truncated      bool

	Streams []Stream // sorted by mid, media, layer

	LegCount          int32 // null on LEG
	AnsweredLegCount  int32 // null on LEG
	LegIDs            []ID  // sorted by start; empty on LEG
	MaxConcurrentLegs int32 // null on LEG
}

// Stream is what one medium, or one simulcast layer of it, carried in one PeerConnection. Counters are those of Janus
// over the whole leg, wraps and resets accounted for.
type Stream struct {
	Mid    string // null when HasMid is false (Janus 0.x)
	HasMid bool
	Media  StreamMedia
	Layer  int32
	Codec  string // may be null

	BytesReceived, BytesSent, PacketsReceived, PacketsSent                int64
	Lost, LostByRemote, NACKsReceived, NACKsSent, RetransmissionsReceived int64

	FirstMediaTime, LastMediaTime janus.Micros // may be null
	SlowLinks                     int32

	RTT, JitterLocal, JitterRemote, InLinkQuality, OutLinkQuality Quality

	Samples     int32
	FinalSample bool
}

// Quality sums up a gauge; it is null when Known is false. MeanMilli is in thousandths, weighted by time.
type Quality struct {
	Known                     bool
	Min, Max, MeanMilli, Last int32
}

// ID is 16 bytes of a SHA-256, written as 32 hex digits.
type ID [16]byte

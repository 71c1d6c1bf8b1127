package cdr

import "januscdr/janus"

// SchemaVersion is the version of the meaning of a Record. It rises when a field comes to mean something else. Version 2
// counts a call and what carries it once on a SESSION, knows ends and answers by what proves them, and has the fields from
// EmitterVersion to LeftOutLegCount that say so.
const SchemaVersion = 2

// Record is one call detail record. Each field stands, with the same word, in call_detail_record.avsc, which has the
// meanings in full, in the JSON form and in docs/fields.md, in this order.
//
// Where a comment says "or null", the zero value is written as null: the empty string, the moment 0, the code 0, the
// UNKNOWN of an enum. Moments are microseconds since the epoch by the clock of the emitter, durations microseconds.
type Record struct {
	SchemaVersion int32         // version of the meanings
	RecordType    RecordType    // LEG may be charged, SESSION is a summary
	RecordID      ID            // hash of CDRID, RecordSequenceNumber and Revision: one per record
	CDRID         ID            // the leg or session, in all its records
	SessionUID    ID            // the incarnation of the session, in the records of its legs too
	IdentityBasis IdentityBasis // whether its creation was seen

	RecordSequenceNumber int32      // 0 if the only record of its leg; else 1..n over the partial records
	IsFinal              bool       // no part follows
	Revision             int32      // 0 as first emitted
	ChangeKind           ChangeKind // ORIGINAL: the fold makes no other
	Supersedes           string     // RecordID of the amended record, 32 hex digits, or null

	LocalRecordSequenceNumber int64 // gap-free per output partition

	Emitter        string  // name of the Janus server, as janus.EmitterName has it; may be empty
	EmitterVersion string  // version_string of its last start, or null
	SessionID      string  // decimal
	HandleID       string  // decimal; null on SESSION
	Plugin         string  // package name, or null when no event named it
	OpaqueID       string  // what the application said at attach, or null
	LegKind        LegKind // null on SESSION
	LegIndex       int32   // from 0, for each kind of leg of a handle

	Chargeable     bool // by policy
	CompanionCDRID ID   // on a leg that is not charged the CDRID of the leg of the same call that is, or null

	SourceTopic             string // of the events
	SourcePartition         int32
	FirstOffset, LastOffset int64 // of the events that went in
	LineageOffset           int64 // of the session's first event: where reading must begin to make this record again; null in version 1
	EventCount              int32 // distinct events that went in
	DuplicateCount          int32 // exact repetitions, besides
	LateCount               int32 // those of EventCount that came within the grace

	Direction        Direction // of a call, seen from the client, or null
	Role             Role      // of the client, or null
	CallingParty     string    // SIP URI or VideoCall user, or null
	CalledParty      string    // the same
	DisplayName      string    // as it is, hashed or null, by policy
	PeerParty        string    // the other side of a VideoCall, or whom a subscription belongs to, or null
	PeerCDRID        ID        // CDRID of its PEER_CONNECTION, or null
	RoomID           string    // room, mountpoint or recording, or null
	ParticipantID    string    // in the room, or null
	Feeds            []string  // what a subscriber received or a viewer watched: sorted, each once
	SIPCallID        string    // Call-ID, or null
	SIPFinalCode     int32     // 200 to 699, or null
	SIPReason        string    // phrase beside the code, or null
	ReleaseCause     int32     // Q.850, 1 to 127, or null
	ReleaseCauseText string    // the words beside it, or null
	ReferredBy       string    // URI of who transferred the call here, or null
	ReplacesCallID   string    // Call-ID of the call in whose place this one came, or null
	MasterAccount    string    // URI of the account that a helper session belongs to, or null
	Transport        string    // package name, or null
	RemoteAddress    string    // without port; as it is, hashed or null, by policy
	LocalCandType    string    // local_candidate_type: host, srflx, prflx, relay, or null
	RemoteCandType   string    // remote_candidate_type: the same
	ICEProtocol      string    // udp or tcp, or null

	RecordOpeningTime  janus.Micros // where the span of this record begins: StartTime, or where the part before ended
	RecordClosureTime  janus.Micros // where it ends
	StartTime          janus.Micros // first event of the leg itself
	RingingTime        janus.Micros // 180, or null
	ProgressTime       janus.Micros // 183 or early media, or null
	AnswerTime         janus.Micros // from when it can be charged, or null
	EndTime            janus.Micros // release, or the last sign of life; null in a partial record
	AnswerBasis        AnswerBasis  // what was taken for the answer; null exactly when AnswerTime is
	EndBasis           EndBasis     // what was taken for the end; null in a partial record
	EndEarliestTime    janus.Micros // the true end is not before it; null in a partial record
	EndLatestTime      janus.Micros // nor after it; null in a partial record
	LastReceivedTime   janus.Micros // last sign of the client itself, or null
	SetupDuration      int64        // from start to answer; null exactly when AnswerTime is
	Duration           int64        // from answer to end, as far as it lies in this record; 0 when unanswered
	CumulativeDuration int64        // of the partial records up to this one
	HoldingDuration    int64        // from start to end of what was not answered; else 0
	HoldDuration       int64        // of Duration, for which a SIP call was seen to be on hold; null when it was not

	Disposition           Disposition // what became of it
	CauseForRecordClosing Cause       // why the record was closed
	Diagnostics           string      // why, in the words of Janus or SIP, or null
	DisconnectInitiator   Initiator   // who ended it

	StartMissing   bool       // its beginning was not seen
	EndMissing     bool       // its end was not seen
	InterimMissing Interim    // reports of statistics are missing in between
	ClockSuspect   bool       // the emitter's clock stepped
	Confidence     Confidence // how far the times can be trusted
	Truncated      bool       // a bound was reached and something left out

	Streams []Stream // of a PEER_CONNECTION, sorted by mid, media and layer

	LegCount          int32 // of a SESSION; null on LEG
	LeftOutLegCount   int32 // of a SESSION: legs without a record; null on LEG and in version 1
	AnsweredLegCount  int32 // of a SESSION; null on LEG
	LegIDs            []ID  // CDRIDs of its legs, sorted by start; empty on LEG
	MaxConcurrentLegs int32 // answered at one time at most; null on LEG
}

// Stream is what one medium, or one simulcast layer of it, carried in one PeerConnection. Counters are those of Janus
// over the whole leg, wraps and resets accounted for: received is what came from the client, sent what went to it.
type Stream struct {
	Mid    string      // of the SDP; null when HasMid is false
	HasMid bool        // false with Janus 0.x
	Media  StreamMedia // AUDIO, VIDEO, DATA
	Layer  int32       // simulcast: 0 for the first or only one, then 1 and 2
	Codec  string      // or null

	BytesReceived, BytesSent     int64
	PacketsReceived, PacketsSent int64
	Lost                         int64 // packets of the client that Janus missed
	LostByRemote                 int64 // packets of Janus that the client missed
	NACKsReceived, NACKsSent     int64
	RetransmissionsReceived      int64 // packets

	FirstMediaTime, LastMediaTime janus.Micros // of the reports that show packets, or null
	SlowLinks                     int32        // times that Janus complained of losses

	RTT, JitterLocal, JitterRemote Quality // milliseconds
	InLinkQuality, OutLinkQuality  Quality // 0 to 100

	Samples     int32 // reports
	FinalSample bool  // the last report came at the end
}

// Parties are all who had a part in a call, as far as the record names them: who calls and is called, what is shown of
// them, the other side of a VideoCall, and who pays or referred. What is not known is empty.
func (r *Record) Parties() []string {
	return []string{r.CallingParty, r.CalledParty, r.DisplayName, r.PeerParty, r.MasterAccount, r.ReferredBy}
}

// Quality sums up a gauge over the reports of a leg; it is null when Known is false.
type Quality struct {
	Known     bool
	Min, Max  int32
	MeanMilli int32 // in thousandths, weighted by time
	Last      int32
}

// ID is 16 bytes of a SHA-256, written as 32 hex digits.
type ID [16]byte

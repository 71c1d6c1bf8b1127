package avro

import (
	"github.com/go-faster/jx"

	"januscdr/cdr"
	"januscdr/janus"
)

// The table: one line for each field, in the order of the schema. A new field is a line here, a field of the struct in
// cdr and an entry with a default in call_detail_record.avsc; the tests complain when one of the three is forgotten.

// callDetailRecord is how a call detail record is written and read.
var callDetailRecord = record([]field[cdr.Record]{
	required("schema_version", integer, func(r *cdr.Record) *int32 { return &r.SchemaVersion }),
	required("record_type", enum[cdr.RecordType](cdr.RecordTypes),
		func(r *cdr.Record) *cdr.RecordType { return &r.RecordType }),
	required("record_id", id, func(r *cdr.Record) *cdr.ID { return &r.RecordID }),
	required("cdr_id", id, func(r *cdr.Record) *cdr.ID { return &r.CDRID }),
	required("session_uid", id, func(r *cdr.Record) *cdr.ID { return &r.SessionUID }),
	required("identity_basis", enum[cdr.IdentityBasis](cdr.IdentityBases),
		func(r *cdr.Record) *cdr.IdentityBasis { return &r.IdentityBasis }),

	required("record_sequence_number", integer, func(r *cdr.Record) *int32 { return &r.RecordSequenceNumber }),
	required("is_final", boolean, func(r *cdr.Record) *bool { return &r.IsFinal }),
	required("revision", integer, func(r *cdr.Record) *int32 { return &r.Revision }),
	required("change_kind", enum[cdr.ChangeKind](cdr.ChangeKinds),
		func(r *cdr.Record) *cdr.ChangeKind { return &r.ChangeKind }),
	optional("supersedes", text, func(r *cdr.Record) *string { return &r.Supersedes }),

	required("local_record_sequence_number", number, func(r *cdr.Record) *int64 { return &r.LocalRecordSequenceNumber }),

	required("emitter", text, func(r *cdr.Record) *string { return &r.Emitter }),
	optional("emitter_version", text, func(r *cdr.Record) *string { return &r.EmitterVersion }),
	required("session_id", text, func(r *cdr.Record) *string { return &r.SessionID }),
	optional("handle_id", text, func(r *cdr.Record) *string { return &r.HandleID }),
	optional("plugin", text, func(r *cdr.Record) *string { return &r.Plugin }),
	optional("opaque_id", text, func(r *cdr.Record) *string { return &r.OpaqueID }),
	optional("leg_kind", enum[cdr.LegKind](cdr.LegKinds), func(r *cdr.Record) *cdr.LegKind { return &r.LegKind }),
	required("leg_index", integer, func(r *cdr.Record) *int32 { return &r.LegIndex }),

	required("chargeable", boolean, func(r *cdr.Record) *bool { return &r.Chargeable }),

	optional("companion_cdr_id", id, func(r *cdr.Record) *cdr.ID { return &r.CompanionCDRID }),

	required("source_topic", text, func(r *cdr.Record) *string { return &r.SourceTopic }),
	required("source_partition", integer, func(r *cdr.Record) *int32 { return &r.SourcePartition }),
	required("first_offset", number, func(r *cdr.Record) *int64 { return &r.FirstOffset }),
	required("last_offset", number, func(r *cdr.Record) *int64 { return &r.LastOffset }),
	nullWhen(beforeVersion2, "lineage_offset", number, func(r *cdr.Record) *int64 { return &r.LineageOffset }),
	required("event_count", integer, func(r *cdr.Record) *int32 { return &r.EventCount }),
	required("duplicate_count", integer, func(r *cdr.Record) *int32 { return &r.DuplicateCount }),
	required("late_count", integer, func(r *cdr.Record) *int32 { return &r.LateCount }),

	optional("direction", enum[cdr.Direction](cdr.Directions), func(r *cdr.Record) *cdr.Direction { return &r.Direction }),
	optional("role", enum[cdr.Role](cdr.Roles), func(r *cdr.Record) *cdr.Role { return &r.Role }),
	optional("calling_party", text, func(r *cdr.Record) *string { return &r.CallingParty }),
	optional("called_party", text, func(r *cdr.Record) *string { return &r.CalledParty }),
	optional("display_name", text, func(r *cdr.Record) *string { return &r.DisplayName }),
	optional("peer_party", text, func(r *cdr.Record) *string { return &r.PeerParty }),
	optional("peer_cdr_id", id, func(r *cdr.Record) *cdr.ID { return &r.PeerCDRID }),
	optional("room_id", text, func(r *cdr.Record) *string { return &r.RoomID }),
	optional("participant_id", text, func(r *cdr.Record) *string { return &r.ParticipantID }),
	required("feeds", list(text), func(r *cdr.Record) *[]string { return &r.Feeds }),
	optional("sip_call_id", text, func(r *cdr.Record) *string { return &r.SIPCallID }),
	optional("sip_final_code", integer, func(r *cdr.Record) *int32 { return &r.SIPFinalCode }),
	optional("sip_reason", text, func(r *cdr.Record) *string { return &r.SIPReason }),
	optional("release_cause", integer, func(r *cdr.Record) *int32 { return &r.ReleaseCause }),
	optional("release_cause_text", text, func(r *cdr.Record) *string { return &r.ReleaseCauseText }),
	optional("referred_by", text, func(r *cdr.Record) *string { return &r.ReferredBy }),
	optional("replaces_call_id", text, func(r *cdr.Record) *string { return &r.ReplacesCallID }),
	optional("master_account", text, func(r *cdr.Record) *string { return &r.MasterAccount }),
	optional("transport", text, func(r *cdr.Record) *string { return &r.Transport }),
	optional("remote_address", text, func(r *cdr.Record) *string { return &r.RemoteAddress }),
	optional("local_candidate_type", text, func(r *cdr.Record) *string { return &r.LocalCandType }),
	optional("remote_candidate_type", text, func(r *cdr.Record) *string { return &r.RemoteCandType }),
	optional("ice_protocol", text, func(r *cdr.Record) *string { return &r.ICEProtocol }),

	required("record_opening_time", moment, func(r *cdr.Record) *janus.Micros { return &r.RecordOpeningTime }),
	required("record_closure_time", moment, func(r *cdr.Record) *janus.Micros { return &r.RecordClosureTime }),
	required("start_time", moment, func(r *cdr.Record) *janus.Micros { return &r.StartTime }),
	optional("ringing_time", moment, func(r *cdr.Record) *janus.Micros { return &r.RingingTime }),
	optional("progress_time", moment, func(r *cdr.Record) *janus.Micros { return &r.ProgressTime }),
	optional("answer_time", moment, func(r *cdr.Record) *janus.Micros { return &r.AnswerTime }),
	optional("end_time", moment, func(r *cdr.Record) *janus.Micros { return &r.EndTime }),
	optional("answer_basis", enum[cdr.AnswerBasis](cdr.AnswerBases),
		func(r *cdr.Record) *cdr.AnswerBasis { return &r.AnswerBasis }),
	optional("end_basis", enum[cdr.EndBasis](cdr.EndBases), func(r *cdr.Record) *cdr.EndBasis { return &r.EndBasis }),
	optional("end_earliest_time", moment, func(r *cdr.Record) *janus.Micros { return &r.EndEarliestTime }),
	optional("end_latest_time", moment, func(r *cdr.Record) *janus.Micros { return &r.EndLatestTime }),
	optional("last_received_time", moment, func(r *cdr.Record) *janus.Micros { return &r.LastReceivedTime }),
	nullWhen(unanswered, "setup_duration", number, func(r *cdr.Record) *int64 { return &r.SetupDuration }),
	required("duration", number, func(r *cdr.Record) *int64 { return &r.Duration }),
	required("cumulative_duration", number, func(r *cdr.Record) *int64 { return &r.CumulativeDuration }),
	required("holding_duration", number, func(r *cdr.Record) *int64 { return &r.HoldingDuration }),
	optional("hold_duration", number, func(r *cdr.Record) *int64 { return &r.HoldDuration }),

	required("disposition", enum[cdr.Disposition](cdr.Dispositions),
		func(r *cdr.Record) *cdr.Disposition { return &r.Disposition }),
	required("cause_for_record_closing", enum[cdr.Cause](cdr.Causes),
		func(r *cdr.Record) *cdr.Cause { return &r.CauseForRecordClosing }),
	optional("diagnostics", text, func(r *cdr.Record) *string { return &r.Diagnostics }),
	required("disconnect_initiator", enum[cdr.Initiator](cdr.Initiators),
		func(r *cdr.Record) *cdr.Initiator { return &r.DisconnectInitiator }),

	required("start_missing", boolean, func(r *cdr.Record) *bool { return &r.StartMissing }),
	required("end_missing", boolean, func(r *cdr.Record) *bool { return &r.EndMissing }),
	required("interim_missing", enum[cdr.Interim](cdr.Interims),
		func(r *cdr.Record) *cdr.Interim { return &r.InterimMissing }),
	required("clock_suspect", boolean, func(r *cdr.Record) *bool { return &r.ClockSuspect }),
	required("confidence", enum[cdr.Confidence](cdr.Confidences),
		func(r *cdr.Record) *cdr.Confidence { return &r.Confidence }),
	required("truncated", boolean, func(r *cdr.Record) *bool { return &r.Truncated }),

	required("streams", list(stream), func(r *cdr.Record) *[]cdr.Stream { return &r.Streams }),

	nullWhen(onLeg, "leg_count", integer, func(r *cdr.Record) *int32 { return &r.LegCount }),
	nullWhen(withoutLeftOut, "left_out_leg_count", integer, func(r *cdr.Record) *int32 { return &r.LeftOutLegCount }),
	nullWhen(onLeg, "answered_leg_count", integer, func(r *cdr.Record) *int32 { return &r.AnsweredLegCount }),
	required("leg_ids", list(id), func(r *cdr.Record) *[]cdr.ID { return &r.LegIDs }),
	nullWhen(onLeg, "max_concurrent_legs", integer, func(r *cdr.Record) *int32 { return &r.MaxConcurrentLegs }),
})

// stream is one element of streams.
var stream = record([]field[cdr.Stream]{
	nullWhen(withoutMid, "mid", mid, func(s *cdr.Stream) *cdr.Stream { return s }),
	required("media", enum[cdr.StreamMedia](cdr.StreamMediaList),
		func(s *cdr.Stream) *cdr.StreamMedia { return &s.Media }),
	required("layer", integer, func(s *cdr.Stream) *int32 { return &s.Layer }),
	optional("codec", text, func(s *cdr.Stream) *string { return &s.Codec }),

	required("bytes_received", number, func(s *cdr.Stream) *int64 { return &s.BytesReceived }),
	required("bytes_sent", number, func(s *cdr.Stream) *int64 { return &s.BytesSent }),
	required("packets_received", number, func(s *cdr.Stream) *int64 { return &s.PacketsReceived }),
	required("packets_sent", number, func(s *cdr.Stream) *int64 { return &s.PacketsSent }),
	required("lost", number, func(s *cdr.Stream) *int64 { return &s.Lost }),
	required("lost_by_remote", number, func(s *cdr.Stream) *int64 { return &s.LostByRemote }),
	required("nacks_received", number, func(s *cdr.Stream) *int64 { return &s.NACKsReceived }),
	required("nacks_sent", number, func(s *cdr.Stream) *int64 { return &s.NACKsSent }),
	required("retransmissions_received", number, func(s *cdr.Stream) *int64 { return &s.RetransmissionsReceived }),

	optional("first_media_time", moment, func(s *cdr.Stream) *janus.Micros { return &s.FirstMediaTime }),
	optional("last_media_time", moment, func(s *cdr.Stream) *janus.Micros { return &s.LastMediaTime }),
	required("slow_links", integer, func(s *cdr.Stream) *int32 { return &s.SlowLinks }),

	gauge("rtt", func(s *cdr.Stream) *cdr.Quality { return &s.RTT }),
	gauge("jitter_local", func(s *cdr.Stream) *cdr.Quality { return &s.JitterLocal }),
	gauge("jitter_remote", func(s *cdr.Stream) *cdr.Quality { return &s.JitterRemote }),
	gauge("in_link_quality", func(s *cdr.Stream) *cdr.Quality { return &s.InLinkQuality }),
	gauge("out_link_quality", func(s *cdr.Stream) *cdr.Quality { return &s.OutLinkQuality }),

	required("samples", integer, func(s *cdr.Stream) *int32 { return &s.Samples }),
	required("final_sample", boolean, func(s *cdr.Stream) *bool { return &s.FinalSample }),
})

// These say when a field is null for a reason other than its own value.
func withoutMid(s *cdr.Stream) bool { return !s.HasMid }
func onLeg(r *cdr.Record) bool      { return r.RecordType == cdr.Leg }
func unanswered(r *cdr.Record) bool { return r.AnswerTime == 0 }

// beforeVersion2 tells whether a record is older than some fields of which 0 is a value.
func beforeVersion2(r *cdr.Record) bool { return r.SchemaVersion < 2 }
func withoutLeftOut(r *cdr.Record) bool { return onLeg(r) || beforeVersion2(r) }

// gauge is a quality that is null when it was never reported.
func gauge(name string, at func(*cdr.Stream) *cdr.Quality) field[cdr.Stream] {
	return nullWhen(func(s *cdr.Stream) bool { return !at(s).Known }, name, quality, at)
}

// mid is a text that may be empty and is there all the same, so reading it says that it is.
var mid = kind[cdr.Stream]{
	write: func(w *writer, s *cdr.Stream) { text.write(w, &s.Mid) },
	read: func(r *reader, s *cdr.Stream) {
		s.HasMid = true
		text.read(r, &s.Mid)
	},
	print: func(w *jx.Writer, s *cdr.Stream) { text.print(w, &s.Mid) },
	shape: text.shape,
	value: func(into *Value, s *cdr.Stream) { text.value(into, &s.Mid) },
}

// quality is known when it was read.
var quality = func() kind[cdr.Quality] {
	k := record([]field[cdr.Quality]{
		required("min", integer, func(q *cdr.Quality) *int32 { return &q.Min }),
		required("max", integer, func(q *cdr.Quality) *int32 { return &q.Max }),
		required("mean_milli", integer, func(q *cdr.Quality) *int32 { return &q.MeanMilli }),
		required("last", integer, func(q *cdr.Quality) *int32 { return &q.Last }),
	})
	known := k
	known.read = func(r *reader, q *cdr.Quality) {
		q.Known = true
		k.read(r, q)
	}
	return known
}()

package janustest

import (
	"slices"
	"strconv"
	"testing"

	"github.com/pion/webrtc/v4"

	"januscdr/cdr"
)

// legOf finds the one record of a leg.
func legOf(t *testing.T, legs []cdr.Record, kind cdr.LegKind, h *handle, index int32) cdr.Record {
	t.Helper()
	var found []cdr.Record
	for _, r := range legs {
		if r.LegKind == kind && r.HandleID == strconv.FormatUint(h.id, 10) && r.LegIndex == index {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d records of leg %d, %v, of handle %d, want 1", len(found), index, kind, h.id)
	}
	return found[0]
}

// leg finds the record of a call and compares it with what the caller saw: that there was a call, with whom, when.
func (c *call) leg(t *testing.T, legs []cdr.Record, index int32) cdr.Record {
	t.Helper()
	r := legOf(t, legs, cdr.PeerConnection, c.handle, index)
	equal(t, "record_type", r.RecordType, cdr.Leg)
	equal(t, "is_final", r.IsFinal, true)
	equal(t, "identity_basis", r.IdentityBasis, cdr.Created)
	equal(t, "emitter", r.Emitter, emitter)
	equal(t, "chargeable", r.Chargeable, true)
	equal(t, "disposition", r.Disposition, cdr.Answered)
	equal(t, "answer_basis", r.AnswerBasis, cdr.AnswerWebRTCUp)
	equal(t, "start_missing", r.StartMissing, false)
	equal(t, "clock_suspect", r.ClockSuspect, false)
	equal(t, "truncated", r.Truncated, false)
	equal(t, "duplicate_count", r.DuplicateCount, 0)
	equal(t, "transport", r.Transport, "janus.transport.http")
	equal(t, "remote_address", r.RemoteAddress, callerAddress)
	equal(t, "local_candidate_type", r.LocalCandType, "host")
	equal(t, "ice_protocol", r.ICEProtocol, "udp")

	c.started.contains(t, "start_time", r.StartTime)
	c.answered.contains(t, "answer_time", r.AnswerTime)
	c.ended.contains(t, "end_time", r.EndTime)
	equal(t, "setup_duration", r.SetupDuration, int64(r.AnswerTime-r.StartTime))
	equal(t, "duration", r.Duration, int64(r.EndTime-r.AnswerTime))
	equal(t, "cumulative_duration", r.CumulativeDuration, r.Duration)
	return r
}

// told complains about an end that was seen and is not said to be. When a handle goes with a call on it, Janus rarely
// tells of a hangup of its own, with the reason "Detach": it is a race between two of its threads.
func told(t *testing.T, r cdr.Record, basis cdr.EndBasis) {
	t.Helper()
	if gone := basis == cdr.EndHandleDetached || basis == cdr.EndSessionDestroyed; !gone || r.Diagnostics != "Detach" {
		equal(t, "end_basis", r.EndBasis, basis)
	}
	equal(t, "cause_for_record_closing", r.CauseForRecordClosing, cdr.CauseNormalRelease)
	equal(t, "end_missing", r.EndMissing, false)
	equal(t, "end_earliest_time", r.EndEarliestTime, r.EndTime)
	equal(t, "end_latest_time", r.EndLatestTime, r.EndTime)
	equal(t, "confidence", r.Confidence, cdr.Exact)
}

// echoed compares the volumes of a call of the echo test with what the caller sent and heard. What was heard has been
// sent by Janus, and what that sent it has received, so the volumes are known exactly unless the network lost packets.
func (c *call) echoed(t *testing.T, r cdr.Record) {
	t.Helper()
	heard := c.hears(audio, 0)
	c.carried(t, r, 1, "received", func(webrtc.RTPCodecType) (int64, int64) { return heard, c.sent(audio) })
	c.carried(t, r, 1, "sent", func(webrtc.RTPCodecType) (int64, int64) { return heard, c.sent(audio) })
}

// carried compares the packets of each medium with the least and the most that they can have been. There are so many
// streams of each.
func (c *call) carried(t *testing.T, r cdr.Record, streams int, direction string,
	packets func(webrtc.RTPCodecType) (least, most int64)) {
	t.Helper()
	const smallest, largest = 12 + 3, 12 + 100 // bytes of a packet: header and payload of the least, with extensions
	kinds := []webrtc.RTPCodecType{audio}
	if len(c.tracks) != 1 {
		kinds = append(kinds, video)
	}
	equal(t, "the number of streams", len(r.Streams), streams*len(kinds))
	for _, kind := range kinds {
		media, codec := cdr.Audio, "opus"
		if kind == video {
			media, codec = cdr.Video, "vp8"
		}
		var sum, bytes int64
		n := 0
		for _, s := range r.Streams {
			if s.Media != media {
				continue
			}
			n++
			equal(t, "codec", s.Codec, codec)
			equal(t, "final_sample", s.FinalSample, true)
			if direction == "received" {
				sum += s.PacketsReceived
				bytes += s.BytesReceived
			} else {
				sum += s.PacketsSent
				bytes += s.BytesSent
			}
		}
		equal(t, "the number of streams of "+kind.String(), n, streams)
		least, most := packets(kind)
		between(t, "packets_"+direction+" of "+kind.String(), sum, least, most)
		between(t, "bytes_"+direction+" of "+kind.String(), bytes, smallest*sum, largest*sum)
	}
}

// summary compares the SESSION record with what the client did.
func (c *client) summary(t *testing.T, legs []cdr.Record, r cdr.Record, count int32, ended span) {
	t.Helper()
	c.created.contains(t, "start_time of the session", r.StartTime)
	ended.contains(t, "end_time of the session", r.EndTime)
	equal(t, "disposition of the session", r.Disposition, cdr.Answered)
	equal(t, "leg_count", r.LegCount, count)
	calls := count // a membership and the PeerConnection that carries it are one
	for i := range legs {
		if legs[i].LegKind == cdr.RoomMembership && legs[i].CompanionCDRID != (cdr.ID{}) {
			calls--
		}
	}
	equal(t, "answered_leg_count", r.AnsweredLegCount, calls)
	equal(t, "the number of leg records", int32(len(legs)), count)
	for _, leg := range legs {
		equal(t, "session_uid of a leg", leg.SessionUID, r.SessionUID)
		equal(t, "a leg in leg_ids", slices.Contains(r.LegIDs, leg.CDRID), true)
	}
	equal(t, "the length of leg_ids", int32(len(r.LegIDs)), count)
}

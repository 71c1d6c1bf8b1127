package cdr_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"januscdr/cdr"
	"januscdr/internal/fixtures/script"
	"januscdr/janus"
)

// shown is what records show besides what they always do.
type shown struct{ counts, media, lineage, ids, setup, more bool }

var everything = shown{true, true, true, true, true, true}

func (s *shown) read(words []string) error {
	for _, w := range words {
		switch w {
		case "counts":
			s.counts = true
		case "media":
			s.media = true
		case "lineage":
			s.lineage = true
		case "ids":
			s.ids = true
		case "setup":
			s.setup = true
		case "more":
			s.more = true
		default:
			return fmt.Errorf("%q cannot be shown", w)
		}
	}
	return nil
}

// show writes a line for each record, in the order in which they were emitted. A field that says what it usually says
// is left out:
//
//   - emitter edge-1, transport websockets, index 0, identity CREATED, confidence EXACT, by UNKNOWN, flags that are false
//   - answered_by, where a PeerConnection is answered by WEBRTC_UP, a SIP call by SIP_ACCEPTED, a membership by JOINED
//   - earliest and latest, where they equal end
//
// A part of a long leg shows which one it is, and what all of them have added up to.
func (t told) show(s shown) string {
	var b strings.Builder
	for i := range t.records {
		b.WriteString(s.record(&t.records[i]))
	}
	for _, p := range t.parked {
		fmt.Fprintf(&b, "parked offset=%d reason=%q\n", p.Input.Offset, p.Reason)
	}
	if b.Len() == 0 {
		return "no record"
	}
	return b.String()
}

type line struct{ strings.Builder }

func (l *line) add(key string, value any) {
	text := fmt.Sprint(value)
	if text == "" || text == "0" {
		return
	}
	if _, isText := value.(string); isText && strings.ContainsAny(text, " \"=,") {
		text = strconv.Quote(text)
	}
	fmt.Fprintf(l, " %s=%s", key, text)
}

func (l *line) unless(usual, key string, value any) {
	if fmt.Sprint(value) != usual {
		l.add(key, value)
	}
}

func (l *line) flag(set bool, word string) {
	if set {
		l.WriteByte(' ')
		l.WriteString(word)
	}
}

func (s shown) record(r *cdr.Record) string {
	l := &line{}
	usualAnswer := cdr.AnswerWebRTCUp
	if r.RecordType == cdr.Leg {
		l.WriteString("leg")
		l.add("kind", r.LegKind)
		l.unless("UNKNOWN", "role", r.Role)
		switch r.LegKind {
		case cdr.SIPCall:
			usualAnswer = cdr.AnswerSIPAccepted
		case cdr.RoomMembership:
			usualAnswer = cdr.AnswerJoined
		}
	} else {
		l.WriteString("session")
	}
	l.unless("edge-1", "emitter", r.Emitter)
	l.add("session", r.SessionID)
	l.unless("CREATED", "identity", r.IdentityBasis)
	if r.RecordType == cdr.Leg {
		l.add("handle", r.HandleID)
		l.unless("0", "index", r.LegIndex)
		l.add("plugin", cmpOr(strings.TrimPrefix(r.Plugin, "janus.plugin."), "none"))
	}
	l.add("opaque", r.OpaqueID)
	if r.RecordSequenceNumber != 0 {
		l.add("part", r.RecordSequenceNumber)
		l.flag(r.IsFinal, "final")
	}
	l.unless("websockets", "transport", cmpOr(strings.TrimPrefix(r.Transport, "janus.transport."), "none"))

	if r.RecordSequenceNumber != 0 {
		l.add("opens", daytime(r.RecordOpeningTime))
		l.add("closes", daytime(r.RecordClosureTime))
	}
	if r.Revision != 0 {
		l.add("revision", r.Revision)
	}
	l.add("start", daytime(r.StartTime))
	l.add("answer", daytime(r.AnswerTime))
	if r.AnswerTime != 0 {
		l.unless(usualAnswer.String(), "answered_by", r.AnswerBasis)
	}
	l.add("end", daytime(r.EndTime))
	if r.EndEarliestTime != r.EndTime {
		l.add("earliest", daytime(r.EndEarliestTime))
	}
	if r.EndLatestTime != r.EndTime {
		l.add("latest", daytime(r.EndLatestTime))
	}
	l.add("duration", span(r.Duration))
	if r.RecordSequenceNumber != 0 {
		l.add("cumulative", span(r.CumulativeDuration))
	}
	if s.setup {
		l.add("setup", span(r.SetupDuration))
		l.add("holding", span(r.HoldingDuration))
	}
	l.unless("UNKNOWN", "basis", r.EndBasis)
	l.add("cause", r.CauseForRecordClosing)
	l.unless("UNKNOWN", "by", r.DisconnectInitiator)
	l.add("reason", r.Diagnostics)
	l.add("disposition", r.Disposition)

	l.unless("UNKNOWN", "direction", r.Direction)
	l.add("calling", r.CallingParty)
	l.add("called", r.CalledParty)
	l.add("display", r.DisplayName)
	l.add("room", r.RoomID)
	l.add("participant", r.ParticipantID)
	if len(r.Feeds) > 0 {
		fmt.Fprintf(l, " feeds=%s", strings.Join(r.Feeds, ","))
	}
	l.add("call-id", r.SIPCallID)
	l.add("code", r.SIPFinalCode)
	l.add("sip_reason", r.SIPReason)
	l.add("remote", r.RemoteAddress)
	if r.LocalCandType != "" || r.RemoteCandType != "" {
		fmt.Fprintf(l, " pair=%s/%s/%s", r.LocalCandType, r.RemoteCandType, r.ICEProtocol)
	}
	if r.RecordType == cdr.SessionSummary {
		fmt.Fprintf(l, " legs=%d answered=%d concurrent=%d", r.LegCount, r.AnsweredLegCount, r.MaxConcurrentLegs)
	}
	l.flag(r.Chargeable, "chargeable")
	l.flag(r.StartMissing, "start_missing")
	l.flag(r.EndMissing, "end_missing")
	if r.InterimMissing == cdr.InterimYes || s.media && r.LegKind == cdr.PeerConnection {
		l.add("interim_missing", r.InterimMissing)
	}
	l.flag(r.ClockSuspect, "clock_suspect")
	l.flag(r.Truncated, "truncated")
	l.unless("EXACT", "confidence", r.Confidence)
	if s.counts {
		fmt.Fprintf(l, " events=%d duplicates=%d late=%d", r.EventCount, r.DuplicateCount, r.LateCount)
	}
	if s.lineage {
		fmt.Fprintf(l, " offsets=%d-%d", r.FirstOffset, r.LastOffset)
	}
	if s.more {
		l.more(r)
	}
	if s.ids {
		fmt.Fprintf(l, " record_id=%v cdr_id=%v session_uid=%v number=%d", r.RecordID, r.CDRID, r.SessionUID, r.LocalRecordSequenceNumber)
		for _, id := range r.LegIDs {
			fmt.Fprintf(l, " leg_id=%v", id)
		}
	}
	l.WriteByte('\n')
	if s.media {
		for i := range r.Streams {
			l.stream(&r.Streams[i])
		}
	}
	return l.String()
}

// more writes what version 2 of the schema knows besides.
func (l *line) more(r *cdr.Record) {
	l.add("ringing", daytime(r.RingingTime))
	l.add("progress", daytime(r.ProgressTime))
	l.add("hold", span(r.HoldDuration))
	l.add("received", daytime(r.LastReceivedTime))
	l.add("q850", r.ReleaseCause)
	l.add("q850_text", r.ReleaseCauseText)
	l.add("referred_by", r.ReferredBy)
	l.add("replaces", r.ReplacesCallID)
	l.add("master", r.MasterAccount)
	l.add("peer", r.PeerParty)
	l.add("version", r.EmitterVersion)
	l.flag(r.CompanionCDRID != cdr.ID{}, "companion")
	l.flag(r.PeerCDRID != cdr.ID{}, "peer_cdr_id")
	if r.RecordType == cdr.SessionSummary {
		fmt.Fprintf(l, " left_out=%d", r.LeftOutLegCount)
	}
}

// stream writes an indented line for a medium: counters that are not 0, gauges as min..max~mean in thousandths.
func (l *line) stream(s *cdr.Stream) {
	l.WriteString("  ")
	l.WriteString(strings.ToLower(s.Media.String()))
	if s.HasMid {
		fmt.Fprintf(l, " mid=%s", s.Mid)
	}
	l.add("layer", s.Layer)
	l.add("codec", s.Codec)
	fmt.Fprintf(l, " received=%d/%d sent=%d/%d", s.BytesReceived, s.PacketsReceived, s.BytesSent, s.PacketsSent)
	l.add("lost", s.Lost)
	l.add("lost-by-remote", s.LostByRemote)
	l.add("nacks-received", s.NACKsReceived)
	l.add("nacks-sent", s.NACKsSent)
	l.add("retransmissions-received", s.RetransmissionsReceived)
	l.add("first", daytime(s.FirstMediaTime))
	l.add("last", daytime(s.LastMediaTime))
	l.add("slow_links", s.SlowLinks)
	for _, q := range []struct {
		key   string
		usual int32
		cdr.Quality
	}{
		{"rtt", -1, s.RTT}, {"jitter-local", 0, s.JitterLocal}, {"jitter-remote", 0, s.JitterRemote},
		{"in-link-quality", 100, s.InLinkQuality}, {"out-link-quality", 100, s.OutLinkQuality},
	} {
		if q.Known && (q.Min != q.usual || q.Max != q.usual) {
			fmt.Fprintf(l, " %s=%d..%d~%d,last=%d", q.key, q.Min, q.Max, q.MeanMilli, q.Last)
		}
	}
	fmt.Fprintf(l, " samples=%d", s.Samples)
	l.flag(s.FinalSample, "final")
	l.WriteByte('\n')
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// daytime is a time of the day of the stories, with as many digits as it needs.
func daytime(t janus.Micros) string {
	if t == 0 {
		return ""
	}
	day := ""
	d := time.Duration(t-script.Midnight) * time.Microsecond
	if n := d / (24 * time.Hour); n > 0 && n < 1000 {
		day, d = fmt.Sprintf("%dd", n), d%(24*time.Hour)
	} else if n != 0 || d < 0 {
		return time.UnixMicro(int64(t)).UTC().Format("2006-01-02T15:04:05.999999")
	}
	return day + time.Time{}.Add(d).Format("15:04:05.999999")
}

func span(micros int64) string {
	if micros == 0 {
		return ""
	}
	return (time.Duration(micros) * time.Microsecond).String()
}

package avro

import (
	"fmt"
	"reflect"

	"pgregory.net/rapid"

	"januscdr/cdr"
	"januscdr/janus"
)

// aLeg is a video call of 61.4 s with simulcast: the record that the benchmarks write and the golden file shows.
func aLeg() cdr.Record {
	const start = janus.Micros(1_750_000_000_000_000)
	r := cdr.Record{
		SchemaVersion: cdr.SchemaVersion,
		RecordType:    cdr.Leg,
		RecordID:      cdr.ID{0x01, 0xAB},
		CDRID:         cdr.ID{0x02, 0xCD},
		SessionUID:    cdr.ID{0x03, 0xEF},
		IdentityBasis: cdr.Created,
		IsFinal:       true,
		ChangeKind:    cdr.Original,

		LocalRecordSequenceNumber: 4711,

		Emitter:        "janus-eu-1",
		EmitterVersion: "1.4.1",
		SessionID:      "8147364521927364",
		HandleID:       "1293847561029384",
		Plugin:         "janus.plugin.videoroom",
		OpaqueID:       "invoice-2025-000123",
		LegKind:        cdr.PeerConnection,

		Chargeable: true,

		SourceTopic:     "janus.events",
		SourcePartition: 7,
		FirstOffset:     9_000_000,
		LastOffset:      9_004_321,
		LineageOffset:   8_999_998,
		EventCount:      57,

		Role:           cdr.Publisher,
		DisplayName:    "Zoë <zoe@example.org>",
		RoomID:         "1234",
		ParticipantID:  "8273645",
		Transport:      "janus.transport.websockets",
		RemoteAddress:  "192.0.2.17",
		LocalCandType:  "host",
		RemoteCandType: "srflx",
		ICEProtocol:    "udp",

		RecordOpeningTime:  start,
		RecordClosureTime:  start + 62_100_000,
		StartTime:          start,
		AnswerTime:         start + 700_000,
		EndTime:            start + 62_100_000,
		AnswerBasis:        cdr.AnswerWebRTCUp,
		EndBasis:           cdr.EndWebRTCHangup,
		EndEarliestTime:    start + 62_100_000,
		EndLatestTime:      start + 62_100_000,
		LastReceivedTime:   start + 62_000_000,
		SetupDuration:      700_000,
		Duration:           61_400_000,
		CumulativeDuration: 61_400_000,

		Disposition:           cdr.Answered,
		CauseForRecordClosing: cdr.CauseNormalRelease,
		Diagnostics:           "Janus API",
		DisconnectInitiator:   cdr.ByLocal,
		InterimMissing:        cdr.InterimNo,
		Confidence:            cdr.Exact,
	}
	for i := range int32(4) {
		s := cdr.Stream{
			Mid: "1", HasMid: true, Media: cdr.Video, Layer: i - 1, Codec: "vp8",
			BytesReceived: 9_000_000 >> i, BytesSent: 1_000, PacketsReceived: 9_000 >> i, PacketsSent: 20,
			Lost: 3, NACKsSent: 2, RetransmissionsReceived: 2,
			FirstMediaTime: start + 900_000, LastMediaTime: start + 62_000_000,
			RTT:           cdr.Quality{Known: true, Min: 18, Max: 41, MeanMilli: 22_513, Last: 20},
			InLinkQuality: cdr.Quality{Known: true, Min: 97, Max: 100, MeanMilli: 99_800, Last: 100},
			Samples:       13, FinalSample: true,
		}
		if i == 0 {
			s.Mid, s.Media, s.Layer, s.Codec = "0", cdr.Audio, 0, "opus"
		}
		r.Streams = append(r.Streams, s)
	}
	return r
}

// aSession is the summary that comes after two legs.
func aSession() cdr.Record {
	r := aLeg()
	return cdr.Record{
		SchemaVersion: r.SchemaVersion, RecordType: cdr.SessionSummary, RecordID: cdr.ID{0x04}, CDRID: cdr.ID{0x05},
		SessionUID: r.SessionUID, IdentityBasis: r.IdentityBasis, IsFinal: true, ChangeKind: r.ChangeKind,
		LocalRecordSequenceNumber: 4712, Emitter: r.Emitter, EmitterVersion: r.EmitterVersion, SessionID: r.SessionID,
		SourceTopic: r.SourceTopic, SourcePartition: r.SourcePartition, FirstOffset: r.LineageOffset,
		LastOffset:    r.LastOffset,
		LineageOffset: r.LineageOffset, EventCount: 59,
		RecordOpeningTime: r.StartTime, RecordClosureTime: r.EndTime, StartTime: r.StartTime, AnswerTime: r.AnswerTime,
		EndTime: r.EndTime, AnswerBasis: r.AnswerBasis, EndBasis: cdr.EndSessionDestroyed, EndEarliestTime: r.EndTime,
		EndLatestTime: r.EndTime, SetupDuration: r.SetupDuration, Duration: r.Duration, CumulativeDuration: r.Duration,
		Disposition: cdr.Answered, CauseForRecordClosing: cdr.CauseNormalRelease, DisconnectInitiator: cdr.ByLocal,
		Confidence: cdr.Exact, LegCount: 2, AnsweredLegCount: 1, LegIDs: []cdr.ID{r.CDRID, {0x06}}, MaxConcurrentLegs: 1,
	}
}

// symbolsOf is the list in cdr that belongs to a type of enum.
var symbolsOf = map[reflect.Type][]string{
	reflect.TypeFor[cdr.RecordType]():    cdr.RecordTypes,
	reflect.TypeFor[cdr.IdentityBasis](): cdr.IdentityBases,
	reflect.TypeFor[cdr.ChangeKind]():    cdr.ChangeKinds,
	reflect.TypeFor[cdr.LegKind]():       cdr.LegKinds,
	reflect.TypeFor[cdr.Direction]():     cdr.Directions,
	reflect.TypeFor[cdr.Role]():          cdr.Roles,
	reflect.TypeFor[cdr.AnswerBasis]():   cdr.AnswerBases,
	reflect.TypeFor[cdr.EndBasis]():      cdr.EndBases,
	reflect.TypeFor[cdr.Disposition]():   cdr.Dispositions,
	reflect.TypeFor[cdr.Cause]():         cdr.Causes,
	reflect.TypeFor[cdr.Initiator]():     cdr.Initiators,
	reflect.TypeFor[cdr.Interim]():       cdr.Interims,
	reflect.TypeFor[cdr.Confidence]():    cdr.Confidences,
	reflect.TypeFor[cdr.StreamMedia]():   cdr.StreamMediaList,
}

// times limits the moments of anyRecord.
type times struct{ min, max int64 }

var (
	allTimes = times{-1 << 63, 1<<63 - 1}
	// calendarTimes are the years 1970 to 9999, which is what the calendars of other languages can say.
	calendarTimes = times{0, 253_402_300_799_999_999}
)

// anyRecord draws a record as a program would make it: what is null holds nothing besides.
func anyRecord(within times) *rapid.Generator[cdr.Record] {
	return rapid.Custom(func(t *rapid.T) cdr.Record {
		var r cdr.Record
		draw(t, within, reflect.ValueOf(&r).Elem(), "record")
		if r.RecordType == cdr.Leg {
			r.LegCount, r.AnsweredLegCount, r.MaxConcurrentLegs = 0, 0, 0
		}
		if r.RecordType == cdr.Leg || r.SchemaVersion < 2 {
			r.LeftOutLegCount = 0
		}
		if r.SchemaVersion < 2 {
			r.LineageOffset = 0
		}
		if r.AnswerTime == 0 {
			r.SetupDuration = 0
		}
		for i := range r.Streams {
			s := &r.Streams[i]
			if !s.HasMid {
				s.Mid = ""
			}
			for _, q := range []*cdr.Quality{&s.RTT, &s.JitterLocal, &s.JitterRemote, &s.InLinkQuality, &s.OutLinkQuality} {
				if !q.Known {
					*q = cdr.Quality{}
				}
			}
		}
		return r
	})
}

func draw(t *rapid.T, within times, v reflect.Value, label string) {
	if symbols, enum := symbolsOf[v.Type()]; enum {
		v.SetUint(uint64(rapid.IntRange(0, len(symbols)-1).Draw(t, label)))
		return
	}
	switch v.Interface().(type) {
	case janus.Micros:
		at := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(within.min, within.max))
		v.SetInt(at.Draw(t, label))
		return
	case cdr.ID:
		copy(v.Slice(0, v.Len()).Bytes(), rapid.SliceOfN(rapid.Byte(), v.Len(), v.Len()).Draw(t, label))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, within, v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Slice:
		for range rapid.IntRange(0, 3).Draw(t, label) {
			item := reflect.New(v.Type().Elem()).Elem()
			draw(t, within, item, label)
			v.Set(reflect.Append(v, item))
		}
	case reflect.String:
		v.SetString(rapid.String().Draw(t, label))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, label))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, label)))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, label))
	default:
		panic(fmt.Sprintf("a record has a field of type %v, which no test knows", v.Type()))
	}
}

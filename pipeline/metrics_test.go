package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"januscdr/cdr"
	"januscdr/janus"
	"januscdr/kafka"
)

func TestCallsAreCountedAsTelephonyAsksForThem(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry(), newBoard(new(kafka.Contact)), 2)
	leg := cdr.Record{RecordType: cdr.Leg, IsFinal: true, Chargeable: true, Plugin: "janus.plugin.sip", AnswerTime: 1,
		Disposition: cdr.Answered, Confidence: cdr.Exact, Duration: 60_000_000}
	busy, amended, part, unknown, free := leg, leg, leg, leg, leg
	busy.AnswerTime, busy.Disposition = 0, cdr.Busy
	amended.Revision = 1
	part.IsFinal = false
	unknown.Plugin = "somebody's"
	free.Chargeable = false
	m.emitted([]cdr.Record{leg, leg, busy, amended, part, unknown, free, {RecordType: cdr.SessionSummary}})
	for _, scene := range []struct {
		plugin, disposition string
		want                float64
	}{{"sip", "ANSWERED", 2}, {"sip", "BUSY", 1}, {"other", "ANSWERED", 1}} {
		if got := testutil.ToFloat64(m.calls.WithLabelValues(scene.plugin, scene.disposition, "EXACT")); got != scene.want {
			t.Errorf("%s %s: %v, want %v", scene.plugin, scene.disposition, got, scene.want)
		}
	}
	if n := testutil.CollectAndCount(m.lasted); n != 2 {
		t.Errorf("durations of %d plugins", n)
	}
}

// A record that comes long after the end of its call is seen as that, whatever kind of leg it is; each leg counts once.
func TestTheDelayFromTheEndOfALegToItsRecordIsMeasured(t *testing.T) {
	r := prometheus.NewRegistry()
	m := newMetrics(r, newBoard(new(kafka.Contact)), 2)
	ended := func(ago time.Duration) cdr.Record {
		return cdr.Record{RecordType: cdr.Leg, IsFinal: true, EndTime: janus.Micros(time.Now().Add(-ago).UnixMicro())}
	}
	charged, amended, part := ended(2*time.Hour), ended(time.Hour), ended(time.Hour)
	charged.Chargeable, amended.Revision, part.IsFinal = true, 1, false
	ahead := ended(-time.Minute) // its clock is: that is no delay
	m.emitted([]cdr.Record{charged, ended(2 * time.Hour), amended, part, ahead, {RecordType: cdr.SessionSummary}})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	measured := false
	for _, f := range families {
		if f.GetName() != "januscdr_record_delay_seconds" {
			continue
		}
		measured = true
		h := f.GetMetric()[0].GetHistogram()
		for _, b := range h.GetBucket() {
			want := uint64(1)
			if b.GetUpperBound() > (2 * time.Hour).Seconds() {
				want = 3
			}
			if b.GetCumulativeCount() != want {
				t.Errorf("%d within %v s, want %d", b.GetCumulativeCount(), b.GetUpperBound(), want)
			}
		}
		if sum := h.GetSampleSum(); h.GetSampleCount() != 3 || sum < 4*3600 || sum > 5*3600 {
			t.Errorf("%d legs, %v s", h.GetSampleCount(), sum)
		}
	}
	if !measured {
		t.Error("nobody measures it")
	}
}

func TestWhatLegsLackIsCountedByEmitterAndBounded(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry(), newBoard(new(kafka.Contact)), 2)
	leg := cdr.Record{RecordType: cdr.Leg, IsFinal: true, Emitter: "ams-1", StartMissing: true, EndMissing: true}
	amended := leg
	amended.Revision = 1
	m.emitted([]cdr.Record{leg, leg, amended, {RecordType: cdr.Leg, IsFinal: true, Emitter: "ams-2"}})
	for missing, want := range map[string]float64{"start": 2, "end": 2, "interim": 0, "clock": 0} {
		if got := testutil.ToFloat64(m.incomplete.WithLabelValues("ams-1", missing)); got != want {
			t.Errorf("%s: %v, want %v", missing, got, want)
		}
	}
	for i := range 2 * maxEmitterSeries {
		leg.Emitter = fmt.Sprint("invented-", i)
		m.emitted([]cdr.Record{leg})
	}
	if n := testutil.CollectAndCount(m.incomplete); n > 2*maxEmitterSeries+6 {
		t.Errorf("%d series", n)
	}
	if got := testutil.ToFloat64(m.incomplete.WithLabelValues(othersName, "start")); got != maxEmitterSeries+1 {
		t.Errorf("%v of all others", got)
	}
}

func TestOnlyWhatWasCountedAtTheSameHeartbeatIsShown(t *testing.T) {
	b := newBoard(new(kafka.Contact))
	tally := func(at janus.Micros, here int64) cdr.Tally {
		return cdr.Tally{At: at, Janus: cdr.Census{Sessions: 9, Handles: 8}, Here: cdr.Census{Sessions: here}}
	}
	know := func(partition int32, heard ...cdr.Heard) {
		b.put(0, partition, func(s *PartitionStatus) { s.State, s.known.heard = Running, heard })
	}
	know(0, cdr.Heard{Emitter: "ams-1", Tallies: []cdr.Tally{tally(1e6, 3), tally(2e6, 4), tally(3e6, 6)}, Steps: 1},
		cdr.Heard{Emitter: "ams-2", Tallies: []cdr.Tally{tally(1e6, 3)}})
	know(1, cdr.Heard{Emitter: "ams-1", Tallies: []cdr.Tally{tally(1e6, 3), tally(2e6, 5)}, Steps: 2, Behind: 1_500_000})
	want := `
# HELP januscdr_emitter_clock_steps How often the clock of a Janus was seen to be set, by one partition at the most.
# TYPE januscdr_emitter_clock_steps gauge
januscdr_emitter_clock_steps{emitter="ams-1"} 2
januscdr_emitter_clock_steps{emitter="ams-2"} 0
# HELP januscdr_emitter_heartbeat_timestamp_seconds When that heartbeat was, by the clock of the Janus.
# TYPE januscdr_emitter_heartbeat_timestamp_seconds gauge
januscdr_emitter_heartbeat_timestamp_seconds{emitter="ams-1"} 2
# HELP januscdr_emitter_open What is open on a Janus by the log at its last heartbeat, in partitions of this process.
# TYPE januscdr_emitter_open gauge
januscdr_emitter_open{emitter="ams-1",of="handles"} 0
januscdr_emitter_open{emitter="ams-1",of="peerconnections"} 0
januscdr_emitter_open{emitter="ams-1",of="sessions"} 9
# HELP januscdr_emitter_partitions Partitions of this process in which that heartbeat was seen.
# TYPE januscdr_emitter_partitions gauge
januscdr_emitter_partitions{emitter="ams-1"} 2
# HELP januscdr_emitters_heard Janus servers of which something is known, also those without series of their own.
# TYPE januscdr_emitters_heard gauge
januscdr_emitters_heard 2
# HELP januscdr_event_log_partitions Partitions of the event log.
# TYPE januscdr_event_log_partitions gauge
januscdr_event_log_partitions 12
`
	err := testutil.CollectAndCompare(newEmitterGauges(b, 12), strings.NewReader(want), "januscdr_emitter_clock_steps",
		"januscdr_emitter_heartbeat_timestamp_seconds", "januscdr_emitter_open", "januscdr_emitter_partitions",
		"januscdr_emitters_heard", "januscdr_event_log_partitions")
	if err != nil {
		t.Error(err)
	}
}

package pipeline

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"januscdr/cdr"
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

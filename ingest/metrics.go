package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"januscdr/janus"
)

// bodyFate is what became of a body, for the count.
type bodyFate string

const (
	fateAcknowledged   bodyFate = "acknowledged"   // all of it is safe, and it was answered
	fateRepeated       bodyFate = "repeated"       // it had come before, is safe, and is not written again
	fateUnacknowledged bodyFate = "unacknowledged" // it could not be made safe in time: it must come again
	fateRefused        bodyFate = "refused"        // not looked at: it must come again
	fateAborted        bodyFate = "aborted"        // the sender went away before its end
)

// Refusal is why a body must come again.
type Refusal string

// The reasons. Path and credentials are for a source to tell, by Receiver.Refuse; the others come from the receiver.
const (
	RefusedPath        Refusal = "path"        // nobody may send to there
	RefusedCredentials Refusal = "credentials" // wrong or missing
	RefusedBusy        Refusal = "busy"        // too many bytes of bodies held already
	RefusedBuffer      Refusal = "buffer"      // too many bytes on their way to Kafka already
	RefusedKafka       Refusal = "kafka"       // Kafka refused
	RefusedTimeout     Refusal = "timeout"     // Kafka did not acknowledge in time
	RefusedStarting    Refusal = "starting"    // Kafka was not there yet, or its topics not checked
	RefusedStopping    Refusal = "stopping"    // we are told to stop
)

var (
	fates    = []bodyFate{fateAcknowledged, fateRepeated, fateUnacknowledged, fateRefused, fateAborted}
	refusals = []Refusal{RefusedPath, RefusedCredentials, RefusedBusy, RefusedBuffer, RefusedKafka, RefusedTimeout,
		RefusedStarting, RefusedStopping}
)

func metricName(n string) string { return "januscdr_ingest_" + n }

// receiverMetrics are the counters of bodies. Labels come from closed sets only.
type receiverMetrics struct {
	bodies   *prometheus.CounterVec // by source and outcome
	bytes    prometheus.Counter     // of bodies, as sent
	refused  *prometheus.CounterVec // by source and reason
	inflight prometheus.Gauge       // bytes of bodies held
}

func newReceiverMetrics(reg prometheus.Registerer, sources []Source) *receiverMetrics {
	m := &receiverMetrics{
		bodies: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("bodies_total"),
			Help: "Bodies received, by what became of them; only acknowledged and repeated ones are safe.",
		}, []string{"source", "outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: metricName("bytes_total"),
			Help: "Bytes of bodies received, as they were sent."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("refused_total"),
			Help: "Bodies that must come again, by reason."}, []string{"source", "reason"}),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{Name: metricName("inflight_bytes"),
			Help: "Bytes reserved for bodies that are being worked on."}),
	}
	for _, s := range sources {
		for _, f := range fates {
			m.bodies.WithLabelValues(s.Name(), string(f))
		}
		for _, r := range refusals {
			m.refused.WithLabelValues(s.Name(), string(r))
		}
	}
	if reg != nil {
		reg.MustRegister(m.bodies, m.bytes, m.refused, m.inflight)
	}
	return m
}

func (m *receiverMetrics) body(source string, f bodyFate) {
	m.bodies.WithLabelValues(source, string(f)).Inc()
}

func (m *receiverMetrics) refuse(source string, why Refusal) {
	m.refused.WithLabelValues(source, string(why)).Inc()
}

// publisherMetrics are the counters of what is written. Labels come from closed sets only.
type publisherMetrics struct {
	events *prometheus.CounterVec            // by type, when acknowledged; copies do not count
	parked *prometheus.CounterVec            // by error, when acknowledged
	ack    prometheus.Histogram              // from handing a body over to the last acknowledgement
	alive  *prometheus.CounterVec            // by result
	byType map[janus.Type]prometheus.Counter // events by janus.Type, so that counting looks nothing up by text
	other  prometheus.Counter
}

func newPublisherMetrics(reg prometheus.Registerer) *publisherMetrics {
	m := &publisherMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("events_total"),
			Help: "Events acknowledged by Kafka, by Janus' type; copies do not count."}, []string{"type"}),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("parked_total"),
			Help: "Bodies and events parked in the dead letter topic, by error."}, []string{"error"}),
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{Name: metricName("ack_seconds"),
			Help:    "Time from handing a body to the producer until all of it was acknowledged.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 4, 8}}),
		alive: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("alive_total"),
			Help: "Signs of life appended for emitters, by result; one for each partition."}, []string{"result"}),
	}
	m.byType = make(map[janus.Type]prometheus.Counter, len(janus.Types))
	for _, t := range janus.Types {
		m.byType[t] = m.events.WithLabelValues(t.String())
	}
	m.other = m.events.WithLabelValues("other")
	for _, c := range codes {
		m.parked.WithLabelValues(string(c))
	}
	for _, r := range []string{"acknowledged", "failed"} {
		m.alive.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.events, m.parked, m.ack, m.alive)
	}
	return m
}

func (m *publisherMetrics) event(t janus.Type) {
	if counter, ok := m.byType[t]; ok {
		counter.Inc()
		return
	}
	m.other.Inc()
}

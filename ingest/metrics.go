package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"januscdr/janus"
)

// outcome is what became of a body.
type outcome string

const (
	outcomeAcknowledged   outcome = "acknowledged"   // all of it is safe, and it was answered
	outcomeRepeated       outcome = "repeated"       // it had come before, is safe, and was answered without being written again
	outcomeUnacknowledged outcome = "unacknowledged" // it could not be made safe in time: no answer
	outcomeRefused        outcome = "refused"        // not looked at: no answer
	outcomeAborted        outcome = "aborted"        // the sender went away before its end
)

// refusal is why a body was not answered.
type refusal string

const (
	refusedPath        refusal = "path"        // nobody may post there
	refusedCredentials refusal = "credentials" // wrong or missing
	refusedBusy        refusal = "busy"        // too many bytes of bodies held already
	refusedBuffer      refusal = "buffer"      // too many bytes on their way to Kafka already
	refusedKafka       refusal = "kafka"       // Kafka refused
	refusedTimeout     refusal = "timeout"     // Kafka did not acknowledge in time
	refusedStarting    refusal = "starting"    // Kafka was not there yet, or its topics not checked
	refusedStopping    refusal = "stopping"    // we are told to stop
)

var (
	outcomes = []outcome{outcomeAcknowledged, outcomeRepeated, outcomeUnacknowledged, outcomeRefused, outcomeAborted}
	refusals = []refusal{refusedPath, refusedCredentials, refusedBusy, refusedBuffer, refusedKafka, refusedTimeout, refusedStarting, refusedStopping}
)

// metrics are the counters of this room. Labels come from closed sets only.
type metrics struct {
	events   *prometheus.CounterVec            // by type, when acknowledged; copies do not count
	bodies   *prometheus.CounterVec            // by outcome
	bytes    prometheus.Counter                // of bodies, as sent
	parked   *prometheus.CounterVec            // by error, when acknowledged
	refused  *prometheus.CounterVec            // by reason
	ack      prometheus.Histogram              // from handing a body over to the last acknowledgement
	inflight prometheus.Gauge                  // bytes of bodies held
	alive    *prometheus.CounterVec            // by result
	byType   map[janus.Type]prometheus.Counter // events by janus.Type, so that counting looks nothing up by text
	other    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	name := func(n string) string { return "januscdr_ingest_" + n }
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("events_total"),
			Help: "Events acknowledged by Kafka, by Janus' type; copies do not count."}, []string{"type"}),
		bodies: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("bodies_total"),
			Help: "Bodies received, by what became of them; only acknowledged and repeated ones were answered."}, []string{"outcome"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: name("bytes_total"),
			Help: "Bytes of bodies received, as they were sent."}),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("parked_total"),
			Help: "Bodies and events parked in the dead letter topic, by error."}, []string{"error"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("refused_total"),
			Help: "Bodies left without an answer, by reason."}, []string{"reason"}),
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{Name: name("ack_seconds"),
			Help:    "Time from handing a body to the producer until all of it was acknowledged.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 4, 8}}),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{Name: name("inflight_bytes"),
			Help: "Bytes reserved for bodies that are being worked on."}),
		alive: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("alive_total"),
			Help: "Signs of life appended for emitters, by result; one for each partition."}, []string{"result"}),
	}
	m.byType = make(map[janus.Type]prometheus.Counter, len(typeNames))
	for t, label := range typeNames {
		m.byType[t] = m.events.WithLabelValues(label)
	}
	m.other = m.events.WithLabelValues("other")
	for _, o := range outcomes {
		m.bodies.WithLabelValues(string(o))
	}
	for _, r := range refusals {
		m.refused.WithLabelValues(string(r))
	}
	for _, c := range codes {
		m.parked.WithLabelValues(string(c))
	}
	for _, r := range []string{"acknowledged", "failed"} {
		m.alive.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.events, m.bodies, m.bytes, m.parked, m.refused, m.ack, m.inflight, m.alive)
	}
	return m
}

var typeNames = map[janus.Type]string{
	janus.TypeSession: "session", janus.TypeHandle: "handle", janus.TypeExternal: "external", janus.TypeJSEP: "jsep",
	janus.TypeWebRTC: "webrtc", janus.TypeMedia: "media", janus.TypePlugin: "plugin", janus.TypeTransport: "transport",
	janus.TypeCore: "core",
}

func (m *metrics) event(t janus.Type) {
	if counter, ok := m.byType[t]; ok {
		counter.Inc()
		return
	}
	m.other.Inc()
}

package ingest

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"januscdr/janus"
	"januscdr/kafka"
	"januscdr/spool"
)

// bodyFate is what became of a body, for the count.
type bodyFate string

const (
	fateAcknowledged   bodyFate = "acknowledged"   // all of it is safe, and it was answered
	fateRepeated       bodyFate = "repeated"       // it had come before, is safe, and is not written again
	fateUnacknowledged bodyFate = "unacknowledged" // it could not be made safe in time: it must come again
	fateRefused        bodyFate = "refused"        // not looked at: it must come again
	fateAborted        bodyFate = "aborted"        // the sender went away before its end
	fateLost           bodyFate = "lost"           // it could not be made safe, and its transport cannot send it again
)

// Refusal is why a body must come again.
type Refusal string

// The reasons. Path and credentials are for a source to tell, by Receiver.Refuse; the others come from the receiver.
const (
	RefusedPath        Refusal = "path"        // nobody may send to there
	RefusedCredentials Refusal = "credentials" // wrong or missing
	RefusedBusy        Refusal = "busy"        // too many bytes of bodies held already
	RefusedSlow        Refusal = "slow"        // it came slower than Options.MinRate
	RefusedRate        Refusal = "rate"        // its sender sends more than Options.SenderRate
	RefusedBuffer      Refusal = "buffer"      // too many bytes on their way to Kafka already
	RefusedKafka       Refusal = "kafka"       // Kafka refused
	RefusedTimeout     Refusal = "timeout"     // Kafka did not acknowledge in time
	RefusedSpool       Refusal = "spool"       // nor did the spool take it: it is full, or its disk fails
	RefusedStarting    Refusal = "starting"    // Kafka was not there yet, or its topics not checked
	RefusedStopping    Refusal = "stopping"    // we are told to stop
)

var (
	fates = []bodyFate{fateAcknowledged, fateRepeated, fateUnacknowledged, fateRefused, fateAborted,
		fateLost}
	refusals = []Refusal{RefusedPath, RefusedCredentials, RefusedBusy, RefusedSlow, RefusedRate, RefusedBuffer,
		RefusedKafka, RefusedTimeout, RefusedSpool, RefusedStarting, RefusedStopping}
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

// lose counts bodies that are lost before anybody could look at them.
func (m *receiverMetrics) lose(source string, bodies int) {
	m.bodies.WithLabelValues(source, string(fateLost)).Add(float64(bodies))
}

func (m *receiverMetrics) refuse(source string, why Refusal) {
	m.refused.WithLabelValues(source, string(why)).Inc()
}

// guardMetrics are the numbers of connections, by source.
type guardMetrics struct {
	open  *prometheus.GaugeVec
	ended *prometheus.CounterVec
}

func newGuardMetrics(reg prometheus.Registerer) *guardMetrics {
	m := &guardMetrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricName("connections"),
			Help: "Connections of senders that are open."}, []string{"source"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("connections_ended_total"),
			Help: "Connections that were ended to make room for others."}, []string{"source"}),
	}
	if reg != nil {
		reg.MustRegister(m.open, m.ended)
	}
	return m
}

// spoolMetrics are the numbers of the spool, asked for at each scrape.
type spoolMetrics struct {
	stats   func() (spool.Stats, bool)
	records []spoolNumber
}

type spoolNumber struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(spool.Stats) float64
}

func newSpoolMetrics(reg prometheus.Registerer, stats func() (spool.Stats, bool)) {
	m := &spoolMetrics{stats: stats}
	number := func(kind prometheus.ValueType, name, help string, of func(spool.Stats) float64) {
		m.records = append(m.records, spoolNumber{prometheus.NewDesc(metricName("spool_"+name), help, nil, nil), kind, of})
	}
	gauge := func(name, help string, of func(spool.Stats) float64) { number(prometheus.GaugeValue, name, help, of) }
	counter := func(name, help string, of func(spool.Stats) float64) { number(prometheus.CounterValue, name, help, of) }
	gauge("events", "Events that wait on disk for Kafka.", func(s spool.Stats) float64 { return float64(s.Records) })
	gauge("bytes", "Bytes of the events that wait on disk.", func(s spool.Stats) float64 { return float64(s.Bytes) })
	gauge("disk_bytes", "Bytes of the spool's files; at most spool_max_bytes.",
		func(s spool.Stats) float64 { return float64(s.DiskBytes) })
	gauge("max_bytes", "Bytes that the spool may take.", func(s spool.Stats) float64 { return float64(s.MaxBytes) })
	gauge("oldest_seconds", "Age of the oldest event that waits; 0 when none does.",
		func(s spool.Stats) float64 { return s.Oldest.Seconds() })
	gauge("left_seconds", "Time until the spool refuses, if all goes on like now; +Inf if it does not come to that.",
		func(s spool.Stats) float64 {
			if s.Left == spool.Never {
				return math.Inf(1)
			}
			return s.Left.Seconds()
		})
	gauge("failing", "1 when the last write, position or read of the spool failed.", func(s spool.Stats) float64 {
		if s.Trouble != nil {
			return 1
		}
		return 0
	})
	counter("appended_total", "Events that were made safe on disk.",
		func(s spool.Stats) float64 { return float64(s.Counts.Appended) })
	counter("forwarded_total", "Events of the spool that are in Kafka.",
		func(s spool.Stats) float64 { return float64(s.Counts.Acknowledged) })
	counter("refused_total", "Events that the spool did not take: it was full, or its disk failed.",
		func(s spool.Stats) float64 { return float64(s.Counts.Refused + s.Counts.Failed) })
	counter("damaged_total", "Events that were safe on disk and cannot be read any more.",
		func(s spool.Stats) float64 { return float64(s.Counts.Damaged.Records) })
	if reg != nil {
		reg.MustRegister(m)
	}
}

func (m *spoolMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, n := range m.records {
		to <- n.desc
	}
}

func (m *spoolMetrics) Collect(to chan<- prometheus.Metric) {
	s, ok := m.stats()
	if !ok {
		return
	}
	for _, n := range m.records {
		to <- prometheus.MustNewConstMetric(n.desc, n.kind, n.of(s))
	}
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

func newPublisherMetrics(reg prometheus.Registerer, contact *kafka.Contact) *publisherMetrics {
	m := &publisherMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("events_total"),
			Help: "Events acknowledged by Kafka, by Janus' type; copies do not count."}, []string{"type"}),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("parked_total"),
			Help: "Bodies and events parked in the dead letter topic, by error."}, []string{"error"}),
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{Name: metricName("ack_seconds"),
			Help:    "Time from handing a body to the producer until all of it was acknowledged.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 4, 8}}),
		alive: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName("alive_total"),
			Help: "Signs of life of emitters, by result; one for each partition. no_room: events of a name that has none."},
			[]string{"result"}),
	}
	m.byType = make(map[janus.Type]prometheus.Counter, len(janus.Types))
	for _, t := range janus.Types {
		m.byType[t] = m.events.WithLabelValues(t.String())
	}
	m.other = m.events.WithLabelValues("other")
	for _, c := range codes {
		m.parked.WithLabelValues(string(c))
	}
	for _, r := range []string{"acknowledged", "failed", "no_room"} {
		m.alive.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.events, m.parked, m.ack, m.alive, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: metricName("kafka_reachable"), Help: "1 when a broker has answered within the last 10 s, else 0.",
		}, func() float64 {
			if contact.Reached() {
				return 1
			}
			return 0
		}))
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

// othersName is the label of the emitters that are not known by name. No name of a server begins so by chance.
const othersName = "_others"

// emitterMetrics are the numbers of each emitter, asked for at each scrape. A name is what a sender says it is, so
// there are at most maxKnown of them; the rest is one.
type emitterMetrics struct {
	emitters               *emitters
	seen, events, sessions *prometheus.Desc
}

func newEmitterMetrics(reg prometheus.Registerer, all *emitters) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(metricName("emitter_"+name), help, []string{"emitter"}, nil)
	}
	if reg == nil {
		return
	}
	reg.MustRegister(&emitterMetrics{all,
		desc("last_event_timestamp_seconds", "When the last event of a Janus server came, by our clock."),
		desc("events_total", "Events of a Janus server that Kafka has acknowledged."),
		desc("sessions_total", "Sessions that a Janus server has created, by the events that Kafka has acknowledged."),
	})
}

func (m *emitterMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.seen, m.events, m.sessions} {
		to <- d
	}
}

func (m *emitterMetrics) Collect(to chan<- prometheus.Metric) {
	names, counts, others := m.emitters.snapshot()
	for i, c := range append(counts, others) {
		name := othersName
		if i < len(names) {
			name = names[i]
		}
		if !c.seen.IsZero() {
			to <- prometheus.MustNewConstMetric(m.seen, prometheus.GaugeValue, float64(c.seen.UnixMilli())/1000, name)
		}
		to <- prometheus.MustNewConstMetric(m.events, prometheus.CounterValue, float64(c.events), name)
		to <- prometheus.MustNewConstMetric(m.sessions, prometheus.CounterValue, float64(c.sessions), name)
	}
}

package pipeline

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"januscdr/cdr"
)

// metrics are the counters of this room.
type metrics struct {
	records    *prometheus.CounterVec // by leg kind, or SESSION, and cause, in the words of the record
	calls      *prometheus.CounterVec // that are charged, as they end
	lasted     *prometheus.HistogramVec
	delay      prometheus.Histogram
	events     *prometheus.CounterVec // by type of event
	inputs     *prometheus.CounterVec // by kind of input record
	duplicates prometheus.Counter
	late       prometheus.Counter
	forgotten  prometheus.Counter
	parked     prometheus.Counter
	ticks      *prometheus.CounterVec // by result

	commits  *prometheus.CounterVec // by outcome
	seconds  prometheus.Histogram
	last     atomic.Int64 // when, in Unix nanoseconds; at first, the start
	states   prometheus.Counter
	rewrites prometheus.Counter

	restores   *prometheus.CounterVec // by kind
	incomplete *prometheus.CounterVec // by emitter, and what is missing
	named      map[string]bool        // emitters that have labels of their own
	naming     sync.Mutex
	restored   prometheus.Counter
	broken     prometheus.Counter
	regrown    prometheus.Counter
	hanging    prometheus.Counter
	mismatches prometheus.Counter
	lost       prometheus.Counter
}

// Outcomes of a commit.
const (
	committed = "committed"
	aborted   = "aborted"
	unknown   = "unknown"
)

func newMetrics(r prometheus.Registerer, b *board, partitions int32) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "januscdr_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "januscdr_" + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		named: map[string]bool{},
		records: counters("records_emitted_total", "Records in committed transactions, by leg kind (or SESSION) and "+
			"cause for closing.", "kind", "cause"),
		events:     counters("events_total", "Events folded, by type.", "type"),
		inputs:     counters("inputs_total", "Records read from the event log, by kind.", "kind"),
		duplicates: counter("duplicates_total", "Events that were exact repetitions."),
		late:       counter("late_events_total", "Events of sessions that were closed and reported already."),
		forgotten: counter("emitters_forgotten_total", "Emitters without sessions that were forgotten, since there were "+
			"more of them than are remembered."),
		parked:   counter("dlq_total", "Events that could not be understood and were parked."),
		ticks:    counters("ticks_total", "Ticks appended to idle partitions, by result.", "result"),
		commits:  counters("commits_total", "Transactions, by outcome.", "outcome"),
		states:   counter("states_written_total", "States and positions written to the changelog."),
		rewrites: counter("changelog_rewrites_total", "Changelog partitions rewritten on the embedded broker."),
		restores: counters("restores_total", "Restores finished, warm (from a kept state store) or cold.", "kind"),
		restored: counter("restored_records_total", "Changelog records read by restores."),
		broken:   counter("stores_broken_total", "State stores that were moved aside and built anew."),
		regrown: counter("changelog_regrown_total", "Restores that found that Kafka had lost the end of a changelog, and "+
			"that it had grown again."),
		hanging: counter("restores_hanging_total", "Restores that gave up waiting for a transaction that nobody ends, and "+
			"began again."),
		mismatches: counter("position_mismatches_total", "Restores whose position was not the group's committed offset; "+
			"the position wins."),
		lost: counter("lost_events_total", "Events that were deleted before they were read, where going on without "+
			"them was accepted."),
	}
	r.MustRegister(newGauges(b), newEmitterGauges(b, partitions))
	m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "januscdr_commit_seconds", Help: "Time of a committed transaction from begin to end.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	})
	m.calls = counters("calls_total", "Legs that are charged and have ended, by plugin, what became of them, and how far "+
		"their times can be trusted.", "plugin", "disposition", "confidence")
	m.lasted = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "januscdr_call_seconds", Help: "Durations of answered legs that are charged, by plugin.",
		Buckets: []float64{1, 5, 15, 30, 60, 180, 300, 600, 1800, 3600, 7200, 14400},
	}, []string{"plugin"})
	m.delay = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "januscdr_record_delay_seconds",
		Help:    "Time from the end of a leg, by the clock of its server, to the commit of its record.",
		Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400},
	})
	m.incomplete = counters("incomplete_legs_total", "Legs of which something is missing, or which saw a clock that was "+
		"set, by emitter.", "emitter", "missing")
	r.MustRegister(m.lasted, m.delay)
	m.last.Store(time.Now().UnixNano())
	r.MustRegister(m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "januscdr_commit_age_seconds", Help: "Time since a transaction was committed last; at first, since the start.",
	}, func() float64 { return time.Since(time.Unix(0, m.last.Load())).Seconds() }))
	for _, outcome := range []string{committed, aborted, unknown} {
		m.commits.WithLabelValues(outcome)
	}
	for _, name := range cdr.EventTypes {
		m.events.WithLabelValues(name)
	}
	return m
}

// emitted counts the records of a committed step.
func (m *metrics) emitted(records []cdr.Record) {
	for i := range records {
		kind := records[i].LegKind.String()
		if records[i].RecordType != cdr.Leg {
			kind = records[i].RecordType.String()
		}
		m.records.WithLabelValues(kind, records[i].CauseForRecordClosing.String()).Inc()
		m.ended(&records[i])
	}
}

// ended counts a call that is charged, as telephony asks for it: the answer-seizure ratio is the share of ANSWERED, the
// money at risk what is not EXACT.
func (m *metrics) ended(r *cdr.Record) {
	if r.RecordType != cdr.Leg || !r.IsFinal || r.Revision > 0 {
		return
	}
	m.missing(r)
	m.delay.Observe(max(time.Since(time.UnixMicro(int64(r.EndTime))).Seconds(), 0))
	if !r.Chargeable {
		return
	}
	plugin := pluginLabel(r.Plugin)
	m.calls.WithLabelValues(plugin, r.Disposition.String(), r.Confidence.String()).Inc()
	if r.AnswerTime != 0 {
		m.lasted.WithLabelValues(plugin).Observe(time.Duration(max(r.Duration, r.CumulativeDuration) *
			int64(time.Microsecond)).Seconds())
	}
}

// othersName is the label of emitters beyond maxEmitterSeries. No name of a server begins so by chance.
const othersName = "_others"

// emitterLabel is the name of an emitter, or of all others where there are too many.
func (m *metrics) emitterLabel(name string) string {
	m.naming.Lock()
	defer m.naming.Unlock()
	if m.named[name] {
		return name
	}
	if len(m.named) >= maxEmitterSeries {
		return othersName
	}
	m.named[name] = true
	return name
}

// missing counts what a leg lacks.
func (m *metrics) missing(r *cdr.Record) {
	for _, of := range []struct {
		what string
		is   bool
	}{
		{"start", r.StartMissing}, {"interim", r.InterimMissing == cdr.InterimYes}, {"end", r.EndMissing},
		{"clock", r.ClockSuspect},
	} {
		if of.is {
			m.incomplete.WithLabelValues(m.emitterLabel(r.Emitter), of.what).Inc()
		}
	}
}

// labelled are the plugins that have a label of their own; a name is what a server says it is, so all others share one.
var labelled = []string{"audiobridge", "echotest", "nosip", "recordplay", "sip", "streaming", "textroom", "videocall",
	"videoroom", "voicemail"}

func pluginLabel(name string) string {
	short := strings.TrimPrefix(name, "janus.plugin.")
	if _, found := slices.BinarySearch(labelled, short); found {
		return short
	}
	return "other"
}

// folded counts what a fold has done between two of its counts.
func (m *metrics) folded(before, after cdr.Counts) {
	for i, name := range cdr.EventTypes {
		if n := after.Events[i] - before.Events[i]; n > 0 {
			m.events.WithLabelValues(name).Add(float64(n))
		}
	}
	m.duplicates.Add(float64(after.Duplicates - before.Duplicates))
	m.late.Add(float64(after.Late - before.Late))
	m.forgotten.Add(float64(after.Forgotten - before.Forgotten))
	m.parked.Add(float64(after.Parked - before.Parked))
}

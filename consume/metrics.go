package consume

import "github.com/prometheus/client_golang/prometheus"

// metrics are the counters of this room.
type metrics struct {
	records  prometheus.Counter
	failures prometheus.Counter
	seconds  prometheus.Histogram
	newest   prometheus.Gauge
	lag      *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer, target string) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	labels := prometheus.Labels{"target": target}
	m := &metrics{
		records: prometheus.NewCounter(prometheus.CounterOpts{Name: "januscdr_sink_records_total", ConstLabels: labels,
			Help: "Records that the target took."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name:        "januscdr_sink_failures_total",
			ConstLabels: labels,
			Help:        "Times that the target or Kafka was away, and the sink began again from what the target holds.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "januscdr_sink_write_seconds", ConstLabels: labels,
			Help: "Time that the target took for a batch.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}),
		newest: prometheus.NewGauge(prometheus.GaugeOpts{Name: "januscdr_sink_newest_record_seconds", ConstLabels: labels,
			Help: "When the newest record of the target was written to the topic, in seconds since the epoch."}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "januscdr_sink_lag", ConstLabels: labels,
			Help: "Offsets between the target and the end of the partition."}, []string{"partition"}),
	}
	r.MustRegister(m.records, m.failures, m.seconds, m.newest, m.lag)
	return m
}

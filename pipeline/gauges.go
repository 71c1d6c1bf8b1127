package pipeline

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauges are what the board shows, asked for at each scrape. A partition that was lost with Kafka keeps its last known
// values, with their age: an alert must not fall silent with what it watches.
type gauges struct {
	board *board

	reached, silence, assigned             *prometheus.Desc
	lag, lagAge, position, open, restoring *prometheus.Desc
}

func newGauges(b *board) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("januscdr_"+name, help, labels, nil)
	}
	return &gauges{
		board:   b,
		reached: desc("kafka_reachable", "1 when a broker has answered within the last 10 s, else 0."),
		silence: desc("kafka_silence_seconds", "Time since a broker answered last; no series before the first answer."),
		assigned: desc("assigned_partitions",
			"Partitions of the event log that the group has given to this process, as far as it answers."),
		lag: desc("lag_records", "Records between the position and the end of the event log, as last known.",
			"partition"),
		lagAge: desc("lag_age_seconds", "Age of what is known of the lag, the position and the open sessions.",
			"partition"),
		position:  desc("position", "Next offset of the event log to be read, as last known.", "partition"),
		open:      desc("open_sessions", "Sessions that are open, as last known.", "partition"),
		restoring: desc("restore_progress_ratio", "How much of a running restore is done, 0 to 1.", "partition"),
	}
}

// Describe tells their names.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.reached, g.silence, g.assigned, g.lag, g.lagAge, g.position, g.open,
		g.restoring} {
		to <- d
	}
}

// Collect tells their values.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var reached float64
	if g.board.contact.Reached() {
		reached = 1
	}
	send(g.reached, reached)
	if silence, ever := g.board.contact.Silence(); ever {
		send(g.silence, silence.Seconds())
	}
	g.board.mu.Lock()
	defer g.board.mu.Unlock()
	var assigned int
	for _, partition := range slices.Sorted(maps.Keys(g.board.partitions)) {
		s, label := g.board.partitions[partition], strconv.Itoa(int(partition))
		if s.State != Lost {
			assigned++
		}
		if s.progress != nil {
			send(g.restoring, *s.progress, label)
		}
		if s.known.at.IsZero() {
			continue
		}
		send(g.lag, float64(s.known.lag), label)
		send(g.lagAge, time.Since(s.known.at).Seconds(), label)
		send(g.position, float64(s.known.position), label)
		send(g.open, float64(s.known.open), label)
	}
	send(g.assigned, float64(assigned))
}

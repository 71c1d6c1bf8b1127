package pipeline

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"januscdr/cdr"
)

// maxEmitterSeries is how many emitters have series of their own: a name is what a server says it is.
const maxEmitterSeries = 500

// emitterGauges are what is known of each emitter, of the partitions of this process. What is open is that of the
// newest heartbeat which all of them have: only what was counted at the same moment can be added up, here and over
// processes.
type emitterGauges struct {
	board      *board
	partitions int32 // of the event log

	all, open, counted, partitionsOf, heartbeat, steps, behind, unseen, shown *prometheus.Desc
}

func newEmitterGauges(b *board, partitions int32) *emitterGauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("januscdr_"+name, help, labels, nil)
	}
	return &emitterGauges{
		board: b, partitions: partitions,
		all: desc("event_log_partitions", "Partitions of the event log."),
		open: desc("emitter_open", "What is open on a Janus by the log at its last heartbeat, in partitions of this "+
			"process.", "emitter", "of"),
		counted: desc("emitter_counted", "What Janus itself counts in that heartbeat.", "emitter", "of"),
		partitionsOf: desc("emitter_partitions", "Partitions of this process in which that heartbeat was seen.",
			"emitter"),
		heartbeat: desc("emitter_heartbeat_timestamp_seconds", "When that heartbeat was, by the clock of the Janus.",
			"emitter"),
		steps: desc("emitter_clock_steps", "How often the clock of a Janus was seen to be set, by one partition at the most.",
			"emitter"),
		behind: desc("emitter_clock_behind_seconds", "Time from the timestamp of the last event of a Janus to its append: "+
			"what its clock is behind that of Kafka, and the way; the least of the partitions.", "emitter"),
		unseen: desc("emitter_unattached_handles_total", "Handles of a Janus that have ended and whose beginning was not "+
			"told, since a partition came here.", "emitter"),
		shown: desc("emitters_heard", "Janus servers of which something is known, also those without series of their own."),
	}
}

// Describe tells their names.
func (g *emitterGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.all, g.open, g.counted, g.partitionsOf, g.heartbeat, g.steps, g.behind,
		g.unseen, g.shown} {
		to <- d
	}
}

// emitterNumbers are what the partitions of this process know of an emitter.
type emitterNumbers struct {
	tallies    [][]cdr.Tally
	steps      int32
	behind     time.Duration
	behindSaid bool
	unseen     int64
}

// numbers collects by emitter what the partitions know.
func (g *emitterGauges) numbers() (all map[string]*emitterNumbers, partitions int) {
	g.board.mu.Lock()
	defer g.board.mu.Unlock()
	all = map[string]*emitterNumbers{}
	for _, s := range g.board.partitions {
		if s.State != Running {
			continue
		}
		partitions++
		for _, h := range s.known.heard {
			n := all[h.Emitter]
			if n == nil {
				n = &emitterNumbers{}
				all[h.Emitter] = n
			}
			n.tallies = append(n.tallies, h.Tallies)
			n.steps = max(n.steps, h.Steps)
			n.unseen += h.Unseen
			if behind := time.Duration(h.Behind) * time.Microsecond; h.Behind != 0 && (!n.behindSaid || behind < n.behind) {
				n.behind, n.behindSaid = behind, true
			}
		}
	}
	return all, partitions
}

// Collect tells their values.
func (g *emitterGauges) Collect(to chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	all, partitions := g.numbers()
	send(g.all, float64(g.partitions))
	send(g.shown, float64(len(all)))
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names[:min(len(names), maxEmitterSeries)] {
		n := all[name]
		send(g.steps, float64(n.steps), name)
		to <- prometheus.MustNewConstMetric(g.unseen, prometheus.CounterValue, float64(n.unseen), name)
		if n.behindSaid {
			send(g.behind, n.behind.Seconds(), name)
		}
		sum, ok := cdr.SumTallies(n.tallies)
		if !ok || len(n.tallies) < partitions {
			continue // some do not know of it yet
		}
		send(g.heartbeat, float64(sum.At)/1e6, name)
		send(g.partitionsOf, float64(partitions), name)
		for _, of := range []struct {
			what          string
			open, counted int64
		}{
			{"sessions", sum.Here.Sessions, sum.Janus.Sessions},
			{"handles", sum.Here.Handles, sum.Janus.Handles},
			{"peerconnections", sum.Here.PeerConnections, sum.Janus.PeerConnections},
		} {
			send(g.open, float64(of.open), name, of.what)
			send(g.counted, float64(of.counted), name, of.what)
		}
	}
}

var _ prometheus.Collector = (*emitterGauges)(nil)

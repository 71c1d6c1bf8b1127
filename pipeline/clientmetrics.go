package pipeline

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// ClientMetrics lets a client of Kafka register what it counts of its requests, connections and batches, under a name
// of its own. When it is closed, its metrics are gone; a client that comes in its place begins at 0. A nil registerer
// has none.
func ClientMetrics(r prometheus.Registerer, name string) []kgo.Opt {
	if r == nil {
		return nil
	}
	own := successive{prometheus.WrapRegistererWith(prometheus.Labels{"client": name}, r)}
	return []kgo.Opt{kgo.WithHooks(kprom.NewMetrics("januscdr_processor_kafka", kprom.Registerer(own)))}
}

// successive lets a collector take the place of an equal one. A client that is made while its predecessor still closes
// must not fail for its metrics.
type successive struct{ prometheus.Registerer }

func (s successive) Register(c prometheus.Collector) error {
	err := s.Registerer.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		s.Unregister(c) // it has the same names, and so goes the one that is there
		return s.Registerer.Register(c)
	}
	return err
}

func (s successive) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := s.Register(c); err != nil {
			panic(err)
		}
	}
}

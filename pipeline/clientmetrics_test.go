package pipeline

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clientsWith are the clients whose metrics are in a registry.
func clientsWith(t *testing.T, r *prometheus.Registry, metric string) map[string]bool {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]bool{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "januscdr_processor_kafka_") || !strings.HasSuffix(f.GetName(), metric) {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "client" {
					clients[l.GetValue()] = true
				}
			}
		}
	}
	return clients
}

func TestEachClientOfTheProcessorCountsItsRequests(t *testing.T) {
	c := newCluster(t, 4)
	c.load(50)
	p := c.start(t.TempDir())
	c.caughtUp(p)
	got := clientsWith(t, p.registry, "connects_total")
	if !got["plain"] || !got["worker-0"] || len(got) < 2 {
		t.Errorf("clients %v", got)
	}
	p.stop(t)
	if got := clientsWith(t, p.registry, "connects_total"); len(got) > 0 {
		t.Errorf("they are closed, and still there: %v", got)
	}
}

// A worker that joins anew has a new client, and its predecessor may not be gone yet.
func TestAClientMayTakeThePlaceOfItsPredecessor(t *testing.T) {
	r := prometheus.NewRegistry()
	for range 3 {
		client, err := kgo.NewClient(ClientMetrics(r, "worker-0")...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
	}
	if got := clientsWith(t, r, "buffered_fetch_records_total"); len(got) != 1 {
		t.Errorf("clients %v", got)
	}
	if ClientMetrics(nil, "x") != nil {
		t.Error("without a registerer nothing is counted")
	}
}

package wiring

import (
	"testing"

	"januscdr/internal/cli"
)

func TestTheBuildIsAMetric(t *testing.T) {
	families, err := Registry("ingest").Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "januscdr_build_info" {
			continue
		}
		labels := map[string]string{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["program"] != "ingest" || labels["version"] != cli.Version() || labels["go"] != cli.GoVersion() ||
			f.GetMetric()[0].GetGauge().GetValue() != 1 {
			t.Errorf("%v", labels)
		}
		return
	}
	t.Error("it is not there")
}

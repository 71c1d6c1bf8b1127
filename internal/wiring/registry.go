package wiring

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"januscdr/internal/cli"
)

// Registry is where a program keeps its metrics; those of Go, of the process and of the build are in it.
func Registry(program string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		BuildInfo(program))
	return r
}

// BuildInfo says which program this is: it is 1, and its labels tell.
func BuildInfo(program string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "januscdr_build_info",
		Help:        "1; its labels say which program of which version this is, built with which Go.",
		ConstLabels: prometheus.Labels{"program": program, "version": cli.Version(), "go": cli.GoVersion()}})
	info.Set(1)
	return info
}

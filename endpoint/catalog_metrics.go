package endpoint

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics by cluster. docs/operations.md lists them.
var (
	descEndpoints = prometheus.NewDesc("hawser_endpoints", "Endpoints that are known of a cluster.", []string{"cluster"}, nil)
	descStale     = prometheus.NewDesc("hawser_endpoints_stale_seconds", "For how long the endpoints of a cluster are not followed; 0 while they are.", []string{"cluster"}, nil)
	descGaps      = prometheus.NewDesc("hawser_endpoint_gaps", "What is missing from the endpoints of a cluster, by reason: addresses that were refused, lists that fail, or 1.", []string{"cluster", "reason"}, nil)
)

// Describe implements prometheus.Collector.
func (*Catalog) Describe(out chan<- *prometheus.Desc) {
	out <- descEndpoints
	out <- descStale
	out <- descGaps
}

// Collect implements prometheus.Collector. It reads the catalog whenever metrics are asked for, so that a cluster that
// left leaves no figure behind.
func (c *Catalog) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, s := range c.States() {
		gauge(descEndpoints, float64(c.Len(s.Name)), s.Name)
		stale := 0.0
		if !s.StaleSince.IsZero() {
			stale = max(c.options.Clock.Since(s.StaleSince).Seconds(), 0)
		}
		gauge(descStale, stale, s.Name)
		gaps := map[string]int{}
		for _, g := range s.Gaps {
			gaps[g.Reason] += max(g.Count, 1)
		}
		for reason, n := range gaps {
			gauge(descGaps, float64(n), s.Name, reason)
		}
	}
}

// Len returns how many endpoints are known of a cluster.
func (c *Catalog) Len(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.clusters[name]
	if e == nil || e.part == nil {
		return 0
	}
	return e.part.Len()
}

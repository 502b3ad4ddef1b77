package fleet

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// collector tells of the clusters of every fleet that runs in this process. The id of a cluster is a label,
// by which its series can be joined with those of others who know it.
type collector struct {
	usable, age *prometheus.Desc

	mu     *sync.Mutex
	fleets map[*Fleet]struct{}
}

func newCollector() collector {
	labels := []string{"cluster", "cluster_id"}
	return collector{
		usable: prometheus.NewDesc("hawser_fleet_cluster_usable", "Whether a cluster of the fleet can be used now.", labels, nil),
		age:    prometheus.NewDesc("hawser_fleet_cache_age_seconds", "How long ago the caches of a cluster of the fleet were last known to be current.", labels, nil),
		mu:     &sync.Mutex{}, fleets: map[*Fleet]struct{}{},
	}
}

func (c collector) add(f *Fleet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fleets[f] = struct{}{}
}

func (c collector) remove(f *Fleet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.fleets, f)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) { to <- c.usable; to <- c.age }

// Collect implements prometheus.Collector. Of two fleets with a cluster of the same name one is told of.
func (c collector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := map[string]bool{}
	for f := range c.fleets {
		for _, cluster := range f.Clusters() {
			if told[cluster.name] {
				continue
			}
			told[cluster.name] = true
			usable := 0.0
			if cluster.link.err() == nil {
				usable = 1
			}
			to <- prometheus.MustNewConstMetric(c.usable, prometheus.GaugeValue, usable, cluster.name, cluster.ID())
			to <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, cluster.Age().Seconds(), cluster.name, cluster.ID())
		}
	}
}

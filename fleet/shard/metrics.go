package shard

import "github.com/prometheus/client_golang/prometheus"

// Metrics of a replica. docs/operations.md lists them.
var (
	descOwned      = prometheus.NewDesc("hawser_shard_owned", "Clusters that this replica owns.", []string{"replica"}, nil)
	descAge        = prometheus.NewDesc("hawser_shard_lease_age_seconds", "How long ago the last renewal of this replica's Lease began that succeeded.", []string{"replica"}, nil)
	descMayWrite   = prometheus.NewDesc("hawser_shard_may_write", "1 if the Lease is fresh enough for this replica to write.", []string{"replica"}, nil)
	descLeader     = prometheus.NewDesc("hawser_shard_leader", "1 if this replica assigns clusters to all.", []string{"replica"}, nil)
	descGeneration = prometheus.NewDesc("hawser_shard_generation", "Number of the assignment that this replica knows.", []string{"replica"}, nil)
	descRefused    = prometheus.NewDesc("hawser_shard_refused_writes_total", "Writes that were not sent because the Lease was not fresh enough.", []string{"replica"}, nil)
)

// Describe implements prometheus.Collector.
func (*Replica) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descOwned, descAge, descMayWrite, descLeader, descGeneration, descRefused} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (r *Replica) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, r.options.Replica)
	}
	owned, generation := r.follow.counts()
	gauge(descOwned, float64(owned))
	gauge(descGeneration, float64(generation))
	gauge(descMayWrite, one(r.fence.Open()))
	gauge(descLeader, one(r.Leads()))
	if at := r.renewed.Load(); at != nil {
		gauge(descAge, elapsed(*at, r.options.Clock.Now()).Seconds())
	}
	out <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(r.fence.refused.Load()+r.leadFence.refused.Load()), r.options.Replica)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

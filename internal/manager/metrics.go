package manager

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleet"
)

// Metrics by cluster. docs/operations.md lists them.
var (
	descUp        = prometheus.NewDesc("hawser_cluster_up", "1 if the connection is Ready.", []string{"cluster"}, nil)
	descCondition = prometheus.NewDesc("hawser_cluster_condition", "1 if a condition of the RemoteCluster is True, 0 if it is False; absent while it is Unknown.", []string{"cluster", "condition"}, nil)
	descInfo      = prometheus.NewDesc("hawser_cluster_info", "Always 1.", []string{"cluster", "cluster_id", "auth", "version"}, nil)
	descExpiry    = prometheus.NewDesc("hawser_credential_expiry_seconds", "When the credential in use expires, in seconds since 1970; absent if never.", []string{"cluster"}, nil)
	descRenewals  = prometheus.NewDesc("hawser_credential_renewals_total", "Credentials renewed.", []string{"cluster"}, nil)
	descFailures  = prometheus.NewDesc("hawser_credential_renewal_failures_total", "Failed attempts to renew, by reason.", []string{"cluster", "reason"}, nil)
	descSkew      = prometheus.NewDesc("hawser_clock_skew_seconds", "How far the cluster's clock is ahead of ours.", []string{"cluster"}, nil)
)

// Metrics describes what a manager serves beside the figures of controller-runtime.
func Metrics() prometheus.Collector { return &collector{probes: newProbeMetrics()} }

// collector reads the fleet whenever metrics are asked for, so that a cluster that left leaves no figure behind.
type collector struct {
	fleet  *fleet.Links
	probes *probeMetrics
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	c.probes.duration.Describe(out)
	for _, d := range []*prometheus.Desc{descUp, descCondition, descInfo, descExpiry, descRenewals, descFailures, descSkew} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.probes.keep(c.fleet)
	c.probes.duration.Collect(out)
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	for _, conn := range c.fleet.All() {
		name, s := conn.Name(), conn.State()
		up := 0.0
		if s.Condition(v1alpha1.Ready).Status == metav1.ConditionTrue {
			up = 1
		}
		out <- prometheus.MustNewConstMetric(descUp, gauge, up, name)
		for _, c := range s.Conditions {
			switch c.Status {
			case metav1.ConditionTrue:
				out <- prometheus.MustNewConstMetric(descCondition, gauge, 1, name, c.Type)
			case metav1.ConditionFalse:
				out <- prometheus.MustNewConstMetric(descCondition, gauge, 0, name, c.Type)
			}
		}
		out <- prometheus.MustNewConstMetric(descInfo, gauge, 1, name, s.ClusterID, conn.AuthType(), s.KubernetesVersion)
		out <- prometheus.MustNewConstMetric(descSkew, gauge, s.ClockSkew.Seconds(), name)
		if !s.ExpiresAt.IsZero() {
			out <- prometheus.MustNewConstMetric(descExpiry, gauge, float64(s.ExpiresAt.Unix()), name)
		}
		out <- prometheus.MustNewConstMetric(descRenewals, counter, float64(s.Renewals), name)
		for reason, n := range s.RenewalFailures {
			out <- prometheus.MustNewConstMetric(descFailures, counter, float64(n), name, reason)
		}
	}
}

// probeMetrics are the figures of probes.
type probeMetrics struct {
	duration *prometheus.HistogramVec
	clusters sync.Map // names that were observed
}

func newProbeMetrics() *probeMetrics {
	return &probeMetrics{duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "hawser_probe_duration_seconds",
		Help:    "How long the light request of a probe took, by result.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"cluster", "result"})}
}

func (m *probeMetrics) observe(cluster string, p connection.Probe) {
	result := "ok"
	if p.Err != nil {
		result = "failed"
	}
	m.clusters.Store(cluster, true)
	m.duration.WithLabelValues(cluster, result).Observe(p.Latency.Seconds())
}

// keep drops the figures of clusters that are not in the fleet any more.
func (m *probeMetrics) keep(f *fleet.Links) {
	m.clusters.Range(func(name, _ any) bool {
		if _, err := f.Get(name.(string)); err != nil { //nolint:forcetypeassert // nothing else is stored
			m.clusters.Delete(name)
			m.duration.DeletePartialMatch(prometheus.Labels{"cluster": name.(string)}) //nolint:forcetypeassert // as above
		}
		return true
	})
}

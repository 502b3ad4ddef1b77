package fleet

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Reasons for dropping a request.
const (
	reasonGone = "cluster_gone" // it waited in the queue while its cluster left
	reasonLeft = "cluster_left" // it was being reconciled when its cluster left
)

// metrics are served with those of controller-runtime.
type metrics struct {
	dropped  *prometheus.CounterVec
	parked   *prometheus.GaugeVec
	clusters collector
}

// registerMetrics returns the metrics of this process; another fleet in it counts into the same.
func registerMetrics() (*metrics, error) {
	m := &metrics{
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hawser_fleet_requests_dropped_total",
			Help: "Requests that were not reconciled to their end because their cluster is not in the fleet any more.",
		}, []string{"controller", "reason"}),
		parked: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hawser_fleet_requests_parked",
			Help: "Requests that wait for their cluster to be reached again.",
		}, []string{"controller"}),
		clusters: newCollector(),
	}
	var err error
	if m.dropped, err = register(m.dropped); err != nil {
		return nil, err
	}
	if m.parked, err = register(m.parked); err != nil {
		return nil, err
	}
	m.clusters, err = register(m.clusters)
	return m, err
}

func register[C prometheus.Collector](c C) (C, error) {
	err := ctrlmetrics.Registry.Register(c)
	var there prometheus.AlreadyRegisteredError
	if errors.As(err, &there) {
		if same, ok := there.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	if err != nil {
		return c, fmt.Errorf("registering metrics: %w", err)
	}
	return c, nil
}

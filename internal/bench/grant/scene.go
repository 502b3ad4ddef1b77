package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/controller/accessgrant"
	"github.com/hawser-io/hawser/member"
)

// scene is a cluster with the member side of grants.
type scene struct {
	*bench.Bench
	cluster *fleettest.Cluster
	admin   client.Client
	writes  atomic.Int64 // of the controllers
}

// kinds installs the CRDs and waits until they are served.
func (s *scene) kinds() error {
	text, err := crd.YAML(crd.TrustedIssuers, crd.AccessGrants)
	if err != nil {
		return err
	}
	return s.cluster.Apply(s.Ctx, text)
}

// start runs the controller as hawser member controllers does, until end is called.
func (s *scene) start() (end func(), err error) {
	token, err := bench.Mint(s.Ctx, s.cluster, v1alpha1.Namespace, member.ControllersServiceAccount)
	if err != nil {
		return nil, err
	}
	config := s.cluster.TokenConfig(token)
	config.QPS = -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &counter{next, &s.writes} })
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: s.admin.Scheme(), Metrics: server.Options{BindAddress: "0"},
		Cache: cache.Options{ByObject: accessgrant.Cache(), DefaultTransform: cache.TransformStripManagedFields()},
	})
	if err != nil {
		return nil, err
	}
	if err := accessgrant.SetupWithManager(s.Ctx, mgr, accessgrant.Options{}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.Ctx)
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			s.Say("the controllers ended with %s", err)
		}
	}, nil
}

// counter counts requests that write.
type counter struct {
	next   http.RoundTripper
	writes *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

// progress is what the controller did in this process, and what it still has to do.
type progress struct{ total, waiting float64 }

func reconciled() (progress, error) {
	families, err := metrics.Registry.Gather()
	if err != nil {
		return progress{}, fmt.Errorf("reading the metrics: %w", err)
	}
	var p progress
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "controller_runtime_reconcile_total":
				p.total += m.GetCounter().GetValue()
			case "controller_runtime_active_workers", "workqueue_depth":
				p.waiting += m.GetGauge().GetValue()
			}
		}
	}
	return p, nil
}

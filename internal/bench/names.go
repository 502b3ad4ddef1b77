package bench

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// Names is an inventory in memory, of many names for a few clusters.
type Names struct {
	mu   sync.Mutex
	told []inventory.Cluster
	sink inventory.Sink
}

// Named is a cluster under a name, reached with a credential. Another credential has another Origin.
func Named(name string, c *fleettest.Cluster, cred credential.Credential) inventory.Cluster {
	return inventory.Cluster{
		Spec: connection.Spec{
			Name: name, QPS: 1000, Burst: 2000, // what is measured is not the rate limit
			Endpoint: credential.Endpoint{Server: c.Server, CAData: c.CA()},
		},
		Source: inventory.Fixed(cred), Version: cred.Origin,
	}
}

// Set tells of clusters that are new or have changed.
func (n *Names) Set(clusters ...inventory.Cluster) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, clusters...)
	if n.sink == nil {
		return // Run tells
	}
	for _, c := range clusters {
		n.sink.Set(c)
	}
}

// Run implements inventory.Inventory.
func (n *Names) Run(ctx context.Context, to inventory.Sink) error {
	n.mu.Lock()
	n.sink = to
	for _, c := range n.told {
		to.Set(c)
	}
	n.mu.Unlock()
	to.Synced()
	<-ctx.Done()
	return nil
}

// Running is a fleet that runs until End.
type Running struct {
	*fleet.Fleet
	end   context.CancelFunc
	ended chan error
}

// Start makes a fleet, lets prepare add controllers and hooks to it, and runs it. local is the cluster that
// would elect a leader, if there were several.
func (b *Bench) Start(local *fleettest.Cluster, o fleet.Options, prepare func(*fleet.Fleet) error) (*Running, error) {
	o.Manager.Metrics = metricsserver.Options{BindAddress: "0"}
	o.Manager.Logger = logr.Discard()
	f, err := fleet.New(local.AdminConfig(), o)
	if err != nil {
		return nil, err
	}
	if prepare != nil {
		if err := prepare(f); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(b.Ctx)
	r := &Running{Fleet: f, end: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- f.Start(ctx) }() // ends with End
	return r, nil
}

// Connected waits until every one of some clusters can be used.
func (r *Running) Connected(ctx context.Context, clusters int) error {
	return Until(ctx, fmt.Sprintf("%d connections", clusters), func() bool {
		usable := 0
		for _, c := range r.Clusters() {
			if c.Err() == nil {
				usable++
			}
		}
		return usable >= clusters
	})
}

// Cached waits until every cluster of a fleet has cached all objects of a kind.
func (r *Running) Cached(ctx context.Context, object client.Object) error {
	clusters := r.Clusters()
	return Parallel(len(clusters), len(clusters), func(i int) error {
		_, err := clusters[i].GetCache().GetInformer(ctx, object)
		return err
	})
}

// End ends the fleet and all that it runs, and waits for it.
func (r *Running) End() error {
	r.end()
	return <-r.ended
}

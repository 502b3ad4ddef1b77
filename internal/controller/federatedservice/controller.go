// Package federatedservice is the controller of Services that select services of all clusters, and of the imports that
// come of ServiceExports (the multi-cluster services API). It writes what package endpoint/service decides: for each
// Service or import and each cluster the EndpointSlices, by whoever owns the connection to that cluster; and, of all
// clusters' slices, the condition of the Service, the ServiceImport with its Service, and the conditions of the local
// ServiceExports, by the leader. It writes nothing to remote clusters: conflicts are reported on exports here alone.
package federatedservice

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/endpoint/staleness"
)

// Shards says which clusters this replica works for.
type Shards interface {
	// Enter begins work on what is asked of a cluster; ok is false where that is another replica's. It is nobody else's
	// before leave was called.
	Enter(cluster string) (leave func(), ok bool)
	// Leads reports whether this replica is responsible for what belongs to no cluster.
	Leads() bool
}

// Options of a controller. Config, Known and Events are required.
type Options struct {
	// Local is the name of the local cluster in the fleet.
	Local string
	// Config reaches the local cluster.
	Config *rest.Config
	// Known says whether there is a RemoteCluster of a name.
	Known  func(ctx context.Context, cluster string) (bool, error)
	Events events.EventRecorder
	Clock  clock.WithTicker
	Log    logr.Logger

	// PerSlice is how many endpoints a slice has at most. Zero means service.DefaultPerSlice.
	PerSlice int
	// Window is how long changes are gathered before they are written. Zero means DefaultWindow.
	Window time.Duration
	// Lag is how long an import that no slice speaks for any more keeps its address: the slices may be made again in a
	// moment, and the address would be another one then. Zero means DefaultLag.
	Lag time.Duration
	// Grace is how long a cluster may be silent before that is told. Zero means DefaultGrace.
	Grace time.Duration
	// Look is how often it is looked for the kinds of the multi-cluster services API where they are absent. Zero means
	// service.DefaultLook.
	Look time.Duration
}

const (
	// DefaultWindow is the default of Options.Window.
	DefaultWindow = 100 * time.Millisecond
	// DefaultLag is the default of Options.Lag.
	DefaultLag = 10 * time.Second
	// DefaultGrace is the default of Options.Grace.
	DefaultGrace = 30 * time.Second

	// itsAddresses stands for a cluster, where the addresses of an import are written.
	itsAddresses = "its addresses"

	workers = 4
	// callTimeout is the deadline of each call.
	callTimeout = 15 * time.Second
)

// Controller is a controller-runtime Runnable.
type Controller struct {
	options  Options
	shards   Shards // nil: every cluster is ours, and we lead
	clusters *service.Clusters
	local    *service.Local
	writer   writer        // of slices
	leader   writer        // of everything else
	quota    *rate.Limiter // of events

	slices, folds workqueue.TypedRateLimitingInterface[service.Key]

	mu     sync.Mutex
	memory map[service.Key]*staleness.Memory
	taken  map[service.Key]map[string]bool // names of slices that are somebody else's
	first  map[service.Key]sighting        // of the exports of clusters that are ours
	said   map[service.Key]string          // the last event, by what it was about
	failed map[service.Key]string          // why slices could not be written
	alone  map[service.Key]time.Time       // imports with an address that nothing asks for, since when
	// statuses and specs of imports, as they were written last.
	statuses map[service.Key]kept[mcs.ServiceImportStatus]
	specs    map[service.Key]kept[mcs.ServiceImportSpec]
}

// writer writes to the local cluster.
type writer struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
}

func newWriter(config *rest.Config) (w writer, err error) {
	if w.kube, err = kubernetes.NewForConfig(config); err != nil {
		return w, fmt.Errorf("making a client of the local cluster: %w", err)
	}
	if w.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return w, fmt.Errorf("making a client of the local cluster: %w", err)
	}
	return w, nil
}

// New makes a controller that does nothing until Start, but may be told of clusters before.
func New(o Options) (*Controller, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.PerSlice <= 0 {
		o.PerSlice = service.DefaultPerSlice
	}
	o.PerSlice = min(o.PerSlice, service.MostPerSlice)
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.Lag == 0 {
		o.Lag = DefaultLag
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	c := &Controller{
		options: o, slices: newQueue("federatedservice"), folds: newQueue("serviceimport"), quota: rate.NewLimiter(1, 50),
		memory: map[service.Key]*staleness.Memory{}, taken: map[service.Key]map[string]bool{}, first: map[service.Key]sighting{}, said: map[service.Key]string{}, failed: map[service.Key]string{}, alone: map[service.Key]time.Time{},
		statuses: map[service.Key]kept[mcs.ServiceImportStatus]{}, specs: map[service.Key]kept[mcs.ServiceImportSpec]{},
	}
	var err error
	if c.writer, err = newWriter(o.Config); err != nil {
		return nil, err
	}
	c.leader = c.writer
	c.clusters = service.NewClusters(service.ClustersOptions{Changed: c.clusterChanged, Look: o.Look, Clock: o.Clock, Log: o.Log})
	if c.local, err = service.NewLocal(service.LocalOptions{Config: o.Config, Changed: c.localChanged, Look: o.Look, Clock: o.Clock, Log: o.Log}); err != nil {
		return nil, err
	}
	return c, nil
}

func newQueue(name string) workqueue.TypedRateLimitingInterface[service.Key] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[service.Key](100*time.Millisecond, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[service.Key]{Name: name})
}

// Share lets shards say which clusters are this replica's, and leader reach the local cluster for what only the leader
// writes. It is called before Start.
func (c *Controller) Share(shards Shards, leader *rest.Config) (err error) {
	c.shards = shards
	c.leader, err = newWriter(leader)
	return err
}

// Clusters are what this controller has to be told of clusters.
func (c *Controller) Clusters() *service.Clusters { return c.clusters }

// Start implements manager.Runnable. It works until ctx ends.
func (c *Controller) Start(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { c.local.Run(ctx) }) // ends with ctx
	for range workers {
		running.Go(func() { c.work(ctx, c.slices, c.reconcileSlices) }) // ends when the queue is shut down
	}
	for range 2 {
		running.Go(func() { c.work(ctx, c.folds, c.fold) }) // ends when the queue is shut down
	}
	<-ctx.Done()
	c.slices.ShutDown()
	c.folds.ShutDown()
	running.Wait()
	return nil
}

func (c *Controller) work(ctx context.Context, queue workqueue.TypedRateLimitingInterface[service.Key], do func(context.Context, service.Key) (time.Duration, error)) {
	for {
		key, shutdown := queue.Get()
		if shutdown {
			return
		}
		again, err := do(ctx, key)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errAgain):
			queue.AddRateLimited(key)
		case err != nil:
			c.options.Log.Error(err, "federating services", "what", key.String(), "cluster", key.Cluster)
			queue.AddRateLimited(key)
		default:
			queue.Forget(key)
			if again > 0 {
				queue.AddAfter(key, again)
			}
		}
		queue.Done(key)
	}
}

func (c *Controller) enter(cluster string) (leave func(), ok bool) {
	if c.shards == nil {
		return func() {}, true
	}
	return c.shards.Enter(cluster)
}

func (c *Controller) leads() bool { return c.shards == nil || c.shards.Leads() }

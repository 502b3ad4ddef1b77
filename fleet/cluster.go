package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/inventory"
)

// Cluster is one cluster of a fleet. It is a cluster.Cluster of controller-runtime, and the same one for as
// long as its name is in the inventory: changed credentials, addresses and properties do not replace it.
//
// The caches that its client reads from start with the first informer that is wanted of them. Reading is
// possible while the cluster cannot be reached; how old the answer is then, Age says. What is sent to a
// cluster that is known to be out of reach fails at once, with a *ClusterError.
type Cluster struct {
	name      string
	namespace string
	ctx       context.Context //nolint:containedctx // its life in the fleet
	cancel    context.CancelCauseFunc
	link      *link
	store     *store
	inner     cluster.Cluster
	client    client.Client
	reader    client.Reader
	recorded  atomic.Bool // an event recorder was asked for
	hangUp    context.CancelFunc
	hungUp    chan struct{}
	work      underway

	mu   sync.Mutex
	told inventory.Cluster
}

var _ cluster.Cluster = (*Cluster)(nil)

// newCluster starts a cluster: its connection, and what waits to be wanted. It reaches nothing itself.
func newCluster(ctx context.Context, f *Fleet, told inventory.Cluster) (*Cluster, error) {
	if told.Spec.Name == "" {
		return nil, errors.New("the cluster has no name")
	}
	if told.Source == nil {
		return nil, errors.New("the cluster has no source of credentials")
	}
	c := &Cluster{name: told.Spec.Name, namespace: told.Namespace, told: told, hungUp: make(chan struct{})}
	c.link = newLink(c.name, f.clock)
	c.link.probe = c.probe
	c.link.usable = func() { f.usableAgain(c.name) }
	c.link.conn = connection.New(told.Spec, told.Source, c.link.options(f.options.Connection))
	if err := c.build(ctx, f); err != nil {
		return nil, fmt.Errorf("making clients of cluster %q: %w", c.name, err)
	}
	lasting, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	c.hangUp = hangUp
	go func() { // ends in c.end, after what runs over the connection
		defer close(c.hungUp)
		c.link.conn.Run(lasting)
	}()
	return c, nil
}

// build makes clients and caches. Those for the cache wait when the link is down, all others fail.
func (c *Cluster) build(ctx context.Context, f *Fleet) error {
	config := c.config(f)
	guarded := c.guarded(config, false)
	config = c.guarded(config, true)
	patient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.store = &store{
		ctx: c.ctx, name: c.name, namespace: c.namespace, clock: f.clock, link: c.link, log: f.log.WithValues("cluster", c.name),
		cached: f.cached, config: config, http: patient, staleAfter: f.options.StaleAfter,
		kinds: map[kind]*tracked{}, pending: map[kind]*attempt{},
	}
	c.inner, err = cluster.New(guarded, func(o *cluster.Options) {
		o.Scheme = f.options.Scheme
		o.Logger = c.store.log
		o.Client.Cache = &client.CacheOptions{DisableFor: f.cached.Uncached, Unstructured: f.cached.Unstructured}
		o.MapperProvider = func(config *rest.Config, client *http.Client) (meta.RESTMapper, error) {
			return newMapper(c.ctx, config, client)
		}
		o.NewCache = func(_ *rest.Config, own cache.Options) (cache.Cache, error) {
			c.store.mapper = own.Mapper
			return c.store, nil
		}
	})
	if err != nil {
		c.cancel(err)
		return err
	}
	c.client, c.reader = c.inner.GetClient(), c.inner.GetAPIReader()
	c.store.live = c.reader
	if c.namespace != "" {
		c.client = client.NewNamespacedClient(c.client, c.namespace)
		c.reader = client.NewNamespacedClient(uncached{c.inner.GetClient(), c.reader}, c.namespace)
	}
	return nil
}

// config is the connection's, adjusted.
func (c *Cluster) config(f *Fleet) *rest.Config {
	config := c.link.conn.Config()
	if f.options.RESTConfig == nil {
		return config
	}
	f.options.RESTConfig(c.name, config)
	switch {
	case config.QPS < 0:
		config.RateLimiter = nil
	case config.QPS > 0: // one for all clients of the cluster, as the connection's is
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(config.QPS, max(config.Burst, 1))
	}
	return config
}

// guarded is a configuration with a guard next to the transport, inside of what others have wrapped around that.
func (c *Cluster) guarded(config *rest.Config, patient bool) *rest.Config {
	config = rest.CopyConfig(config)
	config.WrapTransport = transport.Wrappers(func(rt http.RoundTripper) http.RoundTripper {
		return guard{rt, c.link, patient}
	}, config.WrapTransport)
	return config
}

// uncached is a client that reads from the API server.
type uncached struct {
	client.Client
	reader client.Reader
}

// Get implements client.Reader.
func (u uncached) Get(ctx context.Context, key client.ObjectKey, out client.Object, opts ...client.GetOption) error {
	return u.reader.Get(ctx, key, out, opts...)
}

// List implements client.Reader.
func (u uncached) List(ctx context.Context, out client.ObjectList, opts ...client.ListOption) error {
	return u.reader.List(ctx, out, opts...)
}

// end ends what the cluster runs and waits for it. The caches come first, so that none of them meets the
// end of the connection; but one whose handlers hang may not keep the connection for ever.
func (c *Cluster) end() {
	ended := make(chan struct{})
	go func() { // ends when the caches have
		defer close(ended)
		c.store.wait()
	}()
	const patience = 5 * time.Second
	timer := c.link.clock.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C():
	}
	if c.recorded.Load() {
		_ = c.inner.Start(c.ctx) // which has ended: this only stops the recorder of events
	}
	c.hangUp()
	<-c.hungUp
	<-ended
}

// becomes reports whether what the inventory tells now is still this cluster: the same namespace of it, and
// not another pin than what it is known to be.
func (c *Cluster) becomes(told inventory.Cluster) bool {
	c.mu.Lock()
	before := c.told
	c.mu.Unlock()
	known := before.Spec.ClusterID
	if known == "" {
		known = c.ID()
	}
	pin := told.Spec.ClusterID
	return told.Namespace == before.Namespace && told.Source != nil && (pin == "" || known == "" || pin == known)
}

// update takes what the inventory tells now, and reports whether the properties are others.
func (c *Cluster) update(told inventory.Cluster) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.told
	c.told = told
	if !reflect.DeepEqual(before.Spec, told.Spec) {
		c.link.conn.Update(told.Spec)
	}
	if before.Version != told.Version {
		c.link.conn.SetSource(told.Source)
	}
	return !maps.Equal(before.Properties, told.Properties)
}

// probe lets the connection look at the cluster now: it does so after each Update.
func (c *Cluster) probe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link.conn.Update(c.told.Spec)
}

// Name of the cluster in the fleet.
func (c *Cluster) Name() string { return c.name }

// ID is the UID of the cluster's namespace kube-system; empty until it is known, or where it may not be read.
func (c *Cluster) ID() string { return c.State().ClusterID }

// Namespace is the one that the cluster is, if it is a virtual one; empty for a whole cluster.
func (c *Cluster) Namespace() string { return c.namespace }

// Properties are what the inventory knows of the cluster. They may change; the map must not be.
func (c *Cluster) Properties() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told.Properties
}

// State is what the connection knows.
func (c *Cluster) State() connection.State { return c.link.conn.State() }

// Age is how long ago the caches were last known to be current: zero while the cluster answers and its
// informers watch. For a cluster that was never reached it is the time since it joined. A link that has
// just broken counts from when it was last seen to work, so that the age is never understated.
func (c *Cluster) Age() time.Duration { return c.store.age() }

// Err is what keeps the cluster from being used: nil, or what Fleet.Get returns along with it, or ErrNotFound
// once it has left.
func (c *Cluster) Err() error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	err := c.link.err()
	if err != nil && !errors.Is(err, ErrUnreachable) {
		return err
	}
	return c.store.stale()
}

// Done is closed when the cluster has left the fleet, or the fleet has ended.
func (c *Cluster) Done() <-chan struct{} { return c.ctx.Done() }

// GetHTTPClient implements cluster.Cluster. There is one for the life of the cluster.
func (c *Cluster) GetHTTPClient() *http.Client { return c.inner.GetHTTPClient() }

// GetConfig implements cluster.Cluster. It is a copy, good for as long as the cluster, whatever happens to
// its credentials and its address.
func (c *Cluster) GetConfig() *rest.Config { return rest.CopyConfig(c.inner.GetConfig()) }

// GetCache implements cluster.Cluster.
func (c *Cluster) GetCache() cache.Cache { return c.store }

// GetScheme implements cluster.Cluster.
func (c *Cluster) GetScheme() *runtime.Scheme { return c.inner.GetScheme() }

// GetClient implements cluster.Cluster. It reads from the caches and writes to the cluster; that of a virtual
// cluster knows only its namespace.
func (c *Cluster) GetClient() client.Client { return c.client }

// GetFieldIndexer implements cluster.Cluster, for this cluster alone: see Fleet.IndexField.
func (c *Cluster) GetFieldIndexer() client.FieldIndexer { return c.store }

// GetRESTMapper implements cluster.Cluster.
func (c *Cluster) GetRESTMapper() meta.RESTMapper { return c.inner.GetRESTMapper() }

// GetAPIReader implements cluster.Cluster.
func (c *Cluster) GetAPIReader() client.Reader { return c.reader }

// GetEventRecorderFor implements cluster.Cluster: events are recorded in this cluster.
func (c *Cluster) GetEventRecorderFor(name string) record.EventRecorder {
	c.recorded.Store(true)
	return c.inner.GetEventRecorderFor(name) //nolint:staticcheck // part of the interface
}

// GetEventRecorder implements cluster.Cluster: events are recorded in this cluster.
func (c *Cluster) GetEventRecorder(name string) recorder.EventRecorder {
	c.recorded.Store(true)
	return c.inner.GetEventRecorder(name)
}

// Start implements cluster.Cluster. The fleet has started the cluster already: this waits for its end, or
// that of ctx.
func (c *Cluster) Start(ctx context.Context) error { return c.store.Start(ctx) }

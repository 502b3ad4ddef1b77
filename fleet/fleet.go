package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/inventory"
)

// Options of a fleet. Only Inventory is required.
type Options struct {
	// Scheme knows the kinds that are used, in every cluster. By default those of Kubernetes itself.
	Scheme *runtime.Scheme
	// Inventory tells of the clusters. Several are made one by inventory.All.
	Inventory inventory.Inventory
	// Manager are the options of the controller-runtime manager that runs everything. Its scheme is by
	// default the fleet's.
	Manager manager.Options
	// Cache is how the objects of each cluster are cached.
	Cache CacheOptions
	// RESTConfig adjusts the configuration by which a cluster is used: rate limit, user agent, impersonation,
	// round trippers (Wrap). The transport, and so address and credential, is the connection's and stays.
	// It is called once for each Cluster. A QPS that is set takes the place of the connection's; negative
	// means no limit.
	RESTConfig func(cluster string, cfg *rest.Config)
	// Connection are the options of each connection. Changed and Observe are told of all of them.
	Connection connection.Options
	// StaleAfter is how old the caches of a cluster may be before reading them fails with ErrStale. Zero:
	// as old as they like, for those who look at Cluster.Age themselves.
	StaleAfter time.Duration
}

// Fleet is the clusters of an inventory, connected, with caches, and the controllers over them.
type Fleet struct {
	options Options
	manager manager.Manager
	log     logr.Logger
	clock   clock.WithTicker
	metrics *metrics
	cached  cached
	inbox   *inbox
	endings *endings
	synced  chan struct{}

	mu       sync.RWMutex
	clusters map[string]*Cluster // changed only by the goroutine of run
	faults   map[string]error    // of what the inventory cannot read
	unusable map[string]error    // of what it told of, and nobody can make a cluster from
	indexes  []index
	watchers map[*watcher]struct{}

	// parkings are one for each controller. Every connection looks at them, so they are read without a lock.
	parkings atomic.Pointer[[]*parking]
}

// New makes a fleet that does nothing until Start. cfg reaches the local cluster, where controllers elect
// their leader and record events.
func New(cfg *rest.Config, o Options) (*Fleet, error) {
	if o.Inventory == nil {
		return nil, errors.New("making a fleet: Options.Inventory is nil")
	}
	if o.Scheme == nil {
		o.Scheme = clientgoscheme.Scheme
	}
	if o.Manager.Scheme == nil {
		o.Manager.Scheme = o.Scheme
	}
	if o.Connection.Clock == nil {
		o.Connection.Clock = clock.RealClock{}
	}
	kinds, err := o.Cache.resolve(o.Scheme)
	if err != nil {
		return nil, fmt.Errorf("making a fleet: %w", err)
	}
	counters, err := registerMetrics()
	if err != nil {
		return nil, fmt.Errorf("making a fleet: %w", err)
	}
	mgr, err := manager.New(cfg, o.Manager)
	if err != nil {
		return nil, fmt.Errorf("making the manager of a fleet: %w", err)
	}
	f := &Fleet{
		options: o, manager: mgr, log: mgr.GetLogger().WithName("fleet"), clock: o.Connection.Clock,
		metrics: counters, cached: kinds, inbox: newInbox(), endings: newEndings(), synced: make(chan struct{}),
		clusters: map[string]*Cluster{}, faults: map[string]error{}, unusable: map[string]error{},
		watchers: map[*watcher]struct{}{},
	}
	if err := mgr.Add(membership{f}); err != nil {
		return nil, fmt.Errorf("adding the fleet to its manager: %w", err)
	}
	return f, nil
}

// Manager returns the manager that runs the fleet and its controllers. Its client and its cache are those of
// the local cluster; what else is to run is added to it.
func (f *Fleet) Manager() manager.Manager { return f.manager }

// Start runs the fleet, its controllers, and whatever was added to its manager, until ctx ends. Connections
// and caches run whether or not this replica is the leader; controllers, by default, only if it is.
func (f *Fleet) Start(ctx context.Context) error { return f.manager.Start(ctx) }

// Get returns a cluster by its name, and what keeps it from being used: ErrNotReady, ErrUnauthorized or
// ErrStale, in a *ClusterError. The cluster comes along with these. With ErrNotFound it is nil.
//
// A cluster that cannot be reached at the moment is no error here as long as its caches are not too old:
// see Cluster.Age. What is sent to it fails with ErrUnreachable, at once.
func (f *Fleet) Get(name string) (*Cluster, error) {
	f.mu.RLock()
	c := f.clusters[name]
	fault := f.fault(name)
	f.mu.RUnlock()
	if c == nil {
		missing := notFound(name)
		missing.Cause = fault
		if name == "" {
			missing.Message = "the local cluster is reached through the manager"
		}
		return nil, missing
	}
	return c, c.Err()
}

// fault is called with f.mu held.
func (f *Fleet) fault(name string) error {
	return errors.Join(f.faults[name], f.unusable[name])
}

// Clusters returns the clusters of the fleet, sorted by name, whatever state they are in.
func (f *Fleet) Clusters() []*Cluster {
	f.mu.RLock()
	all := slices.Collect(maps.Values(f.clusters))
	f.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Cluster) int { return strings.Compare(a.name, b.name) })
	return all
}

// Faults returns what is wrong with what the inventory knows, by name: an entry that it cannot read, or one
// that nobody can connect with. There may be a cluster of that name, which then runs on as it was.
func (f *Fleet) Faults() map[string]error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	all := map[string]error{}
	for _, faults := range []map[string]error{f.faults, f.unusable} {
		for name := range faults {
			all[name] = f.fault(name)
		}
	}
	return all
}

// Synced is closed when the inventory has told of every cluster that was there when it began. Until then
// an answer of the whole fleet may lack some.
func (f *Fleet) Synced() <-chan struct{} { return f.synced }

// index is a field by which objects of a kind can be found in caches.
type index struct {
	kind    kind
	field   string
	extract client.IndexerFunc
}

// IndexField lets the caches of every cluster, also of those to come, be asked for objects of a kind by a
// field (client.MatchingFields). extract returns the values of the field of an object; for a kind that is
// cached as metadata only it is given that. An index starts the informers of its kind, in the background:
// IndexField waits for no cluster. It fails if the kind is not in the scheme, or the field indexed already.
func (f *Fleet) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	k, err := f.cached.kindOf(obj)
	if err != nil {
		return fmt.Errorf("indexing field %q: %w", field, err)
	}
	added := index{k, field, extract}
	there, ok := f.keepIndex(added)
	if !ok {
		return fmt.Errorf("indexing field %q of %s: it is indexed already", field, k)
	}
	for _, c := range there {
		c.store.addIndex(added)
	}
	return nil
}

// keepIndex remembers an index for the clusters that will join, and returns those that have.
func (f *Fleet) keepIndex(added index) (there []*Cluster, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.indexes {
		if i.kind == added.kind && i.field == added.field {
			return nil, false
		}
	}
	f.indexes = append(f.indexes, added)
	return slices.Collect(maps.Values(f.clusters)), true
}

// gvkOf is apiutil.GVKForObject with an error that names the type.
func gvkOf(obj runtime.Object, scheme *runtime.Scheme) (k kind, err error) {
	k.gvk, err = apiutil.GVKForObject(obj, scheme)
	if err != nil {
		return k, fmt.Errorf("finding the kind of %T: %w", obj, err)
	}
	k.form = formOf(obj)
	return k, nil
}

// find returns a cluster, or nil.
func (f *Fleet) find(name string) *Cluster {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.clusters[name]
}

// usableAgain is called, without waiting, when the state of a cluster has changed and it can be reached.
func (f *Fleet) usableAgain(name string) {
	if parkings := f.parkings.Load(); parkings != nil {
		for _, p := range *parkings {
			p.resume(name)
		}
	}
}

func (f *Fleet) addParking(p *parking) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []*parking{p}
	if before := f.parkings.Load(); before != nil {
		all = append(all, *before...)
	}
	f.parkings.Store(&all)
}

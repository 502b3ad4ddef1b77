package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/endpoint/calico"
)

// kindOf is a kind that objects are written in.
type kindOf struct {
	gvk      schema.GroupVersionKind // the version that objects are rendered in
	resource string
	foreign  *calico.Kind // nil: every cluster serves it
}

func kindsWritten() []kindOf {
	all := []kindOf{
		{gvk: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"), resource: "networkpolicies"},
		{gvk: corev1.SchemeGroupVersion.WithKind("ConfigMap"), resource: "configmaps"},
	}
	for _, k := range []calico.Kind{calico.NetworkPolicies, calico.NetworkSets, calico.GlobalNetworkSets, calico.CIDRGroups, calico.ClusterNetworkPolicies} {
		all = append(all, kindOf{gvk: k.GVK(), resource: k.Plural(), foreign: &k})
	}
	return all
}

// Objects are what Hawser has made in the local cluster of endpoints, of every kind that it makes. They follow the
// cluster while Run runs. Several publishers may have the same.
type Objects struct {
	client    dynamic.Interface
	discovery *calico.Discovery
	clock     clock.WithTicker
	log       logr.Logger
	deadline  time.Duration // of each request for an object
	repose    time.Duration // how long an API that did not answer in time is not asked
	answering time.Duration // how long an API may take to list its objects, or to begin to tell of them; zero: as a follow.Table says
	records   *records
	kinds     map[schema.GroupKind]*following

	mu    sync.Mutex
	began time.Time // when Start did
	open  bool      // it was told that enough is known to write
	told  map[int]func(at owner, ours bool)
	next  int
}

// settling is how long is waited at the start until it is known of every kind what there is. From then on, a kind that
// does not answer holds up nothing but its own objects.
const settling = 15 * time.Second

// NewObjects makes one that follows the local cluster, which config reaches, from Run on.
func NewObjects(config *rest.Config, clock clock.WithTicker, log logr.Logger) (*Objects, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the local cluster: %w", err)
	}
	asks, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the local cluster: %w", err)
	}
	s := &Objects{client: client, discovery: calico.NewDiscovery(asks, clock), clock: clock, log: log, deadline: deadline, repose: repose, kinds: map[schema.GroupKind]*following{}, told: map[int]func(owner, bool){}}
	s.records = newRecords(s.tell)
	for _, k := range kindsWritten() {
		s.kinds[k.gvk.GroupKind()] = &following{kindOf: k}
	}
	return s, nil
}

// notify has f told of each change of what was made for somebody, and whether it was the publisher that made it, under
// a lock: it takes a note. The zero owner, under no lock, says that more is known of a kind.
func (s *Objects) notify(f func(at owner, ours bool)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	s.next++
	s.told[n] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.told, n)
	}
}

func (s *Objects) tell(at owner, ours bool) {
	s.mu.Lock()
	told := slices.Collect(maps.Values(s.told))
	s.mu.Unlock()
	for _, f := range told {
		f(at, ours)
	}
}

// Start implements controller-runtime's Runnable: it follows until ctx ends.
func (s *Objects) Start(ctx context.Context) error {
	served := make(chan struct{}, 1) // something else is
	stop := s.discovery.Notify(func() {
		select {
		case served <- struct{}{}:
		default:
		}
	})
	defer stop()
	for _, k := range s.kinds {
		k.table = s.follow(k)
	}
	s.mu.Lock()
	s.began = s.clock.Now()
	s.mu.Unlock()
	asked := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { // ends with ctx, as all of them
		s.discovery.Look(ctx)
		close(asked)
		_ = s.discovery.Run(ctx)
	})
	running.Go(func() {
		<-asked // within its deadline
		for {
			select {
			case <-ctx.Done():
				return
			case <-served:
				s.turned()
			}
		}
	})
	for _, k := range s.kinds {
		running.Go(func() {
			if k.foreign != nil {
				<-asked
			}
			k.table.Run(ctx)
		})
	}
	running.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.clock.After(settling):
			s.opened() // what waits for others alone need not wait any more
		}
	})
	running.Wait()
	return nil
}

// enough says that enough is known to write: what there is of every kind, or that it takes long to find that out of some,
// whose objects then wait alone.
func (s *Objects) enough() bool {
	if s.Settled() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open || !s.began.IsZero() && s.clock.Since(s.began) >= settling
}

// opened tells everybody, the first time, that enough is known to write. It says whether they were told before.
func (s *Objects) opened() bool {
	enough := s.enough()
	s.mu.Lock()
	before := s.open
	s.open = before || enough
	s.mu.Unlock()
	if enough && !before {
		s.tell(owner{}, false)
	}
	return before
}

// Settled says that it is known of every kind what there is, or why that cannot be known.
func (s *Objects) Settled() bool {
	for _, k := range s.kinds {
		if known, _ := k.state(); !known {
			return false
		}
	}
	return true
}

// serves returns what a kind is written in. The error says why it cannot be written; the owner is told when that changes.
func (s *Objects) serves(kind schema.GroupKind, at owner) (dynamic.NamespaceableResourceInterface, schema.GroupVersionKind, error) {
	k := s.kinds[kind]
	if k == nil {
		return nil, schema.GroupVersionKind{}, fmt.Errorf("%s is no kind that is written here", kind)
	}
	version, fault := k.use(at)
	if fault != nil {
		return nil, schema.GroupVersionKind{}, fault
	}
	return s.client.Resource(version.GroupVersion().WithResource(k.resource)), version, nil
}

package endpoints

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/endpoint"
)

// The Service of the API servers of a cluster.
const (
	apiNamespace = metav1.NamespaceDefault
	apiService   = "kubernetes"
)

// Hosts finds the addresses of the local cluster's nodes and API servers, which no remote cluster may claim for its
// endpoints.
type Hosts struct {
	cache   cache.Cache
	server  []netip.Addr // by which we reach the API server
	log     logr.Logger
	clock   clock.WithTicker
	changed func() // called, without waiting, when there are others

	mu    sync.Mutex
	known bool
	all   []netip.Prefix // sorted
}

// newHosts makes what finds them, which does nothing until Start.
func newHosts(config *rest.Config, scheme *runtime.Scheme, log logr.Logger) (*Hosts, error) {
	trimmed, err := cache.New(config, cache.Options{Scheme: scheme, ByObject: map[client.Object]cache.ByObject{
		&corev1.Node{}: {Transform: onlyAddresses},
		&discoveryv1.EndpointSlice{}: {Namespaces: map[string]cache.Config{
			apiNamespace: {LabelSelector: labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: apiService})},
		}},
		&corev1.Service{}: {Namespaces: map[string]cache.Config{
			apiNamespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", apiService)},
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("making a cache of the local cluster's addresses: %w", err)
	}
	h := &Hosts{cache: trimmed, log: log, clock: clock.RealClock{}, changed: func() {}}
	if u, err := url.Parse(config.Host); err == nil {
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			h.server = append(h.server, addr)
		}
	}
	return h, nil
}

// onlyAddresses leaves of a Node what is needed.
func onlyAddresses(o any) (any, error) {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	return &corev1.Node{
		TypeMeta:   n.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion},
		Status:     corev1.NodeStatus{Addresses: n.Status.Addresses},
	}, nil
}

// Addresses returns what was found; known is false before that.
func (h *Hosts) Addresses() (all []netip.Prefix, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all, h.known
}

// Start implements manager.Runnable.
func (h *Hosts) Start(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	rouse := func() {
		select {
		case wake <- struct{}{}:
		default: // it is to be looked at already
		}
	}
	for _, kind := range []client.Object{&corev1.Node{}, &discoveryv1.EndpointSlice{}, &corev1.Service{}} {
		informer, err := h.cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching the local cluster's addresses: %w", err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { rouse() }, UpdateFunc: func(any, any) { rouse() }, DeleteFunc: func(any) { rouse() },
		}); err != nil {
			return fmt.Errorf("watching the local cluster's addresses: %w", err)
		}
	}
	go func() { // ends with ctx
		if h.cache.WaitForCacheSync(ctx) {
			h.follow(ctx, wake, h.look)
		}
	}()
	return h.cache.Start(ctx)
}

// lookEvery is how often the addresses are read at most: nodes say something all the time, and seldom something new.
const lookEvery = time.Second

// follow looks, and again whenever it is woken, until ctx ends.
func (h *Hosts) follow(ctx context.Context, wake <-chan struct{}, look func(context.Context)) {
	for {
		look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-h.clock.After(lookEvery):
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
	}
}

// look reads all addresses.
func (h *Hosts) look(ctx context.Context) {
	var nodes corev1.NodeList
	var slicesOf discoveryv1.EndpointSliceList
	var services corev1.ServiceList
	for _, list := range []client.ObjectList{&nodes, &slicesOf, &services} {
		if err := h.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			if ctx.Err() == nil {
				h.log.Error(err, "reading the local cluster's addresses")
			}
			return
		}
	}
	found := slices.Clone(h.server)
	take := func(text string) {
		if addr, err := netip.ParseAddr(text); err == nil {
			found = append(found, addr)
		}
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			take(a.Address)
		}
	}
	for _, s := range slicesOf.Items {
		for _, e := range s.Endpoints {
			for _, a := range e.Addresses {
				take(a)
			}
		}
	}
	for _, s := range services.Items {
		for _, a := range s.Spec.ClusterIPs {
			take(a)
		}
	}
	h.set(endpoint.Prefixes(found...))
}

func (h *Hosts) set(all []netip.Prefix) {
	slices.SortFunc(all, netip.Prefix.Compare)
	all = slices.Compact(all)
	h.mu.Lock()
	same := h.known && slices.Equal(h.all, all)
	h.all, h.known = all, true
	h.mu.Unlock()
	if !same {
		h.changed()
	}
}

// Fixed are addresses of the local cluster that are known already.
func Fixed(addresses ...netip.Addr) *Hosts {
	h := &Hosts{changed: func() {}}
	h.set(endpoint.Prefixes(addresses...))
	return h
}

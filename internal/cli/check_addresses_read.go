package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/endpoint/ranges"
)

// addressesOf reads what is known of the addresses of each cluster. Those that do not answer are gaps.
func (d *deps) addressesOf(ctx context.Context, here *cluster, fleet contributors) (all []ranges.Cluster, missing []query.Gap) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for i := range fleet.clusters {
		rc := &fleet.clusters[i]
		if rc.Spec.Disabled {
			missing = append(missing, query.Gap{Cluster: rc.Name, Reason: endpoint.ReasonDisabled, Message: "spec.disabled of its RemoteCluster is true"})
			continue
		}
		group.Go(func() {
			c, err := d.addressesIn(ctx, here, fleet, rc)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing = append(missing, query.Gap{Cluster: rc.Name, Reason: endpoint.ReasonNotConnected, Message: oneLine(err.Error())})
				return
			}
			all = append(all, c)
		})
	}
	group.Wait()
	return all, missing
}

func (d *deps) addressesIn(ctx context.Context, here *cluster, fleet contributors, rc *v1alpha1.RemoteCluster) (ranges.Cluster, error) {
	config, _, err := d.reachSelf(ctx, here, fleet, rc)
	if err != nil {
		return ranges.Cluster{}, fmt.Errorf("connection to remote cluster failed: %w", err)
	}
	bounds, err := endpoint.ParseBounds(rc.Spec.EndpointCIDRs)
	if err != nil {
		return ranges.Cluster{}, err
	}
	r, err := newAddressReader(ctx, config, d.clock)
	if err != nil {
		return ranges.Cluster{}, err
	}
	r.c = ranges.Cluster{Name: rc.Name, Local: isLocal(rc), Within: bounds.Within}
	err = r.read()
	return r.c, err
}

// addressReader reads what is known of the addresses of one cluster. What it may not read it notes.
type addressReader struct {
	ctx      context.Context //nolint:containedctx // of the one reading
	kube     kubernetes.Interface
	dynamic  dynamic.Interface
	metadata metadata.Interface
	clock    clock.WithTicker
	c        ranges.Cluster
	podCIDRs []netip.Prefix
	served   calico.Served
}

func newAddressReader(ctx context.Context, config *rest.Config, clk clock.WithTicker) (*addressReader, error) {
	kube, err1 := kubernetes.NewForConfig(config)
	objects, err2 := dynamic.NewForConfig(config)
	names, err3 := metadata.NewForConfig(config)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return &addressReader{ctx: ctx, kube: kube, dynamic: objects, metadata: names, clock: clk}, nil
}

func (r *addressReader) read() error {
	for _, one := range []struct {
		what string
		read func() error
	}{
		{"nodes", r.nodes}, {"Services", r.services}, {"IPPools", r.pools}, {"labels of endpoints", r.labels},
		{"namespaces", func() error {
			all, keys := map[string]bool{}, map[string]bool{}
			err := r.each(core("namespaces"), func(name string, labels map[string]string) { all[name] = true; note(keys, labels) })
			if err == nil {
				r.c.Words.Namespaces, r.c.Words.NamespaceKeys = all, keys
			}
			return err
		}},
		{"service accounts", func() error {
			all, keys := map[string]bool{}, map[string]bool{}
			err := r.each(core("serviceaccounts"), func(name string, labels map[string]string) { all[name] = true; note(keys, labels) })
			if err == nil {
				r.c.Words.Accounts, r.c.Words.AccountKeys = all, keys
			}
			return err
		}},
	} {
		err := one.read()
		if apierrors.IsForbidden(err) {
			r.c.Unread = append(r.c.Unread, ranges.Unread{What: one.what, Why: oneLine(err.Error())})
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", one.what, err)
		}
	}
	if r.c.Pods = r.podRanges(); len(r.c.Pods) == 0 {
		r.c.Unread = append(r.c.Unread, ranges.Unread{What: "ranges of pods", Why: "neither do nodes have podCIDRs, nor are there IPPools"})
	}
	return nil
}

// podRanges are the pools where there are some, because then podCIDRs of nodes mean nothing.
func (r *addressReader) podRanges() (all []netip.Prefix) {
	for _, p := range r.c.Pools {
		if !p.Disabled && (len(p.AllowedUses) == 0 || slices.Contains(p.AllowedUses, "Workload")) {
			all = append(all, p.CIDR)
		}
	}
	if len(all) == 0 {
		all = r.podCIDRs
	}
	return all
}

func (r *addressReader) nodes() error {
	nodes, err := r.kube.CoreV1().Nodes().List(r.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, text := range n.Spec.PodCIDRs {
			if p, err := netip.ParsePrefix(text); err == nil {
				r.podCIDRs = append(r.podCIDRs, p.Masked())
			}
		}
		for _, a := range n.Status.Addresses {
			addr, err := netip.ParseAddr(a.Address)
			if err == nil && (a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP) {
				r.c.Nodes = append(r.c.Nodes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			}
		}
	}
	return nil
}

// services reads which ranges Services have; where the cluster does not say, the least that hold those that there are.
func (r *addressReader) services() error {
	declared, err := r.kube.NetworkingV1().ServiceCIDRs().List(r.ctx, metav1.ListOptions{})
	if err == nil && len(declared.Items) > 0 {
		for _, s := range declared.Items {
			for _, text := range s.Spec.CIDRs {
				if p, err := netip.ParsePrefix(text); err == nil {
					r.c.Services = append(r.c.Services, p.Masked())
				}
			}
		}
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return err
	}
	services, err := r.kube.CoreV1().Services("").List(r.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var seen []netip.Addr
	for _, s := range services.Items {
		for _, text := range s.Spec.ClusterIPs {
			if a, err := netip.ParseAddr(text); err == nil {
				seen = append(seen, a)
			}
		}
	}
	r.c.Services, r.c.ServicesSeen = ranges.Least(seen), true
	return nil
}

// pools reads Calico's IPPools, where the cluster has any.
func (r *addressReader) pools() error {
	found := calico.NewDiscovery(r.kube.Discovery(), r.clock)
	found.Look(r.ctx)
	r.served = found.Served()
	kind, err := r.served.ToRead(calico.IPPools)
	if errors.Is(err, calico.ErrNotServed) {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := r.dynamic.Resource(kind.GroupVersion().WithResource(calico.IPPools.Plural())).List(r.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	r.c.Pools = []ranges.Pool{}
	for i := range list.Items {
		p, err := calico.Read[calico.IPPoolSpec](&list.Items[i])
		if err != nil {
			return err
		}
		cidr, err := netip.ParsePrefix(p.Spec.CIDR)
		if err != nil {
			return fmt.Errorf("reading IPPool %q: %w", p.Name, err)
		}
		r.c.Pools = append(r.c.Pools, ranges.Pool{Name: p.Name, CIDR: cidr.Masked(), IPPoolSpec: p.Spec})
	}
	return nil
}

// labels reads which labels endpoints have.
func (r *addressReader) labels() error {
	kinds := []schema.GroupVersionResource{core("pods"), core("nodes")}
	for _, k := range []calico.Kind{calico.HostEndpoints, calico.NetworkSets, calico.GlobalNetworkSets} {
		if kind, err := r.served.ToRead(k); err == nil {
			kinds = append(kinds, kind.GroupVersion().WithResource(k.Plural()))
		}
	}
	keys := map[string]bool{}
	for _, kind := range kinds {
		if err := r.each(kind, func(_ string, labels map[string]string) { note(keys, labels) }); err != nil {
			return err
		}
	}
	r.c.Words.Keys = keys
	return nil
}

func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}

// each reads the metadata of all objects of a resource, in pages.
func (r *addressReader) each(resource schema.GroupVersionResource, note func(name string, labels map[string]string)) error {
	return pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.metadata.Resource(resource).List(ctx, o)
	}).EachListItem(r.ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		if m, ok := o.(*metav1.PartialObjectMetadata); ok {
			note(m.Name, m.Labels)
		}
		return nil
	})
}

func note(keys map[string]bool, labels map[string]string) {
	for key := range labels {
		keys[key] = true
	}
}

// usesOf are the live selectors, and where they look.
func usesOf(w query.World, fleet contributors) (uses []ranges.Use) {
	in := func(scope v1alpha1.ClusterScope) (names []string) {
		for i := range fleet.clusters {
			if rc := &fleet.clusters[i]; publish.Selects(scope, rc.Name, rc.Labels, isLocal(rc)) {
				names = append(names, rc.Name)
			}
		}
		return names
	}
	for _, s := range w.Sets {
		uses = append(uses, ranges.Use{By: fmt.Sprintf("EndpointSet %q", s.Name), Selector: s.Selector, Clusters: in(s.Clusters)})
	}
	for _, p := range w.Policies {
		by := fmt.Sprintf("FederatedNetworkPolicy %q", p.Namespace+"/"+p.Name)
		if p.Pods.Endpoints != nil {
			uses = append(uses, ranges.Use{By: by, Selector: p.Pods.Endpoints, Clusters: in(v1alpha1.ClusterScope{Local: true})})
		}
		for _, s := range p.Selectors {
			uses = append(uses, ranges.Use{By: by, Selector: s, Clusters: in(p.Clusters)})
		}
	}
	return uses
}

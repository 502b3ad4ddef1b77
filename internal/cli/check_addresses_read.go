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
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/endpoint/ranges"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
)

// addressesOf reads what is known of the addresses of each cluster. Those that do not answer are gaps.
func (d *deps) addressesOf(ctx context.Context, here *cluster, fleet contributors) (all []ranges.Cluster, missing []query.Gap) {
	var mu sync.Mutex
	var group sync.WaitGroup
	add := func(c ranges.Cluster, gaps ...query.Gap) {
		mu.Lock()
		defer mu.Unlock()
		all, missing = append(all, c), append(missing, gaps...)
	}
	for i := range fleet.clusters {
		rc := &fleet.clusters[i]
		known, err := declared(rc)
		if err == nil && rc.Spec.Disabled {
			known.Unasked = true
			add(known, query.Gap{Cluster: rc.Name, Reason: endpoints.Disabled.Reason, Message: endpoints.Disabled.Message})
			continue
		}
		group.Go(func() {
			var gaps []query.Gap
			if err == nil {
				gaps, err = d.addressesIn(ctx, here, fleet, rc, &known)
			}
			if err != nil {
				known = ranges.Cluster{Name: known.Name, Local: known.Local, NoEndpoints: known.NoEndpoints, Within: known.Within, Unasked: true}
				gaps = []query.Gap{{Cluster: rc.Name, Reason: endpoint.ReasonNotConnected, Message: oneLine(err.Error())}}
			}
			add(known, gaps...)
		})
	}
	group.Wait()
	return all, missing
}

// declared is what its RemoteCluster says of a cluster.
func declared(rc *v1alpha1.RemoteCluster) (ranges.Cluster, error) {
	c := ranges.Cluster{Name: rc.Name, Local: rc.IsLocal(), NoEndpoints: !endpoints.Contributes(rc)}
	bounds, err := endpoint.ParseBounds(rc.Spec.EndpointCIDRs)
	c.Within = bounds.Within
	return c, err
}

// addressesIn adds what a cluster itself says. What it answers with an error is a gap.
func (d *deps) addressesIn(ctx context.Context, here *cluster, fleet contributors, rc *v1alpha1.RemoteCluster, known *ranges.Cluster) ([]query.Gap, error) {
	config, _, err := d.reachSelf(ctx, here, fleet, rc)
	if err != nil {
		return nil, fmt.Errorf("connection to remote cluster failed: %w", err)
	}
	r, err := newAddressReader(ctx, config, d.clock)
	if err != nil {
		return nil, err
	}
	r.c = known
	return r.read()
}

// addressReader reads what is known of the addresses of one cluster. What it may not read it notes.
type addressReader struct {
	ctx      context.Context //nolint:containedctx // of the one reading
	kube     kubernetes.Interface
	dynamic  dynamic.Interface
	metadata metadata.Interface
	clock    clock.WithTicker
	c        *ranges.Cluster
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

// read reads everything. That a part may not be read is noted; so is one that is answered with another error, which is a
// gap, too. Without an answer there is nothing to be said.
func (r *addressReader) read() (gaps []query.Gap, err error) {
	unread := map[string]bool{}
	for _, one := range []struct {
		what string
		read func() error
	}{
		{ranges.NodesOf, r.nodes}, {ranges.ServicesOf, r.services}, {ranges.IPPoolsOf, r.pools}, {ranges.LabelsOf, r.labels},
		{ranges.LabelsOfServices, r.serviceLabels},
		{ranges.NamespacesOf, func() error {
			all, keys := map[string]bool{}, map[string]bool{}
			err := r.each(core("namespaces"), func(m *metav1.PartialObjectMetadata) { all[m.Name] = true; note(keys, m.Labels) })
			if err == nil {
				r.c.Words.Namespaces, r.c.Words.NamespaceKeys = all, keys
			}
			return err
		}},
		{ranges.ServiceAccountsOf, func() error {
			all, keys := map[string]bool{}, map[string]bool{}
			err := r.each(core("serviceaccounts"), func(m *metav1.PartialObjectMetadata) { all[m.Name] = true; note(keys, m.Labels) })
			if err == nil {
				r.c.Words.Accounts, r.c.Words.AccountKeys = all, keys
			}
			return err
		}},
	} {
		err := one.read()
		var status apierrors.APIStatus
		switch {
		case err == nil:
			continue
		case !errors.As(err, &status) && !errors.Is(err, calico.ErrUnknown) && !errors.Is(err, errUnreadable):
			return nil, fmt.Errorf("reading %s: %w", one.what, err)
		case !apierrors.IsForbidden(err):
			gaps = append(gaps, query.Gap{Cluster: r.c.Name, Reason: endpoint.ReasonListFailed, Message: "reading " + one.what + ": " + oneLine(err.Error())})
		}
		unread[one.what] = true
		r.c.Unread = append(r.c.Unread, ranges.Unread{What: one.what, Why: oneLine(err.Error())})
	}
	if r.c.Pods = r.podRanges(); len(r.c.Pods) == 0 {
		why := "neither do nodes have podCIDRs, nor are there IPPools"
		if unread[ranges.NodesOf] || unread[ranges.IPPoolsOf] {
			why = "they stand on nodes and IPPools"
		}
		r.c.Unread = append(r.c.Unread, ranges.Unread{What: ranges.PodRangesOf, Why: why})
	}
	return gaps, nil
}

// errUnreadable is the cause where an object is not what it should be.
var errUnreadable = errors.New("an object makes no sense")

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
	pools := []ranges.Pool{}
	for i := range list.Items {
		p, err := calico.Read[calico.IPPoolSpec](&list.Items[i])
		if err != nil {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		cidr, err := netip.ParsePrefix(p.Spec.CIDR)
		if err != nil {
			return fmt.Errorf("%w: IPPool %q: %w", errUnreadable, p.Name, err)
		}
		pools = append(pools, ranges.Pool{Name: p.Name, CIDR: cidr.Masked(), IPPoolSpec: p.Spec})
	}
	r.c.Pools, r.c.Calicoctl = pools, kind.GroupVersion() == calico.Storage
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
		if err := r.each(kind, func(m *metav1.PartialObjectMetadata) { note(keys, m.Labels) }); err != nil {
			return err
		}
	}
	r.c.Words.Keys = keys
	return nil
}

// serviceLabels reads which labels Services have that others may have endpoints from.
func (r *addressReader) serviceLabels() error {
	keys := map[string]map[string]bool{}
	err := r.each(core("services"), func(m *metav1.PartialObjectMetadata) {
		if selects(m.Annotations) {
			return
		}
		if keys[m.Namespace] == nil {
			keys[m.Namespace] = map[string]bool{}
		}
		note(keys[m.Namespace], m.Labels)
	})
	if err == nil {
		r.c.Words.ServiceKeys = keys
	}
	return err
}

func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}

// each reads the metadata of all objects of a resource, in pages.
func (r *addressReader) each(resource schema.GroupVersionResource, note func(*metav1.PartialObjectMetadata)) error {
	return pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.metadata.Resource(resource).List(ctx, o)
	}).EachListItem(r.ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		if m, ok := o.(*metav1.PartialObjectMetadata); ok {
			note(m)
		}
		return nil
	})
}

func note(keys map[string]bool, labels map[string]string) {
	for key := range labels {
		keys[key] = true
	}
}

package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/internal/bench"
)

// thing is an endpoint, as docs/endpoints.md says what one is: a pod with an address and a network of its own that has
// not ended, or a node.
type thing struct {
	cluster         *cluster
	node            bool
	namespace, name string
	account         string
	own, all        map[string]string // labels
	ofNamespace     map[string]string
	ofAccount       map[string]string
	addresses       []netip.Addr
	ports           []corev1.ContainerPort
}

// String names it for people.
func (t *thing) String() string {
	if t.node {
		return fmt.Sprintf("node %s/%s", t.cluster.name, t.name)
	}
	return fmt.Sprintf("pod %s/%s/%s", t.cluster.name, t.namespace, t.name)
}

// world is what there is, as it was listed from the API servers of all clusters.
type world struct {
	clusters []*cluster
	things   map[*cluster][]*thing
	pods     int
	ids      map[netip.Addr]int // of all addresses that anything has at any time, and some others
	all      []netip.Addr       // by id
}

// look lists everything anew.
func (r *run) look() (*world, error) {
	w := &world{clusters: r.clusters, things: map[*cluster][]*thing{}, ids: map[netip.Addr]int{}}
	listed := make([]*listing, len(r.clusters))
	err := bench.Parallel(len(r.clusters), len(r.clusters), func(i int) (err error) {
		listed[i], err = r.clusters[i].list(r.Ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, c := range r.clusters {
		w.things[c] = listed[i].things(c)
		w.pods += len(listed[i].pods)
		for _, a := range c.ever() {
			w.know(a)
		}
	}
	for _, text := range []string{"192.0.2.1", "192.0.2.200", "198.51.100.7", "10.255.0.1", "10.32.255.1", "172.16.0.1", "2001:db8::1", "fd00:ffff::1"} {
		w.know(netip.MustParseAddr(text))
	}
	return w, nil
}

func (w *world) know(a netip.Addr) {
	if _, ok := w.ids[a]; !ok {
		w.ids[a] = len(w.all)
		w.all = append(w.all, a)
	}
}

// whose is an address with what has it, for people.
func (w *world) whose(a netip.Addr) string {
	for _, c := range w.clusters {
		for _, t := range w.things[c] {
			if slices.Contains(t.addresses, a) {
				return fmt.Sprintf("%s of %s", a, t)
			}
		}
	}
	return a.String() + ", which nothing has"
}

// listing is what a cluster has.
type listing struct {
	id         string
	pods       []corev1.Pod
	nodes      []corev1.Node
	namespaces map[string]map[string]string    // labels
	accounts   map[[2]string]map[string]string // labels, by namespace and name
}

func (c *cluster) list(ctx context.Context) (*listing, error) {
	core, l := c.kube.CoreV1(), &listing{namespaces: map[string]map[string]string{}, accounts: map[[2]string]map[string]string{}}
	failed := func(what string, err error) error { return fmt.Errorf("listing %s of %s: %w", what, c.name, err) }
	pods, err := core.Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, failed("pods", err)
	}
	hosts, err := core.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, failed("nodes", err)
	}
	spaces, err := core.Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, failed("namespaces", err)
	}
	users, err := core.ServiceAccounts("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, failed("service accounts", err)
	}
	l.pods, l.nodes = pods.Items, hosts.Items
	for _, ns := range spaces.Items {
		l.namespaces[ns.Name] = ns.Labels
		if ns.Name == metav1.NamespaceSystem {
			l.id = string(ns.UID)
		}
	}
	for _, a := range users.Items {
		l.accounts[[2]string{a.Namespace, a.Name}] = a.Labels
	}
	return l, nil
}

// things are the endpoints that a cluster contributes.
func (l *listing) things(c *cluster) (all []*thing) {
	add := func(t *thing, addresses []string) {
		t.cluster = c
		for _, text := range addresses {
			if a, err := netip.ParseAddr(text); err == nil && c.may(a) {
				t.addresses = append(t.addresses, a)
			}
		}
		if len(t.addresses) > 0 {
			t.all = l.labels(t)
			all = append(all, t)
		}
	}
	for i := range l.pods {
		p := &l.pods[i]
		if p.Spec.HostNetwork || p.Spec.NodeName == "" || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		var addresses []string
		for _, ip := range p.Status.PodIPs {
			addresses = append(addresses, ip.IP)
		}
		add(l.pod(p), addresses)
	}
	for i := range l.nodes {
		n := &l.nodes[i]
		var addresses []string
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP {
				addresses = append(addresses, a.Address)
			}
		}
		add(&thing{node: true, name: n.Name, own: n.Labels}, addresses)
	}
	return all
}

// pod is a pod with what it inherits.
func (l *listing) pod(p *corev1.Pod) *thing {
	t := &thing{namespace: p.Namespace, name: p.Name, account: p.Spec.ServiceAccountName, own: p.Labels}
	t.ofNamespace, t.ofAccount = l.namespaces[p.Namespace], l.accounts[[2]string{p.Namespace, p.Spec.ServiceAccountName}]
	for _, container := range p.Spec.Containers {
		t.ports = append(t.ports, container.Ports...)
	}
	return t
}

// may says whether a cluster may contribute an address.
func (c *cluster) may(a netip.Addr) bool {
	return c.local() || slices.ContainsFunc(c.cidrs(), func(text string) bool { return netip.MustParsePrefix(text).Contains(a) })
}

// labels are those that selectors see, by the table of docs/endpoints.md.
func (l *listing) labels(t *thing) map[string]string {
	all := maps.Clone(t.own)
	if all == nil {
		all = map[string]string{}
	}
	maps.DeleteFunc(all, func(label, _ string) bool {
		return strings.HasPrefix(label, "pcns.") || strings.HasPrefix(label, "pcsa.") || strings.HasPrefix(label, "projectcalico.org/") || strings.HasPrefix(label, "hawser.io/")
	})
	all["hawser.io/cluster"], all["hawser.io/cluster-id"] = t.cluster.name, l.id
	if t.node {
		return all
	}
	all["projectcalico.org/orchestrator"] = "k8s"
	all["projectcalico.org/namespace"], all["projectcalico.org/serviceaccount"] = t.namespace, t.account
	for label, value := range t.ofNamespace {
		all["pcns."+label] = value
	}
	for label, value := range t.ofAccount {
		all["pcsa."+label] = value
	}
	return all
}

package fedtest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listing is what a cluster has.
type listing struct {
	id         string
	pods       []corev1.Pod
	nodes      []corev1.Node
	namespaces map[string]map[string]string    // labels
	accounts   map[[2]string]map[string]string // labels, by namespace and name
}

func (c *Cluster) list(ctx context.Context) (*listing, error) {
	core, l := c.Kube.CoreV1(), &listing{namespaces: map[string]map[string]string{}, accounts: map[[2]string]map[string]string{}}
	failed := func(what string, err error) error { return fmt.Errorf("listing %s of %s: %w", what, c.Name, err) }
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
func (l *listing) things(c *Cluster) (all []*thing) {
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
		add(&thing{node: true, name: n.Name, own: n.Labels, ofAccount: map[string]string{}}, addresses)
	}
	return all
}

// pod is a pod with what it inherits.
func (l *listing) pod(p *corev1.Pod) *thing {
	t := &thing{namespace: p.Namespace, name: p.Name, account: p.Spec.ServiceAccountName, own: p.Labels}
	t.space = l.namespaces[p.Namespace]
	t.ofNamespace, t.ofAccount = withName(t.space, p.Namespace), withName(l.accounts[[2]string{p.Namespace, t.account}], t.account)
	for _, container := range p.Spec.Containers {
		t.ports = append(t.ports, container.Ports...)
	}
	return t
}

// withName are the labels of a namespace, or an account, as selectors see them.
func withName(labels map[string]string, name string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, labels)
	all["projectcalico.org/name"] = name
	return all
}

// notItsOwn says whether a label is none that an endpoint can have of itself.
func notItsOwn(label, _ string) bool {
	switch label {
	case "projectcalico.org/namespace", "projectcalico.org/serviceaccount", "projectcalico.org/orchestrator", "hawser.io/cluster", "hawser.io/cluster-id":
		return true
	}
	return strings.HasPrefix(label, "pcns.") || strings.HasPrefix(label, "pcsa.")
}

// labels are those that selectors see, by the table of docs/endpoints.md.
func (l *listing) labels(t *thing) map[string]string {
	all := maps.Clone(t.own)
	if all == nil {
		all = map[string]string{}
	}
	maps.DeleteFunc(all, notItsOwn)
	all["hawser.io/cluster"], all["hawser.io/cluster-id"] = t.cluster.Name, l.id
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

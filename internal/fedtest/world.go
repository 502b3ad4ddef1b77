package fedtest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Cluster is one of a fleet, as its RemoteCluster says.
type Cluster struct {
	Name   string
	Local  bool
	Labels map[string]string
	// CIDRs are where a remote one's endpoints may be.
	CIDRs []string
	// Kube reads all of it.
	Kube kubernetes.Interface
	// Ever are the addresses that something of it has at any time: what a NetworkPolicy of a FederatedNetworkPolicy
	// allows besides, and nothing has now, is told of.
	Ever []netip.Addr
}

// may says whether a cluster may contribute an address.
func (c *Cluster) may(a netip.Addr) bool { return c.Local || inOne(c.CIDRs, a) }

// Takes says whether endpoints of a cluster are asked for. A selector of clusters that cannot be read takes none.
func Takes(of v1alpha1.ClusterScope, c *Cluster) bool {
	if c.Local {
		return of.Local
	}
	if of.All || slices.Contains(of.Names, c.Name) {
		return true
	}
	if of.Selector == nil {
		return false
	}
	by, err := metav1.LabelSelectorAsSelector(of.Selector)
	return err == nil && by.Matches(labels.Set(c.Labels))
}

// thing is an endpoint, as docs/endpoints.md says what one is: a pod with an address and a network of its own that has
// not ended, or a node.
type thing struct {
	cluster         *Cluster
	node            bool
	namespace, name string
	account         string
	own, all        map[string]string // labels
	space           map[string]string // those of its namespace
	ofNamespace     map[string]string // the same, as selectors see them; nil: it is in none
	ofAccount       map[string]string // those of its account, as selectors see them
	addresses       []netip.Addr
	ports           []corev1.ContainerPort
}

// String names it for people.
func (t *thing) String() string {
	if t.node {
		return fmt.Sprintf("node %s/%s", t.cluster.Name, t.name)
	}
	return fmt.Sprintf("pod %s/%s/%s", t.cluster.Name, t.namespace, t.name)
}

// World is what there is, as it was listed from the API servers of all clusters.
type World struct {
	// Pods is how many pods were listed, endpoints or not.
	Pods int

	clusters []*Cluster
	things   map[*Cluster][]*thing
	ids      map[netip.Addr]int // of all addresses that anything has at any time, and some others
	all      []netip.Addr       // by id
}

// Look lists everything anew. beside are further addresses that verdicts are compared at.
func Look(ctx context.Context, clusters []*Cluster, beside ...netip.Addr) (*World, error) {
	w := &World{clusters: clusters, things: map[*Cluster][]*thing{}, ids: map[netip.Addr]int{}}
	listed, failed := make([]*listing, len(clusters)), make([]error, len(clusters))
	var reading sync.WaitGroup
	for i, c := range clusters {
		reading.Go(func() { listed[i], failed[i] = c.list(ctx) }) // ends with ctx at the latest
	}
	reading.Wait()
	for i, c := range clusters {
		if failed[i] != nil {
			return nil, failed[i]
		}
		w.things[c] = listed[i].things(c)
		w.Pods += len(listed[i].pods)
		for _, a := range c.Ever {
			w.know(a)
		}
		for _, t := range w.things[c] {
			for _, a := range t.addresses {
				w.know(a)
			}
		}
	}
	for _, a := range beside {
		w.know(a)
	}
	return w, nil
}

// Members is how many endpoints of a cluster a selector matches.
func (w *World) Members(c *Cluster, selector Term) (n int) {
	for _, t := range w.things[c] {
		if selector.Holds(t.all) {
			n++
		}
	}
	return n
}

func (w *World) know(a netip.Addr) {
	if _, ok := w.ids[a]; !ok {
		w.ids[a] = len(w.all)
		w.all = append(w.all, a)
	}
}

// whose is an address with what has it, for people.
func (w *World) whose(a netip.Addr) string {
	for _, c := range w.clusters {
		for _, t := range w.things[c] {
			if slices.Contains(t.addresses, a) {
				return fmt.Sprintf("%s of %s", a, t)
			}
		}
	}
	return a.String() + ", which nothing has"
}

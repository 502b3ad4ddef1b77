package policytest

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/selector"
)

// World is what there is: the clusters of a fleet, and what is in them.
type World struct {
	Clusters   []endpoint.ClusterState
	Namespaces map[[2]string]map[string]string // by cluster and name: labels
	Things     []Thing
	Index      *index.Index
	Parts      map[string]*index.Cluster // by name

	accounts map[[3]string]map[string]string // by cluster, namespace and name
}

// NewWorld makes one without clusters.
func NewWorld() *World {
	return &World{
		Namespaces: map[[2]string]map[string]string{}, accounts: map[[3]string]map[string]string{},
		Index: index.New(), Parts: map[string]*index.Cluster{},
	}
}

// Cluster adds one that nothing is in.
func (w *World) Cluster(t interface{ Fatal(...any) }, name string) *index.Cluster {
	state := endpoint.ClusterState{Name: name, ID: "id-" + name, Local: name == Home, Synced: true}
	w.Clusters = append(w.Clusters, state)
	part, err := w.Index.Cluster(state.Name, state.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.Parts[name] = part
	return part
}

// Thing is an endpoint.
type Thing struct {
	Cluster string
	index.Endpoint
	Own map[string]string // labels, as the object has them

	all map[string]string // by Labels
}

// Home is the name of the local cluster.
const Home = "home"

// PortNames are those that ports of pods have.
var PortNames = []string{"web", "dns", "metrics"}

// Add puts an endpoint with labels of its own into a cluster.
func (w *World) Add(part *index.Cluster, cluster string, e index.Endpoint, own map[string]string) {
	e.Labels = LabelList(own)
	part.Set(&e)
	w.Things = append(w.Things, Thing{Cluster: cluster, Endpoint: e, Own: own})
}

// LabelList are labels as the index takes them.
func LabelList(labels map[string]string) (all []index.Label) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, index.Label{Name: name, Value: labels[name]})
	}
	return all
}

// Labels are all that an endpoint has, by Calico's rules and those of package index.
func (w *World) Labels(e *Thing) map[string]string {
	if e.all == nil {
		e.all = w.allLabels(e)
	}
	return e.all
}

func (w *World) allLabels(e *Thing) map[string]string {
	all := map[string]string{}
	for name, value := range e.Own {
		if !strings.HasPrefix(name, "pcns.") && !strings.HasPrefix(name, "pcsa.") && name != "projectcalico.org/namespace" && name != "hawser.io/cluster" {
			all[name] = value
		}
	}
	all["hawser.io/cluster"], all["hawser.io/cluster-id"] = e.Cluster, "id-"+e.Cluster
	if e.Kind == index.Pod {
		all["projectcalico.org/orchestrator"] = "k8s"
	}
	if e.Namespace != "" {
		all["projectcalico.org/namespace"] = e.Namespace
	}
	for name, value := range w.ofNamespace(e) {
		all["pcns."+name] = value
	}
	if e.ServiceAccount != "" {
		all["projectcalico.org/serviceaccount"] = e.ServiceAccount
	}
	for name, value := range w.ofAccount(e) {
		all["pcsa."+name] = value
	}
	return all
}

// ofNamespace are the labels that the namespace of an endpoint has for selectors, none where it has no namespace.
func (w *World) ofNamespace(e *Thing) map[string]string {
	if e.Namespace == "" {
		return nil
	}
	all := maps.Clone(w.Namespaces[[2]string{e.Cluster, e.Namespace}])
	all["projectcalico.org/name"] = e.Namespace
	return all
}

func (w *World) ofAccount(e *Thing) map[string]string {
	if e.ServiceAccount == "" {
		return map[string]string{}
	}
	all := maps.Clone(w.accounts[[3]string{e.Cluster, e.Namespace, e.ServiceAccount}])
	all["projectcalico.org/name"] = e.ServiceAccount
	return all
}

// At says whether it has an address.
func (e *Thing) At(a netip.Addr) bool {
	return slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Addresses are all that traffic may come from and go to.
func (w *World) Addresses() []netip.Addr {
	all := []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.1.1.2"),
		netip.MustParseAddr("10.1.0.7"), netip.MustParseAddr("2001:db8::1"),
	}
	for _, e := range w.Things {
		if e.Kind != index.NetworkSet {
			for _, p := range e.Addresses {
				all = append(all, p.Addr())
			}
		}
	}
	return all
}

// Request is what a cluster has for an item of such selectors.
func (w *World) Request(c endpoint.ClusterState, selectors []*selector.Selector) publish.Request {
	return publish.Request{
		Cluster: c,
		Members: func(i int) iter.Seq[index.Endpoint] { return w.Index.Eval(selectors[i], c.Name) },
		Addresses: func(i int) iter.Seq[netip.Prefix] {
			return func(yield func(netip.Prefix) bool) {
				for e := range w.Index.Eval(selectors[i], c.Name) {
					for _, a := range e.Addresses {
						if !yield(a) {
							return
						}
					}
				}
			}
		},
		Count: func(i int) (n int) {
			for range w.Index.Eval(selectors[i], c.Name) {
				n++
			}
			return n
		},
		Pieces: func(string) int { return 0 },
	}
}

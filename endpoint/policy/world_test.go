package policy_test

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/selector"
)

// world is what there is: the clusters of a fleet, and what is in them. "home" is the local one.
type world struct {
	clusters   []endpoint.ClusterState
	namespaces map[[2]string]map[string]string // by cluster and name: labels
	accounts   map[[3]string]map[string]string // by cluster, namespace and name
	things     []thing
	index      *index.Index
	parts      map[string]*index.Cluster
}

func newWorld() *world {
	return &world{
		namespaces: map[[2]string]map[string]string{}, accounts: map[[3]string]map[string]string{},
		index: index.New(), parts: map[string]*index.Cluster{},
	}
}

// cluster adds one that nothing is in.
func (w *world) cluster(t interface{ Fatal(...any) }, name string) *index.Cluster {
	state := endpoint.ClusterState{Name: name, ID: "id-" + name, Local: name == home, Synced: true}
	w.clusters = append(w.clusters, state)
	part, err := w.index.Cluster(state.Name, state.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.parts[name] = part
	return part
}

// thing is an endpoint.
type thing struct {
	cluster string
	index.Endpoint
	own map[string]string
	all map[string]string // by labels
}

const home = "home"

var (
	podLabels     = []string{"app", "tier", "pcns.env", "projectcalico.org/namespace", "hawser.io/cluster"} // of which the last three do not count
	labelValues   = []string{"", "x", "y", "z"}
	namespaceKeys = []string{"env", "team"}
	accountNames  = []string{"", "default", "robot"}
	portNames     = []string{"web", "dns", "metrics"}
	portNumbers   = []uint16{53, 80, 81, 8080}
)

func drawLabels(t *rapid.T, keys []string) map[string]string {
	labels := map[string]string{}
	for _, key := range someOf(t, "labels", 0, min(3, len(keys)), keys) {
		labels[key] = oneOf(t, "value", labelValues)
	}
	return labels
}

// drawWorld draws a fleet of the local cluster and three others, the last of which is never taken.
func drawWorld(t *rapid.T) *world {
	w := newWorld()
	for i, name := range []string{home, "a", "b", "other"} {
		part := w.cluster(t, name)
		for _, namespace := range []string{"shop", "web"} {
			labels := drawLabels(t, namespaceKeys)
			labels["kubernetes.io/metadata.name"] = namespace
			w.namespaces[[2]string{name, namespace}] = labels
			part.SetNamespace(namespace, labelList(labels))
			for _, account := range accountNames[1:] {
				labels := drawLabels(t, namespaceKeys)
				w.accounts[[3]string{name, namespace, account}] = labels
				part.SetServiceAccount(namespace, account, labelList(labels))
			}
		}
		var given [][]netip.Prefix // to pods
		next := 1
		address := func() (all []netip.Prefix) {
			v4 := netip.AddrFrom4([4]byte{10, byte(i), 0, byte(next)})
			if all = append(all, netip.PrefixFrom(v4, 32)); number(t, 4, "two families") == 0 {
				v6 := netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", i, next))
				all = append(all, netip.PrefixFrom(v6, 128))
			}
			next++
			return all
		}
		for p := range 2 + number(t, 4, "pods") {
			e := index.Endpoint{
				ID:             index.ID{Kind: index.Pod, Namespace: oneOf(t, "namespace", []string{"shop", "shop", "web"}), Name: fmt.Sprint("pod-", p)},
				ServiceAccount: oneOf(t, "account", accountNames), Addresses: address(),
			}
			given = append(given, e.Addresses)
			for _, port := range someOf(t, "ports", 0, 2, portNames) {
				e.Ports = append(e.Ports, index.Port{
					Name: port, Protocol: oneOf(t, "protocol", []string{"TCP", "TCP", "UDP"}), Number: oneOf(t, "number", portNumbers),
				})
			}
			w.add(part, name, e, drawLabels(t, podLabels))
		}
		if oneIn(t, 2, "node") {
			w.add(part, name, index.Endpoint{ID: index.ID{Kind: index.Node, Name: "node"}, Addresses: address()}, drawLabels(t, podLabels[:2]))
		}
		if oneIn(t, 3, "host endpoint") { // with an address of its own, or that of a pod
			of := address()
			if oneIn(t, 2, "of a pod") {
				of = oneOf(t, "whose", given)
			}
			w.add(part, name, index.Endpoint{ID: index.ID{Kind: index.HostEndpoint, Name: "host"}, Addresses: of}, drawLabels(t, podLabels[:2]))
		}
		for n := range number(t, 3, "network sets") {
			id := index.ID{Kind: index.NetworkSet, Name: fmt.Sprint("nets-", n), Namespace: oneOf(t, "namespace of the set", []string{"", "shop"})}
			var of []netip.Prefix
			switch number(t, 3, "where") {
			case 0:
				of = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 1, 0}), 30)}
			case 1: // some pods are in it
				of = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 29+number(t, 3, "length"))}
			default:
				of = oneOf(t, "whose", given)
			}
			w.add(part, name, index.Endpoint{ID: id, Addresses: of}, drawLabels(t, podLabels[:2]))
		}
	}
	return w
}

func (w *world) add(part *index.Cluster, cluster string, e index.Endpoint, own map[string]string) {
	e.Labels = labelList(own)
	part.Set(&e)
	w.things = append(w.things, thing{cluster: cluster, Endpoint: e, own: own})
}

func labelList(labels map[string]string) (all []index.Label) {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, index.Label{Name: name, Value: labels[name]})
	}
	return all
}

// labels are all that an endpoint has, by Calico's rules and those of package index.
func (w *world) labels(e *thing) map[string]string {
	if e.all == nil {
		e.all = w.allLabels(e)
	}
	return e.all
}

func (w *world) allLabels(e *thing) map[string]string {
	all := map[string]string{}
	for name, value := range e.own {
		if !strings.HasPrefix(name, "pcns.") && !strings.HasPrefix(name, "pcsa.") && name != "projectcalico.org/namespace" && name != "hawser.io/cluster" {
			all[name] = value
		}
	}
	all["hawser.io/cluster"], all["hawser.io/cluster-id"] = e.cluster, "id-"+e.cluster
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
func (w *world) ofNamespace(e *thing) map[string]string {
	if e.Namespace == "" {
		return nil
	}
	all := maps.Clone(w.namespaces[[2]string{e.cluster, e.Namespace}])
	all["projectcalico.org/name"] = e.Namespace
	return all
}

func (w *world) ofAccount(e *thing) map[string]string {
	if e.ServiceAccount == "" {
		return nil
	}
	all := maps.Clone(w.accounts[[3]string{e.cluster, e.Namespace, e.ServiceAccount}])
	all["projectcalico.org/name"] = e.ServiceAccount
	return all
}

func (e *thing) at(a netip.Addr) bool {
	return slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// addresses are all that traffic may come from and go to.
func (w *world) addresses() []netip.Addr {
	all := []netip.Addr{
		netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.1.1.2"),
		netip.MustParseAddr("10.1.0.7"), netip.MustParseAddr("2001:db8::1"),
	}
	for _, e := range w.things {
		if e.Kind != index.NetworkSet {
			for _, p := range e.Addresses {
				all = append(all, p.Addr())
			}
		}
	}
	return all
}

func (w *world) request(c endpoint.ClusterState, selectors []*selector.Selector) publish.Request {
	return publish.Request{
		Cluster: c,
		Members: func(i int) iter.Seq[index.Endpoint] { return w.index.Eval(selectors[i], c.Name) },
		Addresses: func(i int) iter.Seq[netip.Prefix] {
			return func(yield func(netip.Prefix) bool) {
				for e := range w.index.Eval(selectors[i], c.Name) {
					for _, a := range e.Addresses {
						if !yield(a) {
							return
						}
					}
				}
			}
		},
		Count: func(i int) (n int) {
			for range w.index.Eval(selectors[i], c.Name) {
				n++
			}
			return n
		},
		Pieces: func(string) int { return 0 },
	}
}

package query

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/index"
)

// Answer to a Question. Everything in it is sorted, and its fields in JSON are only ever added to.
type Answer struct {
	// Clusters that were looked at, by name.
	Clusters []Cluster `json:"clusters"`
	// Endpoints by cluster, the local one first, then by kind, namespace and name.
	Endpoints []Endpoint `json:"endpoints"`
	// Gaps are what is missing, and why.
	Gaps []Gap `json:"gaps"`
}

// Cluster is one that was looked at.
type Cluster struct {
	Name  string `json:"name"`
	ID    string `json:"id,omitempty"`
	Local bool   `json:"local"`
	// Labels of the RemoteCluster.
	Labels map[string]string `json:"labels,omitempty"`
	// Synced says that all of its endpoints were seen once.
	Synced bool `json:"synced"`
	// StaleSince is when the cluster was last heard of, where it is not heard of now.
	StaleSince *metav1.Time `json:"staleSince,omitempty"`
	// Whole says that the question's only selector matches every endpoint that there is of it.
	Whole bool `json:"whole,omitempty"`
	// Replica of the manager that answered for it; empty where one asks by oneself.
	Replica string `json:"replica,omitempty"`
}

// Endpoint is one endpoint.
type Endpoint struct {
	// ID is what calicoq would print: NODE/k8s/NAMESPACE.POD/eth0, NODE/NAME of a host, and NAMESPACE/NAME of a
	// network set, with the cluster before it where that is not the local one.
	ID      string `json:"id"`
	Cluster string `json:"cluster"`
	Local   bool   `json:"local"`
	// Kind is Pod, Node, HostEndpoint or NetworkSet.
	Kind           string   `json:"kind"`
	Namespace      string   `json:"namespace,omitempty"`
	Name           string   `json:"name"`
	Node           string   `json:"node,omitempty"`
	ServiceAccount string   `json:"serviceAccount,omitempty"`
	Addresses      []string `json:"addresses"`
	Ports          []Port   `json:"ports,omitempty"`
	// Labels that selectors see, those that are inherited among them.
	Labels map[string]string `json:"labels"`
	// StaleSince is when its cluster was last heard of, where it is not heard of now.
	StaleSince *metav1.Time `json:"staleSince,omitempty"`
}

// Port is a named port.
type Port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Number   uint16 `json:"number"`
}

// Gap is something that is missing from an answer. It is of a cluster, of a replica of the manager, or of an object,
// written KIND(NAME); of none of them, it is of all.
type Gap struct {
	Cluster string `json:"cluster,omitempty"`
	Replica string `json:"replica,omitempty"`
	Object  string `json:"object,omitempty"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Count of what it is about, where that can be counted.
	Count int `json:"count,omitempty"`
	// Since when. Absent where nobody knows.
	Since *metav1.Time `json:"since,omitempty"`
}

// kinds is what the kinds are called.
var kinds = map[index.Kind]string{index.Pod: "Pod", index.Node: "Node", index.HostEndpoint: "HostEndpoint", index.NetworkSet: "NetworkSet"}

// describe makes an Endpoint of what a catalog knows.
func describe(seen *index.Seen, c Cluster) Endpoint {
	e := seen.Endpoint()
	out := Endpoint{
		Cluster: c.Name, Local: c.Local, Kind: kinds[e.Kind], Namespace: e.Namespace, Name: e.Name, Node: e.Node,
		ServiceAccount: e.ServiceAccount, Addresses: []string{}, Labels: seen.Labels(), StaleSince: c.StaleSince,
	}
	for _, a := range e.Addresses {
		if a.IsSingleIP() && e.Kind != index.NetworkSet {
			out.Addresses = append(out.Addresses, a.Addr().String())
		} else {
			out.Addresses = append(out.Addresses, a.String())
		}
	}
	for _, p := range e.Ports {
		out.Ports = append(out.Ports, Port(p))
	}
	out.ID = out.id(true)
	return out
}

// Short is the ID without the host.
func (e Endpoint) Short() string { return e.id(false) }

func (e Endpoint) id(host bool) string {
	var parts []string
	if !e.Local {
		parts = append(parts, e.Cluster)
	}
	switch e.Kind {
	case "Pod":
		if host {
			parts = append(parts, e.Node)
		}
		parts = append(parts, "k8s", e.Namespace+"."+e.Name, "eth0")
	case "NetworkSet":
		if e.Namespace != "" {
			parts = append(parts, e.Namespace)
		}
		parts = append(parts, e.Name)
	default:
		if host {
			parts = append(parts, e.Node)
		}
		parts = append(parts, e.Name)
	}
	return strings.Join(parts, "/")
}

// Title is the ID with the word for what it is, as calicoq has it.
func (e Endpoint) Title(id string) string {
	switch e.Kind {
	case "Pod":
		return "Workload endpoint " + id
	case "NetworkSet":
		return "Network set " + id
	}
	return "Host endpoint " + id
}

// AddGaps adds what somebody else knows to be missing.
func (a *Answer) AddGaps(gaps ...Gap) {
	a.Gaps = append(a.Gaps, gaps...)
	a.sort()
}

func (a *Answer) sort() {
	slices.SortFunc(a.Clusters, func(a, b Cluster) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(a.Endpoints, compare)
	slices.SortFunc(a.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Replica, b.Replica), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
	a.Gaps = slices.CompactFunc(a.Gaps, func(a, b Gap) bool {
		return a.Cluster == b.Cluster && a.Replica == b.Replica && a.Object == b.Object && a.Reason == b.Reason && a.Message == b.Message
	})
}

func compare(a, b Endpoint) int {
	if a.Local != b.Local {
		if a.Local {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

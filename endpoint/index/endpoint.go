package index

import (
	"net/netip"
	"strings"
)

// Kind says what an endpoint is.
type Kind uint8

// The kinds of endpoints.
const (
	Pod          Kind = iota
	Node              // a host, as Kubernetes knows it
	HostEndpoint      // a host, as Calico knows it
	NetworkSet        // addresses with labels, of a namespace or of none
	kinds
)

// Labels that endpoints have of what they are and where.
const (
	// ClusterLabel holds the name of the cluster, ClusterIDLabel its id. What a cluster says of its
	// endpoints cannot change them.
	ClusterLabel   = "hawser.io/cluster"
	ClusterIDLabel = "hawser.io/cluster-id"
	// OrchestratorLabel is "k8s" for pods.
	OrchestratorLabel = "projectcalico.org/orchestrator"
)

// ID is what an endpoint is known by within its cluster.
type ID struct {
	Kind            Kind
	Namespace, Name string // no namespace: a host, or a set that belongs to none
}

// Endpoint is what is known of one.
type Endpoint struct {
	ID
	// Labels of its own, in any order. Of those of one name the last one counts.
	Labels []Label
	// ServiceAccount of a pod, in its namespace. May be empty.
	ServiceAccount string
	Node           string
	// Addresses are single ones (/32, /128) but for network sets.
	Addresses []netip.Prefix
	// Ports that have a name.
	Ports []Port
}

// Label is a label's name and value.
type Label struct{ Name, Value string }

func byName(a, b Label) int { return strings.Compare(a.Name, b.Name) }

// Port is a named port of an endpoint. Protocol is as Kubernetes writes it: TCP, UDP, SCTP.
type Port struct {
	Name, Protocol string
	Number         uint16
}

package policy

import (
	"net/netip"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/selector"
)

// Plan is a FederatedNetworkPolicy, read. It does not change, and may be used from several goroutines.
type Plan struct {
	Namespace, Name string
	// Local is the cluster whose pods the policy is for.
	Local Local
	// Types are the directions that are closed to what no rule allows: Ingress before Egress, one at least.
	Types []v1alpha1.PolicyType
	// Pods that the policy is for, by its own selector: in its namespace, of the local cluster.
	Pods Side
	// Rules that were read: those of ingress, then those of egress.
	Rules []Rule
	// Clusters that endpoints of peers are taken from, and how those of the local one are rendered.
	Clusters   v1alpha1.ClusterScope
	LocalPeers v1alpha1.LocalPeers
	// Selectors are what the rules ask of the endpoints of each cluster, each once. Rules refer to them by position.
	Selectors []*selector.Selector
	// Warnings name fields that can be read, and are hardly meant so.
	Warnings Problems
}

// Local is what is known of the local cluster: its name and id among the clusters, empty where it has none. Selectors
// that ask for what is not known are refused.
type Local struct{ Name, ID string }

// None is the position of a selector that a rule does not have.
const None = -1

// Rule allows traffic. All that it says has to hold.
type Rule struct {
	// Field is the rule's place in the object, such as spec.ingress[2].
	Field string
	// Direction, and the number of the rule in that direction, from 1.
	Direction v1alpha1.PolicyType
	Number    int
	// Protocol is TCP, UDP or SCTP; "" is any.
	Protocol string
	// Pods narrows the pods that the policy is for: the destination of ingress, the source of egress.
	Pods Side
	// Peer is the other side.
	Peer Side
	// Members and NotMembers are the positions in Plan.Selectors of Peer.Endpoints and Peer.Not, or None.
	Members, NotMembers int
}

// Destination is the side that traffic goes to, whose ports matter to most targets.
func (r *Rule) Destination() *Side {
	if r.Direction == v1alpha1.PolicyTypeIngress {
		return &r.Pods
	}
	return &r.Peer
}

// Source is the side that traffic comes from.
func (r *Rule) Source() *Side {
	if r.Direction == v1alpha1.PolicyTypeIngress {
		return &r.Peer
	}
	return &r.Pods
}

// Side is what one side of a rule says.
type Side struct {
	// Field is its place in the object, such as spec.ingress[2].source.
	Field string
	// Said are its selectors, as they were written.
	Said selector.Peer
	// Endpoints that it stands for, in terms of all labels that an endpoint has, and nil where it says nothing of
	// endpoints and means any address. What matches Not, if it is there, is taken away, by address.
	Endpoints, Not *selector.Selector
	// Nets that addresses have to be in; nil for anywhere. NotNets that they must not be in. Both are canonical.
	Nets, NotNets []netip.Prefix
	// Ports that it has.
	Ports Ports

	parts []part // Endpoints and Not, by field
}

// Ports are those that a side of a rule has, after notPorts were taken away. The zero value is none at all.
type Ports struct {
	// All says that nothing was said of ports.
	All bool
	// Ranges of numbers, in order, apart from each other.
	Ranges []PortRange
	// Names, in order, each once: of the rule's protocol.
	Names []string
}

// PortRange holds the ports from First to Last.
type PortRange struct{ First, Last uint16 }

// Empty says that no port is left, so that the rule allows nothing.
func (p Ports) Empty() bool { return !p.All && len(p.Ranges) == 0 && len(p.Names) == 0 }

// Closes says whether a direction is closed to what no rule allows.
func (p *Plan) Closes(direction v1alpha1.PolicyType) bool {
	for _, t := range p.Types {
		if t == direction {
			return true
		}
	}
	return false
}

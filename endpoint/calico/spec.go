package calico

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What the API of Calico allows of each list. A longer one is refused by it.
const (
	MaxNets     = 256  // nets and notNets of one side of a rule
	MaxPorts    = 50   // ports and notPorts of one side of a rule
	MaxRules    = 1024 // rules of one direction
	MaxSelector = 1024 // bytes of a selector
)

// NetworkPolicySpec is that of Calico's NetworkPolicy.
type NetworkPolicySpec struct {
	Tier     string   `json:"tier,omitempty"`
	Order    *int64   `json:"order,omitempty"` // theirs may have fractions
	Selector string   `json:"selector,omitempty"`
	Types    []string `json:"types,omitempty"` // Ingress, Egress
	Ingress  []Rule   `json:"ingress,omitempty"`
	Egress   []Rule   `json:"egress,omitempty"`
}

// Rule is one of a NetworkPolicy.
type Rule struct {
	Action      string     `json:"action"`              // Allow
	IPVersion   int        `json:"ipVersion,omitempty"` // 4, 6; the nets of a rule are of one version
	Protocol    string     `json:"protocol,omitempty"`  // TCP, UDP, SCTP
	Source      EntityRule `json:"source"`              // also where it says nothing: Calico writes it so
	Destination EntityRule `json:"destination"`
}

// EntityRule is one side of a rule. All that it says has to hold.
type EntityRule struct {
	Selector          string               `json:"selector,omitempty"`
	NotSelector       string               `json:"notSelector,omitempty"`
	NamespaceSelector string               `json:"namespaceSelector,omitempty"`
	ServiceAccounts   *ServiceAccountMatch `json:"serviceAccounts,omitempty"`
	Nets              []string             `json:"nets,omitempty"`
	NotNets           []string             `json:"notNets,omitempty"`
	Ports             []intstr.IntOrString `json:"ports,omitempty"`
	NotPorts          []intstr.IntOrString `json:"notPorts,omitempty"`
}

// ServiceAccountMatch selects pods by what they run as. Both have to hold.
type ServiceAccountMatch struct {
	Names    []string `json:"names,omitempty"`
	Selector string   `json:"selector,omitempty"`
}

// NetworkSetSpec is that of a NetworkSet and of a GlobalNetworkSet.
type NetworkSetSpec struct {
	Nets []string `json:"nets,omitempty"` // CIDRs
}

// HostEndpointSpec is that of a HostEndpoint.
type HostEndpointSpec struct {
	Node          string         `json:"node,omitempty"`
	InterfaceName string         `json:"interfaceName,omitempty"`
	ExpectedIPs   []string       `json:"expectedIPs,omitempty"`
	Profiles      []string       `json:"profiles,omitempty"`
	Ports         []EndpointPort `json:"ports,omitempty"`
}

// EndpointPort is a port that has a name.
type EndpointPort struct {
	Name     string             `json:"name"`
	Protocol intstr.IntOrString `json:"protocol"` // "TCP", or 6
	Port     uint16             `json:"port"`
}

// IPPoolSpec is that of an IPPool.
type IPPoolSpec struct {
	CIDR             string   `json:"cidr"`
	Disabled         bool     `json:"disabled,omitempty"`         // no address is assigned from it
	NATOutgoing      bool     `json:"natOutgoing,omitempty"`      // what leaves for outside of every pool is translated
	AssignmentMode   string   `json:"assignmentMode,omitempty"`   // Automatic, Manual
	AllowedUses      []string `json:"allowedUses,omitempty"`      // Workload, Tunnel, LoadBalancer; none: the first two
	IPIPMode         string   `json:"ipipMode,omitempty"`         // Never, Always, CrossSubnet
	VXLANMode        string   `json:"vxlanMode,omitempty"`        // Never, Always, CrossSubnet
	BlockSize        int      `json:"blockSize,omitempty"`        // the length of a prefix
	NodeSelector     string   `json:"nodeSelector,omitempty"`     // which nodes take addresses from it
	DisableBGPExport bool     `json:"disableBGPExport,omitempty"` // it is told to no BGP peer
}

// CIDRGroupSpec is that of a CiliumCIDRGroup.
type CIDRGroupSpec struct {
	ExternalCIDRs []string `json:"externalCIDRs"` // also where there are none
}

// What ClusterNetworkPolicies allow of each list.
const (
	MaxClusterRules = 25 // rules of one direction
	MaxClusterPeers = 25 // peers, and protocols, of a rule
	MaxNetworks     = 25 // CIDRs of a peer
)

// ClusterNetworkPolicySpec is that of a ClusterNetworkPolicy, as far as egress to networks takes it.
type ClusterNetworkPolicySpec struct {
	Tier     string              `json:"tier"` // Admin, Baseline
	Priority int32               `json:"priority"`
	Subject  ClusterSubject      `json:"subject"`
	Egress   []ClusterEgressRule `json:"egress,omitempty"`
}

// ClusterSubject is whom a ClusterNetworkPolicy is for.
type ClusterSubject struct {
	Pods *NamespacedPods `json:"pods,omitempty"`
}

// NamespacedPods selects pods by their labels and those of their namespace.
type NamespacedPods struct {
	NamespaceSelector metav1.LabelSelector `json:"namespaceSelector"`
	PodSelector       metav1.LabelSelector `json:"podSelector"`
}

// ClusterEgressRule is one of a ClusterNetworkPolicy.
type ClusterEgressRule struct {
	Name      string            `json:"name,omitempty"`
	Action    string            `json:"action"` // Accept
	To        []ClusterPeer     `json:"to"`
	Protocols []ClusterProtocol `json:"protocols,omitempty"`
}

// ClusterPeer is a destination.
type ClusterPeer struct {
	Networks []string `json:"networks,omitempty"` // CIDRs
}

// ClusterProtocol is one protocol, with one port or range of ports. Exactly one field is set.
type ClusterProtocol struct {
	TCP  *ClusterPorts `json:"tcp,omitempty"`
	UDP  *ClusterPorts `json:"udp,omitempty"`
	SCTP *ClusterPorts `json:"sctp,omitempty"`
}

// ClusterPorts are the ports of one protocol.
type ClusterPorts struct {
	DestinationPort *ClusterPort `json:"destinationPort,omitempty"`
}

// ClusterPort is a number or a range. Exactly one is set.
type ClusterPort struct {
	Number int32             `json:"number,omitempty"`
	Range  *ClusterPortRange `json:"range,omitempty"`
}

// ClusterPortRange is of two ports at least.
type ClusterPortRange struct {
	Start int32 `json:"start"`
	End   int32 `json:"end"`
}

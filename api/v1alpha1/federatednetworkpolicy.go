package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// FederatedNetworkPolicy says which endpoints, of which clusters, pods of its namespace may talk with. Its words are
// those of Calico's NetworkPolicy. It is rendered to what the local cluster's network enforces; what that cannot
// express is refused, with the field named, and then that rule allows nothing.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=fnp,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="the name must be a DNS label of at most 50 characters: it begins the names of what is written"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Complete",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].status`
// +kubebuilder:printcolumn:name="Endpoints",type=integer,JSONPath=`.status.endpoints`
// +kubebuilder:printcolumn:name="Addresses",type=integer,JSONPath=`.status.addresses`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type FederatedNetworkPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says who may talk with whom.
	Spec FederatedNetworkPolicySpec `json:"spec"`
	// Status says what came of it.
	// +optional
	Status FederationStatus `json:"status,omitempty"`
}

// FederatedNetworkPolicyList is a list of FederatedNetworkPolicies.
//
// +kubebuilder:object:root=true
type FederatedNetworkPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FederatedNetworkPolicy `json:"items"`
}

// FederatedNetworkPolicySpec says who may talk with whom.
//
// +kubebuilder:validation:XValidation:rule="(self.target == 'ClusterNetworkPolicy') == has(self.clusterNetworkPolicy)",message="target ClusterNetworkPolicy and the block clusterNetworkPolicy need each other"
// +kubebuilder:validation:XValidation:rule="!has(self.ingress) || size(self.ingress) == 0 || !has(self.types) || 'Ingress' in self.types",message="there are ingress rules, and types leaves Ingress out"
// +kubebuilder:validation:XValidation:rule="!has(self.egress) || size(self.egress) == 0 || !has(self.types) || 'Egress' in self.types",message="there are egress rules, and types leaves Egress out"
type FederatedNetworkPolicySpec struct {
	// Selector of the pods of this namespace, in the local cluster, that the policy is for. Empty: all.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`
	// Types are the directions that the policy closes to what it does not allow. Absent: Ingress, and Egress where there
	// are egress rules.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	Types []PolicyType `json:"types,omitempty"`
	// Ingress rules say who may talk to the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Ingress []FederatedRule `json:"ingress,omitempty"`
	// Egress rules say whom the pods may talk to.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Egress []FederatedRule `json:"egress,omitempty"`
	// Clusters that the peers of rules are in.
	Clusters ClusterScope `json:"clusters"`
	// LocalPeers says how peers in the local cluster are rendered: by Selectors, which every network understands and
	// which cannot express everything that a selector can; or by Addresses, for networks that match pods by ipBlock
	// (Cilium does not).
	// +optional
	// +kubebuilder:default=Selectors
	LocalPeers LocalPeers `json:"localPeers,omitempty"`
	// Staleness says what becomes of the addresses of a cluster that is not heard of any more. By default they are kept.
	// +optional
	Staleness *Staleness `json:"staleness,omitempty"`
	// Target is what the policy is rendered to.
	// +optional
	// +kubebuilder:default=NetworkPolicy
	Target PolicyTarget `json:"target,omitempty"`
	// ClusterNetworkPolicy holds what that target needs.
	// +optional
	ClusterNetworkPolicy *ClusterNetworkPolicyTarget `json:"clusterNetworkPolicy,omitempty"`
}

// PolicyType is a direction of traffic.
// +kubebuilder:validation:Enum=Ingress;Egress
type PolicyType string

// The directions.
const (
	PolicyTypeIngress PolicyType = "Ingress"
	PolicyTypeEgress  PolicyType = "Egress"
)

// LocalPeers says how peers in the local cluster are rendered.
// +kubebuilder:validation:Enum=Selectors;Addresses
type LocalPeers string

// The ways.
const (
	LocalPeersSelectors LocalPeers = "Selectors"
	LocalPeersAddresses LocalPeers = "Addresses"
)

// PolicyTarget is what a policy is rendered to.
// +kubebuilder:validation:Enum=NetworkPolicy;Calico;ClusterNetworkPolicy
type PolicyTarget string

// The targets.
const (
	// TargetNetworkPolicy is networking.k8s.io/v1, which any network enforces.
	TargetNetworkPolicy PolicyTarget = "NetworkPolicy"
	// TargetCalico is Calico's NetworkPolicy and NetworkSet.
	TargetCalico PolicyTarget = "Calico"
	// TargetClusterNetworkPolicy is policy.networking.k8s.io, for egress alone.
	TargetClusterNetworkPolicy PolicyTarget = "ClusterNetworkPolicy"
)

// ClusterNetworkPolicyTarget holds what the target ClusterNetworkPolicy needs.
type ClusterNetworkPolicyTarget struct {
	// Priority among the ClusterNetworkPolicies of tier Admin; the lowest number comes first.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority"`
}

// FederatedRule allows traffic, in the words of a Calico rule.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.source) && (has(self.source.ports) || has(self.source.notPorts)) || has(self.destination) && (has(self.destination.ports) || has(self.destination.notPorts))) || has(self.protocol)",message="ports need a protocol"
type FederatedRule struct {
	// Action is Allow. Others cannot be expressed by what is rendered.
	// +kubebuilder:validation:Enum=Allow
	Action string `json:"action"`
	// Protocol. Absent: any.
	// +optional
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol string `json:"protocol,omitempty"`
	// Source of the traffic: in an ingress rule the peer, in an egress rule the pods that the policy is for.
	// +optional
	Source *FederatedPeer `json:"source,omitempty"`
	// Destination of the traffic: in an egress rule the peer, in an ingress rule the pods that the policy is for.
	// +optional
	Destination *FederatedPeer `json:"destination,omitempty"`
}

// FederatedPeer is one side of a rule. All that is said of it has to hold. A peer of which nothing is said is any
// address; one with any selector, and no namespaceSelector, is in the namespace of the policy, in every cluster.
type FederatedPeer struct {
	// Selector of endpoints.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector *string `json:"selector,omitempty"`
	// NotSelector takes away what it matches.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NotSelector *string `json:"notSelector,omitempty"`
	// NamespaceSelector selects by the labels of namespaces. all() is any namespace, global() none.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	NamespaceSelector *string `json:"namespaceSelector,omitempty"`
	// ServiceAccounts that pods run as.
	// +optional
	ServiceAccounts *ServiceAccountMatch `json:"serviceAccounts,omitempty"`
	// Nets are ranges of addresses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="nets must be CIDRs such as 10.4.0.0/16"
	Nets []string `json:"nets,omitempty"`
	// NotNets takes away ranges of addresses.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="notNets must be CIDRs such as 10.4.0.0/16"
	NotNets []string `json:"notNets,omitempty"`
	// Ports are numbers, ranges such as 8000:8080, or names.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Ports []intstr.IntOrString `json:"ports,omitempty"`
	// NotPorts takes ports away.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	NotPorts []intstr.IntOrString `json:"notPorts,omitempty"`
}

// ServiceAccountMatch selects pods by what they run as. Both have to hold.
type ServiceAccountMatch struct {
	// Names of service accounts.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	Names []string `json:"names,omitempty"`
	// Selector on the labels of service accounts.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector *string `json:"selector,omitempty"`
}

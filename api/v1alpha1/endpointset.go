package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EndpointSet is a set of endpoints, pods and hosts of the local cluster and of remote ones, that a
// selector names, and what is made of their addresses. What is made is kept in step with the set.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=epset,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="the name must be a DNS label of at most 50 characters: it begins the names of what is written"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Complete",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].status`
// +kubebuilder:printcolumn:name="Endpoints",type=integer,JSONPath=`.status.endpoints`
// +kubebuilder:printcolumn:name="Addresses",type=integer,JSONPath=`.status.addresses`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type EndpointSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which endpoints, and what is made of them.
	Spec EndpointSetSpec `json:"spec"`
	// Status says what came of it.
	// +optional
	Status FederationStatus `json:"status,omitempty"`
}

// EndpointSetList is a list of EndpointSets.
//
// +kubebuilder:object:root=true
type EndpointSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EndpointSet `json:"items"`
}

// EndpointSetSpec says which endpoints, and what is made of them.
type EndpointSetSpec struct {
	// Selector of endpoints, in Calico's grammar, on their own labels, those of their namespace (pcns.) and
	// service account (pcsa.), projectcalico.org/namespace, projectcalico.org/serviceaccount,
	// projectcalico.org/orchestrator, hawser.io/cluster and hawser.io/cluster-id.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector"`
	// Clusters that endpoints are taken from.
	Clusters ClusterScope `json:"clusters"`
	// Staleness says what becomes of the addresses of a cluster that is not heard of any more. By default they are kept.
	// +optional
	Staleness *Staleness `json:"staleness,omitempty"`
	// Outputs are what is made of the addresses. Each is made for each cluster by itself.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=12
	Outputs []EndpointOutput `json:"outputs,omitempty"`
}

// ClusterScope says which clusters endpoints are taken from. Whether the local one is among them is always said.
//
// +kubebuilder:validation:XValidation:rule="(has(self.all) && self.all ? 1 : 0) + (has(self.names) ? 1 : 0) + (has(self.selector) ? 1 : 0) <= 1",message="clusters takes one of all, names and selector"
// +kubebuilder:validation:XValidation:rule="self.local || (has(self.all) && self.all) || has(self.names) || has(self.selector)",message="clusters selects nothing: say all: true, names or selector, or local: true"
type ClusterScope struct {
	// Local says whether the local cluster is among them. With nothing else, it alone is.
	Local bool `json:"local"`
	// All takes every remote cluster, also those that are yet to come.
	// +optional
	All bool `json:"all,omitempty"`
	// Names of RemoteClusters.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=50
	Names []string `json:"names,omitempty"`
	// Selector on the labels of RemoteClusters.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector is refused: write all: true for every remote cluster"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// StalenessPolicy says what becomes of the addresses of a cluster that is not heard of any more.
// +kubebuilder:validation:Enum=Keep;Expire
type StalenessPolicy string

// The policies.
const (
	// StalenessKeep keeps what was known last for as long as it takes, as traffic may well go on.
	StalenessKeep StalenessPolicy = "Keep"
	// StalenessExpire takes the addresses away after a time.
	StalenessExpire StalenessPolicy = "Expire"
)

// Staleness says what becomes of the addresses of a cluster that is not heard of any more.
//
// +kubebuilder:validation:XValidation:rule="(self.policy == 'Expire') == has(self.expireAfter)",message="policy Expire and expireAfter need each other"
// +kubebuilder:validation:XValidation:rule="self.policy == 'Expire' || !has(self.settle)",message="settle is only for policy Expire"
type Staleness struct {
	// Policy is Keep or Expire.
	Policy StalenessPolicy `json:"policy"`
	// ExpireAfter is how long a cluster may be silent before its addresses are taken away.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="expireAfter must be between 10s and 168h"
	ExpireAfter *metav1.Duration `json:"expireAfter,omitempty"`
	// Settle is how long a cluster whose addresses were taken away must be heard of without interruption before they
	// come back, so that a link that flaps does not write and delete all the time. Default 30s; it doubles with each
	// time that they were taken away within the last hour, up to 10m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('10m')",message="settle must be between 0s and 10m"
	Settle *metav1.Duration `json:"settle,omitempty"`
}

// EndpointOutput is one thing that is made of the addresses. The names of the objects are
// <set>-<output>-<cluster> and, where one object cannot hold all, end in .2, .3 and so on.
//
// +kubebuilder:validation:XValidation:rule="(has(self.networkPolicy) ? 1 : 0) + (has(self.calicoNetworkSet) ? 1 : 0) + (has(self.ciliumCIDRGroup) ? 1 : 0) + (has(self.configMap) ? 1 : 0) == 1",message="an output is exactly one of networkPolicy, calicoNetworkSet, ciliumCIDRGroup and configMap"
type EndpointOutput struct {
	// Name of the output among those of the set.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="an output's name must be a DNS label"
	Name string `json:"name"`
	// NetworkPolicy lets pods of a namespace talk with the addresses.
	// +optional
	NetworkPolicy *NetworkPolicyOutput `json:"networkPolicy,omitempty"`
	// CalicoNetworkSet is a NetworkSet, or without a namespace a GlobalNetworkSet, which Calico's policies select by label.
	// +optional
	CalicoNetworkSet *CalicoNetworkSetOutput `json:"calicoNetworkSet,omitempty"`
	// CiliumCIDRGroup is what Cilium's policies refer to by name (cidrGroupRef) or select by label.
	// +optional
	CiliumCIDRGroup *CiliumCIDRGroupOutput `json:"ciliumCIDRGroup,omitempty"`
	// ConfigMap holds the addresses for anything else.
	// +optional
	ConfigMap *ConfigMapOutput `json:"configMap,omitempty"`
}

// NetworkPolicyOutput lets pods of a namespace talk with the addresses of a set.
type NetworkPolicyOutput struct {
	// Namespace of the policy.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// PodSelector selects the pods of the namespace. {} selects all.
	PodSelector metav1.LabelSelector `json:"podSelector"`
	// Types are the directions: Ingress, Egress or both. As with any NetworkPolicy, a selected pod is from then on
	// closed, in these directions, to whatever no policy lets through.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Types []PolicyType `json:"types"`
	// Ports that are let through. Absent: all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Ports []OutputPort `json:"ports,omitempty"`
}

// OutputPort is a port, or a range of them.
//
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || (has(self.port) && self.endPort >= self.port)",message="endPort needs a port that is not above it"
type OutputPort struct {
	// Protocol. Default TCP.
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol string `json:"protocol,omitempty"`
	// Port number. Absent: all ports of the protocol.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// EndPort is the last port of a range that Port begins.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	EndPort *int32 `json:"endPort,omitempty"`
}

// CalicoNetworkSetOutput is a NetworkSet, or a GlobalNetworkSet.
type CalicoNetworkSetOutput struct {
	// Namespace of the NetworkSet. Absent: a GlobalNetworkSet.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Labels by which policies select it, besides hawser.io/endpoint-set and hawser.io/cluster. Those of hawser.io
	// are kept for Hawser.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
}

// CiliumCIDRGroupOutput is a CiliumCIDRGroup.
type CiliumCIDRGroupOutput struct {
	// Labels by which policies select it, besides hawser.io/endpoint-set and hawser.io/cluster. Those of hawser.io
	// are kept for Hawser.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
}

// ConfigMapOutput is a ConfigMap with the key addresses, one CIDR on each line, sorted.
type ConfigMapOutput struct {
	// Namespace of the ConfigMap.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
}

// FederationStatus says what became of endpoints of several clusters, cluster by cluster.
type FederationStatus struct {
	// Conditions: Ready, and Complete, which is False as long as a cluster is missing or stale.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Endpoints and Addresses are how many there are in all clusters.
	// +optional
	Endpoints int64 `json:"endpoints,omitempty"`
	// +optional
	Addresses int64 `json:"addresses,omitempty"`
	// Clusters are what came of each. Each entry is written by whoever holds the connection to that cluster.
	// +optional
	// +listType=map
	// +listMapKey=name
	Clusters []FederatedCluster `json:"clusters,omitempty"`
}

// FederatedCluster is what came of the endpoints of one cluster.
type FederatedCluster struct {
	// Name of the cluster.
	Name string `json:"name"`
	// ObservedGeneration is the generation of the spec that was worked by.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Endpoints that match, and the addresses that they have.
	// +optional
	Endpoints int64 `json:"endpoints,omitempty"`
	// +optional
	Addresses int64 `json:"addresses,omitempty"`
	// Objects that were written.
	// +optional
	Objects int32 `json:"objects,omitempty"`
	// StaleSince is when the cluster was last heard of, where it is not heard of now.
	// +optional
	StaleSince *metav1.Time `json:"staleSince,omitempty"`
	// Expired says that its addresses were taken away because of that.
	// +optional
	Expired bool `json:"expired,omitempty"`
	// Gaps are what is missing from the answer, and why.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Gaps []string `json:"gaps,omitempty"`
	// Refused are the objects that were not written, and why.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Refused []string `json:"refused,omitempty"`
}

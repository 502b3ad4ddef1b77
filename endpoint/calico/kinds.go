package calico

import "k8s.io/apimachinery/pkg/runtime/schema"

// Kind is one of the kinds that are known here.
type Kind uint8

// The kinds.
const (
	NetworkPolicies Kind = iota // Calico's, of a namespace
	NetworkSets
	GlobalNetworkSets
	HostEndpoints
	IPPools
	CIDRGroups             // Cilium's
	ClusterNetworkPolicies // policy.networking.k8s.io
	kinds
)

// Groups and versions.
var (
	// Calico's API, from an API server of its own, or from CustomResourceDefinitions (since 3.32).
	V3 = schema.GroupVersion{Group: "projectcalico.org", Version: "v3"}
	// Storage is where Calico keeps its objects if an API server of its own, or calicoctl alone, writes them. Nothing
	// validates what others write there, and policies have other names in it (default.<name>).
	Storage = schema.GroupVersion{Group: "crd.projectcalico.org", Version: "v1"}

	ciliumV2       = schema.GroupVersion{Group: "cilium.io", Version: "v2"}
	ciliumV2alpha1 = schema.GroupVersion{Group: "cilium.io", Version: "v2alpha1"}
	policyV1alpha2 = schema.GroupVersion{Group: "policy.networking.k8s.io", Version: "v1alpha2"}
)

// known is what there is to know of a kind: where it may be served, the best first.
type known struct {
	kind, plural string
	namespaced   bool
	versions     []schema.GroupVersion
}

var table = [kinds]known{
	NetworkPolicies:        {"NetworkPolicy", "networkpolicies", true, []schema.GroupVersion{V3, Storage}},
	NetworkSets:            {"NetworkSet", "networksets", true, []schema.GroupVersion{V3, Storage}},
	GlobalNetworkSets:      {"GlobalNetworkSet", "globalnetworksets", false, []schema.GroupVersion{V3, Storage}},
	HostEndpoints:          {"HostEndpoint", "hostendpoints", false, []schema.GroupVersion{V3, Storage}},
	IPPools:                {"IPPool", "ippools", false, []schema.GroupVersion{V3, Storage}},
	CIDRGroups:             {"CiliumCIDRGroup", "ciliumcidrgroups", false, []schema.GroupVersion{ciliumV2, ciliumV2alpha1}},
	ClusterNetworkPolicies: {"ClusterNetworkPolicy", "clusternetworkpolicies", false, []schema.GroupVersion{policyV1alpha2}},
}

// String is the kind as objects have it.
func (k Kind) String() string { return table[k].kind }

// Plural is the name of the resource.
func (k Kind) Plural() string { return table[k].plural }

// Namespaced says whether its objects are in namespaces.
func (k Kind) Namespaced() bool { return table[k].namespaced }

// GVK is the kind in its best version, which is the one that objects are built in.
func (k Kind) GVK() schema.GroupVersionKind { return table[k].versions[0].WithKind(table[k].kind) }

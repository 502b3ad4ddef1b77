package rbac

import (
	"slices"

	"github.com/hawser-io/hawser/internal/authors"
)

// leaves is said of each kind that the manager writes.
const leaves = ". Those that it did not make it leaves alone, and a policy keeps them from it"

// endpoints is what the manager needs to follow the endpoints of the local cluster, and to make of those of all
// clusters what objects ask for. What it may read of a remote cluster is package member's.
func endpoints() Feature {
	return Feature{
		Name: "endpoints",
		File: "endpoints/rbac.yaml",
		Head: "What the manager may do where it runs with --endpoints, in addition to config/rbac: read the endpoints of the local cluster, and write the policies, sets of addresses and " +
			"EndpointSlices that EndpointSets, FederatedNetworkPolicies and Services ask for. Who may write these needs, by config/endpoints/authors.yaml, the rights to write what comes of them. What the manager did not make, config/endpoints/manager.yaml keeps from it.",
		Switch: "`--endpoints`",
		Roles: []Role{{
			Name: "hawser-federation", Bound: true,
			Rules: slices.Concat(localEndpoints(), published(), publishedFor(), authorsBounded(), federatedServices()),
		}},
	}
}

// localEndpoints are those of the local cluster.
func localEndpoints() []Rule {
	return []Rule{
		on(core, "namespaces", "list", "watch").and("nodes", "pods", "serviceaccounts").
			because("the endpoints of the local cluster, with what they inherit; and its nodes' addresses, which no other cluster may claim"),
		on(core, "services", "list", "watch").
			because("the address of the local API server, which no other cluster may claim; and the Services that ask for endpoints of other clusters"),
		on(discovery, "endpointslices", "list", "watch").
			because("the addresses of the local API servers, which no other cluster may claim; and the endpoints of local Services"),
		on(calicoStore, "hostendpoints", "list", "watch").and("networksets", "globalnetworksets").
			because("hosts and sets of addresses as Calico knows them, where the cluster has Calico"),
		on(calico, "hostendpoints", "list", "watch").and("networksets", "globalnetworksets").
			because("the same, where Calico serves them there alone"),
	}
}

// published is what EndpointSets and FederatedNetworkPolicies become.
func published() []Rule {
	return []Rule{
		on(hawser, "endpointsets", "list", "watch").and("federatednetworkpolicies").
			because("what is asked for"),
		on(hawser, "endpointsets/status", "patch").and("federatednetworkpolicies/status").
			because("what came of it, cluster by cluster"),
		on(networking, "networkpolicies", "get", "list", "watch", "create", "update", "delete").
			because("policies with the addresses of endpoints" + leaves),
		on(core, "configmaps", "get", "list", "watch", "create", "update", "delete").
			because("addresses for anything else" + leaves),
	}
}

// publishedFor is the same in the words of Calico, Cilium and the network policy working group, where the cluster serves
// them.
func publishedFor() []Rule {
	return []Rule{
		on(calico, "networkpolicies", "get", "list", "watch", "create", "update", "delete").
			because("FederatedNetworkPolicies with target Calico" + leaves),
		on(calico, "tiers", "get").named("default").
			because("Calico's API server asks for it of whoever writes a policy of the tier"),
		on(calico, "tier.networkpolicies", "get", "list", "watch", "create", "update", "delete").named("default.*").
			because("the same: it is a name of Calico's for the policies of a tier, and no wildcard of RBAC"),
		on(calico, "networksets", "get", "create", "update", "delete").and("globalnetworksets").
			because("sets of addresses for Calico" + leaves),
		on(cilium, "ciliumcidrgroups", "get", "list", "watch", "create", "update", "delete").
			because("sets of addresses for Cilium" + leaves),
		on(policies, "clusternetworkpolicies", "get", "list", "watch", "create", "update", "delete").
			because("FederatedNetworkPolicies with target ClusterNetworkPolicy" + leaves),
	}
}

// authorsBounded is to see that nobody has an object written by Hawser that they could not write, and that it writes
// none but its own.
func authorsBounded() []Rule {
	return []Rule{
		on(admission, "validatingadmissionpolicies", "get").and("validatingadmissionpolicybindings").named(authors.Policy, authors.ManagerPolicy).
			because("whether authors are kept within their rights, and the manager to what it made: without that, nothing new is made"),
	}
}

// federatedServices are Services with endpoints of other clusters, and those that clusters export.
func federatedServices() []Rule {
	return []Rule{
		on(discovery, "endpointslices", "get", "create", "update", "delete").
			because("the endpoints of other clusters" + leaves),
		on(core, "services/status", "patch").
			because("the condition of Services that select services of all clusters"),
		on(core, "services", "create", "update", "delete").
			because("the Services by which imports have an address" + leaves),
		on(multicluster, "serviceimports", "list", "watch", "create", "update", "delete").
			because("what clusters export, where the cluster has the multi-cluster services API" + leaves),
		on(multicluster, "serviceimports/status", "patch").
			because("which clusters export it"),
		on(multicluster, "serviceexports", "list", "watch").
			because("what the local cluster exports"),
		on(multicluster, "serviceexports/status", "patch").
			because("whether it can be exported, and what it is in conflict with"),
	}
}

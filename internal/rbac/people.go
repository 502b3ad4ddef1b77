package rbac

import (
	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// people is for those who use Hawser. Nothing of it is bound by us, and no role holds what another one gives:
// hawser-admin is bound in addition to hawser-viewer.
//
// Who writes TrustedIssuers says whose tokens are believed, and so can become whoever was granted something: there is
// no role of ours for it, it stays with the admins of the cluster.
func people() Feature {
	write := []string{"create", "update", "patch", "delete"}
	kinds := []string{"awsidentities", "eksinventories", "accessrequests", "endpointsets", "federatednetworkpolicies"}
	return Feature{
		Name: "people",
		File: "rbac/people.yaml",
		Head: "Roles for people, bound to nobody. To look, for a group:\n\n" +
			"  kubectl create clusterrolebinding hawser-viewer --clusterrole=hawser-viewer --group=GROUP\n" +
			"  kubectl -n hawser create rolebinding hawser-viewer --role=hawser-viewer --group=GROUP\n\n" +
			"and the same of hawser-admin for those who also join clusters and let them go.",
		Switch: "a binding",
		Roles: []Role{
			{
				Name: "hawser-viewer",
				Why:  "To look at the objects of Hawser, none of which holds a secret: hawser clusters, kubectl.",
				Rules: []Rule{
					on(hawser, "remoteclusters", "get", "list", "watch").and(append(kinds, "trustedissuers", "accessgrants")...).
						because("what there is, and what works: `hawser clusters`, `check`, `aws check`, `trust render`, and kubectl"),
				},
			},
			{
				Name: "hawser-viewer", Namespace: v1alpha1.Namespace,
				Why: "What else hawser status, clusters and check look at.",
				Rules: []Rule{
					on(core, "configmaps", "get").named(v1alpha1.ManagerConfigMap, "hawser-shards").
						because("the name and the version of the local cluster, the default cluster; which replica owns which cluster"),
					on(coordination, "leases", "get", "list").
						because("whether the manager, its replicas, whose Leases are named after their pods, and the member controllers run"),
					on("apps", "deployments", "get").named("hawser", "hawser-member", v1alpha1.GateServiceAccount).
						because("how many of their pods, and of the gate's, are ready"),
				},
			},
			{
				Name: "hawser-endpoints-viewer", Namespace: v1alpha1.Namespace,
				Why: "To ask the manager for endpoints, in addition to hawser-viewer: it tells the labels and addresses of the pods and hosts of every cluster. A port-forward reaches every port of every pod of this namespace.",
				Rules: []Rule{
					on(core, "pods", "get", "list").
						because("which pods the manager runs in: `hawser endpoints`, `hawser policy explain`"),
					on(core, "pods/portforward", "get", "create").
						because("the manager answers on the loopback address of its pod, and nowhere else"),
				},
			},
			{
				Name: "hawser-admin",
				Why:  "To say which clusters there are, in addition to hawser-viewer.",
				Rules: []Rule{
					on(hawser, "remoteclusters", write...).and(kinds...).
						because("`hawser join`, `leave`, `rotate`, and kubectl. A policy asks who writes an EndpointSet or a FederatedNetworkPolicy for the rights to write what comes of it"),
					on(core, "namespaces", "get").named(member.SystemNamespace).
						because("`hawser join` makes sure that it does not join the local cluster to itself"),
				},
			},
			{
				Name: "hawser-admin", Namespace: v1alpha1.Namespace,
				Why: "Credentials of connections. Whoever may read them is every connection.",
				Rules: []Rule{
					on(core, "secrets", "get", "create", "update", "patch", "delete").
						because("`hawser join` writes an input Secret, `leave` deletes it, and both look whose it is; `check` uses what is in it"),
				},
			},
			{
				Name: "hawser-requester",
				Why:  "To ask for access on behalf of a namespace: bind it there. What comes of it is a Secret of that namespace, which this role does not read.",
				Rules: []Rule{
					on(hawser, "accessrequests", append([]string{"get", "list", "watch"}, write...)...).
						because("a request is its namespace's own business: what is granted to it, the other cluster decides"),
				},
			},
			{
				Name: "hawser-policy-author",
				Why:  "To say whom the pods of a namespace may talk with, in every cluster: bind it there, to whoever may write its NetworkPolicies anyway.",
				Rules: []Rule{
					on(hawser, "federatednetworkpolicies", append([]string{"get", "list", "watch"}, write...)...).
						because("policies, for whoever may write what comes of them: an admission policy asks for that"),
				},
			},
			{
				Name: "hawser-grants-author",
				Why:  "To grant access to this cluster. A policy asks for the verb bind on each role that is granted besides.",
				Rules: []Rule{
					on(hawser, "accessgrants", append([]string{"get", "list", "watch"}, write...)...).
						because("grants, for whoever may bind the roles in them anyway"),
				},
			},
		},
	}
}

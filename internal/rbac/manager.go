package rbac

import "github.com/hawser-io/hawser/api/v1alpha1"

// Groups of the table.
const (
	core          = ""
	hawser        = "hawser.io"
	coordination  = "coordination.k8s.io"
	events        = "events.k8s.io"
	extensions    = "apiextensions.k8s.io"
	discovery     = "discovery.k8s.io"
	networking    = "networking.k8s.io"
	calicoStore   = "crd.projectcalico.org"
	calico        = "projectcalico.org"
	cilium        = "cilium.io"
	policies      = "policy.networking.k8s.io"
	admission     = "admissionregistration.k8s.io"
	multicluster  = "multicluster.x-k8s.io"
	capi          = "cluster.x-k8s.io"
	controlplane  = "controlplane.cluster.x-k8s.io"
	infra         = "infrastructure.cluster.x-k8s.io"
	leaderLease   = "hawser-manager"
	providerSpace = "capa-system"
	profileSpace  = "hawser-clusterprofiles"
)

// manager is what the manager always has.
func manager() Feature {
	return Feature{
		Name: "manager",
		File: "rbac/manager.yaml",
		Head: "What the manager may do in the local cluster, and nothing else. Reading Secrets is limited to its own namespace; a kubeconfig Secret elsewhere " +
			"needs a Role there, which the condition Authenticated prints where it is missing.",
		Switch:     "always",
		Namespaces: []string{v1alpha1.Namespace},
		Accounts:   []string{Account},
		Roles: []Role{
			{
				Name: "hawser-manager", Bound: true,
				Rules: []Rule{
					on(hawser, "remoteclusters", "list", "watch", "create", "patch", "delete").
						because("the spec is people's; it adds its finalizer, makes the one of the local cluster, and those that inventories find"),
					on(hawser, "remoteclusters/status", "patch").
						because("what works, what does not, and the identity of the cluster"),
					on(hawser, "awsidentities", "list", "watch", "patch").
						because("identities in AWS; patches take off the finalizer of earlier versions"),
					on(hawser, "eksinventories", "list", "watch").
						because("which accounts and regions to look for clusters in"),
					on(hawser, "awsidentities/status", "patch").and("eksinventories/status").
						because("whether an identity can be taken on, and what an inventory found"),
					on(hawser, "accessrequests", "list", "watch", "patch").
						because("what is asked for; patches take off the finalizer of earlier versions. What is written for them takes a RoleBinding of hawser-requests in their namespace"),
					on(hawser, "accessrequests/status", "patch").
						because("what came of a request"),
					on(events, "events", "create", "patch").
						because("events on these kinds: those of the cluster-scoped ones go to namespace default"),
					on(core, "namespaces", "get").
						because("the identity of the local cluster (kube-system), and the labels by which allowedNamespaces select"),
				},
			},
			{
				Name: "hawser-manager", Namespace: v1alpha1.Namespace, Bound: true,
				Rules: []Rule{
					on(core, "secrets", "get", "list", "watch", "create", "update", "delete").
						because("input Secrets are read, hawser-credential-* are written, those that join made are deleted with their cluster"),
					on(core, "configmaps", "create").
						because("who the local cluster is, for commands to read. RBAC cannot narrow a creation by name"),
					on(core, "configmaps", "get", "update").named(v1alpha1.ManagerConfigMap).
						because("the same ConfigMap"),
					on(core, "serviceaccounts/token", "create").named(Account).
						because("tokens of its own account for remote clusters that trust this one (auth.type oidc). Those of any other account take a Role of their own, " +
							"which the condition Authenticated prints where it is missing"),
					on(coordination, "leases", "create").
						because("leader election. RBAC cannot narrow a creation by name"),
					on(coordination, "leases", "get", "update").named(leaderLease).
						because("leader election"),
					on(core, "events", "create").
						because("events on the Lease, which leader election still writes in the old group"),
				},
			},
		},
	}
}

// requests is bound by the owner of each namespace.
func requests() Feature {
	return Feature{
		Name: "requests",
		File: "rbac/requests.yaml",
		Head: "What the manager needs in a namespace whose AccessRequests it shall serve: to write what comes of them there. It is bound namespace by namespace, by whoever owns one, " +
			"and never for the whole cluster:\n\n" +
			"  kubectl -n NAMESPACE create rolebinding hawser-requests --clusterrole=hawser-requests --serviceaccount=hawser:hawser\n\n" +
			"The manager writes only Secrets and ClusterProfiles that it made for an AccessRequest. It has to be able to get the others to see that they are not.",
		Switch: "the RoleBinding",
		Roles: []Role{{
			Name: "hawser-requests",
			Rules: []Rule{
				on(core, "secrets", "get", "create", "update", "delete").
					because("the Secret that comes of a request"),
				on(multicluster, "clusterprofiles", "get", "create", "delete").
					because("format clusterprofile"),
				on(multicluster, "clusterprofiles/status", "update").
					because("format clusterprofile: how to come into the cluster is in its status"),
			},
		}},
	}
}

package rbac

import (
	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// shards is what several replicas need to share the connections among themselves.
func shards() Feature {
	return Feature{
		Name:   "shards",
		File:   "shards/rbac.yaml",
		Head:   "What the manager may do where it runs with --shards, in addition to config/rbac: hold a Lease for each replica, and keep in one ConfigMap which replica owns which cluster.",
		Switch: "`--shards`",
		Roles: []Role{{
			Name: "hawser-shards", Namespace: v1alpha1.Namespace, Bound: true,
			Rules: []Rule{
				on(coordination, "leases", "get", "list", "watch", "update", "delete").
					because("the replicas' Leases, named after their pods, by which RBAC cannot tell them from others of this namespace; the leader deletes that of a dead one"),
				on(core, "configmaps", "get", "list", "watch", "update").named("hawser-shards").
					because("which replica owns which cluster"),
			},
		}},
	}
}

// upgrade is limited to our own definitions.
func upgrade() Feature {
	return Feature{
		Name:   "upgrade",
		File:   "upgrade/rbac.yaml",
		Head:   "What the manager may do where it runs with --upgrade-crds, in addition to config/rbac: bring its own CustomResourceDefinitions to its version, and no others.",
		Switch: "`--upgrade-crds`",
		Roles: []Role{{
			Name: "hawser-upgrade", Bound: true,
			Rules: []Rule{
				on(extensions, "customresourcedefinitions", "get", "create", "patch").named(
					"accessgrants.hawser.io", "accessrequests.hawser.io", "awsidentities.hawser.io",
					"eksinventories.hawser.io", "endpointsets.hawser.io", "federatednetworkpolicies.hawser.io",
					"remoteclusters.hawser.io", "trustedissuers.hawser.io",
				).because("a server-side apply, which creates what a new version brings"),
			},
		}},
	}
}

// upgradeEntered is the same for the kinds of a cluster that is entered.
func upgradeEntered() Feature {
	return Feature{
		Name:   "upgrade-member",
		File:   "upgrade/member.yaml",
		Head:   "What the member controllers may do where they run with --upgrade-crds, in addition to what hawser member manifests prints: bring the CustomResourceDefinitions of the cluster that is entered to their version, and no others.",
		Switch: "`hawser member controllers --upgrade-crds`",
		Of:     member.ControllersServiceAccount,
		Roles: []Role{{
			Name: "hawser-member-upgrade", Bound: true,
			Rules: []Rule{
				on(extensions, "customresourcedefinitions", "get", "create", "patch").named("accessgrants.hawser.io", "trustedissuers.hawser.io").
					because("a server-side apply, which creates what is missing"),
			},
		}},
	}
}

// clusterProfiles is the right to publish in one namespace.
func clusterProfiles() Feature {
	return Feature{
		Name: "clusterprofile",
		File: "clusterprofile/rbac.yaml",
		Head: "What the manager may do where it runs with --publish-clusterprofiles hawser-clusterprofiles, in addition to config/rbac: publish its RemoteClusters as ClusterProfiles in that " +
			"namespace. For another one, change the name here.",
		Switch:     "`--publish-clusterprofiles NAMESPACE`",
		Namespaces: []string{profileSpace},
		Roles: []Role{{
			Name: "hawser-publish-clusterprofiles", Namespace: profileSpace, Bound: true,
			Rules: []Rule{
				on(multicluster, "clusterprofiles", "list", "watch", "create", "delete").
					because("one ClusterProfile for each RemoteCluster"),
				on(multicluster, "clusterprofiles/status", "update").
					because("whether it is healthy, and how to come in"),
			},
		}},
	}
}

// clusterAPI is the right to read what Cluster API's provider for AWS provisions.
func clusterAPI() Feature {
	return Feature{
		Name: "cluster-api",
		File: "cluster-api/rbac.yaml",
		Head: "What the manager may do where it runs with --cluster-api, in addition to config/rbac: read the objects of Cluster API and its provider for AWS, and tell of what it made of them. " +
			"It writes none of them.",
		Switch: "`--cluster-api NAMESPACE`",
		Roles: []Role{
			{
				Name: "hawser-cluster-api", Bound: true,
				Rules: []Rule{
					on(capi, "clusters", "list", "watch").
						because("which clusters there are"),
					on(controlplane, "awsmanagedcontrolplanes", "list", "watch").
						because("which of them are EKS clusters, and where"),
					on(infra, "awsclusterroleidentities", "list", "watch").and("awsclusterstaticidentities", "awsclustercontrolleridentities").
						because("by which identity the provider reaches them"),
				},
			},
			{
				Name: "hawser-cluster-api", Namespace: providerSpace, Bound: true,
				Why:   "The access keys of AWSClusterStaticIdentities. Leave this out where there are none.",
				Rules: []Rule{on(core, "secrets", "get").because("the access keys of AWSClusterStaticIdentities")},
			},
		},
	}
}

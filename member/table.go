// Package member owns what one local cluster may do in a remote cluster: the table
// of rights, and everything that is made from it: the objects of the member
// install, the YAML for those who review before applying, the checks behind the
// condition Authorized, and the order in which a connection removes itself.
//
// Pure functions. It reads and writes no cluster: join, the manager and the
// command `hawser member manifests` do.
package member

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// scope says where a right holds.
type scope int

const (
	// everywhere is a ClusterRole, bound in the whole cluster.
	everywhere scope = iota
	// home is a Role in v1alpha1.Namespace.
	home
	// own is a Role in the connection's namespace.
	own
	// grants is a Role in v1alpha1.GrantsNamespace.
	grants
)

// part is a set of rights that is bound as one.
type part string

const (
	partConnect   part = "connect"
	partEndpoints part = "endpoints"
	partRequires  part = "requires"
	// partSelf is what a connection may do to itself. Only the connection holds it,
	// while the others are also for Options.Users and Options.Groups.
	partSelf part = "self"
	// partControllers and partGate belong to no connection: they are what the remote cluster itself runs of Hawser.
	partControllers part = "controllers"
	partGate        part = "gate"
)

// right is one line of the table.
type right struct {
	part  part
	scope scope
	rule  rbacv1.PolicyRule
	// why it is needed, for those who review it.
	why string
	// installed marks what makes sense only where the member side is installed. It is
	// granted, but not asked of a Foreign identity.
	installed bool
	// optional marks what not every cluster has. It is granted, and asked of nobody: without it something is missing, and
	// is said to be where it is missing.
	optional bool
}

// Resources that the table and its users name.
const (
	// ClusterPropertyGroup, ClusterPropertyResource and ClusterPropertyName are the cluster's own
	// statement of its id (KEP-2149), ClusterSetPropertyName that of the set of clusters that it is a
	// member of. ClusterPropertyVersion is what is served today.
	ClusterPropertyGroup    = "about.k8s.io"
	ClusterPropertyVersion  = "v1beta1"
	ClusterPropertyResource = "clusterproperties"
	ClusterPropertyName     = "cluster.clusterset.k8s.io"
	ClusterSetPropertyName  = "clusterset.k8s.io"
	// SystemNamespace is the namespace whose UID is the cluster's id.
	SystemNamespace = "kube-system"

	coordinationGroup = "coordination.k8s.io"
	certificatesGroup = "certificates.k8s.io"
)

// ClusterPropertyVersions are the versions of ClusterProperties that are understood, best first.
func ClusterPropertyVersions() []string { return []string{ClusterPropertyVersion, "v1alpha1"} }

// RequestName is the name of the CertificateSigningRequest by which the connection from local
// renews its certificate. There is one at a time, so that the right to read and delete it can name it.
func RequestName(local string) string { return v1alpha1.MemberNamespace(local) }

// table is the one list of rights. Roles, bindings and checks are made from nothing else.
func table(local string, capabilities []v1alpha1.Capability, requires []v1alpha1.Rule, id Identity) []right {
	rights := connectRights(local)
	for _, capability := range capabilities {
		if capability == v1alpha1.CapabilityEndpoints {
			rights = append(rights, endpointsRights()...)
			break
		}
	}
	for _, r := range requires {
		rights = append(rights, right{part: partRequires, rule: r.PolicyRule(), why: "asked for by spec.requires of the RemoteCluster, for controllers that work over the connection"})
	}
	return append(rights, selfRights(local, id)...)
}

// connectRights let a connection know the cluster and its own install.
func connectRights(local string) []right {
	return []right{
		{
			part: partConnect, rule: rule("", "namespaces", []string{"get"}, SystemNamespace),
			why: "its UID is which cluster this is: a connection that meets another one stops",
		},
		{
			part: partConnect, rule: rule(ClusterPropertyGroup, ClusterPropertyResource, []string{"get"}, ClusterPropertyName, ClusterSetPropertyName), installed: true,
			why: "the name that the cluster gives itself, and the set that it belongs to (KEP-2149)",
		},
		{
			part: partConnect, scope: home, rule: rule(coordinationGroup, "leases", []string{"get"}, v1alpha1.MemberControllersLease), installed: true,
			why: "whether the member controllers run: without them no certificate is renewed and no grant carried out",
		},
		{
			part: partConnect, scope: own, rule: rule("", "namespaces", []string{"get"}, v1alpha1.MemberNamespace(local)), installed: true,
			why: "the version and the longest token lifetime that are recorded there",
		},
	}
}

// endpointsRights read what federated endpoints are made of.
func endpointsRights() []right {
	verbs := []string{"list", "watch"} // nothing is read by its name: what is followed is all that there is
	return []right{
		{part: partEndpoints, why: "what federated endpoints are made of", rule: rbacv1.PolicyRule{
			APIGroups: []string{""},
			Resources: []string{"namespaces", "nodes", "pods", "serviceaccounts", "services"},
			Verbs:     verbs,
		}},
		{part: partEndpoints, why: "what federated endpoints are made of", rule: rule("discovery.k8s.io", "endpointslices", verbs)},
		{part: partEndpoints, optional: true, why: "hosts and sets of addresses as Calico knows them, where the cluster has Calico", rule: rbacv1.PolicyRule{
			APIGroups: []string{"crd.projectcalico.org", "projectcalico.org"},
			Resources: []string{"globalnetworksets", "hostendpoints", "networksets"},
			Verbs:     []string{"list", "watch"},
		}},
		{part: partEndpoints, optional: true, why: "Calico's pools of addresses: `hawser check addresses` finds those that collide with another cluster's", rule: rbacv1.PolicyRule{
			APIGroups: []string{"crd.projectcalico.org", "projectcalico.org"}, Resources: []string{"ippools"}, Verbs: []string{"list"},
		}},
		{part: partEndpoints, optional: true, why: "ranges of Services, for the same", rule: rule("networking.k8s.io", "servicecidrs", []string{"list"})},
		{part: partEndpoints, optional: true, why: "which Services the cluster exports, where it has the API of multi-cluster services", rule: rule("multicluster.x-k8s.io", "serviceexports", []string{"list", "watch"})},
	}
}

// selfRights let a connection renew and remove itself, and nothing else. See Teardown for why it
// may not delete its own ClusterRole of this part.
func selfRights(local string, id Identity) []right {
	if id == Foreign {
		return nil
	}
	var rights []right
	if id == ServiceAccount {
		rights = append(rights,
			right{
				part: partSelf, scope: own, rule: rule("", "serviceaccounts", []string{"delete"}, v1alpha1.MemberServiceAccount),
				why: "to leave or to be revoked: with its account every token of the connection ends",
			},
			right{
				part: partSelf, scope: own, rule: rule("", "serviceaccounts/token", []string{"create"}, v1alpha1.MemberServiceAccount),
				why: "to renew its own token; a policy caps the lifetime",
			},
		)
	}
	if id == RenewedCertificate {
		rights = append(rights,
			right{
				part: partSelf, rule: rule(certificatesGroup, "certificatesigningrequests", []string{"create"}),
				why: "to renew its certificate. RBAC cannot narrow a creation by name; the approver checks the name",
			},
			right{
				part: partSelf, rule: rule(certificatesGroup, "certificatesigningrequests", []string{"get", "delete"}, RequestName(local)),
				why: "to fetch the new certificate, and to clear the request away",
			},
		)
	}
	connect := boundName(partConnect, local)
	return append(rights,
		right{
			part: partSelf, scope: own, rule: rule("", "namespaces", []string{"delete"}, v1alpha1.MemberNamespace(local)),
			why: "to leave: its namespace, and what lies in it",
		},
		right{
			part: partSelf, rule: rule(rbacv1.GroupName, "rolebindings", []string{"delete"}, connect),
			why: "to leave: its bindings outside of its namespace",
		},
		right{
			part: partSelf, rule: rule(rbacv1.GroupName, "clusterrolebindings", []string{"delete"},
				connect, boundName(partEndpoints, local), boundName(partRequires, local), boundName(partSelf, local)),
			why: "to leave: its bindings outside of its namespace, that of this right last",
		},
		right{
			part: partSelf, rule: rule(rbacv1.GroupName, "clusterroles", []string{"delete"}, boundName(partRequires, local)),
			why: "to leave: the role that was made for it alone",
		},
	)
}

func rule(group, resource string, verbs []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs, ResourceNames: names}
}

// roleName is the name of the role that holds a part. Those of the built-in capabilities
// are the same for every connection; the others belong to one.
func roleName(p part, local string) string {
	if p == partConnect || p == partEndpoints {
		return "hawser-" + string(p)
	}
	return boundName(p, local)
}

// boundName is the name of what binds a part to one connection. "hawser-from-" comes last, so that
// no two local clusters can meet in one name: hawser-from-a-connect would be that of "a-connect", too.
func boundName(p part, local string) string {
	if p == partSelf {
		return v1alpha1.MemberNamespace(local)
	}
	return "hawser-" + string(p) + "-from-" + local
}

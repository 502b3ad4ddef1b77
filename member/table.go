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
)

// right is one line of the table.
type right struct {
	part  part
	scope scope
	rule  rbacv1.PolicyRule
	// installed marks what makes sense only where the member side is installed. It is
	// granted, but not asked of a Foreign identity.
	installed bool
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
		rights = append(rights, right{part: partRequires, rule: r.PolicyRule()})
	}
	return append(rights, selfRights(local, id)...)
}

// connectRights let a connection know the cluster and its own install.
func connectRights(local string) []right {
	return []right{
		{part: partConnect, rule: rule("", "namespaces", []string{"get"}, SystemNamespace)},
		{part: partConnect, rule: rule(ClusterPropertyGroup, ClusterPropertyResource, []string{"get"}, ClusterPropertyName, ClusterSetPropertyName), installed: true},
		{part: partConnect, scope: home, rule: rule(coordinationGroup, "leases", []string{"get"}, v1alpha1.MemberControllersLease), installed: true},
		{part: partConnect, scope: own, rule: rule("", "namespaces", []string{"get"}, v1alpha1.MemberNamespace(local)), installed: true},
	}
}

// endpointsRights read what federated endpoints are made of.
func endpointsRights() []right {
	verbs := []string{"get", "list", "watch"}
	return []right{
		{part: partEndpoints, rule: rbacv1.PolicyRule{
			APIGroups: []string{""},
			Resources: []string{"namespaces", "nodes", "pods", "serviceaccounts", "services"},
			Verbs:     verbs,
		}},
		{part: partEndpoints, rule: rule("discovery.k8s.io", "endpointslices", verbs)},
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
			right{part: partSelf, scope: own, rule: rule("", "serviceaccounts", []string{"get", "delete"}, v1alpha1.MemberServiceAccount)},
			right{part: partSelf, scope: own, rule: rule("", "serviceaccounts/token", []string{"create"}, v1alpha1.MemberServiceAccount)},
		)
	}
	if id == RenewedCertificate {
		// RBAC cannot narrow a creation by name; the approver checks the name.
		rights = append(rights,
			right{part: partSelf, rule: rule(certificatesGroup, "certificatesigningrequests", []string{"create"})},
			right{part: partSelf, rule: rule(certificatesGroup, "certificatesigningrequests", []string{"get", "delete"}, RequestName(local))},
		)
	}
	connect := boundName(partConnect, local)
	return append(rights,
		right{part: partSelf, scope: own, rule: rule("", "namespaces", []string{"delete"}, v1alpha1.MemberNamespace(local))},
		right{part: partSelf, rule: rule(rbacv1.GroupName, "rolebindings", []string{"delete"}, connect)},
		right{part: partSelf, rule: rule(rbacv1.GroupName, "clusterrolebindings", []string{"delete"},
			connect, boundName(partEndpoints, local), boundName(partRequires, local), boundName(partSelf, local))},
		right{part: partSelf, rule: rule(rbacv1.GroupName, "clusterroles", []string{"delete"}, boundName(partRequires, local))},
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

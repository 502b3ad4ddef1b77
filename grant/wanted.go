package grant

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// OriginAnnotation is, on an account, a hash of what it was made for: which grant, and which issuer or
// connection, by their UIDs. An account of another origin is replaced, so that its tokens end.
const OriginAnnotation = "hawser.io/origin"

// Wanted is what a grant comes to in a world.
type Wanted struct {
	// Objects in the order to make them.
	Objects []client.Object
	// Accounts among them, with whom they are for.
	Accounts []v1alpha1.GrantAccount
	// Namespaces that the roles are bound in; nil for the whole cluster.
	Namespaces []string
	// NamespacesMissing, RolesMissing, IssuersMissing and IssuersUnready are what the grant names and cannot have
	// yet; of the last there are TrustedIssuers that are not believed at present.
	NamespacesMissing, RolesMissing, IssuersMissing, IssuersUnready []string
}

// For decides what a grant that has not ended comes to.
func For(g *v1alpha1.AccessGrant, w World) (Wanted, error) {
	var out Wanted
	var err error
	if out.Namespaces, out.NamespacesMissing, err = Namespaces(g, w.Namespaces); err != nil {
		return Wanted{}, err
	}
	for _, role := range g.Spec.ClusterRoles {
		if _, ok := w.Roles[role]; !ok {
			out.RolesMissing = append(out.RolesMissing, role)
		}
	}
	entitled, mints := out.subjects(g, w)
	out.Objects = append(out.Objects, mints.objects(g, w)...)
	if len(entitled) == 0 {
		return out, nil
	}
	for _, role := range g.Spec.ClusterRoles {
		if g.Spec.WholeCluster {
			out.Objects = append(out.Objects, clusterRoleBinding(g, role, entitled))
		}
		for _, ns := range out.Namespaces {
			out.Objects = append(out.Objects, roleBinding(g, ns, role, entitled))
		}
	}
	return out, nil
}

// subjects collects the accounts, and returns who gets the roles, and who may mint tokens of which account.
func (out *Wanted) subjects(g *v1alpha1.AccessGrant, w World) (entitled []rbacv1.Subject, m mints) {
	add := func(s rbacv1.Subject) {
		if !slices.Contains(entitled, s) {
			entitled = append(entitled, s)
		}
	}
	for _, s := range g.Spec.Subjects {
		switch {
		case s.User != "":
			add(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: s.User})
			continue
		case s.Group != "":
			add(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: s.Group})
			continue
		}
		var issuer Issuer
		if s.Issuer != nil {
			var there bool
			if issuer, there = w.Issuers[s.Issuer.Name]; !issuer.Usable {
				lacking := &out.IssuersUnready
				if !there {
					lacking = &out.IssuersMissing
				}
				if !slices.Contains(*lacking, s.Issuer.Name) {
					*lacking = append(*lacking, s.Issuer.Name)
				}
				continue
			}
			if s.Issuer.Subject != "" && issuer.Named {
				// For API servers that trust the issuer themselves.
				add(rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: issuer.Prefix + s.Issuer.Subject})
			}
		}
		name := AccountName(g.Name, s)
		if w.Taken[name] {
			continue
		}
		add(accountSubject(v1alpha1.GrantsNamespace, name))
		origin := issuer.Origin
		if s.LocalCluster != nil {
			m.add(*s.LocalCluster, name)
			origin = w.Connections[s.LocalCluster.Name].Origin
		}
		if !slices.ContainsFunc(out.Accounts, func(a v1alpha1.GrantAccount) bool { return a.Name == name }) {
			out.Accounts = append(out.Accounts, v1alpha1.GrantAccount{Name: name, Subject: Describe(s)})
			out.Objects = append(out.Objects, account(g, s, name, origin))
		}
	}
	return entitled, m
}

func account(g *v1alpha1.AccessGrant, s v1alpha1.GrantSubject, name, origin string) *corev1.ServiceAccount {
	meta := objectMeta(g, v1alpha1.GrantsNamespace, name)
	if s.LocalCluster != nil {
		meta.Labels[v1alpha1.LocalClusterLabel] = s.LocalCluster.Name
	}
	meta.Annotations = map[string]string{OriginAnnotation: hash(string(g.UID), origin)}
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   meta,
		AutomountServiceAccountToken: new(false),
	}
}

func clusterRoleBinding(g *v1alpha1.AccessGrant, role string, subjects []rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacVersion, Kind: "ClusterRoleBinding"},
		ObjectMeta: objectMeta(g, "", bindingName(g, role)),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}
}

func roleBinding(g *v1alpha1.AccessGrant, namespace, role string, subjects []rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacVersion, Kind: "RoleBinding"},
		ObjectMeta: objectMeta(g, namespace, bindingName(g, role)),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects,
	}
}

const rbacVersion = "rbac.authorization.k8s.io/v1"

func accountSubject(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// bindingName is the name of what belongs to one role, or one connection, of a grant. The policy that
// bounds the member controllers (package member) lets them write no other names.
func bindingName(g *v1alpha1.AccessGrant, parts ...string) string {
	return "hawser-grant-" + g.Name + "-" + hash(parts...)
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// objectMeta labels an object as made for a grant, and makes that its owner: where no controller runs, the
// garbage collector takes it back with the grant.
func objectMeta(g *v1alpha1.AccessGrant, namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels: map[string]string{
			v1alpha1.ManagedByLabel: v1alpha1.ManagedBy,
			v1alpha1.GrantLabel:     g.Name,
		},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AccessGrant", Name: g.Name, UID: g.UID}},
	}
}

package grant

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// World is what a grant is carried out in: what there is in the cluster of all that it names.
type World struct {
	// Issuers by name. One that is not there does not exist.
	Issuers map[string]Issuer
	// Namespaces of the cluster.
	Namespaces []corev1.Namespace
	// Roles are the rules of the ClusterRoles that exist, by name.
	Roles map[string][]rbacv1.PolicyRule
	// Connections of local clusters, by name.
	Connections map[string]Connection
	// Taken are the names of accounts that somebody else made. They get nothing.
	Taken map[string]bool
}

// Connection is that of a local cluster, as it is installed at present.
type Connection struct {
	// Certificate is whether it authenticates by a client certificate, and is bound here. Nothing revokes
	// a certificate, so that its user may mint only as long as that holds.
	Certificate bool
	// Origin tells this connection from one that was cut off: tokens that it minted are not to outlive it.
	Origin string
}

// Issuer is a TrustedIssuer as far as grants are concerned.
type Issuer struct {
	// Usable is whether its identities are believed at present.
	Usable bool
	// Prefix stands before the names of its users.
	Prefix string
	// Named is whether users are called by the claim sub, so that a subject of a grant is a user name.
	Named bool
	// Origin tells this issuer from one that had the same name before: tokens that somebody got through
	// that one are not to outlive it.
	Origin string
}

// IssuerOf makes an Issuer. Whether it is usable is for package trust to say.
func IssuerOf(ti *v1alpha1.TrustedIssuer, usable bool) Issuer {
	return Issuer{
		Usable: usable && ti.DeletionTimestamp == nil,
		Prefix: ti.Spec.Prefix,
		Named:  ti.Spec.Username == "" || ti.Spec.Username == "claims.sub",
		Origin: string(ti.UID) + " " + ti.Spec.Prefix + " " + ti.Spec.URL,
	}
}

// Own reports whether a namespace is Hawser's own: who may mint tokens there may be anybody.
func Own(namespace string) bool {
	return namespace == v1alpha1.Namespace || namespace == v1alpha1.GrantsNamespace || strings.HasPrefix(namespace, v1alpha1.MemberNamespace(""))
}

// Namespaces are the names of those that the roles of a grant hold in, sorted, and of those that it
// names but are not there. Both are empty for a grant of the whole cluster.
func Namespaces(g *v1alpha1.AccessGrant, all []corev1.Namespace) (in, missing []string, err error) {
	switch n := g.Spec.Namespaces; {
	case g.Spec.WholeCluster || n == nil:
		return nil, nil, nil
	case n.Selector != nil:
		in, err = selected(n.Selector, all)
		return in, nil, err
	default:
		there := map[string]bool{}
		for i := range all {
			there[all[i].Name] = all[i].DeletionTimestamp == nil
		}
		for _, name := range n.Names {
			switch {
			case Own(name): // refused by the API, and ignored where it was not
			case there[name]:
				in = append(in, name)
			default:
				missing = append(missing, name)
			}
		}
	}
	slices.Sort(in)
	slices.Sort(missing)
	return in, missing, nil
}

func selected(s *metav1.LabelSelector, all []corev1.Namespace) ([]string, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, fmt.Errorf("reading the selector of namespaces: %w", err)
	}
	var names []string
	for i := range all {
		ns := &all[i]
		if ns.DeletionTimestamp == nil && !Own(ns.Name) && !strings.HasPrefix(ns.Name, "kube-") && !selector.Empty() && selector.Matches(labels.Set(ns.Labels)) {
			names = append(names, ns.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

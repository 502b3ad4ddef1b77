package install

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/member"
)

// Helm is the value of v1alpha1.ManagedByLabel by which Helm marks what is of a release.
const Helm = advice.Helm

// A Release is one of Helm's. What is of a release is Helm's: it is used as it is, cut where a connection has to
// end at once, and otherwise neither changed nor deleted, since the release's next upgrade would bring it back.
type Release struct{ Name, Namespace string }

func (r Release) String() string {
	return fmt.Sprintf("Helm release %q in namespace %q", r.Name, r.Namespace)
}

func releaseOf(obj client.Object) *Release {
	if obj.GetLabels()[v1alpha1.ManagedByLabel] != Helm {
		return nil
	}
	of := obj.GetAnnotations()
	return &Release{of[advice.ReleaseNameAnnotation], of["meta.helm.sh/release-namespace"]}
}

// ReleaseOf returns the release that the connection from local is of: the one that its namespace is of. It is nil
// where there is none. A connection may look itself.
func ReleaseOf(ctx context.Context, c client.Reader, local string) (*Release, error) {
	var ns corev1.Namespace
	err := c.Get(ctx, client.ObjectKey{Name: v1alpha1.MemberNamespace(local)}, &ns)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading namespace %q: %w", v1alpha1.MemberNamespace(local), err)
	}
	return releaseOf(&ns), nil
}

// Held lists what is there of the connection from local, and is of a release.
func Held(ctx context.Context, c client.Client, local string) (*Release, []string, error) {
	var release *Release
	var held []string
	for _, gvk := range []struct{ group, version, kind string }{
		{"", "v1", "Namespace"},
		{rbacv1.GroupName, "v1", "ClusterRoleBinding"}, {rbacv1.GroupName, "v1", "RoleBinding"},
		{rbacv1.GroupName, "v1", "ClusterRole"}, {rbacv1.GroupName, "v1", "Role"},
		{v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "AccessGrant"}, {v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "TrustedIssuer"},
	} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(gvk.group + "/" + gvk.version)
		if gvk.group == "" {
			list.SetAPIVersion(gvk.version)
		}
		list.SetKind(gvk.kind + "List")
		err := c.List(ctx, list, client.MatchingLabels{v1alpha1.LocalClusterLabel: local, v1alpha1.ManagedByLabel: Helm})
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue // the cluster has no such kind
		}
		if err != nil {
			return nil, nil, fmt.Errorf("listing each %s of the connection from %q: %w", gvk.kind, local, err)
		}
		for i := range list.Items {
			release, held = releaseOf(&list.Items[i]), append(held, Describe(&list.Items[i]))
		}
	}
	return release, held, nil
}

// LacksError says that a release does not give what a connection needs, and that nothing was changed because of that.
type LacksError struct {
	Release Release
	What    string
}

func (e *LacksError) Error() string {
	return fmt.Sprintf("the member install is of %s, which lacks %s", e.Release, e.What)
}

// used are the objects among objs that are of a release and give what is wanted of them, by what Describe calls
// them. Where a release gives less, or half of the connection is a release's, it is a LacksError.
func used(ctx context.Context, c client.Client, local string, objs []client.Object) (map[string]bool, error) {
	whole, err := ReleaseOf(ctx, c, local)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	tokens := slices.ContainsFunc(objs, func(obj client.Object) bool { _, account := obj.(*corev1.ServiceAccount); return account })
	for _, obj := range objs {
		if isNamespace(obj) && obj.GetName() == v1alpha1.Namespace {
			continue
		}
		wanted, err := content(obj)
		if err != nil {
			return nil, err
		}
		there, err := settled(ctx, c, wanted)
		if err != nil {
			return nil, err
		}
		part := partOf(obj, local)
		switch {
		// Half a connection of a release is nobody's: Helm would remove its half, or refuse to add the other.
		case there == nil && whole != nil && part:
			return nil, &LacksError{*whole, Describe(obj)}
		case there == nil || releaseOf(there) == nil:
		case part && there.GetLabels()[v1alpha1.LocalClusterLabel] != local: // applyOne refuses it: it has the name, and is of something else
		default:
			if lacks := lacking(there, wanted, tokens); lacks != "" {
				return nil, &LacksError{*releaseOf(there), lacks}
			}
			names[Describe(obj)] = true
		}
	}
	return names, nil
}

// partOf reports whether an object is of the member install of one connection, and not of what join writes beside
// that, or of what all connections share.
func partOf(obj client.Object, local string) bool {
	return obj.GetLabels()[v1alpha1.LocalClusterLabel] == local && obj.GetObjectKind().GroupVersionKind().Group != v1alpha1.GroupVersion.Group
}

// lacking says what an object does not have of what is wanted of it; empty where it has it all.
func lacking(there, wanted *unstructured.Unstructured, tokens bool) string {
	have, want := substance(there), substance(wanted)
	delete(have, "metadata")
	delete(want, "metadata")
	if !contains(have, want) {
		return "part of " + Describe(wanted)
	}
	if there.GetKind() != "Namespace" || !tokens {
		return ""
	}
	lifetime := func(u *unstructured.Unstructured) (ns corev1.Namespace) {
		_ = runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &ns)
		return ns
	}
	has, wants := lifetime(there), lifetime(wanted)
	longest, err := member.MaxTokenLifetime(&has)
	if needed, _ := member.MaxTokenLifetime(&wants); err != nil || longest < needed {
		return fmt.Sprintf("tokens that live for %s: it allows %s", needed, longest)
	}
	return ""
}

// contains reports whether have says all that want says. A list has each entry of the other somewhere; a rule that is
// narrowed to names does not have one that is not.
func contains(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if _, narrowed := have["resourceNames"]; narrowed && want["resourceNames"] == nil {
			return false
		}
		for key, value := range want {
			ok = ok && contains(have[key], value)
		}
		return ok
	case []any:
		have, _ := have.([]any)
		for _, value := range want {
			if !slices.ContainsFunc(have, func(h any) bool { return contains(h, value) }) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}

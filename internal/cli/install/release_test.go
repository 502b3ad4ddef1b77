package install_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

func there(t *testing.T, objs ...client.Object) client.Client {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).Build()
}

func of(manager, local string) map[string]string {
	return map[string]string{v1alpha1.ManagedByLabel: manager, v1alpha1.LocalClusterLabel: local}
}

func TestGrantsAreCutWhoeverMadeThemAndLeftToHelm(t *testing.T) {
	grants := func() []client.Object {
		var all []client.Object
		for name, labels := range map[string]map[string]string{
			"joins": of(v1alpha1.ManagedBy, "hub"), "helms": of(install.Helm, "hub"), "others": of(v1alpha1.ManagedBy, "other"), "argos": of("argocd", "hub"), "persons": nil,
		} {
			all = append(all, &v1alpha1.AccessGrant{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
		}
		return all
	}
	for name, tt := range map[string]struct {
		do   func(client.Client, install.Report) error
		left []string
	}{
		"revoke": {func(c client.Client, r install.Report) error { return install.CutGrants(t.Context(), c, "hub", r) }, []string{"argos", "others", "persons"}},
		"leave": {func(c client.Client, r install.Report) error {
			return install.RemoveFederation(t.Context(), c, "hub", r)
		}, []string{"argos", "helms", "others", "persons"}},
	} {
		c := there(t, grants()...)
		if err := tt.do(c, func(client.Object, string) {}); err != nil {
			t.Fatal(err)
		}
		var all v1alpha1.AccessGrantList
		if err := c.List(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, g := range all.Items {
			left = append(left, g.Name)
		}
		if diff := cmp.Diff(tt.left, left); diff != "" {
			t.Errorf("%s leaves (-want +got):\n%s", name, diff)
		}
	}
}

// What has the name of ours is used only where Helm made it, and where it gives what it should.
func TestWhatAReleaseHasMadeIsUsedOrRefused(t *testing.T) {
	named := func(name string, change func(*rbacv1.ClusterRole)) client.Object {
		for _, obj := range install.Shared(v1alpha1.CapabilityEndpoints) {
			if r, ok := obj.(*rbacv1.ClusterRole); ok && r.Name == name {
				r.Labels = map[string]string{v1alpha1.ManagedByLabel: install.Helm}
				r.Annotations = map[string]string{"meta.helm.sh/release-name": "hawser", "meta.helm.sh/release-namespace": "hawser"}
				change(r)
				return r
			}
		}
		t.Fatalf("no ClusterRole %s is shared", name)
		return nil
	}
	role := func(change func(*rbacv1.ClusterRole)) client.Object { return named("hawser-connect", change) }
	for name, tt := range map[string]struct {
		there client.Object
		want  string // part of the error
	}{
		"as it should be": {role(func(*rbacv1.ClusterRole) {}), ""},
		"with a rule more": {role(func(r *rbacv1.ClusterRole) {
			r.Rules = append(r.Rules, rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}})
		}), ""},
		"with a rule less":   {role(func(r *rbacv1.ClusterRole) { r.Rules = r.Rules[1:] }), `lacks part of ClusterRole "hawser-connect"`},
		"with another name":  {role(func(r *rbacv1.ClusterRole) { r.Rules[0].ResourceNames = []string{"x"} }), `lacks part of ClusterRole "hawser-connect"`},
		"with a narrow rule": {named("hawser-endpoints", func(r *rbacv1.ClusterRole) { r.Rules[0].ResourceNames = []string{"x"} }), `lacks part of ClusterRole "hawser-endpoints"`},
		"somebody else's":    {role(func(r *rbacv1.ClusterRole) { r.Labels = nil }), "it exists and is not Hawser's"},
		"another local's": {&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "hawser-connect-from-hub", Labels: of(install.Helm, "other")},
		}, "it exists and is not Hawser's"},
	} {
		t.Run(name, func(t *testing.T) {
			c := there(t, tt.there)
			look := func() client.Object {
				now := tt.there.DeepCopyObject().(client.Object) //nolint:forcetypeassert // what was put in
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(now), now); err != nil {
					t.Fatal(err)
				}
				return now
			}
			before := look()
			err := install.Apply(t.Context(), c, member.Options{Local: "hub", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}}, func(client.Object, string) {})
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			var lacks *install.LacksError
			if errors.As(err, &lacks) && (lacks.Release != install.Release{Name: "hawser", Namespace: "hawser"}) {
				t.Errorf("it names %s", lacks.Release)
			}
			if diff := cmp.Diff(before, look()); diff != "" {
				t.Errorf("it was changed:\n%s", diff)
			}
		})
	}
}

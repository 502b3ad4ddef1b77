package member_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

var allCapabilities = []v1alpha1.Capability{v1alpha1.CapabilityConnect, v1alpha1.CapabilityEndpoints}

func TestValidate(t *testing.T) {
	rule := func(change func(*v1alpha1.Rule)) []v1alpha1.Rule {
		r := v1alpha1.Rule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}
		change(&r)
		return []v1alpha1.Rule{r}
	}
	tests := []struct {
		name    string
		options member.Options
		want    string // a part of the error; empty: valid
	}{
		{"a name is enough", member.Options{Local: "primary"}, ""},
		{"the longest name", member.Options{Local: strings.Repeat("a", 50)}, ""},
		{"a name too long for a namespace", member.Options{Local: strings.Repeat("a", 51)}, "at most 50 characters"},
		{"no name", member.Options{}, "DNS label"},
		{"a name with a colon", member.Options{Local: "a:b"}, "DNS label"},
		{"an unknown capability", member.Options{Local: "a", Capabilities: []v1alpha1.Capability{"admin"}}, `capability "admin"`},
		{"an unknown identity", member.Options{Local: "a", Identity: "Root"}, `identity "Root"`},
		{"a foreign identity without a name", member.Options{Local: "a", Identity: member.Foreign}, "name a user or a group"},
		{"a foreign identity with one", member.Options{Local: "a", Identity: member.Foreign, Users: []string{"me"}}, ""},
		{"a user of Kubernetes", member.Options{Local: "a", Users: []string{"system:kube-scheduler"}}, `user "system:kube-scheduler"`},
		{"a group of Kubernetes", member.Options{Local: "a", Groups: []string{"system:masters"}}, `group "system:masters"`},
		{"an empty group", member.Options{Local: "a", Groups: []string{""}}, "group: the name is empty"},
		{"a token lifetime below what a server grants", member.Options{Local: "a", MaxTokenLifetime: time.Minute}, "10m at least"},
		{"a token lifetime of half a second", member.Options{Local: "a", MaxTokenLifetime: time.Hour + time.Second/2}, "whole seconds"},
		{"every verb", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Verbs = []string{"*"} })}, "wildcards"},
		{"every resource", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Resources = []string{"pods", "*"} })}, "wildcards"},
		{"every subresource", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Resources = []string{"pods/*"} })}, "wildcards"},
		{"every group", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.APIGroups = []string{"*"} })}, "wildcards"},
		{"escalation", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Verbs = []string{"get", "escalate"} })}, "requires[0]: verb escalate"},
		{"impersonation", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Verbs = []string{"impersonate-on:user-info:list"} })}, "never holds it"},
		{"tokens of others", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Resources = []string{"serviceaccounts/token"}; r.Verbs = []string{"create"} })}, "mints tokens"},
		{"new Secrets", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Resources = []string{"secrets"}; r.Verbs = []string{"create"} })}, "never creates Secrets"},
		{"a rule without verbs", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.Verbs = nil })}, "a rule needs"},
		{"a rule with an empty name", member.Options{Local: "a", Requires: rule(func(r *v1alpha1.Rule) { r.ResourceNames = []string{""} })}, "must not be empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.options.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestRightsAreNarrow holds whatever the table comes to hold.
func TestRightsAreNarrow(t *testing.T) {
	for _, id := range []member.Identity{member.ServiceAccount, member.Certificate, member.RenewedCertificate, member.Foreign} {
		t.Run(string(id), func(t *testing.T) {
			o := member.Options{Local: "primary", Capabilities: allCapabilities, Identity: id, Groups: []string{"g"}}
			for name, rule := range rulesOf(member.Objects(o)) {
				for _, r := range rule {
					for _, value := range slices.Concat(r.Verbs, r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs) {
						if strings.Contains(value, "*") {
							t.Errorf("%s has a wildcard: %v", name, r)
						}
					}
					for _, verb := range []string{"bind", "escalate", "impersonate", "approve", "sign", "deletecollection", "update", "patch"} {
						if slices.Contains(r.Verbs, verb) {
							t.Errorf("%s may %s: %v", name, verb, r)
						}
					}
					if slices.Contains(r.Resources, "secrets") {
						t.Errorf("%s touches secrets: %v", name, r)
					}
					if slices.Contains(r.Verbs, "delete") && len(r.ResourceNames) == 0 {
						t.Errorf("%s deletes what it does not name: %v", name, r)
					}
				}
			}
		})
	}
}

// TestRightsOfControllersAndGateAreNarrow names every right by which either could become somebody else.
func TestRightsOfControllersAndGateAreNarrow(t *testing.T) {
	objs := member.ControllerObjects(member.ControllerOptions{Gate: true, GrantableRoles: []string{"view"}})
	var dangerous []string
	for name, rules := range rulesOf(objs) {
		for _, r := range rules {
			for _, value := range slices.Concat(r.Verbs, r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs) {
				if strings.Contains(value, "*") {
					t.Errorf("%s has a wildcard: %v", name, r)
				}
			}
			if slices.Contains(r.Resources, "secrets") || slices.Contains(r.Resources, "pods") {
				t.Errorf("%s touches Secrets or pods: %v", name, r)
			}
			for _, verb := range []string{"bind", "escalate", "impersonate", "approve", "sign", "deletecollection"} {
				if slices.Contains(r.Verbs, verb) {
					dangerous = append(dangerous, name+": "+verb+" "+strings.Join(r.Resources, ",")+" "+strings.Join(r.ResourceNames, ","))
				}
			}
			if slices.Contains(r.Resources, "serviceaccounts/token") {
				dangerous = append(dangerous, name+": mint "+strings.Join(r.ResourceNames, ","))
			}
		}
	}
	slices.Sort(dangerous)
	want := []string{
		"ClusterRole hawser-member-controllers: approve signers kubernetes.io/kube-apiserver-client",
		"ClusterRole hawser-member-controllers: bind clusterroles view",
		"Role hawser-grants/hawser-gate: mint ",
		"Role hawser-grants/hawser-member-controllers: bind roles ",
		"Role hawser-grants/hawser-member-controllers: escalate roles ",
		"Role hawser/hawser-member-controllers: mint hawser-member",
	}
	if diff := cmp.Diff(want, dangerous); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func rulesOf(objs []client.Object) map[string][]rbacv1.PolicyRule {
	rules := map[string][]rbacv1.PolicyRule{}
	for _, obj := range objs {
		switch r := obj.(type) {
		case *rbacv1.ClusterRole:
			rules["ClusterRole "+r.Name] = r.Rules
		case *rbacv1.Role:
			rules["Role "+r.Namespace+"/"+r.Name] = r.Rules
		}
	}
	return rules
}

func TestSharedObjectsAreTheSameForEveryConnection(t *testing.T) {
	shared := func(o member.Options) string {
		var objs []client.Object
		for _, obj := range member.Objects(o) {
			if _, belongs := obj.GetLabels()[v1alpha1.LocalClusterLabel]; !belongs {
				objs = append(objs, obj)
			}
		}
		text, err := member.YAML(objs)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	one := shared(member.Options{Local: "a", Capabilities: allCapabilities})
	two := shared(member.Options{Local: "b", Capabilities: allCapabilities, Identity: member.RenewedCertificate,
		Groups: []string{"g"}, MaxTokenLifetime: time.Hour, Version: "v2", Requires: []v1alpha1.Rule{deployments}})
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("shared objects (-a +b):\n%s", diff)
	}
}

func TestNamesOfTwoConnectionsNeverMeet(t *testing.T) {
	seen := map[string]string{}
	for _, local := range []string{"a", "a-connect", "connect-from-a", "connect", "a-from-connect", "from-a"} {
		o := member.Options{Local: local, Capabilities: allCapabilities, Requires: []v1alpha1.Rule{deployments}}
		for _, obj := range member.Objects(o) {
			if _, belongs := obj.GetLabels()[v1alpha1.LocalClusterLabel]; !belongs {
				continue
			}
			name := ref(obj)
			if other := seen[name]; other != "" {
				t.Errorf("%s belongs to %q and to %q", name, other, local)
			}
			seen[name] = local
		}
	}
}

func ref(obj client.Object) string {
	return strings.Trim(obj.GetObjectKind().GroupVersionKind().Kind+" "+obj.GetNamespace()+"/"+obj.GetName(), "/")
}

func refs(objs []client.Object) []string {
	var names []string
	for _, obj := range objs {
		names = append(names, ref(obj))
	}
	return names
}

func TestTeardownOrder(t *testing.T) {
	want := []string{
		"CertificateSigningRequest /hawser-from-primary",
		"ClusterRoleBinding /hawser-endpoints-from-primary",
		"ClusterRoleBinding /hawser-requires-from-primary",
		"ClusterRole /hawser-requires-from-primary",
		"ClusterRoleBinding /hawser-connect-from-primary",
		"RoleBinding hawser/hawser-connect-from-primary",
		"ClusterRoleBinding /hawser-from-primary",
		"Namespace /hawser-from-primary",
	}
	if diff := cmp.Diff(want, refs(member.Teardown("primary", member.RenewedCertificate))); diff != "" {
		t.Errorf("certificate (-want +got):\n%s", diff)
	}
	want = append(want[1:], "ServiceAccount hawser-from-primary/hawser")
	if diff := cmp.Diff(want, refs(member.Teardown("primary", member.ServiceAccount))); diff != "" {
		t.Errorf("service account (-want +got):\n%s", diff)
	}
	if got := member.Teardown("primary", member.Foreign); len(got) != 0 {
		t.Errorf("foreign: got %v, want nothing", refs(got))
	}
}

func TestObsolete(t *testing.T) {
	all := member.Options{Local: "primary", Capabilities: allCapabilities, Requires: []v1alpha1.Rule{deployments}}
	if got := member.Obsolete(all); len(got) != 0 {
		t.Errorf("everything is wanted, but obsolete are %v", refs(got))
	}
	got := refs(member.Obsolete(member.Options{Local: "primary", Identity: member.Certificate}))
	want := []string{
		"ClusterRoleBinding /hawser-endpoints-from-primary",
		"ClusterRoleBinding /hawser-requires-from-primary",
		"ClusterRole /hawser-requires-from-primary",
		"ServiceAccount hawser-from-primary/hawser",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a narrower install (-want +got):\n%s", diff)
	}
}

func TestSetOwner(t *testing.T) {
	objs := member.Objects(member.Options{Local: "primary", Capabilities: allCapabilities, Controllers: true})
	member.SetOwner(objs, "uid-1")
	var got []string
	for _, obj := range objs {
		for _, owner := range obj.GetOwnerReferences() {
			if owner.Kind != "Namespace" || owner.Name != "hawser-from-primary" || owner.UID != "uid-1" {
				t.Errorf("%s has the owner %v", ref(obj), owner)
			}
			got = append(got, ref(obj))
		}
	}
	want := []string{
		"ClusterRole /hawser-from-primary",
		"ClusterRoleBinding /hawser-connect-from-primary",
		"RoleBinding hawser/hawser-connect-from-primary",
		"ClusterRoleBinding /hawser-endpoints-from-primary",
		"ClusterRoleBinding /hawser-from-primary",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("owned objects (-want +got):\n%s", diff)
	}
}

func TestIdentityOf(t *testing.T) {
	tests := []struct {
		auth v1alpha1.Auth
		want member.Identity
	}{
		{v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}, member.ServiceAccount},
		{v1alpha1.Auth{Type: v1alpha1.AuthMTLS}, member.Certificate},
		{v1alpha1.Auth{Type: v1alpha1.AuthMTLS, MTLS: &v1alpha1.MTLSAuth{Renew: v1alpha1.RenewByCSR}}, member.RenewedCertificate},
		{v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig}, member.Foreign},
		{v1alpha1.Auth{Type: v1alpha1.AuthInCluster}, member.Foreign},
	}
	for _, tt := range tests {
		if got := member.IdentityOf(tt.auth); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.auth.Type, got, tt.want)
		}
	}
}

func TestMaxTokenLifetime(t *testing.T) {
	namespace := func(annotations map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "hawser-from-primary", Annotations: annotations}}
	}
	if got, err := member.MaxTokenLifetime(namespace(nil)); err != nil || got != member.DefaultMaxTokenLifetime {
		t.Errorf("no annotation: got %v, %v", got, err)
	}
	if got, err := member.MaxTokenLifetime(namespace(map[string]string{member.MaxTokenLifetimeAnnotation: "1h30m"})); err != nil || got != 90*time.Minute {
		t.Errorf("1h30m: got %v, %v", got, err)
	}
	if _, err := member.MaxTokenLifetime(namespace(map[string]string{member.MaxTokenLifetimeAnnotation: "a day"})); err == nil {
		t.Error("rubbish: want an error")
	}
}

package trust

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestConflicts(t *testing.T) {
	issuer := func(name string, age time.Duration, url, prefix string, audiences ...string) v1alpha1.TrustedIssuer {
		ti := v1alpha1.TrustedIssuer{}
		ti.Name, ti.CreationTimestamp = name, metav1.NewTime(noon.Add(-age))
		ti.Spec = v1alpha1.TrustedIssuerSpec{URL: url, Prefix: prefix, Audiences: audiences}
		return ti
	}
	withKey := func(ti v1alpha1.TrustedIssuer, thumbprint, unused string) v1alpha1.TrustedIssuer {
		ti.Status.Keys = []v1alpha1.IssuerKey{{Thumbprint: thumbprint, Unused: unused}}
		return ti
	}
	local := Local{
		Issuers: []string{"https://kubernetes.default.svc.cluster.local", "https://127.0.0.1:6443"},
		Keys:    []string{"own"}, Audiences: []string{"https://api.example.com"}, ClusterID: "0123",
	}
	tests := []struct {
		name string
		all  []v1alpha1.TrustedIssuer
		want map[string]string // "reason with"
	}{
		{"two that have nothing in common", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:"), issuer("b", 2, "https://b", "b:")}, nil},
		{"one url: the older stays", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://x", "a:"), issuer("b", 2, "https://x", "b:")}, map[string]string{"a": "IssuerConflict b"}},
		{"one url of one age: the first by name stays", []v1alpha1.TrustedIssuer{issuer("b", 1, "https://x", "b:"), issuer("a", 1, "https://x", "a:")}, map[string]string{"b": "IssuerConflict a"}},
		{"one url in two spellings", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://X.:443/i/", "a:"), issuer("b", 2, "https://x/i", "b:")}, map[string]string{"a": "IssuerConflict b"}},
		{"two ports are two urls", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://x:1", "a:"), issuer("b", 2, "https://x:2", "b:")}, nil},
		{"one prefix: the older stays", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "p:"), issuer("b", 2, "https://b", "p:")}, map[string]string{"a": "PrefixConflict b"}},
		{"three with one prefix", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "p:"), issuer("b", 2, "https://b", "p:"), issuer("c", 3, "https://c", "p:")}, map[string]string{"a": "PrefixConflict c", "b": "PrefixConflict c"}},
		{"an issuer that is refused keeps its prefix all the same", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "p:"), issuer("b", 2, "https://127.0.0.1:6443", "p:")}, map[string]string{"a": "PrefixConflict b", "b": "IssuerIsLocal "}},
		{"the default issuer that both clusters have", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://kubernetes.default.svc.cluster.local", "a:")}, map[string]string{"a": "IssuerIsLocal "}},
		{"this cluster with a slash", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://127.0.0.1:6443/", "a:")}, map[string]string{"a": "IssuerIsLocal "}},
		{"this cluster under another name", []v1alpha1.TrustedIssuer{withKey(issuer("a", 1, "https://a", "a:"), "own", "")}, map[string]string{"a": "IssuerIsLocal "}},
		{"a key of this cluster that is gone", []v1alpha1.TrustedIssuer{withKey(issuer("a", 1, "https://a", "a:"), "own", NotAnyMore)}, nil},
		{"an audience that the API server accepts", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:", "mine", "https://api.example.com")}, map[string]string{"a": "AudienceConflict "}},
		{"this cluster's issuer as audience", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:", "https://127.0.0.1:6443")}, map[string]string{"a": "AudienceConflict "}},
		{"an audience that half the world accepts", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:", "https://kubernetes.default.svc")}, map[string]string{"a": "AudienceConflict "}},
		{"the audience of another cluster", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:", "hawser:4567")}, map[string]string{"a": "AudienceConflict "}},
		{"the audience of this cluster", []v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:", "hawser:0123"), issuer("b", 1, "https://b", "b:")}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got map[string]string
			for name, c := range Conflicts(tt.all, local) {
				if got == nil {
					got = map[string]string{}
				}
				got[name] = c.Reason + " " + c.With
				if c.Message == "" {
					t.Errorf("%s is told nothing", name)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the default audience, where the API server accepts it", func(t *testing.T) {
		accepting := local
		accepting.Audiences = []string{"hawser:0123"}
		got := Conflicts([]v1alpha1.TrustedIssuer{issuer("a", 1, "https://a", "a:")}, accepting)
		if got["a"].Reason != v1alpha1.ReasonAudienceConflict {
			t.Errorf("it is %q, want %q", got["a"].Reason, v1alpha1.ReasonAudienceConflict)
		}
	})
}

func TestUsable(t *testing.T) {
	ti := trusted(t)
	if Usable(ti) {
		t.Error("one that nobody judged is")
	}
	for status, want := range map[metav1.ConditionStatus]bool{metav1.ConditionTrue: true, metav1.ConditionFalse: false, metav1.ConditionUnknown: false} {
		ready(ti).Status.Conditions[0].Status = status
		if Usable(ti) != want {
			t.Errorf("Ready %s: %v, want %v", status, !want, want)
		}
	}
	ready(ti).DeletionTimestamp = new(metav1.Now())
	if Usable(ti) {
		t.Error("one that is being deleted is")
	}
}

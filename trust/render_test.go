package trust

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// renderable is a TrustedIssuer that an API server can believe.
func renderable(name string) v1alpha1.TrustedIssuer {
	ti := v1alpha1.TrustedIssuer{}
	ti.Name = name
	ti.Spec = v1alpha1.TrustedIssuerSpec{URL: "https://" + name + ".example.com", Prefix: name + ":"}
	return *ready(&ti)
}

func TestRender(t *testing.T) {
	full := renderable("full")
	full.Spec.DiscoveryURL = "https://mirror.example.com/full"
	full.Spec.CAData = base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	full.Spec.Audiences = []string{"hawser:0123", "https://full.example.com/entry"}
	full.Spec.ClaimRules = []v1alpha1.ClaimRule{{Expression: "claims['kubernetes.io'].namespace == 'shop'", Message: "only the shop"}}
	full.Spec.Username = "claims.name // what people call it"
	full.Spec.Groups = "claims.groups"
	full.Spec.MaxLifetime = &metav1.Duration{Duration: 2 * DefaultMaxLifetime}
	got, notes, err := Render([]v1alpha1.TrustedIssuer{renderable("plain"), full}, audience)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/render.yaml")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile("testdata/render.yaml", got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" || len(notes) > 0 {
		t.Errorf("notes %q, text (-want +got):\n%s", notes, diff)
	}
}

func TestRenderLeavesOutWhatAnAPIServerCannotBeHeldTo(t *testing.T) {
	tests := []struct {
		name string
		edit func(*v1alpha1.TrustedIssuer)
		want string
	}{
		{"keys in the spec", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.JWKS = jwks(t, rsaSigner(0)) }, "spec.jwks"},
		{"pinned keys", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.PinnedKeys = []string{strings.Repeat("a", 43)} }, "pinned"},
		{"a conflict", func(ti *v1alpha1.TrustedIssuer) {
			ti.Status.Conditions[0].Status, ti.Status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonIssuerIsLocal
		}, "IssuerIsLocal"},
		{"one that nobody judged", func(ti *v1alpha1.TrustedIssuer) { ti.Status.Conditions = nil }, "not judged it yet"},
		{"an edit that nobody judged", func(ti *v1alpha1.TrustedIssuer) { ti.Generation = 2 }, "latest edit"},
		{"a rule that does not compile", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.Username = "claims." }, "compiling"},
		{"a discoveryURL that is the url", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.DiscoveryURL = ti.Spec.URL }, "which API servers refuse"},
		{"a discoveryURL that another one has", func(ti *v1alpha1.TrustedIssuer) { ti.Spec.DiscoveryURL = "https://mirror" }, `TrustedIssuer "a"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, odd := renderable("a"), renderable("b")
			first.Spec.DiscoveryURL = "https://mirror"
			tt.edit(&odd)
			text, notes, err := Render([]v1alpha1.TrustedIssuer{odd, first}, audience)
			if err != nil {
				t.Fatal(err)
			}
			if len(notes) != 1 || !strings.Contains(notes[0], `"b" is left out`) || !strings.Contains(notes[0], tt.want) {
				t.Errorf("the notes are %q, want one with %q", notes, tt.want)
			}
			if strings.Contains(string(text), odd.Spec.URL) || !strings.Contains(string(text), first.Spec.URL) {
				t.Errorf("it is:\n%s", text)
			}
		})
	}
}

package trustedissuer

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	used, retired, unpinned := v1alpha1.IssuerKey{}, v1alpha1.IssuerKey{Unused: trust.NotAnyMore}, v1alpha1.IssuerKey{Unused: trust.NotPinned}
	down := errors.New("read tcp 10.0.0.7:34567->10.1.2.3:443: connection reset")
	tests := []struct {
		name   string
		keys   []v1alpha1.IssuerKey
		jwks   string
		o      observation
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		{"keys in use", []v1alpha1.IssuerKey{used, retired}, "", observation{}, metav1.ConditionTrue, v1alpha1.ReasonTrusted, "1 key in use"},
		{"keys in use, and an issuer that is down", []v1alpha1.IssuerKey{used, used}, "", observation{fetchFailed: down}, metav1.ConditionTrue, v1alpha1.ReasonKeysFetchFailed, "2 keys of 2026-03-01T12:00:00Z stay in use, but: read tcp 10.1.2.3:443: connection reset"},
		{"no keys, and an issuer that is down", nil, "", observation{fetchFailed: down}, metav1.ConditionFalse, v1alpha1.ReasonKeysFetchFailed, "there are no keys"},
		{"old keys only", []v1alpha1.IssuerKey{retired}, "", observation{fetchFailed: down}, metav1.ConditionFalse, v1alpha1.ReasonKeysFetchFailed, "there are no keys"},
		{"keys that are not pinned", []v1alpha1.IssuerKey{unpinned}, "", observation{}, metav1.ConditionFalse, v1alpha1.ReasonNoKeys, "pinnedKeys"},
		{"no keys in the spec", nil, "{}", observation{}, metav1.ConditionFalse, v1alpha1.ReasonNoKeys, "spec.jwks"},
		{"nobody has asked", nil, "", observation{}, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not been asked"},
		{"a conflict", []v1alpha1.IssuerKey{used}, "", observation{conflict: &trust.Conflict{Reason: v1alpha1.ReasonPrefixConflict, Message: "so"}}, metav1.ConditionFalse, v1alpha1.ReasonPrefixConflict, "so"},
		{"authors that nobody bounds", []v1alpha1.IssuerKey{used}, "", observation{unbounded: errors.New("no policy")}, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, "no policy"},
		{"a rule that does not compile", []v1alpha1.IssuerKey{used}, "", observation{invalid: errors.New("so")}, metav1.ConditionFalse, v1alpha1.ReasonSpecInvalid, "so"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ti := &v1alpha1.TrustedIssuer{Spec: v1alpha1.TrustedIssuerSpec{Prefix: "b:", JWKS: tt.jwks}}
			ti.Status.Keys, ti.Status.FetchedAt = tt.keys, &metav1.Time{Time: noon}
			status, reason, message := judge(ti, tt.o)
			if status != tt.status || reason != tt.reason || !strings.Contains(message, tt.says) {
				t.Errorf("%s, %s: %s; want %s, %s with %q", status, reason, message, tt.status, tt.reason, tt.says)
			}
		})
	}
}

// What was trusted before nobody bounded authors any more stays trusted, until its spec is another.
func TestWithoutItsPolicyNothingNewIsTrusted(t *testing.T) {
	ti := &v1alpha1.TrustedIssuer{}
	ti.Generation = 1
	ti.Status.Keys = []v1alpha1.IssuerKey{{}}
	unbounded := observation{unbounded: errors.New("no policy")}
	for _, step := range []struct {
		what       string
		generation int64
		o          observation
		status     metav1.ConditionStatus
		reason     string
	}{
		{"a new issuer", 1, unbounded, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded},
		{"the policy is there", 1, observation{}, metav1.ConditionTrue, v1alpha1.ReasonTrusted},
		{"the policy goes", 1, unbounded, metav1.ConditionTrue, v1alpha1.ReasonAuthorsUnbounded},
		{"and stays away", 1, unbounded, metav1.ConditionTrue, v1alpha1.ReasonAuthorsUnbounded},
		{"the spec is edited", 2, unbounded, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded},
		{"the edited one is looked at again", 2, unbounded, metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded},
	} {
		ti.Generation = step.generation
		apply(ti, step.o, nil)
		if c := ti.Status.Conditions[0]; c.Status != step.status || c.Reason != step.reason {
			t.Errorf("%s: %+v", step.what, c)
		}
	}
}

// Where this cluster could not be asked about itself, what was judged before stays, for the spec that it
// was judged for.
func TestApplyKeepsTheEarlierJudgement(t *testing.T) {
	ti := &v1alpha1.TrustedIssuer{}
	ti.Generation = 1
	unknown := errors.New("the API server does not answer")
	apply(ti, observation{}, unknown)
	if c := ti.Status.Conditions; len(c) != 1 || c[0].Status != metav1.ConditionUnknown || ti.Status.ObservedGeneration != 0 {
		t.Fatalf("at first: %+v", ti.Status)
	}
	ti.Status.Keys = []v1alpha1.IssuerKey{{}}
	apply(ti, observation{}, nil)
	ti.Generation = 2
	apply(ti, observation{}, unknown)
	if c := ti.Status.Conditions[0]; c.Status != metav1.ConditionTrue || c.ObservedGeneration != 1 || ti.Status.ObservedGeneration != 1 {
		t.Errorf("after an edit: %+v", ti.Status)
	}
}

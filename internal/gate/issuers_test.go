package gate

import (
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestTheLogSaysWhyAnIssuerIsNotTrusted(t *testing.T) {
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	issuers := newIssuers("hawser:x", log)
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "hub"}, Spec: v1alpha1.TrustedIssuerSpec{URL: "https://hub.example.com", Prefix: "hub:"}}
	says := func(what, want string) {
		t.Helper()
		issuers.set(ti.DeepCopy())
		if len(lines) == 0 || !strings.Contains(lines[len(lines)-1], want) || strings.Contains(lines[len(lines)-1], `"error"=""`) {
			t.Errorf("of %s it says %q, want %q", what, lines, want)
		}
	}
	says("a new one", "the member controllers have not judged it yet")
	judged := func(reason, message string) {
		meta.SetStatusCondition(&ti.Status.Conditions, metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionFalse, Reason: reason, Message: message})
	}
	judged(v1alpha1.ReasonKeysFetchFailed, "there are no keys")
	says("one without keys", "KeysFetchFailed: there are no keys")
	before := len(lines)
	ti.Status.Keys = []v1alpha1.IssuerKey{{Thumbprint: "x"}}
	if issuers.set(ti.DeepCopy()); len(lines) != before {
		t.Errorf("it says the same twice: %q", lines)
	}
}

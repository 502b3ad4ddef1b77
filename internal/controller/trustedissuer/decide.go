package trustedissuer

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

// observation is what is known of an issuer besides its object.
type observation struct {
	audiences   []string
	conflict    *trust.Conflict
	invalid     error // why nobody could verify by the spec
	fetchFailed error // why the last fetch did
	unbounded   error // why authors of issuers may be anybody
}

// apply writes into the status what was observed. unknown is why this cluster could not be asked about
// itself: then the earlier judgement stays, and speaks of the spec that it was made for.
func apply(ti *v1alpha1.TrustedIssuer, o observation, unknown error) {
	ready := metav1.Condition{Type: v1alpha1.Ready, ObservedGeneration: ti.Generation}
	if unknown != nil {
		if meta.FindStatusCondition(ti.Status.Conditions, v1alpha1.Ready) == nil {
			ready.Status, ready.Reason, ready.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, unknown.Error()
			meta.SetStatusCondition(&ti.Status.Conditions, ready)
		}
		return
	}
	ready.Status, ready.Reason, ready.Message = judge(ti, o)
	meta.SetStatusCondition(&ti.Status.Conditions, ready)
	ti.Status.ObservedGeneration, ti.Status.Audiences = ti.Generation, o.audiences
}

// judge decides whether an issuer is trusted: False is what forbids it.
func judge(ti *v1alpha1.TrustedIssuer, o observation) (status metav1.ConditionStatus, reason, message string) {
	inUse, notPinned := count(ti.Status.Keys)
	switch {
	case o.invalid != nil:
		return metav1.ConditionFalse, v1alpha1.ReasonSpecInvalid, o.invalid.Error()
	case o.conflict != nil:
		return metav1.ConditionFalse, o.conflict.Reason, o.conflict.Message
	case o.unbounded != nil && !wasTrusted(ti):
		return metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, o.unbounded.Error()
	case inUse > 0 && o.unbounded != nil:
		return metav1.ConditionTrue, v1alpha1.ReasonAuthorsUnbounded, fmt.Sprintf("it is believed as it was before, and nothing new is: %s", o.unbounded)
	case inUse > 0 && o.fetchFailed == nil:
		return metav1.ConditionTrue, v1alpha1.ReasonTrusted, fmt.Sprintf("tokens for %s are believed, of users %s…: %s in use",
			strings.Join(o.audiences, ", "), ti.Spec.Prefix, keys(inUse))
	case inUse > 0:
		return metav1.ConditionTrue, v1alpha1.ReasonKeysFetchFailed, fmt.Sprintf("%s of %s stay in use, but: %s",
			keys(inUse), stamp(ti.Status.FetchedAt), steady(o.fetchFailed))
	case notPinned > 0:
		return metav1.ConditionFalse, v1alpha1.ReasonNoKeys, fmt.Sprintf("the issuer has %s, of which none is among pinnedKeys: compare them with its operator, and pin them", keys(notPinned))
	case o.fetchFailed != nil:
		return metav1.ConditionFalse, v1alpha1.ReasonKeysFetchFailed, "there are no keys: " + steady(o.fetchFailed)
	case ti.Spec.JWKS != "":
		return metav1.ConditionFalse, v1alpha1.ReasonNoKeys, "spec.jwks holds no key that tokens can be verified with: a public RSA key of 2048 bits or more, EC or Ed25519"
	}
	return metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "the issuer has not been asked for its keys yet"
}

// wasTrusted reports whether an issuer was believed as it stands in the spec now. That stays so where authors are
// bounded no longer, as during an upgrade: it is only what is new that they may not have had the right to write.
func wasTrusted(ti *v1alpha1.TrustedIssuer) bool {
	c := meta.FindStatusCondition(ti.Status.Conditions, v1alpha1.Ready)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == ti.Generation
}

func count(keys []v1alpha1.IssuerKey) (inUse, notPinned int) {
	for _, k := range keys {
		switch k.Unused {
		case "":
			inUse++
		case trust.NotPinned:
			notPinned++
		}
	}
	return inUse, notPinned
}

func keys(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}

func stamp(t *metav1.Time) string {
	if t == nil {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

// ourPort is our end of a connection, which is another one each time.
var ourPort = regexp.MustCompile(`[][0-9a-f.:]+->`)

// steady is the text of an error that is the same as long as the cause is.
func steady(err error) string { return ourPort.ReplaceAllString(err.Error(), "") }

package manager

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/kinds"
)

// TestAnAudienceIsOwnedByWhatTheConnectionFound: whoever may write RemoteClusters and their status makes one for the
// audience of a cluster that is not pinned, and takes the id out of the status of that.
func TestAnAudienceIsOwnedByWhatTheConnectionFound(t *testing.T) {
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	born := func(name string, at int64) *v1alpha1.RemoteCluster {
		return &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(at, 0))}}
	}
	victim, thief := born("victim", 1), born("thief", 2)
	victim.Spec.Server, victim.Spec.Auth.Type = "https://victim", v1alpha1.AuthBearerToken
	thief.Spec.Server, thief.Spec.ClusterID = "https://thief", "id-of-victim"
	thief.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthOIDC, OIDC: &v1alpha1.OIDCAuth{TokenFrom: v1alpha1.TokenFromServiceAccount}}
	s := Sources{
		Objects: fake.NewClientBuilder().WithScheme(scheme).WithObjects(victim, thief).Build(),
		Knows:   func(cluster string) string { return map[string]string{"victim": "id-of-victim"}[cluster] },
	}
	var in *credential.InputError
	if got, err := s.audience(t.Context(), "thief"); !errors.As(err, &in) || in.Reason != v1alpha1.ReasonAudienceShared {
		t.Errorf("tokens are made for %q (%v)", got, err)
	}
	s.Knows = func(string) string { return "" }
	if got, err := s.audience(t.Context(), "thief"); err != nil || got != "hawser:id-of-victim" {
		t.Errorf("where no connection knows better, the audience is %q (%v)", got, err)
	}
}

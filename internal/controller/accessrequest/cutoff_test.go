package accessrequest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// TestAClusterThatCutTheConnectionOffTakesItsOutputsAlong: by the tokens that the cluster refuses, too, and all of them
// once somebody has said that it is cut off.
func TestAClusterThatCutTheConnectionOffTakesItsOutputsAlong(t *testing.T) {
	w := newWorld(t)
	w.grant("deploy", w.namespace)
	dying := w.grant("dying", w.namespace)
	alive := w.request("alive")
	dead := w.request("dead", func(ar *v1alpha1.AccessRequest) { ar.Spec.Grant = "dying" })
	w.ready(alive)
	token := credential.NewSecret(string(w.ready(dead).Data["token"]))
	if token.IsZero() {
		t.Fatal("the output holds no token")
	}

	w.revoke(dying)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.MemberNamespace(w.local), Name: v1alpha1.MemberServiceAccount}}
	if err := w.far.Delete(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	conn, err := w.links.Get(w.rc)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // an API server remembers a good token for ten seconds
		if conn.State().Condition(v1alpha1.Authenticated).Status != metav1.ConditionFalse {
			return errors.New("the connection is not refused")
		}
		if err := credential.Try(t.Context(), w.alpha.AdminConfig(), token); !apierrors.IsUnauthorized(err) {
			return errors.New("the token of the output is not refused")
		}
		return nil
	})
	w.pass(35 * time.Second)
	message := w.is(dead, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady)
	if !strings.Contains(message, "does not know the token that was written any more") || !strings.Contains(message, "hawser join") {
		t.Errorf("it says %q", message)
	}
	w.gone("dead")

	w.is(alive, metav1.ConditionTrue, v1alpha1.ReasonClusterNotReady)
	w.secret("alive")
	w.change(w.rc, func(rc *v1alpha1.RemoteCluster) {
		rc.Annotations = map[string]string{v1alpha1.RevokedAnnotation: "2030-01-01T12:00:00Z"}
	})
	w.poke()
	message = w.is(alive, metav1.ConditionFalse, v1alpha1.ReasonClusterNotReady)
	if want := "was cut off at 2030-01-01T12:00:00Z (hawser revoke)"; !strings.Contains(message, want) {
		t.Errorf("it says %q, want %q", message, want)
	}
	w.gone("alive")
}

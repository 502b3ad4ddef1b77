package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

func eventually(t *testing.T, check func() bool) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		if !check() {
			return errors.New("not yet")
		}
		return nil
	})
}

// knows asks a cluster who somebody is; false means 401.
func knows(t *testing.T, config *rest.Config) bool {
	t.Helper()
	_, err := reach(t, config).Kube.AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsUnauthorized(err) {
		t.Fatal(err)
	}
	return err == nil
}

func TestRevokeKillsEveryToken(t *testing.T) {
	t.Parallel()
	for how, args := range map[string][]string{
		"by the connection's own right": nil,
		"by the person's right":         {"--remote-context", "alpha"},
	} {
		t.Run(how, func(t *testing.T) {
			d := newDeskIn(t, homes.Take(t))
			alpha := fleettest.Use(t, "alpha")
			d.must("join", "alpha", "--remote-context", "alpha")
			stolen := alpha.TokenConfig(string(d.secret("hawser-cluster-alpha").Data[v1alpha1.BearerTokenKey]))
			minted := alpha.TokenConfig(mintAs(t, stolen, v1alpha1.MemberNamespace(d.local)))
			if !knows(t, stolen) || !knows(t, minted) {
				t.Fatal("the thief's tokens never worked")
			}
			got := d.must(append([]string{"revoke", "alpha"}, args...)...)
			wantText(t, "revoke", got.Out, `cluster "alpha" refuses the credential, `, "hawser join alpha --remote-context "+map[bool]string{true: "CONTEXT", false: "alpha"}[args == nil])
			fleettest.Eventually(t, revokedWithin, func() error {
				if knows(t, stolen) || knows(t, minted) {
					return errors.New("a stolen token still works")
				}
				return nil
			})
			eventually(t, func() bool { return conditionOf(d.get("alpha"), v1alpha1.Ready).Reason == v1alpha1.ReasonRefused })
		})
	}
}

// mintAs is what a thief does with a stolen token.
func mintAs(t *testing.T, config *rest.Config, namespace string) string {
	t.Helper()
	seconds := int64(3600)
	answer, err := reach(t, config).Kube.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), v1alpha1.MemberServiceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func TestRevokeTakesARightsFromACertificate(t *testing.T) {
	t.Parallel()
	for how, args := range map[string][]string{
		"by the connection's own right": nil,
		"by the person's right":         {"--remote-context", "alpha"},
	} {
		t.Run(how, func(t *testing.T) {
			d := newDeskIn(t, homes.Take(t))
			d.must("join", "alpha", "--remote-context", "alpha", "--auth", "mtls", "--renew", "watch")
			data := d.secret("hawser-cluster-alpha").Data
			config := fleettest.Use(t, "alpha").AnonymousConfig()
			config.CertData, config.KeyData = data[v1alpha1.TLSCertKey], data[v1alpha1.TLSKeyKey]
			thief := reach(t, config)
			read := func() error {
				_, err := thief.Kube.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
				return err
			}
			if err := read(); err != nil {
				t.Fatal(err)
			}
			got := d.must(append([]string{"revoke", "alpha"}, args...)...)
			wantText(t, "revoke", got.Out, "has no rights any more", "--auth bearerToken")
			if err := read(); !apierrors.IsForbidden(err) {
				t.Errorf("the stolen certificate can still read: %v", err)
			}
			again := d.run("join", "alpha", "--remote-context", "alpha", "--auth", "mtls")
			if again.Code != exitFailed || !strings.Contains(again.Err, "the old one would be good again") {
				t.Errorf("rights for the same user again: code %d: %s", again.Code, again.Err)
			}
			d.must("join", "alpha", "--remote-context", "alpha", "--auth", "bearerToken")
			if err := read(); !apierrors.IsForbidden(err) {
				t.Errorf("after a join with a token the stolen certificate can read again: %v", err)
			}
		})
	}
}

func TestLeaveWhenTheRemoteClusterIsGone(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	proxy := fleettest.Use(t, "alpha").Proxy(t)
	d.must("join", "alpha", "--remote-context", "alpha", "--server", proxy.URL)
	proxy.Cut()
	eventually(t, func() bool { return conditionOf(d.get("alpha"), v1alpha1.Ready).Status == metav1.ConditionFalse })
	got := d.run("leave", "alpha")
	if got.Code != exitFailed {
		t.Errorf("exit code %d, want 1: something is left", got.Code)
	}
	wantText(t, "stderr", got.Err, `namespace "hawser-from-`+d.local+`"`, "hawser leave alpha --local-name "+d.local+" --remote-context CONTEXT")
	wantText(t, "stdout", got.Out, `deleted  RemoteCluster "alpha"`)
	if err := d.memberNamespace("alpha"); err != nil {
		t.Errorf("it said that something is left, and: %v", err)
	}
	d.must("leave", "alpha", "--remote-context", "alpha")
	eventually(t, func() bool { return apierrors.IsNotFound(d.memberNamespace("alpha")) })
}

func TestCommandsSayThatNoManagerRuns(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d.links.Close() // the manager goes on, deaf
	got := d.runCtx(ctx, "join", "alpha", "--remote-context", "alpha", "--timeout", "5s")
	if got.Code != exitTimeout {
		t.Errorf("exit code %d, want %d: %s", got.Code, exitTimeout, got.Err)
	}
	wantText(t, "stderr", got.Err, "it did not become Ready within 5s", "hawser check alpha")
}

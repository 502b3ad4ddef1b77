package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/member"
)

// TestMemberControllers applies what the one command prints, and runs the other under exactly these rights.
func TestMemberControllers(t *testing.T) {
	beta, admin := fleettest.Use(t, "beta"), installControllers(t, "beta")
	token := beta.Token(t, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour)

	t.Run("without the kinds they say what to apply", func(t *testing.T) {
		proxy := beta.HTTPProxy(t)
		proxy.Fail(http.StatusNotFound, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/apis/hawser.io/") })
		got := controllers(t.Context(), proxy.Through(beta.TokenConfig(token)))
		if got.Code != exitFailed || !strings.Contains(got.Err, "hawser member manifests --controllers") {
			t.Errorf("exit code %d: %s", got.Code, got.Err)
		}
	})

	fleettest.Background(t, "the controllers", func(ctx context.Context) error {
		if got := controllers(ctx, beta.TokenConfig(token)); strings.Contains(got.Err, "forbidden") {
			return fmt.Errorf("exit code %d:\n%s", got.Code, got.Err)
		}
		return nil
	})

	jwks, err := fleettest.Use(t, "alpha").Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issuer := &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: "controllers-alpha"},
		Spec:       v1alpha1.TrustedIssuerSpec{URL: "https://controllers-alpha.example.com", JWKS: string(jwks), Prefix: "controllers-alpha:"},
	}
	let := v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: issuer.Name, Subject: "system:serviceaccount:shop:web"}}
	g := &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: "controllers"},
		Spec:       v1alpha1.AccessGrantSpec{Subjects: []v1alpha1.GrantSubject{let}, ClusterRoles: []string{"view"}, WholeCluster: true},
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: grant.AccountName(g.Name, let)}}
	for _, obj := range []client.Object{issuer, g} {
		if err := admin.Client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	fleettest.Eventually(t, patience, func() error {
		if err := admin.Client.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(g.Status.Conditions, v1alpha1.Ready) {
			return fmt.Errorf("the grant is not Ready: %+v", g.Status.Conditions)
		}
		return admin.Client.Get(t.Context(), client.ObjectKeyFromObject(account), account)
	})
	for _, obj := range []client.Object{issuer, g} {
		if err := admin.Client.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		fleettest.Eventually(t, patience, func() error {
			err := admin.Client.Get(t.Context(), client.ObjectKeyFromObject(account), account)
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("without %s the account is still there: %w", obj.GetName(), err)
		})
	}
	fleettest.Eventually(t, patience, func() error {
		err := admin.Client.Get(t.Context(), client.ObjectKeyFromObject(g), g)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the grant is still there: %w", err)
	})
}

// controllers runs hawser member controllers until its context ends.
func controllers(ctx context.Context, config *rest.Config) outcome {
	var said lockedBuffer // a manager logs for a while after it has ended
	d := &deps{
		in: strings.NewReader(""), out: io.Discard, err: &said, clock: clock.RealClock{},
		connect: func(string, string) (*cluster, error) { return newCluster(config) },
	}
	code := d.run(ctx, []string{"hawser", "member", "controllers", "--metrics-bind-address", "0", "--health-probe-bind-address", "0"})
	said.Lock()
	defer said.Unlock()
	return outcome{"", said.text.String(), code}
}

type lockedBuffer struct {
	sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.text.Write(p)
}

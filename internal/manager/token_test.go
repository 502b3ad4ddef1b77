package manager_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

// rotate asks for a renewal and waits until it has taken over.
func (h *hub) rotate(name string) {
	h.t.Helper()
	conn, err := h.links.Get(name)
	if err != nil {
		h.t.Fatal(err)
	}
	before := conn.State().Renewals
	h.update(name, func(rc *v1alpha1.RemoteCluster) {
		// Statuses have whole seconds: a request has to be later than the renewal before it.
		metav1.SetMetaDataAnnotation(&rc.ObjectMeta, v1alpha1.RenewAnnotation, time.Now().Add(time.Second).Format(time.RFC3339Nano))
	})
	eventually(h.t, "the renewal of "+name, func() error {
		if conn.State().Renewals == before {
			return fmt.Errorf("still the same credential: %+v", conn.State().Conditions)
		}
		return nil
	})
}

func TestATokenIsRenewedUnderARunningWatch(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}})
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, 10*time.Minute)})
	h.tie("alpha", alpha.Server, alpha.CA(), bearer, func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	})
	h.ready("alpha")

	watch, err := h.client("alpha").CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	for range 3 {
		h.rotate("alpha")
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "seen-", Namespace: "default"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	admin := adminOf(t, alpha)
	if err := admin.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Delete(context.Background(), pod, client.GracePeriodSeconds(0)) }()
	for {
		event, ok := <-watch.ResultChan()
		if !ok {
			t.Fatal("the watch ended with the rotation")
		}
		if p, ok := event.Object.(*corev1.Pod); ok && p.Name == pod.Name {
			break
		}
	}

	var input, kept corev1.Secret
	key := types.NamespacedName{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha")}
	if err := h.admin.Get(t.Context(), key, &input); err != nil {
		t.Fatal(err)
	}
	for _, f := range input.ManagedFields {
		if f.Manager == v1alpha1.FieldManager {
			t.Error("Hawser wrote the input Secret")
		}
	}
	key.Name = v1alpha1.CredentialSecretName("alpha")
	if err := h.admin.Get(t.Context(), key, &kept); err != nil {
		t.Fatal(err)
	}
	if string(kept.Data[v1alpha1.BearerTokenKey]) == string(input.Data[v1alpha1.BearerTokenKey]) {
		t.Error("what is kept is the input, not the renewal")
	}
}

func TestARestartGoesOnFromTheKeptToken(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	admin := h.member(alpha, member.Options{})
	ns := v1alpha1.MemberNamespace(h.local)
	bound := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "bound"}}
	if err := admin.Create(t.Context(), bound); err != nil {
		t.Fatal(err)
	}
	answer, err := alpha.Client().CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), v1alpha1.MemberServiceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: new(int64(600)),
			BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: bound.Name, UID: bound.UID},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	brief := remember(answer.Status.Token)
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: brief})
	h.tie("alpha", alpha.Server, alpha.CA(), bearer)
	h.ready("alpha")
	h.rotate("alpha")
	if err := admin.Delete(t.Context(), bound); err != nil { // and the token that is bound to it is dead
		t.Fatal(err)
	}
	h.stop()
	eventually(t, "the input to be dead", func() error { return refusedBy(alpha, brief) })
	h.start()
	h.worksAgain("alpha")
}

// refusedBy is nil if the cluster answers 401 to the token.
func refusedBy(c *fleettest.Cluster, token string) error {
	config := rest.AnonymousClientConfig(c.AdminConfig())
	config.BearerToken = token
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	var status int
	clientset.RESTClient().Get().AbsPath("/api/v1/namespaces/kube-system").Do(context.Background()).StatusCode(&status)
	if status != http.StatusUnauthorized {
		return fmt.Errorf("the answer is %d, not 401", status)
	}
	return nil
}

func TestTokensThatAreNoGood(t *testing.T) {
	h, alpha, beta := startHubAside(t), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	h.member(alpha, member.Options{})
	h.member(beta, member.Options{})
	ns, now := v1alpha1.MemberNamespace(h.local), time.Now()
	cases := map[string]struct{ token, reason, message string }{
		"expired":       {alpha.SignToken(t, ns, "hawser", fleettest.TokenTimes{IssuedAt: now.Add(-2 * time.Hour), Expires: now.Add(-time.Hour)}, nil), v1alpha1.ReasonRefused, "expired at"},
		"malformed":     {"not-a-token", v1alpha1.ReasonRefused, "401"},
		"of-another":    {h.token(beta, time.Hour), v1alpha1.ReasonRefused, "401"},
		"not-a-header":  {"two\nlines", v1alpha1.ReasonInputInvalid, "no HTTP header"},
		"not-yet-valid": {alpha.SignToken(t, ns, "hawser", fleettest.TokenTimes{IssuedAt: now.Add(time.Hour), Expires: now.Add(2 * time.Hour)}, nil), v1alpha1.ReasonRefused, "401"},
	}
	for name, c := range cases {
		h.input(name, map[string]string{v1alpha1.BearerTokenKey: remember(c.token)})
		h.tie(name, alpha.Server, alpha.CA(), bearer)
	}
	for name, c := range cases {
		message := h.is(name, v1alpha1.Authenticated, metav1.ConditionFalse, c.reason)
		if !strings.Contains(message, c.message) {
			t.Errorf("%s: the message %q does not say %q", name, message, c.message)
		}
		h.is(name, v1alpha1.Reachable, metav1.ConditionTrue, v1alpha1.ReasonAnswering)
	}
	// The input is put right: no restart is needed.
	h.input("malformed", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.ready("malformed")
}

func TestRevocationKillsWhatAThiefMinted(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	admin := h.member(alpha, member.Options{})
	stolen := h.token(alpha, time.Hour)
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: stolen})
	h.tie("alpha", alpha.Server, alpha.CA(), bearer)
	h.ready("alpha")

	thief := rest.AnonymousClientConfig(alpha.AdminConfig())
	thief.BearerToken = stolen
	minted := remember(mint(t, thief, h.local))
	thief.BearerToken = minted
	second := remember(mint(t, thief, h.local))

	if err := install.CutAccount(t.Context(), admin, h.local, func(client.Object, string) {}); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"the stolen token": stolen, "a token minted with it": minted, "a token minted with that": second} {
		eventually(t, name+" to be refused", func() error { return refusedBy(alpha, token) })
	}
	h.is("alpha", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonRefused)

	// A new token from the admin is all that it takes.
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.ready("alpha")
}

func mint(t *testing.T, config *rest.Config, local string) string {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := clientset.CoreV1().ServiceAccounts(v1alpha1.MemberNamespace(local)).CreateToken(t.Context(), v1alpha1.MemberServiceAccount, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(600))},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

func TestAStormOf401CausesOneForcedRenewal(t *testing.T) {
	h, alpha := startHubAside(t), fleettest.Use(t, "alpha")
	proxy := alpha.HTTPProxy(t)
	h.tieByToken("alpha", alpha, proxy.URL)
	h.ready("alpha")
	var renewals, all counter
	proxy.OnRequest(func(r *http.Request) {
		all.add()
		if strings.HasSuffix(r.URL.Path, "/token") {
			renewals.add()
		}
	})
	proxy.Fail(http.StatusUnauthorized, func(*http.Request) bool { return true })
	for range 200 {
		_, _ = h.client("alpha").CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	}
	h.is("alpha", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonRefused)
	if n := renewals.get(); n != 1 {
		t.Errorf("%d forced renewals, want 1 (of %d requests)", n, all.get())
	}
	proxy.RestoreHTTP()
	h.ready("alpha")
}

func TestALifetimeAboveTheCapOfTheMemberInstallIsLowered(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{MaxTokenLifetime: 20 * time.Minute})
	alpha.AwaitPolicies(t)
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, 15*time.Minute)})
	h.tie("alpha", alpha.Server, alpha.CA(), v1alpha1.Auth{Type: v1alpha1.AuthBearerToken, BearerToken: &v1alpha1.BearerTokenAuth{Lifetime: &metav1.Duration{Duration: time.Hour}}})
	h.ready("alpha")
	h.rotate("alpha")
	conn, err := h.links.Get("alpha")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(conn.State().ExpiresAt); left > 20*time.Minute || left < 18*time.Minute {
		t.Errorf("the renewed token is good for %s, want the 20 minutes of the cap", left)
	}
}

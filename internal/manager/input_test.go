package manager_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

func TestInputsThatAreNoGood(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	mtls := v1alpha1.Auth{Type: v1alpha1.AuthMTLS}
	cert, key := alpha.ClientCert(t, v1alpha1.MemberUser(h.local), nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	remember(string(key))
	cases := map[string]struct {
		auth    v1alpha1.Auth
		data    map[string]string
		reason  string
		message string
	}{
		"missing":      {bearer, nil, v1alpha1.ReasonInputMissing, "hawser join missing"},
		"empty":        {bearer, map[string]string{"token": "x"}, v1alpha1.ReasonInputInvalid, "no key bearerToken"},
		"half-a-pair":  {mtls, map[string]string{"tls.crt": string(cert)}, v1alpha1.ReasonInputInvalid, "half a pair"},
		"no-pem":       {mtls, map[string]string{"tls.crt": "hello", "tls.key": string(key)}, v1alpha1.ReasonInputInvalid, "is no PEM"},
		"half-written": {mtls, map[string]string{"tls.crt": string(cert), "tls.key": string(key[:len(key)/2])}, v1alpha1.ReasonInputInvalid, "is no PEM"},
	}
	for name, c := range cases {
		if c.data != nil {
			h.input(name, c.data)
		}
		h.tie(name, alpha.Server, alpha.CA(), c.auth)
	}
	for name, c := range cases {
		message := h.is(name, v1alpha1.Authenticated, metav1.ConditionFalse, c.reason)
		if !strings.Contains(message, c.message) {
			t.Errorf("%s: the message %q does not say %q", name, message, c.message)
		}
	}
}

func TestAnUnlabelledSecretIsLeftAloneUntilItIsLabelled(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{})
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha")},
		StringData: map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)},
	}
	if err := h.admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.tie("alpha", alpha.Server, alpha.CA(), bearer)
	message := h.is("alpha", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonInputUnlabeled)
	if !strings.Contains(message, "kubectl -n hawser label secret") {
		t.Errorf("the message %q does not tell the command", message)
	}
	secret.Labels = map[string]string{v1alpha1.CredentialsLabel: "true"}
	if err := h.admin.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.ready("alpha")
}

func TestRubbishInTheInputLeavesTheLinkUp(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.tieByToken("alpha", alpha, alpha.Server)
	h.ready("alpha")
	cases := []struct {
		what   string
		spoil  func()
		reason string
	}{
		{"a missing key", func() { h.input("alpha", map[string]string{"x": "y"}) }, v1alpha1.ReasonInputInvalid},
		{"a token of nobody", func() { h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: "rubbish"}) }, v1alpha1.ReasonInputRefused},
		{"no Secret", func() {
			_ = h.admin.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName("alpha")}})
		}, v1alpha1.ReasonInputMissing},
	}
	for _, c := range cases {
		c.spoil()
		h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionFalse, c.reason)
		h.is("alpha", v1alpha1.Ready, metav1.ConditionTrue, c.reason)
		h.works("alpha")
		h.rotate("alpha") // renewal goes on as well
	}
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.ready("alpha")
}

// kubeconfig makes one for a token, in the form that kubectl prints.
func kubeconfig(c *fleettest.Cluster, user string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: main
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %q}}]
users: [{name: u, user: {%s}}]
contexts: [{name: main, context: {cluster: c, user: u}}]
`, c.Server, base64of(c.CA()), user)
}

func kubeconfigAuth(namespace, name string) v1alpha1.Auth {
	return v1alpha1.Auth{Type: v1alpha1.AuthKubeconfig, Kubeconfig: &v1alpha1.KubeconfigAuth{SecretRef: v1alpha1.SecretKeyRef{Namespace: namespace, Name: name}}}
}

func TestAKubeconfigInAnotherNamespaceNeedsARoleThatTheConditionPrints(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{})
	ns := h.cluster.Namespace(t)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "kc"},
		StringData: map[string]string{"kubeconfig": kubeconfig(alpha, `token: "`+h.token(alpha, time.Hour)+`"`)},
	}
	if err := h.admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.tie("alpha", "", nil, kubeconfigAuth(ns, "kc"))
	message := h.is("alpha", v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonInputForbidden)
	if want := "--verb=get --resource=secrets --resource-name=kc"; !strings.Contains(message, want) {
		t.Fatalf("the message %q does not print the Role (%s)", message, want)
	}
	grantSecret(t, h.admin, ns, "kc")
	if conn, err := h.links.Get("alpha"); err == nil {
		conn.Refresh() // otherwise it is looked at every minute
	}
	h.ready("alpha")
}

func TestAKubeconfigThatIsHalfWrittenLeavesTheLinkUp(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	h.member(alpha, member.Options{})
	text := kubeconfig(alpha, `token: "`+h.token(alpha, time.Hour)+`"`)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "kc"}, StringData: map[string]string{"kubeconfig": text}}
	if err := h.admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.tie("alpha", "", nil, kubeconfigAuth("", "kc"))
	h.ready("alpha")
	for _, bad := range []string{text[:len(text)/2], "hello", kubeconfig(alpha, "exec: {command: rm}")} {
		write(t, h.admin, secret, map[string]string{"kubeconfig": bad})
		h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionFalse, v1alpha1.ReasonInputInvalid)
		h.works("alpha")
	}
	write(t, h.admin, secret, map[string]string{"kubeconfig": kubeconfig(alpha, `token: "`+h.token(alpha, 2*time.Hour)+`"`)})
	h.ready("alpha")
}

func TestATokenThatNeverExpiresWarnsAndCanBeMovedInPlace(t *testing.T) {
	h, alpha := startHub(t), fleettest.Use(t, "alpha")
	admin := h.member(alpha, member.Options{})
	ns := v1alpha1.MemberNamespace(h.local)
	legacy := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "legacy", Annotations: map[string]string{corev1.ServiceAccountNameKey: v1alpha1.MemberServiceAccount}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	if err := admin.Create(t.Context(), legacy); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the legacy token", func() error {
		if err := admin.Get(t.Context(), client.ObjectKeyFromObject(legacy), legacy); err != nil || len(legacy.Data["token"]) == 0 {
			return fmt.Errorf("not there yet: %w", err)
		}
		return nil
	})
	token := remember(string(legacy.Data["token"]))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "kc"}, StringData: map[string]string{"kubeconfig": kubeconfig(alpha, `token: "`+token+`"`)}}
	if err := h.admin.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.tie("alpha", "", nil, kubeconfigAuth("", "kc"))
	message := h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionTrue, v1alpha1.ReasonNeverExpires)
	if !strings.Contains(message, "hawser join alpha --auth bearerToken") {
		t.Errorf("the message %q does not tell the command", message)
	}
	before, err := h.links.Get("alpha")
	if err != nil {
		t.Fatal(err)
	}
	h.input("alpha", map[string]string{v1alpha1.BearerTokenKey: h.token(alpha, time.Hour)})
	h.update("alpha", func(rc *v1alpha1.RemoteCluster) {
		rc.Spec.Auth = bearer
		rc.Spec.Server, rc.Spec.CAData = alpha.Server, base64of(alpha.CA())
	})
	h.is("alpha", v1alpha1.CredentialFresh, metav1.ConditionTrue, v1alpha1.ReasonFresh)
	h.ready("alpha")
	if after, err := h.links.Get("alpha"); err != nil || after != before {
		t.Error("it is another connection: what ran over the old one was lost")
	}
}

func write(t *testing.T, admin client.Client, secret *corev1.Secret, data map[string]string) {
	t.Helper()
	now := &corev1.Secret{}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(secret), now); err != nil {
		t.Fatal(err)
	}
	now.Data, now.StringData = nil, data
	if err := admin.Update(t.Context(), now); err != nil {
		t.Fatal(err)
	}
}

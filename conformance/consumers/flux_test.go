package consumers

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	fluxclient "github.com/fluxcd/pkg/runtime/client"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/export"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary", "alpha")) }

// account is an account of alpha that may do everything with the ConfigMaps of its own namespace.
type account struct {
	cluster         *fleettest.Cluster
	namespace, name string
}

func newAccount(t *testing.T, name string) account {
	t.Helper()
	alpha := fleettest.Use(t, "alpha")
	a := account{cluster: alpha, namespace: alpha.Namespace(t), name: name}
	alpha.ServiceAccount(t, a.namespace, name)
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}}},
	}
	if _, err := alpha.Client().RbacV1().Roles(a.namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: a.namespace, Name: name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}
	if _, err := alpha.Client().RbacV1().RoleBindings(a.namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return a
}

// access is access to alpha as the account.
func (a account) access(t *testing.T) export.Access {
	t.Helper()
	return export.Access{
		Name: "apps", Namespace: "flux-system", Target: "apps", Cluster: "alpha",
		Endpoint:  credential.Endpoint{Server: a.cluster.AdminConfig().Host, CAData: a.cluster.CA()},
		Token:     credential.NewSecret(a.cluster.Token(t, a.namespace, a.name, time.Hour)),
		ExpiresAt: time.Now().Add(time.Hour),
	}
}

func made(t *testing.T, access export.Access, output v1alpha1.AccessOutput) *corev1.Secret {
	t.Helper()
	out, err := export.Make(access, output)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: access.Target, Labels: out.Labels, Annotations: out.Annotations},
		Type:       out.Type,
		Data:       map[string][]byte{},
	}
	for key, value := range out.Data {
		secret.Data[key] = []byte(value.Reveal())
	}
	return secret
}

// flux is what a controller of Flux has, which runs in primary, when an object in the namespace names the
// Secret in spec.kubeConfig.secretRef. An empty key is one that is not given.
func flux(t *testing.T, namespace, secret, key string) (client.Client, error) {
	t.Helper()
	primary, err := client.New(fleettest.Use(t, "primary").AdminConfig(), client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	ref := &meta.KubeConfigReference{SecretRef: &meta.SecretKeyReference{Name: secret, Key: key}}
	impersonator := fluxclient.NewImpersonator(primary, fluxclient.WithScheme(scheme.Scheme),
		fluxclient.WithKubeConfig(ref, fluxclient.KubeConfigOptions{}, namespace, nil))
	c, _, err := impersonator.GetClient(t.Context())
	return c, err
}

func whoAmI(t *testing.T, c client.Client) string {
	t.Helper()
	var review authenticationv1.SelfSubjectReview
	if err := c.Create(t.Context(), &review); err != nil {
		t.Fatalf("asking who Flux is: %v", err)
	}
	return review.Status.UserInfo.Username
}

func TestFluxEntersAsTheAccount(t *testing.T) {
	first, second := newAccount(t, "first"), newAccount(t, "second")
	primary := fleettest.Use(t, "primary")
	namespace := primary.Namespace(t)
	secrets := primary.Client().CoreV1().Secrets(namespace)
	written, err := secrets.Create(t.Context(), made(t, first.access(t), v1alpha1.AccessOutput{Format: v1alpha1.OutputFlux}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	for _, key := range []string{"", "value"} {
		c, err := flux(t, namespace, written.Name, key)
		if err != nil {
			t.Fatalf("with key %q: %v", key, err)
		}
		if got, want := whoAmI(t, c), "system:serviceaccount:"+first.namespace+":first"; got != want {
			t.Errorf("with key %q Flux is %s, want %s", key, got, want)
		}
	}

	c, err := flux(t, namespace, written.Name, "")
	if err != nil {
		t.Fatal(err)
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: first.namespace, Name: "applied"}}
	if err := c.Create(t.Context(), object); err != nil {
		t.Errorf("Flux cannot do what the account may: %v", err)
	}
	if _, err := first.cluster.Client().CoreV1().ConfigMaps(first.namespace).Get(t.Context(), "applied", metav1.GetOptions{}); err != nil {
		t.Errorf("what Flux wrote is not in the cluster: %v", err)
	}
	elsewhere := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: second.namespace, Name: "applied"}}
	if err := c.Create(t.Context(), elsewhere); !apierrors.IsForbidden(err) {
		t.Errorf("Flux writes where the account may not: %v", err)
	}

	// Flux reads the Secret each time: a renewed one needs no restart.
	written.Data = made(t, second.access(t), v1alpha1.AccessOutput{Format: v1alpha1.OutputFlux}).Data
	if _, err := secrets.Update(t.Context(), written, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if c, err = flux(t, namespace, written.Name, ""); err != nil {
		t.Fatal(err)
	}
	if got, want := whoAmI(t, c), "system:serviceaccount:"+second.namespace+":second"; got != want {
		t.Errorf("after a change Flux is %s, want %s", got, want)
	}
}

// TestFluxKeepsTheWholeEndpoint: it copies a kubeconfig field by field, and drops what it does not trust.
func TestFluxKeepsTheWholeEndpoint(t *testing.T) {
	access := export.Access{
		Name: "apps", Namespace: "flux-system", Target: "apps", Cluster: "alpha",
		Endpoint: credential.Endpoint{
			Server: "https://alpha.example:6443", CAData: fleettest.Use(t, "alpha").CA(), TLSServerName: "kubernetes.default.svc",
			ProxyURL: "http://proxy.example:3128",
		},
		Token: credential.NewSecret("a-token"),
	}
	parsed, err := fluxclient.KubeConfigFromBytes(made(t, access, v1alpha1.AccessOutput{Format: v1alpha1.OutputFlux}).Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	timeout := time.Duration(0)
	config := fluxclient.KubeConfig(t.Context(), parsed, fluxclient.KubeConfigOptions{Timeout: &timeout})
	if config.Host != access.Endpoint.Server || config.BearerToken != "a-token" || config.ServerName != access.Endpoint.TLSServerName ||
		string(config.CAData) != string(access.Endpoint.CAData) {
		t.Errorf("Flux enters %s, in TLS %q", config.Host, config.ServerName)
	}
	if config.Proxy == nil {
		t.Fatal("Flux knows of no proxy")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err := config.Proxy(request); err != nil || proxy.String() != access.Endpoint.ProxyURL {
		t.Errorf("Flux goes through %v (%v), want %s", proxy, err, access.Endpoint.ProxyURL)
	}
}

// TestFluxNeedsItsOwnFormat says why there is one: Flux takes another only if it is told the key, and none
// that names a file.
func TestFluxNeedsItsOwnFormat(t *testing.T) {
	access := newAccount(t, "reader").access(t)
	primary := fleettest.Use(t, "primary")
	tests := []struct {
		name   string
		output v1alpha1.AccessOutput
		key    string
		want   string // in the error; empty: it is taken
	}{
		{"a kubeconfig without its key", v1alpha1.AccessOutput{Format: v1alpha1.OutputKubeconfig}, "", "does not contain a 'value' key"},
		{"a kubeconfig with its key", v1alpha1.AccessOutput{Format: v1alpha1.OutputKubeconfig}, "kubeconfig", ""},
		{"a kubeconfig with a token file", v1alpha1.AccessOutput{Format: v1alpha1.OutputKubeconfig, TokenFile: "/var/run/alpha"}, "kubeconfig", "tokenFile"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			namespace := primary.Namespace(t)
			if _, err := primary.Client().CoreV1().Secrets(namespace).Create(t.Context(), made(t, access, test.output), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			_, err := flux(t, namespace, access.Target, test.key)
			if test.want == "" && err != nil {
				t.Errorf("Flux refuses it: %v", err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("Flux says %v, want an error with %q", err, test.want)
			}
		})
	}
}

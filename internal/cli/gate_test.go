package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
	"github.com/hawser-io/hawser/trust/exchange"
)

func TestGateRefusesToRunWithoutTLSOrLimits(t *testing.T) {
	tests := map[string]struct {
		args []string
		err  string
	}{
		"no certificate":   {nil, "hawser: required flag(s) \"tls-cert-file\", \"tls-private-key-file\" not set"},
		"an empty name":    {[]string{"--tls-cert-file", "", "--tls-private-key-file", "k"}, "hawser: a gate needs a certificate and its key"},
		"nobody is let in": {[]string{"--tls-cert-file", "c", "--tls-private-key-file", "k", "--issuer-rate", "0"}, "hawser: limit of each issuer: 0 a second and 500 at once let nobody in"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, nil, append([]string{"hawser", "gate"}, test.args...)...)
			if got.Code != exitUsage || !strings.HasPrefix(got.Err, test.err) {
				t.Errorf("exit code %d: %s", got.Code, got.Err)
			}
		})
	}
}

// program is a hawser command that runs until the test ends, in a cluster and as a service account of Hawser.
type program struct {
	mu  sync.Mutex
	log bytes.Buffer
}

// Write implements io.Writer.
func (p *program) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(text)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// line returns the last log line with a message.
func (p *program) line(message string) (map[string]any, error) {
	var found map[string]any
	for text := range strings.Lines(p.said()) {
		var fields map[string]any
		if json.Unmarshal([]byte(text), &fields) == nil && fields["msg"] == message {
			found = fields
		}
	}
	if found == nil {
		return nil, fmt.Errorf("it has not said %q:\n%s", message, p.said())
	}
	return found, nil
}

func runIn(t *testing.T, c *fleettest.Cluster, account string, args ...string) *program {
	t.Helper()
	libraries.Do(func() {}) // they have none in tests: other goroutines of this process read it
	p := &program{}
	config := c.TokenConfig(c.Token(t, v1alpha1.Namespace, account, time.Hour))
	surroundings := &deps{
		in: strings.NewReader(""), out: p, err: p, clock: clock.RealClock{},
		connect: func(string, string) (*cluster, error) { return newCluster(rest.CopyConfig(config)) },
	}
	fleettest.Background(t, "hawser "+strings.Join(args, " "), func(ctx context.Context) error {
		if code := surroundings.run(ctx, append([]string{"hawser"}, args...)); code != exitOK && code != exitInterrupted {
			return fmt.Errorf("exit code %d\n%s", code, p.said())
		}
		return nil
	})
	return p
}

// As an operator would: what is printed is applied, both programs run with exactly these rights, and a
// workload of primary enters beta with its own identity until its issuer is not trusted any more.
func TestWorkloadEntersThroughTheGate(t *testing.T) {
	primary, beta := fleettest.Use(t, "primary"), fleettest.Use(t, "beta")
	there := installControllers(t, "beta")

	namespace, open, closed := primary.Namespace(t), beta.Namespace(t), beta.Namespace(t)
	ti := &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: "primary"},
		Spec:       v1alpha1.TrustedIssuerSpec{URL: primary.Server, JWKS: keysOf(t, primary), Prefix: "primary:"},
	}
	grant := &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: "deployers"},
		Spec: v1alpha1.AccessGrantSpec{
			Subjects:     []v1alpha1.GrantSubject{{Issuer: &v1alpha1.GrantIssuer{Name: ti.Name, SubjectPattern: "system:serviceaccount:" + namespace + ":*"}}},
			ClusterRoles: []string{"view"}, Namespaces: &v1alpha1.GrantNamespaces{Names: []string{open}},
		},
	}
	runIn(t, beta, member.ControllersServiceAccount, "member", "controllers", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	ca, certFile, keyFile := servingCertificate(t)
	gate := runIn(t, beta, v1alpha1.GateServiceAccount, "gate", "--tls-cert-file", certFile, "--tls-private-key-file", keyFile,
		"--bind-address", "127.0.0.1:0", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	for _, obj := range []client.Object{ti, grant} {
		if err := there.Client.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { deleteAndWait(t, there.Client, obj) }) // before the controllers end
	}
	var said map[string]any
	fleettest.Eventually(t, patience, func() (err error) {
		said, err = gate.line("exchanging tokens")
		return err
	})

	audience := v1alpha1.DefaultAudience(string(must(there.Kube.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})).UID))
	shown := primary.Token(t, namespace, "default", 10*time.Minute, audience)
	door := exchange.Client{URL: "https://" + fmt.Sprint(said["address"]) + "/token", CAData: ca}
	var got exchange.Response
	fleettest.Eventually(t, patience, func() (err error) {
		if got, err = door.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown), Audience: audience}); err != nil {
			return fmt.Errorf("%w\n%s", err, gate.said())
		}
		return nil
	})

	inside := kubernetes.NewForConfigOrDie(beta.TokenConfig(got.Token.Reveal()))
	fleettest.Eventually(t, patience, func() error { // the binding may be a moment younger than the account
		_, err := inside.CoreV1().Pods(open).List(t.Context(), metav1.ListOptions{})
		return err
	})
	if _, err := inside.CoreV1().Pods(closed).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("in a namespace that is not granted: %v", err)
	}
	if _, err := inside.CoreV1().Secrets(open).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("what the role does not hold: %v", err)
	}
	line, err := gate.line("token exchanged")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"primary", "system:serviceaccount:" + namespace + ":default", "deployers"}, []any{line["issuer"], line["subject"], line["grant"]}); diff != "" {
		t.Errorf("audit line (-want +got)\n%s", diff)
	}

	// Cut off: no new token at once, and no account that an old one would be of.
	if err := there.Client.Delete(t.Context(), ti); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, patience, func() error {
		var refused *exchange.Error
		if _, err := door.Exchange(t.Context(), exchange.Request{SubjectToken: credential.NewSecret(shown)}); !errors.As(err, &refused) {
			return fmt.Errorf("exchanging goes on: %w", err)
		}
		err := there.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.GrantsNamespace, Name: fmt.Sprint(line["account"])}, &corev1.ServiceAccount{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the account is still there: %w", err)
		}
		return nil
	})
	if log := gate.said(); strings.Contains(log, shown) || strings.Contains(log, got.Token.Reveal()) {
		t.Error("a token is in the log")
	}
}

// deleteAndWait deletes an object and waits for its finalizers.
func deleteAndWait(t *testing.T, c client.Client, obj client.Object) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = c.Delete(ctx, obj)
	fleettest.Eventually(t, patience, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is still there: %w", obj.GetName(), err)
		}
		return nil
	})
}

func keysOf(t *testing.T, c *fleettest.Cluster) string {
	t.Helper()
	jwks, err := c.Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(jwks)
}

// servingCertificate makes one that vouches for itself, in files.
func servingCertificate(t *testing.T) (ca []byte, certFile, keyFile string) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
	certFile, keyFile = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	if err := errors.Join(os.WriteFile(certFile, ca, 0o600), os.WriteFile(keyFile, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	return ca, certFile, keyFile
}

// must is for what cannot fail in a test that has come so far.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

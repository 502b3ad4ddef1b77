package gate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
)

// Identities of primary are let into alpha.
func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary", "alpha")) }

const eventually = 30 * time.Second

// entered is the cluster alpha with everything that a gate needs, and nothing more.
type entered struct {
	t       *testing.T
	cluster *fleettest.Cluster
	admin   client.Client
	// controllers has the rights of the member controllers, whose work the tests do by hand.
	controllers client.Client
	audience    string
}

var install sync.Once

func enter(t *testing.T) *entered {
	t.Helper()
	c := fleettest.Use(t, "alpha")
	e := &entered{t: t, cluster: c, admin: clientOf(t, c.AdminConfig())}
	install.Do(func() { e.install() })
	e.controllers = clientOf(t, c.TokenConfig(c.Token(t, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour)))
	var ns corev1.Namespace
	if err := e.admin.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &ns); err != nil {
		t.Fatal(err)
	}
	e.audience = v1alpha1.DefaultAudience(string(ns.UID))
	return e
}

func clientOf(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// install applies the two kinds and the member side, as its operator would.
func (e *entered) install() {
	e.t.Helper()
	e.cluster.Install(e.t, "../../config/crd/hawser.io_trustedissuers.yaml", "../../config/crd/hawser.io_accessgrants.yaml")
	for _, obj := range member.ControllerObjects(member.ControllerOptions{Gate: true}) {
		e.create(obj)
	}
	e.cluster.AwaitPolicies(e.t)
}

func (e *entered) create(obj client.Object) {
	e.t.Helper()
	if err := client.IgnoreAlreadyExists(e.admin.Create(e.t.Context(), obj)); err != nil {
		e.t.Fatalf("making %T %s: %v", obj, obj.GetName(), err)
	}
}

// trust makes a TrustedIssuer for the issuer of a cluster, with the keys that it publishes, and does
// what the controller of TrustedIssuers would.
func (e *entered) trust(name string, of *fleettest.Cluster) *v1alpha1.TrustedIssuer {
	e.t.Helper()
	jwks, err := of.Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	ti := &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.TrustedIssuerSpec{URL: of.Server, JWKS: string(jwks), Prefix: name + ":"},
	}
	e.create(ti)
	e.deleteAtEnd(ti)
	e.judge(ti)
	return ti
}

// judge finds nothing wrong with a TrustedIssuer, as it is now.
func (e *entered) judge(ti *v1alpha1.TrustedIssuer) {
	e.t.Helper()
	before := ti.DeepCopy()
	ti.Status.ObservedGeneration = ti.Generation
	meta.SetStatusCondition(&ti.Status.Conditions, metav1.Condition{
		Type: v1alpha1.Ready, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTrusted, ObservedGeneration: ti.Generation,
	})
	if err := e.controllers.Status().Patch(e.t.Context(), ti, client.MergeFrom(before)); err != nil {
		e.t.Fatal(err)
	}
}

// grant makes an AccessGrant, and does what the controller of AccessGrants would.
func (e *entered) grant(name string, subjects ...v1alpha1.GrantSubject) *v1alpha1.AccessGrant {
	e.t.Helper()
	ag := &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"view"}, WholeCluster: true},
	}
	e.create(ag)
	e.deleteAtEnd(ag)
	before := ag.DeepCopy()
	for _, s := range subjects {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: grant.AccountName(name, s)}}
		if err := e.controllers.Create(e.t.Context(), account); err != nil {
			e.t.Fatal(err)
		}
		e.deleteAtEnd(account)
		ag.Status.Accounts = append(ag.Status.Accounts, v1alpha1.GrantAccount{Name: account.Name, Subject: "as the test says"})
	}
	ag.Status.ObservedGeneration = ag.Generation
	if err := e.controllers.Status().Patch(e.t.Context(), ag, client.MergeFrom(before)); err != nil {
		e.t.Fatal(err)
	}
	return ag
}

func (e *entered) deleteAtEnd(obj client.Object) {
	e.t.Cleanup(func() { _ = e.admin.Delete(context.Background(), obj) })
}

// gate is a running gate under exactly the rights that we ship.
type gate struct {
	*entered
	url         string
	log         *lines
	http        *http.Client
	certificate *certificate
	stop        func()
}

// start runs a gate. change adjusts its options.
func (e *entered) start(change ...func(*Options)) *gate {
	e.t.Helper()
	g := &gate{entered: e, log: &lines{}, certificate: newCertificate(e.t)}
	o := Options{
		Address: "127.0.0.1:0", CertFile: g.certificate.certFile, KeyFile: g.certificate.keyFile, MetricsAddr: "0", ProbeAddr: "0",
		Limits: DefaultLimits(), Log: g.log.logger(),
		Config: e.cluster.TokenConfig(e.cluster.Token(e.t, v1alpha1.Namespace, v1alpha1.GateServiceAccount, time.Hour)),
	}
	started := make(chan string, 1)
	o.Started = func(address string) { started <- address }
	for _, c := range change {
		c(&o)
	}
	running := fleettest.Background(e.t, "the gate", func(ctx context.Context) error { return Run(ctx, o) })
	g.stop = running.Stop
	select {
	case address := <-started:
		g.url = "https://" + address + "/token"
	case <-running.Ended():
		e.t.Fatalf("the gate did not start\n%s", g.log.all())
	case <-time.After(eventually):
		e.t.Fatalf("the gate did not start in time\n%s", g.log.all())
	}
	g.http = g.newHTTP()
	e.t.Cleanup(g.http.CloseIdleConnections)
	return g
}

// newHTTP is a client with connections of its own, that trusts the certificate which is in the files now.
func (g *gate) newHTTP() *http.Client {
	return &http.Client{Timeout: eventually, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: g.certificate.pool()}, ForceAttemptHTTP2: true,
	}}
}

// answered is what the gate said.
type answered struct {
	code   int
	header http.Header
	body   string
	proto  string
	success
}

// ask exchanges a token.
func (g *gate) ask(token string, changes url.Values) answered {
	g.t.Helper()
	a, err := g.tryAsk(g.http, token, changes)
	if err != nil {
		g.t.Fatalf("asking the gate: %v", err)
	}
	return a
}

func (g *gate) tryAsk(c *http.Client, token string, changes url.Values) (answered, error) {
	return g.tryAskIn(g.t.Context(), c, token, changes)
}

func (g *gate) tryAskIn(ctx context.Context, c *http.Client, token string, changes url.Values) (answered, error) {
	f := form(changes)
	f.Set("subject_token", token)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, strings.NewReader(f.Encode()))
	if err != nil {
		return answered{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.Do(request)
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answered{}, err
	}
	a := answered{code: response.StatusCode, header: response.Header, body: string(body), proto: response.Proto}
	if response.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, &a.success)
	}
	return a, err
}

// mustAsk is ask for what is granted, which the gate may be about to learn.
func (g *gate) mustAsk(token string, changes url.Values) answered {
	g.t.Helper()
	var a answered
	fleettest.Eventually(g.t, eventually, func() error {
		if a = g.ask(token, changes); a.code != http.StatusOK {
			return fmt.Errorf("%d %s\n%s", a.code, a.body, g.log.all())
		}
		return nil
	})
	return a
}

// as is a client of alpha with a token.
func (g *gate) as(token string) kubernetes.Interface {
	return kubernetes.NewForConfigOrDie(g.cluster.TokenConfig(token))
}

// certificate is a serving certificate in files, and a CA of its own.
type certificate struct {
	t                 *testing.T
	certFile, keyFile string
	pem               []byte
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	dir := t.TempDir()
	c := &certificate{t: t, certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	c.replace()
	return c
}

// replace makes another one under the same names, as a mounted Secret would.
func (c *certificate) replace() {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text())), Subject: pkix.Name{CommonName: "gate"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.write(c.certFile, c.pem)
	c.write(c.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// breakFile leaves half a certificate.
func (c *certificate) breakFile() error { return os.WriteFile(c.certFile, c.pem[:len(c.pem)/2], 0o600) }

func (c *certificate) write(file string, data []byte) {
	c.t.Helper()
	part := file + ".part"
	if err := errors.Join(os.WriteFile(part, bytes.Clone(data), 0o600), os.Rename(part, file)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *certificate) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.pem)
	return pool
}

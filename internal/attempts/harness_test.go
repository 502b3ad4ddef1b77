package attempts_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
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

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/authors"
	"github.com/hawser-io/hawser/internal/controller/accessgrant"
	"github.com/hawser-io/hawser/internal/controller/certificaterequest"
	"github.com/hawser-io/hawser/internal/controller/trustedissuer"
	"github.com/hawser-io/hawser/internal/gate"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/manager"
	"github.com/hawser-io/hawser/member"
)

// primary is the local cluster, "hub" to the others; alpha is entered through its gate; the API server of beta trusts
// primary itself, for tokens of the audience hawser:beta.
func TestMain(m *testing.M) {
	os.Exit(fleettest.RunWith(m, fleettest.Options{Clusters: []string{"primary", "alpha", "beta"}, Trust: []string{"beta=primary"}}))
}

const (
	hub  = "hub"
	edge = "edge" // another local cluster, which enters alpha by certificates
	// overlayVariable is set by the program in the folder mutate.
	overlayVariable = "HAWSER_ATTEMPTS_OVERLAY"
)

// patience is less where a guard is taken away, and what is waited for will hardly come.
var patience = map[bool]time.Duration{false: 30 * time.Second, true: 12 * time.Second}[os.Getenv(overlayVariable) != ""]

// world is both clusters with everything that we ship, running, and one of each credential that comes of it.
type world struct {
	here, there           *fleettest.Cluster
	local, remote         client.Client // as admins
	shop                  string        // a namespace here that was granted something, and
	other                 string        // another one, which the manager serves as well
	theirs                string        // the namespace there that it was granted it in
	audience              string        // of tokens for there
	gateURL               string
	gateClient            *http.Client
	gateCA                []byte
	credentials           credentials
	shopAccount, entryOne string // accounts of the grants shop and entry
}

// credentials are what thieves steal.
type credentials struct {
	manager                             string // valid here
	connection, gate, controllers       string // valid there
	output, exchanged, subject, forBeta string
	certificate, key                    []byte // of the connection from edge, valid there
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	w := &world{}
	together( // which halves the time
		func() { w.here = fleettest.Use(t, "primary") },
		func() { w.there = fleettest.Use(t, "alpha") },
	)
	if t.Failed() {
		t.FailNow()
	}
	w.local, w.remote = clientOf(t, w.here.AdminConfig()), clientOf(t, w.there.AdminConfig())
	w.install(t)
	w.shop, w.other, w.theirs = w.here.Namespace(t), w.here.Namespace(t), w.there.Namespace(t)
	w.audience = v1alpha1.DefaultAudience(idOf(t, w.remote))
	w.here.ServiceAccount(t, w.shop, "deployer")
	w.startControllers(t)
	w.startGate(t)
	w.startManager(t)
	w.populate(t)
	w.collect(t)
	return w
}

// together does things at the same time, and returns when all are done.
func together(things ...func()) {
	var all sync.WaitGroup
	for _, thing := range things {
		all.Go(thing)
	}
	all.Wait()
}

func clientOf(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
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

// as is a client of a cluster under the name of a user, who has the given rights and no other.
func as(t *testing.T, c *fleettest.Cluster, user string, rules ...rbacv1.PolicyRule) client.Client {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "attempts-" + user}, Rules: rules}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	mustCreate(t, clientOf(t, c.AdminConfig()), role, binding)
	config := c.AdminConfig()
	config.Impersonate.UserName = user
	return clientOf(t, config)
}

// everything on one kind of ours, and of its parts those that are named.
func everythingOn(resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: resources, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}}
}

func mustCreate(t *testing.T, c client.Client, objs ...client.Object) {
	t.Helper()
	for _, obj := range objs {
		if err := c.Create(t.Context(), obj); err != nil {
			t.Fatalf("making %T %s: %v", obj, obj.GetName(), err)
		}
	}
}

func idOf(t *testing.T, c client.Client) string {
	t.Helper()
	var ns corev1.Namespace
	if err := c.Get(t.Context(), client.ObjectKey{Name: metav1.NamespaceSystem}, &ns); err != nil {
		t.Fatal(err)
	}
	return string(ns.UID)
}

// install applies what our documentation says to apply.
func (w *world) install(t *testing.T) {
	t.Helper()
	ours := asReplaced(t, "../../config/crd/*.yaml", "../../config/rbac/*.yaml", "../../config/endpoints/rbac.yaml")
	theirs := asReplaced(t, "../../config/crd/hawser.io_trustedissuers.yaml", "../../config/crd/hawser.io_accessgrants.yaml")
	together( // it takes seconds until a kind is served
		func() { w.here.Install(t, ours...) },
		func() { w.there.Install(t, theirs...) },
		func() {
			if os.Getenv(overlayVariable) == "" { // most attempts need it not
				fleettest.Use(t, "beta") // early: it looks for primary's keys every ten seconds
			}
		},
	)
	if t.Failed() {
		t.FailNow()
	}
	mustCreate(t, w.local, authors.Objects()...)
	mustCreate(t, w.remote, member.Objects(member.Options{Local: hub, Version: "v0.0.0-test", Controllers: true, Gate: true})...)
	for _, obj := range member.Objects(member.Options{Local: edge, Version: "v0.0.0-test", Identity: member.RenewedCertificate}) {
		if err := w.remote.Create(t.Context(), obj); client.IgnoreAlreadyExists(err) != nil { // both have some of it
			t.Fatal(err)
		}
	}
	together(func() { w.here.AwaitPolicies(t) }, func() { w.there.AwaitPolicies(t) })
	if t.Failed() {
		t.FailNow()
	}
}

// asReplaced finds files, and names others instead of those that a guard is taken away from. go test -overlay does so
// for what is compiled, and overlayVariable names the same list.
func asReplaced(t *testing.T, patterns ...string) []string {
	t.Helper()
	var other struct{ Replace map[string]string }
	if overlay := os.Getenv(overlayVariable); overlay != "" {
		text, err := os.ReadFile(overlay)
		if err = errors.Join(err, json.Unmarshal(text, &other)); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("there is no %s (%v)", pattern, err)
		}
		for _, file := range found {
			full, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, cmp.Or(other.Replace[full], full))
		}
	}
	return files
}

func (w *world) startControllers(t *testing.T) {
	t.Helper()
	w.credentials.controllers = w.there.Token(t, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour)
	config := w.there.TokenConfig(w.credentials.controllers)
	config.QPS = -1
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, Cache: cache.Options{ByObject: accessgrant.Cache()}})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		certificaterequest.SetupWithManager(mgr, certificaterequest.Options{MaxLifetime: certificaterequest.DefaultMaxLifetime}),
		trustedissuer.SetupWithManager(mgr, trustedissuer.Options{}),
		accessgrant.SetupWithManager(context.Background(), mgr, accessgrant.Options{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	fleettest.Background(t, "the member controllers", mgr.Start)
}

func (w *world) startGate(t *testing.T) {
	t.Helper()
	w.credentials.gate = w.there.Token(t, v1alpha1.Namespace, v1alpha1.GateServiceAccount, time.Hour)
	ca, certFile, keyFile := servingCertificate(t)
	started := make(chan string, 1)
	o := gate.Options{
		Address: "127.0.0.1:0", CertFile: certFile, KeyFile: keyFile, MetricsAddr: "0", ProbeAddr: "0", Limits: gate.DefaultLimits(), Log: logr.Discard(),
		Config: w.there.TokenConfig(w.credentials.gate), Started: func(address string) { started <- address },
	}
	fleettest.Background(t, "the gate", func(ctx context.Context) error { return gate.Run(ctx, o) })
	select {
	case address := <-started:
		w.gateURL = "https://" + address + "/token"
	case <-time.After(patience):
		t.Fatal("the gate did not start")
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	w.gateCA, w.gateClient = ca, &http.Client{Timeout: patience, Transport: transport}
}

func servingCertificate(t *testing.T) (ca []byte, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gate"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca, certFile, keyFile = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := errors.Join(os.WriteFile(certFile, ca, 0o600), os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return ca, certFile, keyFile
}

func (w *world) startManager(t *testing.T) {
	t.Helper()
	w.credentials.manager = w.here.Token(t, v1alpha1.Namespace, "hawser", time.Hour)
	pod := t.TempDir() // with the token that Kubernetes puts into every pod
	if err := os.WriteFile(filepath.Join(pod, "token"), []byte(w.credentials.manager), 0o600); err != nil {
		t.Fatal(err)
	}
	o := manager.Options{
		ClusterName: hub, ManagementOnly: true, Config: w.here.TokenConfig(w.credentials.manager), Log: logr.Discard(), ProbeInterval: time.Second,
		MetricsAddr: "0", ProbeAddr: "0", TokenDir: pod,
	}
	fleettest.Background(t, "the manager", func(ctx context.Context) error { return manager.Run(ctx, o) })
}

// exchange asks the gate, and returns the status and the body of its answer.
func (w *world) exchange(t *testing.T, token string, more ...string) (code int, body string) {
	t.Helper()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {token}, "subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.gateURL, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := w.gateClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// tie makes a RemoteCluster, as somebody.
func tie(t *testing.T, who client.Client, name, server string, ca []byte, auth v1alpha1.Auth, change ...func(*v1alpha1.RemoteClusterSpec)) error {
	t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.CAData, rc.Spec.Auth = server, base64.StdEncoding.EncodeToString(ca), auth
	for _, f := range change {
		f(&rc.Spec)
	}
	return who.Create(t.Context(), rc)
}

// is waits until a condition of an object has a status and a reason.
func is(t *testing.T, c client.Client, obj client.Object, conditions func() []metav1.Condition, kind string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		if got := meta.FindStatusCondition(conditions(), kind); got == nil || got.Status != status || (reason != "" && got.Reason != reason) || got.ObservedGeneration != obj.GetGeneration() {
			return fmt.Errorf("%s of %s is %+v, want %s %s", kind, obj.GetName(), got, status, reason)
		}
		return nil
	})
}

// refused is nil for a refusal by rights or by a policy, of these words.
func refused(err error, words string) error {
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), words) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("it was let through, want a refusal with %q", words)
	}
	return fmt.Errorf("want a refusal with %q, got: %w", words, err)
}

// must fails the test with what is wrong, if anything is.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

var names struct {
	sync.Mutex
	last int
}

// unique makes a name.
func unique(prefix string) string {
	names.Lock()
	defer names.Unlock()
	names.last++
	return fmt.Sprintf("%s-%d", prefix, names.last)
}

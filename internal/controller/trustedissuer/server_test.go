package trustedissuer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/trustedissuer"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/member"
	"github.com/hawser-io/hawser/trust"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.RunWith(m, fleettest.Options{
		Clusters: []string{"entered", "issuer"},
		// As on many clusters, the API server accepts more audiences than its issuer.
		APIServerArgs: []string{"entered=--api-audiences=entered-api,tools"},
	}))
}

const patience = 30 * time.Second

// world is a cluster that is entered, in which the controller runs under the rights that we ship.
type world struct {
	*fleettest.Cluster
	t     *testing.T
	admin client.Client
	clock *testingclock.FakeClock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: fleettest.Use(t, "entered"), t: t, clock: testingclock.NewFakeClock(time.Now().Truncate(time.Second))}
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	if w.admin, err = client.New(w.AdminConfig(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.Install(t, "../../../config/crd/hawser.io_*.yaml")
	for _, obj := range member.ControllerObjects(member.ControllerOptions{}) {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(&unstructured.Unstructured{Object: fields})
	}
	t.Cleanup(func() { _ = w.admin.DeleteAllOf(context.Background(), &v1alpha1.TrustedIssuer{}) })
	w.run()
	return w
}

func (w *world) eventually(check func() error) {
	w.t.Helper()
	fleettest.Eventually(w.t, patience, check)
}

func (w *world) apply(u *unstructured.Unstructured) {
	w.t.Helper()
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(u.Object, "status")
	if err := w.admin.Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("test"), client.ForceOwnership); err != nil {
		w.t.Fatalf("applying %s %s: %v", u.GetKind(), u.GetName(), err)
	}
}

// run runs the controller as the member controllers' account until the test ends.
func (w *world) run() {
	t := w.t
	t.Helper()
	config := w.TokenConfig(w.Token(t, v1alpha1.Namespace, member.ControllersServiceAccount, time.Hour))
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: w.admin.Scheme(), Metrics: server.Options{BindAddress: "0"}, Logger: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	if err := trustedissuer.SetupWithManager(mgr, trustedissuer.Options{Clock: w.clock}); err != nil {
		t.Fatal(err)
	}
	fleettest.Background(t, "the manager", mgr.Start)
}

func (w *world) create(name string, spec v1alpha1.TrustedIssuerSpec) {
	w.t.Helper()
	if spec.Prefix == "" {
		spec.Prefix = name + ":"
	}
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	if err := w.admin.Create(w.t.Context(), ti); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(name string) *v1alpha1.TrustedIssuer {
	w.t.Helper()
	ti := &v1alpha1.TrustedIssuer{}
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, ti); err != nil {
		w.t.Fatal(err)
	}
	return ti
}

func (w *world) patch(name, body string, subresources ...string) {
	w.t.Helper()
	ti, patch := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}}, client.RawPatch(types.MergePatchType, []byte(body))
	err := w.admin.Patch(w.t.Context(), ti, patch)
	if len(subresources) > 0 {
		err = w.admin.Status().Patch(w.t.Context(), ti, patch)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// becomes waits for the condition of an issuer's present spec, and returns the issuer.
func (w *world) becomes(name string, status metav1.ConditionStatus, reason, says string) *v1alpha1.TrustedIssuer {
	w.t.Helper()
	var ti *v1alpha1.TrustedIssuer
	w.eventually(func() error {
		ti = w.get(name)
		c := meta.FindStatusCondition(ti.Status.Conditions, v1alpha1.Ready)
		if c == nil || c.Status != status || c.Reason != reason || !strings.Contains(c.Message, says) || c.ObservedGeneration != ti.Generation {
			return fmt.Errorf("%s is %+v; want %s, %s with %q", name, c, status, reason, says)
		}
		return nil
	})
	return ti
}

func (w *world) trusted(name string) *v1alpha1.TrustedIssuer {
	w.t.Helper()
	return w.becomes(name, metav1.ConditionTrue, v1alpha1.ReasonTrusted, "")
}

func (w *world) defaultAudience() string {
	w.t.Helper()
	ns, err := w.Client().CoreV1().Namespaces().Get(w.t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return v1alpha1.DefaultAudience(string(ns.UID))
}

// site is an issuer of the test's own.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []jose.JSONWebKey
	down     bool
	hang     chan struct{} // not nil: it answers when this is closed
	requests int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewTLSServer(s)
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP is the discovery document and the keys.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	down, hang, keys := s.down, s.hang, s.keys
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	switch {
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case strings.HasSuffix(r.URL.Path, "/keys"):
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.URL + "/keys"})
	}
}

func (s *site) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *site) spec() v1alpha1.TrustedIssuerSpec {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return v1alpha1.TrustedIssuerSpec{URL: s.URL, CAData: base64.StdEncoding.EncodeToString(ca)}
}

func newKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

func inline(t *testing.T, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func keyIDs(ti *v1alpha1.TrustedIssuer) string {
	var ids []string
	for _, k := range ti.Status.Keys {
		ids = append(ids, strings.TrimSpace(k.KeyID+" "+k.Unused))
	}
	return strings.Join(ids, ", ")
}

func TestAClusterTrustsAnother(t *testing.T) {
	w, issuing := newWorld(t), fleettest.Use(t, "issuer")
	spec := v1alpha1.TrustedIssuerSpec{URL: issuing.Server, CAData: base64.StdEncoding.EncodeToString(issuing.CA())}
	w.create("b", spec)
	w.becomes("b", metav1.ConditionFalse, v1alpha1.ReasonKeysFetchFailed, "system:service-account-issuer-discovery")
	_, err := issuing.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "discovery-for-strangers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:unauthenticated"}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	w.clock.Step(10 * time.Minute)
	ti := w.trusted("b")

	audience := w.defaultAudience()
	if got := ti.Status.Audiences; len(got) != 1 || got[0] != audience {
		t.Errorf("its audiences are %q, want %q", got, audience)
	}
	issuer, err := trust.New(ti, audience)
	if err != nil {
		t.Fatal(err)
	}
	token := issuing.Token(t, "default", "default", time.Hour, audience)
	id, err := issuer.Verify(token, time.Now())
	if err != nil || id.User != "b:system:serviceaccount:default:default" {
		t.Errorf("its token is of %q, error %v", id.User, err)
	}
	if _, err := issuer.Verify(issuing.Token(t, "default", "default", time.Hour, "hawser:another"), time.Now()); err == nil {
		t.Error("a token for another cluster is believed")
	}
}

func TestIssuersThatMustNotBeTrusted(t *testing.T) {
	w := newWorld(t)
	ours, err := w.Client().Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	audience := w.defaultAudience()
	keys := inline(t, newKey(t, "1"))
	tests := []struct {
		name   string
		spec   v1alpha1.TrustedIssuerSpec
		reason string
		says   string
	}{
		{"this-cluster", v1alpha1.TrustedIssuerSpec{URL: w.Server, JWKS: keys}, v1alpha1.ReasonIssuerIsLocal, "--service-account-issuer"},
		{"this-cluster-renamed", v1alpha1.TrustedIssuerSpec{URL: "https://renamed.example.com", JWKS: string(ours)}, v1alpha1.ReasonIssuerIsLocal, "under another name"},
		{"audience-of-the-api", v1alpha1.TrustedIssuerSpec{URL: "https://c.example.com", JWKS: keys, Audiences: []string{audience, "tools"}}, v1alpha1.ReasonAudienceConflict, `"tools"`},
		{"audience-of-the-issuer", v1alpha1.TrustedIssuerSpec{URL: "https://d.example.com", JWKS: keys, Audiences: []string{w.Server}}, v1alpha1.ReasonAudienceConflict, w.Server},
		{"audience-of-another", v1alpha1.TrustedIssuerSpec{URL: "https://e.example.com", JWKS: keys, Audiences: []string{"hawser:another"}}, v1alpha1.ReasonAudienceConflict, audience},
		{"bad-rule", v1alpha1.TrustedIssuerSpec{URL: "https://f.example.com", JWKS: keys, Username: "claims."}, v1alpha1.ReasonSpecInvalid, "compiling username"},
		{"no-keys", v1alpha1.TrustedIssuerSpec{URL: "https://g.example.com", JWKS: `{"keys":[]}`}, v1alpha1.ReasonNoKeys, "spec.jwks"},
		{"others-pinned", v1alpha1.TrustedIssuerSpec{URL: "https://h.example.com", JWKS: keys, PinnedKeys: []string{strings.Repeat("A", 43)}}, v1alpha1.ReasonNoKeys, "pinnedKeys"},
	}
	for _, tt := range tests {
		w.create(tt.name, tt.spec)
	}
	w.create("good", v1alpha1.TrustedIssuerSpec{URL: "https://good.example.com", JWKS: keys, Audiences: []string{audience, "https://entry.example.com"}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ti := w.becomes(tt.name, metav1.ConditionFalse, tt.reason, tt.says)
			if trust.Usable(ti) {
				t.Error("it is usable")
			}
		})
	}
	w.trusted("good")
	t.Run("what is mended is trusted", func(t *testing.T) {
		w.patch("audience-of-the-api", `{"spec":{"audiences":["https://entry.example.com"]}}`)
		w.trusted("audience-of-the-api")
	})
}

func TestIssuersThatExcludeEachOther(t *testing.T) {
	w := newWorld(t)
	keys := inline(t, newKey(t, "1"))
	// Created within one second, the first by name is the older.
	w.create("a", v1alpha1.TrustedIssuerSpec{URL: "https://shared.example.com", JWKS: keys})
	w.create("b-same-url", v1alpha1.TrustedIssuerSpec{URL: "https://shared.example.com/", JWKS: keys})
	w.create("c-same-prefix", v1alpha1.TrustedIssuerSpec{URL: "https://c.example.com", Prefix: "a:", JWKS: keys})
	w.trusted("a")
	w.becomes("b-same-url", metav1.ConditionFalse, v1alpha1.ReasonIssuerConflict, `"a"`)
	w.becomes("c-same-prefix", metav1.ConditionFalse, v1alpha1.ReasonPrefixConflict, `"a"`)
	version := w.get("c-same-prefix").ResourceVersion

	w.patch("a", `{"spec":{"url":"https://moved.example.com"}}`)
	w.trusted("b-same-url")
	if again := w.get("c-same-prefix").ResourceVersion; again != version {
		t.Error("an issuer that nothing happened to was written")
	}
	if err := w.admin.Delete(t.Context(), w.get("a")); err != nil {
		t.Fatal(err)
	}
	w.trusted("c-same-prefix")
}

func TestKeysFollowTheIssuer(t *testing.T) {
	w, s := newWorld(t), newSite(t)
	one, two := newKey(t, "one"), newKey(t, "two")
	s.set(func() { s.keys = []jose.JSONWebKey{one} })
	w.create("s", s.spec())
	w.trusted("s")

	// The gate notes in the status that somebody came, and that a token named a key that nobody knows.
	s.set(func() { s.keys = []jose.JSONWebKey{two} })
	w.clock.Step(time.Minute)
	used := w.clock.Now().UTC().Format(time.RFC3339)
	w.patch("s", `{"status":{"lastUse":"`+used+`","lastFailure":{"time":"`+used+`","reason":"UnknownKey"}}}`, "status")
	w.eventually(func() error {
		if got := keyIDs(w.get("s")); got != "two, one" {
			return fmt.Errorf("its keys are %s", got)
		}
		return nil
	})
	if ti := w.trusted("s"); ti.Status.LastUse == nil || ti.Status.LastFailure == nil {
		t.Errorf("what the gate wrote is gone: %+v", ti.Status)
	}

	s.set(func() { s.down = true })
	w.clock.Step(6 * time.Minute)
	ti := w.becomes("s", metav1.ConditionTrue, v1alpha1.ReasonKeysFetchFailed, "2 keys of")
	if !trust.Usable(ti) {
		t.Error("an issuer that is down is not trusted any more")
	}
	s.set(func() { s.down = false })
	w.clock.Step(10 * time.Minute)
	ti = w.trusted("s")
	w.eventually(func() error {
		if ti = w.get("s"); keyIDs(ti) != "two, one "+trust.NotAnyMore {
			return fmt.Errorf("its keys are %s", keyIDs(ti))
		}
		return nil
	})
	w.clock.Step(25 * time.Hour)
	w.eventually(func() error {
		if got := keyIDs(w.get("s")); got != "two" {
			return fmt.Errorf("its keys are %s", got)
		}
		return nil
	})
}

func TestAHungIssuerHoldsUpNoOther(t *testing.T) {
	w, hung, good := newWorld(t), newSite(t), newSite(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hung.set(func() { hung.hang = release })
	good.set(func() { good.keys = []jose.JSONWebKey{newKey(t, "1")} })
	w.create("hung", hung.spec())
	w.eventually(func() error {
		hung.mu.Lock()
		defer hung.mu.Unlock()
		if hung.requests == 0 {
			return errors.New("it has not been asked yet")
		}
		return nil
	})
	begin := time.Now()
	w.create("good", good.spec())
	w.trusted("good")
	if took := time.Since(begin); took > trust.FetchTimeout/2 {
		t.Errorf("it took %s", took)
	}
	w.becomes("hung", metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not been asked")
}

func TestWithoutThePolicyOfAuthorsNothingNewIsBelieved(t *testing.T) {
	w := newWorld(t)
	before, after := newSite(t), newSite(t)
	before.keys, after.keys = []jose.JSONWebKey{newKey(t, "1")}, []jose.JSONWebKey{newKey(t, "2")}
	w.create("before", before.spec())
	w.trusted("before")

	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: member.IssuerAuthorsPolicy}}
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(binding), binding); err != nil {
		t.Fatal(err)
	}
	if err := w.admin.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		binding.ResourceVersion, binding.UID = "", ""
		if err := w.admin.Create(context.Background(), binding); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	w.clock.Step(2 * time.Minute) // that all was well is remembered for one
	w.create("after", after.spec())
	w.becomes("after", metav1.ConditionFalse, v1alpha1.ReasonAuthorsUnbounded, `ValidatingAdmissionPolicyBinding "hawser-issuer-authors" is missing`)
	if ti := w.get("before"); !trust.Usable(ti) {
		t.Errorf("what was believed before is not any more: %+v", ti.Status.Conditions)
	}

	restore()
	w.patch("after", `{"spec":{"maxLifetime":"30m"}}`)
	w.trusted("after")
}

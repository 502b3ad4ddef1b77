package manager_test

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/manager"
	"github.com/hawser-io/hawser/member"
)

func TestMain(m *testing.M) {
	clusters := append([]string{"alpha", "beta", "eks"}, homes.Names()...)
	_ = flag.Set("test.parallel", strconv.Itoa(len(homes.Names()))) // they wait more than they compute; -parallel has the last word
	code := awstest.Run(m, fleettest.Options{Clusters: clusters, Trust: []string{"beta=primary"}}, "eks")
	_ = os.RemoveAll(programDir)
	// When every test has run: nothing that the suite logged or wrote shows a secret that it used.
	leaks, searched := searchForSecrets()
	for _, leak := range leaks {
		fmt.Fprintln(os.Stderr, leak)
		code = 1
	}
	fmt.Printf("searched %d logs, events and statuses for %d secrets: %d leaks\n", searched.texts, searched.secrets, len(leaks))
	os.Exit(code)
}

// patience is how long a test waits for what should take a second or two, on a machine that others use, too.
const patience = time.Minute

// hub is a local cluster with a manager that runs under the roles that we ship.
type hub struct {
	t         *testing.T
	local     string
	cluster   *fleettest.Cluster
	admin     client.Client
	links     *fleet.Links
	config    *rest.Config // of the manager's service account
	inFleet   bool         // the local cluster is in its own fleet
	capa      string       // the namespace of Cluster API's provider, where its clusters are connected to
	publish   string       // the namespace that ClusterProfiles are published in
	tokens    string       // the directory of the pod's projected tokens
	plugins   string       // the operator's file of them
	endpoints bool         // endpoints of all clusters are followed
	stop      func()
	stopped   atomic.Bool
}

var hubs atomic.Int32

// startHub installs Hawser in the primary cluster and starts a manager there. Each has a local name of
// its own, and so a member install of its own in every remote cluster.
func startHub(t *testing.T) *hub {
	t.Helper()
	return startHubIn(t, "primary", fmt.Sprintf("hub-%d", hubs.Add(1)))
}

// homes are the clusters of hubs of tests that run aside.
var homes = fleettest.NewPool("primary", "second", "third")

// startHubAside is startHub for a test that runs aside.
func startHubAside(t *testing.T) *hub {
	t.Helper()
	return startHubIn(t, homes.Take(t), fmt.Sprintf("hub-%d", hubs.Add(1)))
}

func startHubIn(t *testing.T, cluster, local string) *hub {
	t.Helper()
	h := &hub{t: t, local: local, cluster: fleettest.Use(t, cluster)}
	h.admin = adminOf(t, h.cluster)
	h.cluster.Install(t, "../../config/crd/*.yaml", "../../config/rbac/*.yaml") // what the README says to apply
	h.start()
	t.Cleanup(h.end)
	return h
}

func adminOf(t *testing.T, c *fleettest.Cluster) client.Client {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(c.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

func apply(t *testing.T, admin client.Client, obj client.Object) {
	t.Helper()
	obj.SetManagedFields(nil)
	//nolint:staticcheck // the successor of client.Apply wants generated types
	if err := admin.Patch(t.Context(), obj, client.Apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
		t.Fatalf("applying %T %s: %v", obj, obj.GetName(), err)
	}
}

// start runs a manager with a token of its own service account.
func (h *hub) start() {
	h.t.Helper()
	if h.config == nil {
		h.config = h.cluster.TokenConfig(remember(h.cluster.Token(h.t, v1alpha1.Namespace, "hawser", time.Hour)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan *fleet.Links, 1), make(chan error, 1)
	go func() {
		ended <- manager.Run(ctx, manager.Options{
			ClusterName: h.local, ManagementOnly: !h.inFleet, Config: h.config, Log: logged, ProbeInterval: time.Second, ClusterAPI: h.capa,
			Profiles: manager.Profiles{Namespace: h.publish},
			TokenDir: h.tokens, ExecProviders: h.plugins, Endpoints: h.endpoints,
			MetricsAddr: "0", ProbeAddr: "0", Started: func(f *fleet.Links) { started <- f },
		})
	}()
	select {
	case h.links = <-started:
	case err := <-ended:
		h.t.Fatalf("the manager did not start: %v", err)
	}
	h.stopped.Store(false)
	h.stop = sync.OnceFunc(func() {
		h.stopped.Store(true)
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("the manager ended with %v", err)
		}
	})
}

// end deletes what is left, checks that nothing hangs, and stops the manager.
func (h *hub) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if h.stopped.Load() { // a test that failed in between
		h.start()
	}
	_ = h.admin.DeleteAllOf(ctx, &v1alpha1.EKSInventory{}) // first: they would make RemoteClusters anew
	var all v1alpha1.RemoteClusterList
	if err := h.admin.List(ctx, &all); err != nil {
		h.t.Errorf("listing what is left: %v", err)
	}
	collectTexts(ctx, h)
	for i := range all.Items {
		_ = h.admin.Delete(ctx, &all.Items[i])
	}
	for i := range all.Items {
		h.gone(ctx, &all.Items[i])
	}
	h.deleteIdentities(ctx)
	h.stop() // before the Secrets go: it may be about to put one in order
	_ = h.admin.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(v1alpha1.Namespace))
}

func (h *hub) deleteIdentities(ctx context.Context) {
	var all v1alpha1.AWSIdentityList
	if err := h.admin.List(ctx, &all); err != nil {
		h.t.Errorf("listing the identities that are left: %v", err)
	}
	for i := range all.Items {
		texts.Store(fmt.Sprintf("%+v", all.Items[i].Status), "an AWSIdentity")
		_ = h.admin.Delete(ctx, &all.Items[i])
	}
	for i := range all.Items {
		h.gone(ctx, &all.Items[i])
	}
}

// gone waits until an object is not there any more.
func (h *hub) gone(ctx context.Context, obj client.Object) {
	h.t.Helper()
	err := fleettest.Until(ctx, 50*time.Millisecond, func() error {
		if h.admin.Get(ctx, client.ObjectKeyFromObject(obj), obj) == nil {
			return errors.New("it is still there")
		}
		return nil
	})
	if err != nil {
		h.t.Errorf("after the deletion of %T %s: %v", obj, obj.GetName(), err)
	}
}

// member installs the member side in a remote cluster, as its admin would.
func (h *hub) member(c *fleettest.Cluster, o member.Options) client.Client {
	h.t.Helper()
	o.Local, o.Version = h.local, "v0.0.0-test"
	admin := adminOf(h.t, c)
	for _, obj := range member.Objects(o) {
		apply(h.t, admin, obj)
	}
	return admin
}

// token mints one for the connection's account in a remote cluster.
func (h *hub) token(c *fleettest.Cluster, life time.Duration) string {
	h.t.Helper()
	return remember(c.Token(h.t, v1alpha1.MemberNamespace(h.local), v1alpha1.MemberServiceAccount, life))
}

// input writes the Secret that a person or Helm would write.
func (h *hub) input(cluster string, data map[string]string) {
	h.t.Helper()
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(cluster), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: data,
	}
	existing := &corev1.Secret{}
	err := h.admin.Get(h.t.Context(), client.ObjectKeyFromObject(secret), existing)
	if apierrors.IsNotFound(err) {
		err = h.admin.Create(h.t.Context(), secret)
	} else if err == nil {
		existing.Data, existing.StringData = nil, data
		err = h.admin.Update(h.t.Context(), existing)
	}
	if err != nil {
		h.t.Fatalf("writing Secret %s: %v", secret.Name, err)
	}
}

// tie makes a RemoteCluster for a server.
func (h *hub) tie(name, server string, ca []byte, auth v1alpha1.Auth, change ...func(*v1alpha1.RemoteCluster)) {
	h.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.CAData, rc.Spec.Auth = server, base64.StdEncoding.EncodeToString(ca), auth
	for _, f := range change {
		f(rc)
	}
	if err := h.admin.Create(h.t.Context(), rc); err != nil {
		h.t.Fatalf("creating RemoteCluster %s: %v", name, err)
	}
}

// tieByToken is the common case: the member install, a token, and a RemoteCluster of the same name.
func (h *hub) tieByToken(name string, c *fleettest.Cluster, server string) client.Client {
	h.t.Helper()
	admin := h.member(c, member.Options{})
	h.input(name, map[string]string{v1alpha1.BearerTokenKey: h.token(c, time.Hour)})
	h.tie(name, server, c.CA(), bearer)
	return admin
}

var bearer = v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}

// update changes a RemoteCluster.
func (h *hub) update(name string, change func(*v1alpha1.RemoteCluster)) {
	h.t.Helper()
	rc := h.get(name)
	before := rc.DeepCopy()
	change(rc)
	if err := h.admin.Patch(h.t.Context(), rc, client.MergeFrom(before)); err != nil {
		h.t.Fatalf("changing RemoteCluster %s: %v", name, err)
	}
}

func (h *hub) get(name string) *v1alpha1.RemoteCluster {
	h.t.Helper()
	rc := &v1alpha1.RemoteCluster{}
	if err := h.admin.Get(h.t.Context(), types.NamespacedName{Name: name}, rc); err != nil {
		h.t.Fatalf("reading RemoteCluster %s: %v", name, err)
	}
	return rc
}

// is waits until a condition has a status and reason, and returns its message.
func (h *hub) is(name, kind string, status metav1.ConditionStatus, reason string) string {
	h.t.Helper()
	var message string
	eventually(h.t, fmt.Sprintf("%s of %s to be %s %s", kind, name, status, reason), func() error {
		c := meta.FindStatusCondition(h.get(name).Status.Conditions, kind)
		if c == nil {
			return fmt.Errorf("no condition %s", kind)
		}
		if c.Status != status || c.Reason != reason {
			return fmt.Errorf("it is %s %s: %s", c.Status, c.Reason, c.Message)
		}
		message = c.Message
		return nil
	})
	return message
}

func (h *hub) ready(name string) {
	h.t.Helper()
	h.is(name, v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonConnected)
}

// client returns a client over the manager's own connection.
func (h *hub) client(name string) kubernetes.Interface {
	h.t.Helper()
	var conn *connection.Connection
	eventually(h.t, "the connection to "+name, func() (err error) { // a status may be older than the manager
		conn, err = h.links.Get(name)
		return err
	})
	c, err := kubernetes.NewForConfig(conn.Config())
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// works fails unless a request over the link is answered.
func (h *hub) works(name string) {
	h.t.Helper()
	if err := h.ask(name); err != nil {
		h.t.Fatalf("a request over the link to %s: %v", name, err)
	}
}

// worksAgain waits for it, as after a restart: the status is older than the new manager's connection.
func (h *hub) worksAgain(name string) {
	h.t.Helper()
	eventually(h.t, "the link to "+name, func() error { return h.ask(name) })
	h.ready(name)
}

func (h *hub) ask(name string) error {
	_, err := h.client(name).CoreV1().Namespaces().Get(h.t.Context(), "kube-system", metav1.GetOptions{})
	return err
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		if err := check(); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		return nil
	})
}

// pastItsFirstSecond waits until a RemoteCluster has an age: ages are whole seconds.
func (h *hub) pastItsFirstSecond(name string) {
	h.t.Helper()
	born := h.get(name).CreationTimestamp
	eventually(h.t, name+" to be older than a second", func() error {
		if age := time.Since(born.Time); age < 1100*time.Millisecond {
			return fmt.Errorf("it is %s old", age)
		}
		return nil
	})
}

// What the suite logged and wrote, and the secrets that it used; the last test holds them together.
var (
	texts   sync.Map // text → where it stood
	secrets sync.Map // secret → true
	// As much as client-go says without the bodies of requests and answers, which no flag of ours asks for.
	logged = funcr.New(func(prefix, args string) { texts.Store(prefix+" "+args, "a log") }, funcr.Options{Verbosity: 7})
)

type searched struct{ texts, secrets int }

// searchForSecrets looks for every secret, and for its parts: a JWT's signature is what makes it one,
// and a key may be quoted line by line.
func searchForSecrets() (leaks []string, n searched) {
	needles := []string{"k8s-aws-v1.", "X-Amz-Signature="} // tokens for EKS are made by the hundred
	secrets.Range(func(secret, _ any) bool {
		n.secrets++
		needles = append(needles, partsOf(secret.(string))...)
		return true
	})
	texts.Range(func(text, where any) bool {
		n.texts++
		for _, needle := range needles {
			if strings.Contains(text.(string), needle) {
				leaks = append(leaks, fmt.Sprintf("%s shows a secret: %.300s", where, text))
				break
			}
		}
		return true
	})
	return leaks, n
}

func partsOf(secret string) []string {
	var parts []string
	for line := range strings.Lines(secret) {
		for part := range strings.SplitSeq(strings.TrimSpace(line), ".") {
			// Short parts, headers and markers stand in many places that are no leak.
			if len(part) >= 40 && !strings.HasPrefix(part, "-----") && !strings.HasPrefix(part, "eyJhbGci") {
				parts = append(parts, part)
			}
		}
	}
	return parts
}

func TestTheSearchFindsASecret(t *testing.T) {
	signature := strings.Repeat("s1gn", 20)
	for _, part := range partsOf("eyJhbGciOiJ.eyJzdWIiOiJ4In0." + signature) {
		if strings.Contains("renewing: "+signature, part) {
			return
		}
	}
	t.Error("a token's signature in a text would not be found")
}

func remember(secret string) string {
	secrets.Store(secret, true)
	return secret
}

// collectTexts takes in what a test left in the local cluster for people to read, and the secrets that it kept.
func collectTexts(ctx context.Context, h *hub) {
	var all v1alpha1.RemoteClusterList
	_ = h.admin.List(ctx, &all)
	for _, rc := range all.Items {
		texts.Store(fmt.Sprintf("%+v %+v", rc.ObjectMeta, rc.Status), "a RemoteCluster")
	}
	var events corev1.EventList
	_ = h.admin.List(ctx, &events)
	for _, e := range events.Items {
		texts.Store(e.Message+" "+e.Reason, "an event")
	}
	var kept corev1.SecretList
	_ = h.admin.List(ctx, &kept, client.InNamespace(v1alpha1.Namespace))
	for _, s := range kept.Items {
		for key, value := range s.Data {
			if key != "state.json" && key != v1alpha1.TLSCertKey && strings.TrimSpace(string(value)) != "" {
				remember(string(value))
			}
		}
	}
}

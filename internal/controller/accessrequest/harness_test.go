package accessrequest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/controller/accessrequest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/member"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary", "alpha"))
}

const patience = 30 * time.Second

func eventually(t testing.TB, check func() error) {
	t.Helper()
	fleettest.Eventually(t, patience, check)
}

// world is a local cluster with the controller under the manager's own roles, and a remote one that it has a
// connection to, as the connection's own account.
type world struct {
	*fleettest.Cluster
	t          *testing.T
	admin, far client.Client
	alpha      *fleettest.Cluster
	local      string // name of the local cluster
	rc         string // name of the RemoteCluster
	namespace  string // of the requests
	links      *fleet.Links
	clock      *testingclock.FakeClock
	stop       func()
	logs       sync.Map
}

var worlds atomic.Int32

func newWorld(t *testing.T) *world {
	t.Helper()
	n := worlds.Add(1)
	w := &world{
		Cluster: fleettest.Use(t, "primary"), alpha: fleettest.Use(t, "alpha"), t: t,
		local: fmt.Sprintf("local-%d", n), rc: fmt.Sprintf("alpha-%d", n), clock: testingclock.NewFakeClock(time.Now()),
	}
	w.admin, w.far = w.Admin(t), w.alpha.Admin(t)
	w.Install(t,
		"../../../config/crd/hawser.io_remoteclusters.yaml", "../../../config/crd/hawser.io_accessrequests.yaml",
		"../../../config/rbac/manager.yaml", "../../../config/rbac/requests.yaml",
		"../../../inventory/clusterprofile/testdata/crd.yaml",
	)
	w.alpha.ApplyObjects(t, member.Objects(member.Options{Local: w.local, Version: "v0.0.0-test"})...)
	w.alpha.ApplyObjects(t, &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.GrantsNamespace}})
	w.namespace = w.Namespace(t)
	w.permit(w.namespace)
	w.links = fleet.NewLinks(context.Background())
	t.Cleanup(w.links.Close)
	w.connect(w.rc, w.alpha.Server)
	w.tie(w.rc, &v1alpha1.AllowedNamespaces{})
	w.start()
	t.Cleanup(w.end)
	return w
}

// permit is what the condition prints where a namespace has not allowed us to write in it.
func (w *world) permit(namespace string) {
	w.t.Helper()
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hawser-requests"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "hawser-requests"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.Namespace, Name: "hawser"}},
	})
}

func (w *world) create(obj client.Object) {
	w.t.Helper()
	if err := w.admin.Create(w.t.Context(), obj); err != nil {
		w.t.Fatalf("creating %T %s: %v", obj, obj.GetName(), err)
	}
}

// connect makes a connection as the account that the member install has made.
func (w *world) connect(name, server string) {
	w.t.Helper()
	token := w.alpha.Token(w.t, v1alpha1.MemberNamespace(w.local), v1alpha1.MemberServiceAccount, time.Hour)
	w.connectAs(name, server, credential.NewToken(token, token))
}

func (w *world) connectAs(name, server string, cred credential.Credential) {
	w.t.Helper()
	conn, err := w.links.Add(w.spec(name, server), inventory.Fixed(cred),
		connection.Options{ProbeInterval: 200 * time.Millisecond, UserAgent: "hawser/test"})
	if err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, func() error {
		if c := conn.State().Condition(v1alpha1.Authenticated); c.Status != metav1.ConditionTrue {
			return errors.New(c.Message)
		}
		return nil
	})
}

func (w *world) spec(name, server string) connection.Spec {
	return connection.Spec{Name: name, Endpoint: credential.Endpoint{Server: server, CAData: w.alpha.CA()}, Local: w.local, Timeout: 2 * time.Second}
}

// tie makes a RemoteCluster. Its connection is that of connect: no controller of RemoteClusters runs.
func (w *world) tie(name string, allowed *v1alpha1.AllowedNamespaces) {
	w.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.Auth.Type, rc.Spec.AllowedNamespaces = w.alpha.Server, v1alpha1.AuthBearerToken, allowed
	w.create(rc)
	before := rc.DeepCopy()
	rc.Status.KubernetesVersion, rc.Status.ClusterID, rc.Status.ClusterProperty = "v1.36.3", "some-uid", "alpha.example.com"
	meta.SetStatusCondition(&rc.Status.Conditions, metav1.Condition{Type: v1alpha1.Reachable, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAnswering, Message: "x"})
	if err := w.admin.Status().Patch(w.t.Context(), rc, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.admin.Delete(context.Background(), rc) })
}

// poke lets every request of the RemoteCluster be looked at, as time does.
func (w *world) poke() {
	w.t.Helper()
	w.change(w.rc, func(rc *v1alpha1.RemoteCluster) { rc.Spec.QPS++ })
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.clock.Step(d)
	w.poke()
}

func (w *world) change(name string, change func(*v1alpha1.RemoteCluster)) {
	w.t.Helper()
	var rc v1alpha1.RemoteCluster
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, &rc); err != nil {
		w.t.Fatal(err)
	}
	before := rc.DeepCopy()
	change(&rc)
	if err := w.admin.Patch(w.t.Context(), &rc, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// start runs the controller with a token of the manager's own account.
func (w *world) start() {
	t := w.t
	t.Helper()
	config := w.TokenConfig(w.Token(t, v1alpha1.Namespace, "hawser", time.Hour))
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: w.admin.Scheme(), Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.Namespace{}}}},
		Logger: funcr.New(func(prefix, args string) { w.logs.Store(prefix+" "+args, true) }, funcr.Options{Verbosity: 10}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	minter := accessrequest.NewMinter(ctx, w.links, w.local, w.clock)
	r := &accessrequest.Reconciler{
		Client: mgr.GetClient(), Fleet: w.links, Minter: minter, Events: mgr.GetEventRecorder("hawser"), Clock: w.clock, Local: w.local, Namespace: v1alpha1.Namespace,
	}
	if err := r.SetupWithManager(mgr, 2); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
		minter.Close()
	})
}

// end deletes what is left, sees that nothing hangs, and looks for tokens where none may be.
func (w *world) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tokens := w.tokens(ctx)
	var all v1alpha1.AccessRequestList
	if err := w.admin.List(ctx, &all); err != nil {
		w.t.Error(err)
	}
	for i := range all.Items {
		w.logs.Store(fmt.Sprintf("%+v", all.Items[i]), true)
		_ = w.admin.Delete(ctx, &all.Items[i])
	}
	for i := range all.Items {
		err := fleettest.Until(ctx, 20*time.Millisecond, func() error {
			if w.admin.Get(ctx, client.ObjectKeyFromObject(&all.Items[i]), &v1alpha1.AccessRequest{}) == nil {
				return errors.New("it was not gone after its deletion")
			}
			return nil
		})
		if err != nil {
			w.t.Errorf("AccessRequest %s: %v", all.Items[i].Name, err)
		}
	}
	var events eventsv1.EventList
	_ = w.admin.List(ctx, &events)
	for _, e := range events.Items {
		w.logs.Store(e.Note, true)
	}
	w.logs.Range(func(text, _ any) bool {
		for _, token := range tokens {
			if strings.Contains(text.(string), token[strings.LastIndex(token, ".")+1:]) {
				w.t.Errorf("a log, event or status shows a token: %.200s", text)
				return false
			}
		}
		return true
	})
	w.stop()
}

// tokens are all that lie in outputs.
func (w *world) tokens(ctx context.Context) []string {
	var secrets corev1.SecretList
	_ = w.admin.List(ctx, &secrets, client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy})
	var found []string
	for _, s := range secrets.Items {
		if token := string(s.Data["token"]); token != "" {
			found = append(found, token)
		}
	}
	return found
}

// grant makes by hand what the member controllers make of an AccessGrant that lets a namespace in: the account,
// what it may do, and the right of one connection to have tokens of it.
func (w *world) grant(name, namespace string) (account string) {
	w.t.Helper()
	account = grant.AccountName(name, v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: w.local, Namespace: namespace}})
	in := metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: account}
	for _, obj := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: in},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: account}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: in.Namespace, Name: account}}},
		&rbacv1.Role{ObjectMeta: in, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{account}, Verbs: []string{"create"}}}},
		&rbacv1.RoleBinding{ObjectMeta: in, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.MemberNamespace(w.local), Name: v1alpha1.MemberServiceAccount}}},
	} {
		if err := w.far.Create(w.t.Context(), obj); err != nil {
			w.t.Fatalf("creating %T %s: %v", obj, obj.GetName(), err)
		}
	}
	eventually(w.t, func() error { // an API server knows of rights a moment after they were written
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + v1alpha1.MemberNamespace(w.local) + ":" + v1alpha1.MemberServiceAccount,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: in.Namespace, Verb: "create", Resource: "serviceaccounts", Subresource: "token", Name: account,
			},
		}}
		if err := w.far.Create(w.t.Context(), review); err != nil {
			return err
		}
		if !review.Status.Allowed {
			return errors.New("the right to mint is not there yet")
		}
		return nil
	})
	return account
}

// revoke removes what grant made, but for the account's bindings.
func (w *world) revoke(account string) {
	w.t.Helper()
	in := metav1.ObjectMeta{Namespace: v1alpha1.GrantsNamespace, Name: account}
	for _, obj := range []client.Object{&rbacv1.RoleBinding{ObjectMeta: in}, &rbacv1.Role{ObjectMeta: in}, &corev1.ServiceAccount{ObjectMeta: in}} {
		if err := w.far.Delete(w.t.Context(), obj); err != nil {
			w.t.Fatal(err)
		}
	}
}

// request makes an AccessRequest for the RemoteCluster, in the format kubeconfig unless it is changed.
func (w *world) request(name string, change ...func(*v1alpha1.AccessRequest)) *v1alpha1.AccessRequest {
	w.t.Helper()
	ar := &v1alpha1.AccessRequest{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	ar.Spec.ClusterRef.Name, ar.Spec.Grant, ar.Spec.Output.Format = w.rc, "deploy", v1alpha1.OutputKubeconfig
	for _, f := range change {
		f(ar)
	}
	w.create(ar)
	return ar
}

func (w *world) edit(ar *v1alpha1.AccessRequest, change func(*v1alpha1.AccessRequest)) {
	w.t.Helper()
	before := ar.DeepCopy()
	change(ar)
	if err := w.admin.Patch(w.t.Context(), ar, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// is waits until the condition Ready has a status and reason, and returns its message.
func (w *world) is(ar *v1alpha1.AccessRequest, status metav1.ConditionStatus, reason string) string {
	w.t.Helper()
	var message string
	eventually(w.t, func() error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(ar), ar); err != nil {
			return err
		}
		c := meta.FindStatusCondition(ar.Status.Conditions, v1alpha1.Ready)
		if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != ar.Generation {
			return fmt.Errorf("the condition is %+v, want %s %s", c, status, reason)
		}
		message = c.Message
		return nil
	})
	return message
}

func (w *world) ready(ar *v1alpha1.AccessRequest) *corev1.Secret {
	w.t.Helper()
	w.is(ar, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	return w.secret(ar.Status.SecretName)
}

func (w *world) secret(name string) *corev1.Secret {
	w.t.Helper()
	secret, err := w.find(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w *world) find(name string) (*corev1.Secret, error) {
	var secret corev1.Secret
	err := w.admin.Get(w.t.Context(), types.NamespacedName{Namespace: w.namespace, Name: name}, &secret)
	return &secret, err
}

// gone waits until there is no Secret of a name.
func (w *world) gone(name string) {
	w.t.Helper()
	eventually(w.t, func() error {
		if _, err := w.find(name); client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Errorf("Secret %s is there, or: %w", name, err)
		}
		return nil
	})
}

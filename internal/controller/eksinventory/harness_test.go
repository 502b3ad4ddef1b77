package eksinventory_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/controller/eksinventory"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/inventory/awsidentity"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary"))
}

const (
	north, west   = "eu-north-1", "eu-west-1"
	management    = "999999999999"
	one, two      = "111111111111", "222222222222"
	interval      = 10 * time.Minute
	patience      = 30 * time.Second
	endpoint      = "https://alpha.example.com"
	otherEndpoint = "https://beta.example.com"
)

// rules are all that the controller may do in the local cluster.
var rules = []rbacv1.PolicyRule{
	{APIGroups: []string{"hawser.io"}, Resources: []string{"eksinventories", "awsidentities"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"hawser.io"}, Resources: []string{"eksinventories/status"}, Verbs: []string{"patch"}},
	{APIGroups: []string{"hawser.io"}, Resources: []string{"remoteclusters"}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"}},
	{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
}

// world is a local cluster with the controller, and an AWS with a management account and two others.
type world struct {
	t     *testing.T
	aws   *awstest.Server
	clock *clocktesting.FakeClock
	admin client.Client
	hub   *awstest.Role
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second))}
	w.aws = awstest.Start(t, awstest.Options{Clock: w.clock})
	w.hub = w.aws.Account(management).Role("hawser", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	w.aws.Setenv(t, awssdk.Credentials{})
	w.admin = adminOf(t)
	for _, id := range []string{one, two} {
		w.account(id)
	}
	w.manage()
	t.Cleanup(w.clean)
	return w
}

func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func adminOf(t *testing.T) client.Client {
	t.Helper()
	primary := fleettest.Use(t, "primary")
	admin, err := client.New(primary.AdminConfig(), client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	primary.Install(t, "../../../config/crd/*.yaml")
	return admin
}

// account has a role that the management account may assume, and an AWSIdentity for it.
func (w *world) account(id string) *awstest.Role {
	w.t.Helper()
	role := w.aws.Account(id).Role("hawser-api", awstest.Trust{Principals: []string{w.hub.ARN()}})
	role.Allow("eks:ListClusters")
	role.Allow("eks:DescribeCluster")
	w.hub.Allow("sts:AssumeRole", role.ARN())
	identity := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "api-" + id}}
	identity.Spec.Type, identity.Spec.Role = v1alpha1.AWSRoleIdentity, &v1alpha1.AWSRole{RoleARN: role.ARN()}
	w.create(identity)
	return role
}

// manage runs the controller under its own rights, until the test ends.
func (w *world) manage() {
	w.t.Helper()
	w.rights()
	primary := fleettest.Use(w.t, "primary")
	config := primary.TokenConfig(primary.Token(w.t, "default", "eksinventory", time.Hour))
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme(w.t), Metrics: server.Options{BindAddress: "0"}, Logger: logr.Discard()})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg, err := aws.LoadConfig(w.t.Context(), w.clock)
	if err != nil {
		w.t.Fatal(err)
	}
	ground := w.hub.Session("manager", time.Hour)
	r := &eksinventory.Reconciler{
		Client:     mgr.GetClient(),
		Live:       mgr.GetAPIReader(),
		Identities: awsidentity.Reader{Client: mgr.GetClient()},
		Sessions: &aws.Sessions{Clock: w.clock, Region: north, Jitter: func() float64 { return 0 }, STS: aws.STSFrom(cfg), Ground: func(context.Context) (awssdk.CredentialsProvider, error) {
			if w.clock.Now().After(ground.Expires.Add(-20 * time.Minute)) {
				ground = w.hub.Session("manager", time.Hour)
			}
			return credentials.StaticCredentialsProvider{Value: ground}, nil
		}},
		Clusters:    aws.Clusters{API: aws.EKSFrom(cfg)},
		Events:      mgr.GetEventRecorder("hawser"),
		Clock:       w.clock,
		Local:       "hub",
		CallTimeout: 2 * time.Second,
	}
	if err := r.SetupWithManager(mgr); err != nil {
		w.t.Fatal(err)
	}
	fleettest.Background(w.t, "the manager", mgr.Start)
}

func (w *world) rights() {
	w.t.Helper()
	name := metav1.ObjectMeta{Name: "eksinventory"}
	primary := fleettest.Use(w.t, "primary")
	if _, err := primary.Client().CoreV1().ServiceAccounts("default").Get(w.t.Context(), "eksinventory", metav1.GetOptions{}); apierrors.IsNotFound(err) {
		primary.ServiceAccount(w.t, "default", "eksinventory")
	}
	for _, obj := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: name, Rules: rules},
		&rbacv1.ClusterRoleBinding{ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "eksinventory"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "eksinventory"}}},
	} {
		if err := w.admin.Create(w.t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatal(err)
		}
	}
}

// clean deletes what the test made, while the controller still runs or not.
func (w *world) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, kind := range []client.Object{&v1alpha1.EKSInventory{}, &v1alpha1.AWSIdentity{}} {
		if err := w.admin.DeleteAllOf(ctx, kind); err != nil {
			w.t.Error(err)
		}
	}
	w.aws.Heal()
	err := fleettest.Until(ctx, 50*time.Millisecond, func() error { // a reconcile may be under way
		_ = w.admin.DeleteAllOf(ctx, &v1alpha1.RemoteCluster{})
		var left v1alpha1.RemoteClusterList
		if err := w.admin.List(ctx, &left); err != nil || len(left.Items) == 0 {
			return err
		}
		return fmt.Errorf("%d RemoteClusters are left", len(left.Items))
	})
	if err != nil {
		w.t.Errorf("a minute after their deletion: %v", err)
	}
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.admin.Create(w.t.Context(), o); err != nil {
		w.t.Fatalf("creating %s: %v", o.GetName(), err)
	}
}

// look makes an inventory of both accounts in the region eu-north-1, unless it is changed.
func (w *world) look(change ...func(*v1alpha1.EKSInventorySpec)) {
	w.t.Helper()
	inv := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	for _, id := range []string{one, two} {
		inv.Spec.Accounts = append(inv.Spec.Accounts, v1alpha1.EKSAccount{
			IdentityRef: &v1alpha1.AWSIdentityRef{Name: "api-" + id}, TokenIdentityRef: &v1alpha1.AWSIdentityRef{Name: "token"},
		})
	}
	inv.Spec.Regions = []string{north}
	for _, f := range change {
		f(&inv.Spec)
	}
	w.create(inv)
}

func (w *world) change(change func(*v1alpha1.EKSInventorySpec)) {
	w.t.Helper()
	inv := w.inventory()
	before := inv.DeepCopy()
	change(&inv.Spec)
	if err := w.admin.Patch(w.t.Context(), inv, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// again lets the inventory look again: it waits until it pauses, and lets the pause pass.
func (w *world) again() {
	w.t.Helper()
	eventually(w.t, "the inventory to pause", func() error {
		if !w.clock.HasWaiters() {
			return errors.New("nobody waits for the clock")
		}
		return nil
	})
	before := len(w.aws.CallsOf("ListClusters"))
	w.clock.Step(interval)
	eventually(w.t, "the inventory to look again", func() error {
		if len(w.aws.CallsOf("ListClusters")) == before {
			return errors.New("no clusters were listed")
		}
		return nil
	})
}

func (w *world) inventory() *v1alpha1.EKSInventory {
	w.t.Helper()
	inv := &v1alpha1.EKSInventory{}
	if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: "all"}, inv); err != nil {
		w.t.Fatal(err)
	}
	return inv
}

// is waits until Ready has a status and reason.
func (w *world) is(status metav1.ConditionStatus, reason string) *v1alpha1.EKSInventory {
	w.t.Helper()
	var inv *v1alpha1.EKSInventory
	eventually(w.t, fmt.Sprintf("Ready to be %s %s", status, reason), func() error {
		inv = w.inventory()
		c := meta.FindStatusCondition(inv.Status.Conditions, v1alpha1.Ready)
		if c == nil {
			return errors.New("there is no condition")
		}
		if c.Status != status || c.Reason != reason || c.ObservedGeneration != inv.Generation {
			return fmt.Errorf("it is %s %s: %s", c.Status, c.Reason, c.Message)
		}
		return nil
	})
	return inv
}

func (w *world) synced() *v1alpha1.EKSInventory {
	w.t.Helper()
	return w.is(metav1.ConditionTrue, v1alpha1.ReasonSynced)
}

// has waits until a RemoteCluster is as it should be.
func (w *world) has(name string, right func(*v1alpha1.RemoteCluster) error) *v1alpha1.RemoteCluster {
	w.t.Helper()
	rc := &v1alpha1.RemoteCluster{}
	eventually(w.t, "RemoteCluster "+name, func() error {
		rc = &v1alpha1.RemoteCluster{}
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, rc); err != nil {
			return err
		}
		return right(rc)
	})
	return rc
}

func exists(*v1alpha1.RemoteCluster) error { return nil }

func hasServer(server string) func(*v1alpha1.RemoteCluster) error {
	return func(rc *v1alpha1.RemoteCluster) error {
		if rc.Spec.Server != server {
			return fmt.Errorf("its server is %q", rc.Spec.Server)
		}
		return nil
	}
}

func isDisabled(want bool) func(*v1alpha1.RemoteCluster) error {
	return func(rc *v1alpha1.RemoteCluster) error {
		if rc.Spec.Disabled != want {
			return fmt.Errorf("disabled is %t", rc.Spec.Disabled)
		}
		return nil
	}
}

func (w *world) hasNot(name string) {
	w.t.Helper()
	eventually(w.t, "RemoteCluster "+name+" to be gone", func() error {
		err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: name}, &v1alpha1.RemoteCluster{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there (%w)", cmp.Or(err, errors.New("no error")))
	})
}

func (w *world) names() []string {
	w.t.Helper()
	var all v1alpha1.RemoteClusterList
	if err := w.admin.List(w.t.Context(), &all); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, rc := range all.Items {
		names = append(names, rc.Name)
	}
	return names
}

func (w *world) patch(name string, change func(*v1alpha1.RemoteCluster)) {
	w.t.Helper()
	rc := w.has(name, exists)
	before := rc.DeepCopy()
	change(rc)
	if err := w.admin.Patch(w.t.Context(), rc, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
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

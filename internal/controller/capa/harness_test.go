package capa_test

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
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	controller "github.com/hawser-io/hawser/internal/controller/capa"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/inventory/capa"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary"))
}

const (
	north      = "eu-north-1"
	management = "999999999999"
	one, two   = "111111111111", "222222222222"
	secrets    = "capa-secrets" // where the provider runs
	patience   = 30 * time.Second
)

// rules are all that the controller may do in the local cluster, beside reading Secrets in one namespace.
var rules = []rbacv1.PolicyRule{
	{APIGroups: []string{"cluster.x-k8s.io"}, Resources: []string{"clusters"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"controlplane.cluster.x-k8s.io"}, Resources: []string{"awsmanagedcontrolplanes"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{"infrastructure.cluster.x-k8s.io"}, Resources: []string{"awsclusterroleidentities", "awsclusterstaticidentities", "awsclustercontrolleridentities"}, Verbs: []string{"get", "list", "watch"}},
	{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}},
	{APIGroups: []string{"hawser.io"}, Resources: []string{"remoteclusters"}, Verbs: []string{"get", "list", "watch", "create", "patch", "delete"}},
	{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
}

var secretRules = []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}}

// world is a management cluster of Cluster API with the controller, a namespace in it, and an AWS with a
// management account and two others.
type world struct {
	t         *testing.T
	aws       *awstest.Server
	admin     client.Client
	namespace string
	hub       *awstest.Role
	roles     map[string]*awstest.Role // by account
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, aws: awstest.Start(t, awstest.Options{}), roles: map[string]*awstest.Role{}}
	w.hub = w.aws.Account(management).Role("hawser", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	w.aws.Setenv(t, awssdk.Credentials{})
	for _, id := range []string{one, two} {
		role := w.aws.Account(id).Role("controllers", awstest.Trust{Principals: []string{w.hub.ARN()}})
		role.Allow("eks:DescribeCluster")
		w.hub.Allow("sts:AssumeRole", role.ARN())
		w.roles[id] = role
	}
	w.install()
	w.makeNamespace()
	w.identity(v1alpha1.KindCAPAControllerIdentity, "default", map[string]any{"allowedNamespaces": map[string]any{"list": nil, "selector": map[string]any{}}})
	w.manage()
	t.Cleanup(w.clean)
	return w
}

// makeNamespace makes one with a short name, as names of RemoteClusters begin with it.
func (w *world) makeNamespace() {
	w.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "team-"}}
	if err := w.admin.Create(w.t.Context(), ns); err != nil {
		w.t.Fatal(err)
	}
	w.namespace = ns.Name
}

func schemeOf(t *testing.T) *runtime.Scheme {
	t.Helper()
	s, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// install installs the CRDs, and the rights of the controller.
func (w *world) install() {
	w.t.Helper()
	primary := fleettest.Use(w.t, "primary")
	var err error
	if w.admin, err = client.New(primary.AdminConfig(), client.Options{Scheme: schemeOf(w.t)}); err != nil {
		w.t.Fatal(err)
	}
	primary.Install(w.t, "../../../config/crd/*.yaml", "testdata/crds.yaml")
	if _, err := primary.Client().CoreV1().ServiceAccounts("default").Get(w.t.Context(), "capa", metav1.GetOptions{}); apierrors.IsNotFound(err) {
		primary.ServiceAccount(w.t, "default", "capa")
	}
	name := metav1.ObjectMeta{Name: "capa"}
	inSecrets := metav1.ObjectMeta{Name: "capa", Namespace: secrets}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "capa"}}
	for _, obj := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: name, Rules: rules},
		&rbacv1.ClusterRoleBinding{ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "capa"}, Subjects: subjects},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: secrets}},
		&rbacv1.Role{ObjectMeta: inSecrets, Rules: secretRules},
		&rbacv1.RoleBinding{ObjectMeta: inSecrets, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "capa"}, Subjects: subjects},
	} {
		if err := w.admin.Create(w.t.Context(), obj); err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatal(err)
		}
	}
}

var clusterKind = schema.GroupVersionKind{Group: capa.ClusterKind.Group, Version: "v1beta1", Kind: capa.ClusterKind.Kind}

func (w *world) apply(u *unstructured.Unstructured) {
	w.t.Helper()
	// A copy, since the answer of the API server is written into what is applied.
	if err := w.admin.Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.FieldOwner("test"), client.ForceOwnership); err != nil {
		w.t.Fatalf("applying %s %s: %v", u.GetKind(), u.GetName(), err)
	}
}

// manage runs the controller under its own rights, until the test ends.
func (w *world) manage() {
	w.t.Helper()
	primary := fleettest.Use(w.t, "primary")
	config := primary.TokenConfig(primary.Token(w.t, "default", "capa", time.Hour))
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: schemeOf(w.t), Metrics: server.Options{BindAddress: "0"}, Logger: logr.Discard(),
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg, err := aws.LoadConfig(w.t.Context(), clock.RealClock{})
	if err != nil {
		w.t.Fatal(err)
	}
	ground := w.hub.Session("manager", time.Hour)
	r := &controller.Reconciler{
		Client:     mgr.GetClient(),
		Live:       mgr.GetAPIReader(),
		Identities: capa.Reader{Client: mgr.GetClient(), Namespace: secrets},
		Sessions: &aws.Sessions{Region: north, STS: aws.STSFrom(cfg), Ground: func(context.Context) (awssdk.CredentialsProvider, error) {
			return credentials.StaticCredentialsProvider{Value: ground}, nil
		}},
		Clusters:    aws.Clusters{API: aws.EKSFrom(cfg)},
		Events:      mgr.GetEventRecorder("hawser"),
		Local:       "hub",
		CallTimeout: 2 * time.Second,
		FirstRetry:  100 * time.Millisecond,
	}
	if err := r.SetupWithManager(mgr); err != nil {
		w.t.Fatal(err)
	}
	fleettest.Background(w.t, "the manager", mgr.Start)
}

// clean deletes what the test made.
func (w *world) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w.aws.Heal()
	for _, kind := range []schema.GroupVersionKind{capa.ControlPlaneKind, clusterKind, capa.RoleIdentityKind, capa.StaticIdentityKind, capa.ControllerIdentityKind} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(kind)
		var options []client.DeleteAllOfOption
		if kind == capa.ControlPlaneKind || kind == clusterKind {
			options = append(options, client.InNamespace(w.namespace))
		}
		if err := w.admin.DeleteAllOf(ctx, u, options...); err != nil {
			w.t.Error(err)
		}
	}
	_ = w.admin.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(secrets))
	err := fleettest.Until(ctx, 50*time.Millisecond, func() error {
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

// identity makes or changes an identity of the provider.
func (w *world) identity(kind v1alpha1.AWSIdentityKind, name string, spec map[string]any) {
	w.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Kind: string(kind)})
	u.SetName(name)
	w.apply(u)
}

// role makes a role identity for an account, which the given namespaces may use.
func (w *world) role(name, account string, namespaces ...any) {
	w.t.Helper()
	w.identity(v1alpha1.KindCAPARoleIdentity, name, map[string]any{
		"roleARN": w.roles[account].ARN(), "allowedNamespaces": map[string]any{"list": namespaces},
		"sourceIdentityRef": map[string]any{"kind": "AWSClusterControllerIdentity", "name": "default"},
	})
}

// provision makes a Cluster and its control plane, as the provider would leave them.
func (w *world) provision(name, identity, server string) {
	w.t.Helper()
	cluster := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"controlPlaneRef": map[string]any{
		"apiVersion": "controlplane.cluster.x-k8s.io/v1beta2", "kind": "AWSManagedControlPlane", "name": name + "-cp",
	}}}}
	cluster.SetGroupVersionKind(clusterKind)
	cluster.SetNamespace(w.namespace)
	cluster.SetName(name)
	w.apply(cluster)
	w.controlPlane(name, identity, server)
}

func (w *world) controlPlane(name, identity, server string, finalizers ...string) {
	w.t.Helper()
	spec := map[string]any{
		"eksClusterName": w.eksName(name), "region": north,
		"identityRef": map[string]any{"kind": "AWSClusterRoleIdentity", "name": identity},
	}
	if server != "" {
		spec["controlPlaneEndpoint"] = map[string]any{"host": server, "port": int64(443)}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(capa.ControlPlaneKind)
	u.SetNamespace(w.namespace)
	u.SetName(name + "-cp")
	u.SetLabels(map[string]string{"cluster.x-k8s.io/cluster-name": name})
	u.SetFinalizers(finalizers)
	w.apply(u)
}

func (w *world) eksName(name string) string { return w.namespace + "_" + name + "-cp" }

// eks makes the EKS cluster that a control plane stands for.
func (w *world) eks(account, name, server string) *awstest.Cluster {
	return w.aws.Account(account).EKS(north, w.eksName(name), awstest.EKSOptions{Server: server, CA: fleettest.ForeignCA(w.t).PEM()})
}

func (w *world) delete(kind schema.GroupVersionKind, name string) {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	u.SetNamespace(w.namespace)
	u.SetName(name)
	if err := w.admin.Delete(w.t.Context(), u); err != nil {
		w.t.Fatal(err)
	}
}

// has waits until the RemoteCluster of a Cluster is as it should be.
func (w *world) has(name string, right func(*v1alpha1.RemoteCluster) error) *v1alpha1.RemoteCluster {
	w.t.Helper()
	rc := &v1alpha1.RemoteCluster{}
	eventually(w.t, "the RemoteCluster of "+name, func() error {
		rc = &v1alpha1.RemoteCluster{}
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.namespace + "-" + name}, rc); err != nil {
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

func hasIdentity(name string) func(*v1alpha1.RemoteCluster) error {
	return func(rc *v1alpha1.RemoteCluster) error {
		if got := rc.Spec.Auth.EKS.IdentityRef.Name; got != name || rc.Spec.Auth.EKS.APIIdentityRef.Name != name {
			return fmt.Errorf("its identity is %q", got)
		}
		return nil
	}
}

func (w *world) hasNot(name string) {
	w.t.Helper()
	eventually(w.t, "the RemoteCluster of "+name+" to be gone", func() error {
		err := w.admin.Get(w.t.Context(), client.ObjectKey{Name: w.namespace + "-" + name}, &v1alpha1.RemoteCluster{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there (%w)", cmp.Or(err, errors.New("no error")))
	})
}

// told waits for an event on a control plane, and returns its note.
func (w *world) told(name, reason string) string {
	w.t.Helper()
	var note string
	eventually(w.t, "event "+reason+" on "+name, func() error {
		var events eventsv1.EventList
		if err := w.admin.List(w.t.Context(), &events, client.InNamespace(w.namespace)); err != nil {
			return err
		}
		var seen []string
		for _, e := range events.Items {
			if e.Regarding.Name == name+"-cp" && e.Reason == reason {
				note = e.Note
				return nil
			}
			seen = append(seen, e.Regarding.Name+" "+e.Reason+": "+e.Note)
		}
		return fmt.Errorf("there is %q", seen)
	})
	return note
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

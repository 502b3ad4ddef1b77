package clusterprofile_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/internal/controller/clusterprofile"
	"github.com/hawser-io/hawser/internal/kinds"
	inventory "github.com/hawser-io/hawser/inventory/clusterprofile"
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

// hub is a cluster whose RemoteClusters are published into a namespace.
type hub struct {
	*fleettest.Cluster
	t         *testing.T
	admin     client.Client
	namespace string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{Cluster: fleettest.Use(t, "primary"), t: t}
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	if h.admin, err = client.New(h.AdminConfig(), client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	h.Install(t, "../../../config/crd/hawser.io_remoteclusters.yaml", "../../../inventory/clusterprofile/testdata/crd.yaml")
	h.namespace = h.Namespace(t)
	t.Cleanup(func() { _ = h.admin.DeleteAllOf(context.Background(), &v1alpha1.RemoteCluster{}) })
	return h
}

// manage runs the controller under exactly its own rights, until the test ends.
func (h *hub) manage() {
	t := h.t
	t.Helper()
	account := h.ServiceAccount(t, h.namespace, "publisher")
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: h.namespace, Name: account.Name}}
	var role rbacv1.Role
	if err := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(clusterprofile.Role), 4096).Decode(&role); err != nil {
		t.Fatal(err)
	}
	role.Namespace = h.namespace
	meta := metav1.ObjectMeta{Name: "publisher-" + h.namespace}
	for _, obj := range []client.Object{
		&role,
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}, Subjects: subjects},
		&rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"hawser.io"}, Resources: []string{"remoteclusters"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name}, Subjects: subjects},
	} {
		if err := h.admin.Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	mgr, err := ctrl.NewManager(h.TokenConfig(h.Token(t, h.namespace, account.Name, time.Hour)), ctrl.Options{
		Scheme: h.admin.Scheme(), Metrics: server.Options{BindAddress: "0"}, Logger: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &clusterprofile.Reconciler{Client: mgr.GetClient(), Events: mgr.GetEventRecorder("hawser"), Namespace: h.namespace}
	if err := r.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	fleettest.Background(t, "the manager", mgr.Start)
}

// remoteCluster makes one.
func (h *hub) remoteCluster(name string, of *fleettest.Cluster) *v1alpha1.RemoteCluster {
	h.t.Helper()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.CAData = of.Server, base64.StdEncoding.EncodeToString(of.CA())
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	if err := h.admin.Create(h.t.Context(), rc); err != nil {
		h.t.Fatal(err)
	}
	return rc
}

// learn writes the status of a RemoteCluster.
func (h *hub) learn(rc *v1alpha1.RemoteCluster, version string, reachable metav1.ConditionStatus) {
	h.t.Helper()
	rc.Status.ClusterID, rc.Status.KubernetesVersion = "uid-of-kube-system", version
	rc.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.Reachable, Status: reachable, Reason: "Answering", LastTransitionTime: metav1.Now()},
		{Type: v1alpha1.Ready, Status: reachable, Reason: "Connected", LastTransitionTime: metav1.Now()},
	}
	if err := h.admin.Status().Update(h.t.Context(), rc); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) profile(name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(inventory.Kind)
	return u, h.admin.Get(h.t.Context(), types.NamespacedName{Namespace: h.namespace, Name: name}, u)
}

// version of Kubernetes that a ClusterProfile tells.
func version(u *unstructured.Unstructured) string {
	v, _, _ := unstructured.NestedString(u.Object, "status", "version", "kubernetes")
	return v
}

// publishes waits until a ClusterProfile tells a version.
func (h *hub) publishes(name, want string) *unstructured.Unstructured {
	h.t.Helper()
	var got *unstructured.Unstructured
	eventually(h.t, func() (err error) {
		if got, err = h.profile(name); err == nil && version(got) != want {
			err = fmt.Errorf("it tells version %q, want %q", version(got), want)
		}
		return err
	})
	return got
}

func (h *hub) gone(name string) {
	h.t.Helper()
	eventually(h.t, func() error {
		_, err := h.profile(name)
		if err == nil {
			return errors.New("it is still there")
		}
		return client.IgnoreNotFound(err)
	})
}

func TestRemoteClustersArePublished(t *testing.T) {
	h := newHub(t)
	alpha := fleettest.Use(t, "alpha")
	h.manage()
	rc := h.remoteCluster("alpha", alpha)
	h.learn(rc, "v1.36.3", metav1.ConditionTrue)
	got := h.publishes("hawser-alpha", "v1.36.3")
	if l := got.GetLabels()["x-k8s.io/cluster-manager"]; l != "hawser" {
		t.Errorf("labels %v", got.GetLabels())
	}
	if spec := fmt.Sprint(got.Object["spec"]); spec != "map[clusterManager:map[name:hawser] displayName:alpha]" {
		t.Errorf("spec %s", spec)
	}

	// Somebody who only knows ClusterProfiles gets there.
	namespace := alpha.Namespace(t)
	alpha.ServiceAccount(t, namespace, "reader")
	dir := t.TempDir()
	program := filepath.Join(dir, "hawser-auth")
	script := fmt.Sprintf("#!/bin/sh\ncase \"$KUBERNETES_EXEC_INFO\" in *'\"clusterName\":\"alpha\"'*) ;; *) exit 1;; esac\n"+
		`echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}'`, alpha.Token(t, namespace, "reader", time.Hour))
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	consumer := &inventory.Inventory{Config: h.AdminConfig(), Namespace: h.namespace, Providers: []exec.Provider{{
		Plugin: exec.Plugin{Name: clusterprofile.AccessProvider, APIVersion: exec.V1, Command: program, ProvideClusterInfo: true},
	}}}
	cluster := inventorytest.Start(t, consumer).Told(t, h.namespace+"/hawser-alpha")
	if cluster.Properties["hawser.io/cluster-id"] != "uid-of-kube-system" {
		t.Errorf("properties %v", cluster.Properties)
	}
	conn := inventorytest.Connect(t, cluster)
	eventually(t, func() error {
		if s := conn.State(); s.Subject != "system:serviceaccount:"+namespace+":reader" {
			return fmt.Errorf("got %+v", s.Conditions)
		}
		return nil
	})

	h.learn(rc, "v1.37.0", metav1.ConditionFalse)
	got = h.publishes("hawser-alpha", "v1.37.0")
	if conditions := fmt.Sprint(got.Object["status"].(map[string]any)["conditions"]); strings.Count(conditions, "status:False") != 2 {
		t.Errorf("conditions %s", conditions)
	}
	if err := h.admin.Delete(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	h.gone("hawser-alpha")
}

func TestOneMadeAnewGetsAnotherProfile(t *testing.T) {
	h := newHub(t)
	h.manage()
	h.learn(h.remoteCluster("again", h.Cluster), "v1.36.3", metav1.ConditionTrue)
	before := h.publishes("hawser-again", "v1.36.3")
	rc := &v1alpha1.RemoteCluster{}
	if err := h.admin.Get(t.Context(), types.NamespacedName{Name: "again"}, rc); err != nil {
		t.Fatal(err)
	}
	if err := h.admin.Delete(t.Context(), rc); err != nil {
		t.Fatal(err)
	}
	h.learn(h.remoteCluster("again", h.Cluster), "v1.37.0", metav1.ConditionTrue)
	if after := h.publishes("hawser-again", "v1.37.0"); after.GetUID() == before.GetUID() {
		t.Error("it goes on with the profile of another cluster")
	}
}

func TestSomebodyElsesIsLeftAlone(t *testing.T) {
	h := newHub(t)
	h.manage()
	theirs := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"clusterManager": map[string]any{"name": "other"}}}}
	theirs.SetGroupVersionKind(inventory.Kind)
	theirs.SetNamespace(h.namespace)
	theirs.SetName("hawser-taken")
	if err := h.admin.Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	rc := h.remoteCluster("taken", h.Cluster)
	h.learn(rc, "v1.36.3", metav1.ConditionTrue)
	eventually(t, func() error {
		var events eventsv1.EventList
		if err := h.admin.List(t.Context(), &events, client.InNamespace(metav1.NamespaceDefault)); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Regarding.Name == "taken" && e.Reason == "ClusterProfileNotOurs" {
				return nil
			}
		}
		return errors.New("nobody is told")
	})
	now, err := h.profile("hawser-taken")
	if err != nil || now.GetResourceVersion() != theirs.GetResourceVersion() {
		t.Errorf("it was touched (%v)", err)
	}
	if err := h.admin.Delete(t.Context(), theirs); err != nil { // when it is out of the way, ours comes
		t.Fatal(err)
	}
	h.publishes("hawser-taken", "v1.36.3")
}

// silent takes no events.
type silent struct{}

func (silent) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

func TestAFlappingClusterIsPublishedWithinTheBudget(t *testing.T) {
	h := newHub(t)
	clock := testingclock.NewFakePassiveClock(time.Now())
	r := &clusterprofile.Reconciler{Client: h.admin, Profiles: h.admin, Events: silent{}, Clock: clock, Namespace: h.namespace}
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	rc := h.remoteCluster("flaps", h.Cluster)
	request := reconcile.Request{NamespacedName: types.NamespacedName{Name: rc.Name}}
	flap := func(i int) reconcile.Result {
		t.Helper()
		h.learn(rc, fmt.Sprintf("v1.%d.0", i), metav1.ConditionTrue)
		result, err := r.Reconcile(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	flap(0) // makes it
	for i := range 9 {
		if result := flap(i); result.RequeueAfter != 0 {
			t.Fatalf("write %d has to wait for %s", i+1, result.RequeueAfter)
		}
	}
	for i := range 5 {
		if result := flap(100 + i); result.RequeueAfter != 30*time.Second {
			t.Errorf("it is looked at again after %s, want 30s", result.RequeueAfter)
		}
	}
	if got, err := h.profile("hawser-flaps"); err != nil || version(got) != "v1.8.0" {
		t.Errorf("it tells %q (%v)", version(got), err)
	}
	clock.SetTime(clock.Now().Add(30 * time.Second))
	if _, err := r.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got, err := h.profile("hawser-flaps"); err != nil || version(got) != "v1.104.0" {
		t.Errorf("it tells %q (%v)", version(got), err)
	}
}

func TestAnOlderAPIThatKeepsLessIsNotWrittenAgainAndAgain(t *testing.T) {
	h := newHub(t)
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName("clusterprofiles.multicluster.x-k8s.io")
	if err := h.admin.Get(t.Context(), client.ObjectKeyFromObject(crd), crd); err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	unstructured.RemoveNestedField(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "status", "properties", "accessProviders")
	if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	if err := h.admin.Update(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	defer func() { newHub(t) }() // puts it back
	clock := testingclock.NewFakePassiveClock(time.Now())
	r := &clusterprofile.Reconciler{Client: h.admin, Profiles: h.admin, Events: silent{}, Clock: clock, Namespace: h.namespace}
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	rc := h.remoteCluster("old", h.Cluster)
	h.learn(rc, "v1.36.3", metav1.ConditionTrue)
	request := reconcile.Request{NamespacedName: types.NamespacedName{Name: rc.Name}}
	var last string
	eventually(t, func() error { // until the API server has taken the change
		if _, err := r.Reconcile(t.Context(), request); err != nil {
			return err
		}
		clock.SetTime(clock.Now().Add(time.Minute))
		got, err := h.profile("hawser-old")
		if err != nil {
			return err
		}
		status, ok := got.Object["status"].(map[string]any)
		if !ok {
			return errors.New("there is no status yet")
		}
		if _, kept := status["accessProviders"]; kept {
			return errors.Join(errors.New("the API server keeps all of it"), h.admin.Delete(t.Context(), got))
		}
		last = got.GetResourceVersion()
		return nil
	})
	for range 3 {
		clock.SetTime(clock.Now().Add(time.Minute))
		if _, err := r.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := h.profile("hawser-old"); err != nil || got.GetResourceVersion() != last {
		t.Errorf("it was written again, with nothing new (%v)", err)
	}
	h.learn(rc, "v1.37.0", metav1.ConditionTrue)
	if _, err := r.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	h.publishes("hawser-old", "v1.37.0")
}

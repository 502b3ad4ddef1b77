package capicluster_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(fleettest.Run(m, "primary", "alpha"))
}

const patience = 2 * time.Minute

var clusterKind = schema.GroupVersionKind{Group: "cluster.x-k8s.io", Version: "v1beta2", Kind: "Cluster"}

// management is a management cluster of Cluster API, as its controllers would leave it.
type management struct {
	*fleettest.Cluster
	admin     client.Client
	namespace string
}

func newManagement(t *testing.T) *management {
	t.Helper()
	m := newManagementIn(t, "primary")
	m.serve(t, "v1beta1", "v1beta2")
	return m
}

// newManagementIn is one without Cluster API.
func newManagementIn(t *testing.T, name string) *management {
	t.Helper()
	m := &management{Cluster: fleettest.Use(t, name)}
	var err error
	if m.admin, err = client.New(m.AdminConfig(), client.Options{}); err != nil {
		t.Fatal(err)
	}
	m.namespace = m.Namespace(t)
	return m
}

// local is a name of the local cluster that no other test has.
func (m *management) local() string {
	return "hub" + m.namespace[strings.LastIndex(m.namespace, "-"):]
}

// serve installs Cluster API in some versions.
func (m *management) serve(t *testing.T, versions ...string) {
	t.Helper()
	text, err := os.ReadFile("testdata/crds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		t.Fatal(err)
	}
	list, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range list {
		v := v.(map[string]any)
		v["served"] = strings.Contains(strings.Join(versions, " "), v["name"].(string))
	}
	if err := unstructured.SetNestedSlice(crd.Object, list, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	if text, err = yaml.Marshal(crd.Object); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func (m *management) apply(t testing.TB, u *unstructured.Unstructured) {
	t.Helper()
	if err := m.admin.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u.DeepCopy()), client.FieldOwner("test"), client.ForceOwnership); err != nil {
		t.Fatalf("applying %s %s: %v", u.GetKind(), u.GetName(), err)
	}
}

// ready is a status of a Cluster that has come up.
var ready = map[string]any{"phase": "Provisioned", "initialization": map[string]any{"controlPlaneInitialized": true}}

// cluster makes a Cluster, or changes its labels and status.
func (m *management) cluster(t testing.TB, name string, labels map[string]string, status map[string]any) {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(clusterKind)
	u.SetNamespace(m.namespace)
	u.SetName(name)
	u.SetLabels(labels)
	m.apply(t, u)
	u.Object["status"] = status
	if err := m.admin.Status().Patch(t.Context(), u, client.Merge); err != nil {
		t.Fatalf("writing the status of Cluster %s: %v", name, err)
	}
}

// secret makes or replaces the Secret with a kubeconfig.
func (m *management) secret(t testing.TB, name, key string, text []byte) {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"type": "cluster.x-k8s.io/secret", "data": map[string]any{key: base64.StdEncoding.EncodeToString(text)}}}
	u.SetAPIVersion("v1")
	u.SetKind("Secret")
	u.SetNamespace(m.namespace)
	u.SetName(name)
	u.SetLabels(map[string]string{"cluster.x-k8s.io/cluster-name": strings.TrimSuffix(name, "-kubeconfig")})
	m.apply(t, u)
}

// provision makes a Cluster that has come up, with its kubeconfig.
func (m *management) provision(t testing.TB, name string, kubeconfig []byte) {
	t.Helper()
	m.secret(t, name+"-kubeconfig", "value", kubeconfig)
	m.cluster(t, name, map[string]string{"tier": "test"}, ready)
}

func (m *management) remove(t testing.TB, name string) {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterKind)
	u.SetNamespace(m.namespace)
	u.SetName(name)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: name + "-kubeconfig"}}
	for _, obj := range []client.Object{u, secret} {
		if err := m.admin.Delete(t.Context(), obj); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	fleettest.Eventually(t, patience, check)
}

// running is an inventory that runs until the test ends.
type running struct {
	*inventorytest.Recorder
	t  *testing.T
	in string // the namespace of the Clusters
}

func (m *management) run(t *testing.T, i inventory.Inventory) *running {
	t.Helper()
	return &running{Recorder: inventorytest.Start(t, i), t: t, in: m.namespace}
}

// told waits until a cluster is there, without a fault.
func (r *running) told(name string) inventory.Cluster {
	r.t.Helper()
	return r.Told(r.t, r.in+"/"+name)
}

// faulty waits until a cluster has a fault.
func (r *running) faulty(name, want string) {
	r.t.Helper()
	r.Faulty(r.t, r.in+"/"+name, want)
}

func deleted(t testing.TB, c client.Client, obj client.Object) {
	t.Helper()
	if err := c.Delete(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj)
		if err == nil {
			return fmt.Errorf("%T %s is still there", obj, obj.GetName())
		}
		return client.IgnoreNotFound(err)
	})
}

// kubeconfigOf is one with a client certificate.
func kubeconfigOf(server string, ca, cert, key []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: c}}]
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: c, user: {client-certificate-data: %s, client-key-data: %s}}]
`, server, encode(ca), encode(cert), encode(key))
}

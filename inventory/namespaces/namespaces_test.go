package namespaces_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/namespaces"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const patience = 30 * time.Second

// land is the namespaces of a cluster with a label.
type land struct {
	corev1client.NamespaceInterface
	label string
}

func (l land) add(t testing.TB, name string, _ inventorytest.Access) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{l.label: "true"}}}
	if _, err := l.Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// remove deletes a namespace without waiting for the namespace controller, which takes five seconds.
func (l land) remove(t testing.TB, name string) {
	t.Helper()
	err := l.Delete(t.Context(), name, metav1.DeleteOptions{})
	if err == nil {
		_, err = l.Finalize(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

func (l land) relabel(t testing.TB, name, value string) {
	t.Helper()
	if _, err := l.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"`+l.label+`":`+value+`}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	l := land{cluster.Client().CoreV1().Namespaces(), "tenant"}
	account := inventorytest.NewAccount(t, cluster, cluster.Namespace(t), namespaces.Role)
	inventorytest.Run(t, inventorytest.Subject{
		Cluster:          cluster,
		Account:          account,
		SharedCredential: true,
		New: func(testing.TB) inventory.Inventory {
			return &namespaces.Inventory{Config: account.Config(), Selector: "tenant=true"}
		},
		Add:    l.add,
		Remove: l.remove,
		Hide:   func(t testing.TB, name string) { l.relabel(t, name, "null") },
		Show:   func(t testing.TB, name string) { l.relabel(t, name, `"true"`) },
	})
}

func TestANamespaceIsAClusterOfThatNamespaceAlone(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	made := 0
	r := inventorytest.Start(t, &namespaces.Inventory{
		Config:   cluster.AdminConfig(),
		Selector: "kubernetes.io/metadata.name=kube-system",
		Spec:     connection.Spec{AuthType: "eks", Endpoint: credential.Endpoint{Server: "https://example.com"}, QPS: 7},
		Source:   func() credential.Source { made++; return inventory.Fixed(credential.NewToken("token", "")) },
	})
	fleettest.Eventually(t, patience, func() error {
		if len(r.Clusters()) == 0 {
			return errors.New("nothing was told")
		}
		return nil
	})
	clusters := r.Clusters()
	c := clusters["kube-system"]
	if len(clusters) != 1 || c.Namespace != "kube-system" || c.Properties["kubernetes.io/metadata.name"] != "kube-system" {
		t.Errorf("it told %+v, want kube-system alone", clusters)
	}
	if c.Spec.Name != "kube-system" || c.Spec.QPS != 7 || c.Spec.Endpoint.Server != "https://example.com" || c.Spec.AuthType != "eks" || made != 1 {
		t.Errorf("the spec is %+v, with %d sources, want the given one", c.Spec, made)
	}
}

func TestANamespaceThatIsBeingDeletedIsThereUntilItIsGone(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	l := land{cluster.Client().CoreV1().Namespaces(), "held"}
	l.add(t, "held", inventorytest.Access{})
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}}
	maps := cluster.Client().CoreV1().ConfigMaps("held")
	if _, err := maps.Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := inventorytest.Start(t, &namespaces.Inventory{Config: cluster.AdminConfig(), Selector: "held=true"})
	there := func() error {
		if _, ok := r.Clusters()["held"]; !ok {
			return fmt.Errorf("it is not there; it told %v", r.Events())
		}
		return nil
	}
	fleettest.Eventually(t, patience, there)
	if err := l.Delete(t.Context(), "held", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := len(r.Events())
	fleettest.Eventually(t, patience, func() error {
		if len(r.Events()) == before {
			return errors.New("the deletion has not been seen")
		}
		return nil
	})
	if err := there(); err != nil {
		t.Errorf("the namespace is being deleted: %v", err)
	}
	if _, err := maps.Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	fleettest.Eventually(t, patience, func() error {
		if there() == nil {
			return errors.New("it is still there")
		}
		return nil
	})
}

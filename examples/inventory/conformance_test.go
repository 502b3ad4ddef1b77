package main

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/objects"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const role = `
kind: Role
metadata: {name: clusters}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list, watch]}
`

// hand changes the Secrets.
type hand struct{ corev1client.SecretInterface }

func (h hand) add(t testing.TB, name string, access inventorytest.Access) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: "example.com/cluster", Data: data(access)}
	if _, err := h.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func data(access inventorytest.Access) map[string][]byte {
	return map[string][]byte{"server": []byte(access.Server), "ca.crt": access.CAData, "token": []byte(access.Token)}
}

func (h hand) set(t testing.TB, name string, data map[string][]byte) {
	t.Helper()
	secret, err := h.Get(t.Context(), name, metav1.GetOptions{})
	if err == nil {
		secret.Data = data
		_, err = h.Update(t.Context(), secret, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (h hand) remove(t testing.TB, name string) {
	t.Helper()
	if err := h.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// TestConformance holds the inventory to what every inventory keeps: anybody's can be tried so.
func TestConformance(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	h := hand{cluster.Client().CoreV1().Secrets(namespace)}
	account := inventorytest.NewAccount(t, cluster, namespace, []byte(role))
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: cluster,
		Account: account,
		New: func(testing.TB) inventory.Inventory {
			return &secrets{objects.Follower[corev1.Secret]{
				Config: account.Config(), Namespace: namespace, Fields: "type=example.com/cluster",
				Resource: corev1.SchemeGroupVersion.WithResource("secrets"),
			}}
		},
		Add:    h.add,
		Remove: h.remove,
		Rotate: func(t testing.TB, name string, access inventorytest.Access) { h.set(t, name, data(access)) },
		Break:  func(t testing.TB, name string) { h.set(t, name, nil) },
	})
}

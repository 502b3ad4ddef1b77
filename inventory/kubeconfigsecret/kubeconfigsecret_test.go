package kubeconfigsecret_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/kubeconfigsecret"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

const label = "sigs.k8s.io/multicluster-runtime-kubeconfig"

// drawer is a namespace with kubeconfig Secrets.
type drawer struct {
	corev1client.SecretInterface
	label, key string
}

func (d drawer) add(t testing.TB, name string, access inventorytest.Access) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{d.label: "true", "stage": "prod"}}}
	secret.Data = map[string][]byte{d.key: access.Kubeconfig()}
	if _, err := d.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (d drawer) remove(t testing.TB, name string) {
	t.Helper()
	if err := d.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

func (d drawer) write(t testing.TB, name string, text []byte) {
	t.Helper()
	secret, err := d.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{d.key: text}
	if _, err := d.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (d drawer) patch(t testing.TB, name, patch string) {
	t.Helper()
	if _, err := d.Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// subject is what the suite needs for an inventory that reads the drawer.
func (d drawer) subject(cluster *fleettest.Cluster, account *inventorytest.Account, inv kubeconfigsecret.Inventory) inventorytest.Subject {
	return inventorytest.Subject{
		Cluster: cluster,
		Account: account,
		New: func(testing.TB) inventory.Inventory {
			inv := inv
			inv.Config = account.Config()
			return &inv
		},
		Add:    d.add,
		Remove: d.remove,
		Rotate: func(t testing.TB, name string, access inventorytest.Access) { d.write(t, name, access.Kubeconfig()) },
		Break:  func(t testing.TB, name string) { d.write(t, name, []byte("hello")) },
		Hide:   func(t testing.TB, name string) { d.patch(t, name, `{"metadata":{"labels":{"`+d.label+`":null}}}`) },
		Show:   func(t testing.TB, name string) { d.patch(t, name, `{"metadata":{"labels":{"`+d.label+`":"true"}}}`) },
	}
}

func TestConformance(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	d := drawer{cluster.Client().CoreV1().Secrets(namespace), label, "kubeconfig"}
	account := inventorytest.NewAccount(t, cluster, namespace, kubeconfigsecret.Role)
	inventorytest.Run(t, d.subject(cluster, account, kubeconfigsecret.Inventory{Namespace: namespace}))
}

func TestLabelAndKeyCanBeSet(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	d := drawer{cluster.Client().CoreV1().Secrets(namespace), "example.com/cluster", "value"}
	others := drawer{d.SecretInterface, label, "kubeconfig"}
	account := inventorytest.NewAccount(t, cluster, namespace, kubeconfigsecret.Role)
	s := d.subject(cluster, account, kubeconfigsecret.Inventory{Namespace: namespace, Selector: "example.com/cluster,stage in (prod)", Key: "value"})

	access := inventorytest.Access{Server: cluster.Server, CAData: cluster.CA(), Token: "token"}
	d.add(t, "ours", access)
	others.add(t, "other", access)
	r := inventorytest.Start(t, s.New(t))
	fleettest.Eventually(t, patience, func() error { return has(r, "ours") })
	if clusters := r.Clusters(); len(clusters) != 1 || len(r.Faults()) != 0 {
		t.Errorf("it told %v, want ours alone", r.Events())
	}
	if got := r.Clusters()["ours"].Properties["stage"]; got != "prod" {
		t.Errorf("property stage is %q, want that of the label", got)
	}

	d.patch(t, "ours", `{"metadata":{"labels":{"stage":"test"}}}`)
	fleettest.Eventually(t, patience, func() error {
		if has(r, "ours") == nil {
			return errors.New("it is still there though the selector takes it no longer")
		}
		return nil
	})
}

func TestWhatASecretMayNotSay(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	d := drawer{cluster.Client().CoreV1().Secrets(namespace), label, "kubeconfig"}
	account := inventorytest.NewAccount(t, cluster, namespace, kubeconfigsecret.Role)
	inv := d.subject(cluster, account, kubeconfigsecret.Inventory{Namespace: namespace}).New(t)

	good := string(inventorytest.Access{Server: cluster.Server, CAData: cluster.CA(), Token: "very-secret"}.Kubeconfig())
	cases := map[string]struct{ text, want string }{
		"empty":    {"", `nothing under the key "kubeconfig"`},
		"program":  {strings.Replace(good, `"token":"very-secret"`, `"exec":{"command":"id","apiVersion":"client.authentication.k8s.io/v1","interactiveMode":"Never"}`, 1), "exec is refused"},
		"file":     {strings.Replace(good, `"token"`, `"tokenFile"`, 1), "tokenFile is refused"},
		"insecure": {strings.Replace(good, `"certificate-authority-data"`, `"insecure-skip-tls-verify":true,"certificate-authority-data"`, 1), "insecure-skip-tls-verify is refused"},
	}
	for name, c := range cases {
		d.add(t, name, inventorytest.Access{})
		d.write(t, name, []byte(c.text))
	}
	d.add(t, "other-key", inventorytest.Access{})
	d.patch(t, "other-key", `{"data":{"value":"","kubeconfig":null}}`)
	r := inventorytest.Start(t, inv)
	fleettest.Eventually(t, patience, func() error {
		if n := len(r.Faults()); n != len(cases)+1 {
			return fmt.Errorf("there are %d faults, want %d: %v", n, len(cases)+1, r.Faults())
		}
		return nil
	})
	for name, c := range cases {
		err := r.Faults()[name]
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `Secret "`+name+`"`) {
			t.Errorf("%s: the fault is %v, want one that names the Secret and %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: the fault quotes a token: %v", name, err)
		}
	}
	if len(r.Clusters()) != 0 {
		t.Errorf("clusters were told: %v", r.Clusters())
	}
}

func TestANamespaceIsRequired(t *testing.T) {
	err := (&kubeconfigsecret.Inventory{}).Run(t.Context(), &inventorytest.Recorder{})
	if err == nil || !strings.Contains(err.Error(), "Namespace is empty") {
		t.Errorf("error %v, want one that says that Namespace is empty", err)
	}
}

func TestASelectorThatIsNoneIsAnError(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	err := (&kubeconfigsecret.Inventory{Config: cluster.AdminConfig(), Namespace: "x", Selector: "a in"}).Run(t.Context(), &inventorytest.Recorder{})
	if err == nil || !strings.Contains(err.Error(), `"a in"`) {
		t.Errorf("error %v, want one that names the selector", err)
	}
}

func TestSecretsThatMayNotBeReadAreAFaultOfTheInventory(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	namespace := cluster.Namespace(t)
	account := inventorytest.NewAccount(t, cluster, namespace, kubeconfigsecret.Role)
	r := inventorytest.Start(t, &kubeconfigsecret.Inventory{Config: account.Config(), Namespace: "kube-system"})
	fleettest.Eventually(t, patience, func() error {
		err := r.Faults()[""]
		if err == nil || !strings.Contains(err.Error(), `listing secrets in namespace "kube-system"`) || !strings.Contains(err.Error(), "forbidden") {
			return fmt.Errorf("the fault is %w", err)
		}
		return nil
	})
}

const patience = 30 * time.Second

func has(r *inventorytest.Recorder, name string) error {
	if _, ok := r.Clusters()[name]; !ok {
		return fmt.Errorf("cluster %q is not there; it told %v", name, r.Events())
	}
	return nil
}

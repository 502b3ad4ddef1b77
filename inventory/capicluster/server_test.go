package capicluster_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/capicluster"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	m := newManagement(t)
	account := inventorytest.NewAccount(t, m.Cluster, m.namespace, capicluster.Role)
	rotate := func(t testing.TB, name string, access inventorytest.Access) {
		m.secret(t, name+"-kubeconfig", "value", access.Kubeconfig())
	}
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: m.Cluster,
		Account: account,
		New: func(testing.TB) inventory.Inventory {
			return &capicluster.Inventory{Config: account.Config(), Namespace: m.namespace, Selector: "tier=test"}
		},
		Name: func(name string) string { return m.namespace + "/" + name },
		Add: func(t testing.TB, name string, access inventorytest.Access) {
			m.provision(t, name, access.Kubeconfig())
		},
		Remove: func(t testing.TB, name string) { m.remove(t, name) },
		Rotate: rotate,
		Break: func(t testing.TB, name string) {
			m.secret(t, name+"-kubeconfig", "value", []byte("apiVersion: v1\nkind: Config\ncurrent-context: none\n"))
		},
		Mend: rotate,
		Hide: func(t testing.TB, name string) { m.cluster(t, name, map[string]string{"tier": "none"}, ready) },
		Show: func(t testing.TB, name string) { m.cluster(t, name, map[string]string{"tier": "test"}, ready) },
	})
}

func TestPhases(t *testing.T) {
	t.Parallel()
	m := newManagement(t)
	conditions := func(status string) map[string]any {
		return map[string]any{"phase": "Provisioning", "conditions": []any{map[string]any{"type": "ControlPlaneInitialized", "status": status}}}
	}
	text := m.Kubeconfig(t)
	m.provision(t, "new", text)
	m.cluster(t, "young", nil, map[string]any{"phase": "Provisioning", "initialization": map[string]any{"infrastructureProvisioned": true}})
	m.secret(t, "young-kubeconfig", "value", text)
	m.cluster(t, "waits", nil, conditions("False"))
	m.cluster(t, "early", nil, ready)
	m.cluster(t, "old", nil, conditions("True")) // of v1beta1
	m.secret(t, "old-kubeconfig", "value", text)
	m.cluster(t, "plain", nil, map[string]any{"phase": "Provisioned"})
	m.secret(t, "plain-kubeconfig", "value", text)

	r := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace})
	for _, name := range []string{"new", "old", "plain"} {
		r.told(name)
	}
	r.faulty("young", `is not connected yet: it has not come up (phase "Provisioning")`)
	r.faulty("waits", `(phase "Provisioning")`)
	r.faulty("early", `key "value" of Secret "early-kubeconfig" in namespace "`+m.namespace+`" is missing`)

	m.cluster(t, "young", nil, map[string]any{"phase": "Provisioning", "initialization": map[string]any{"controlPlaneInitialized": true}})
	r.told("young")
	m.secret(t, "early-kubeconfig", "value", text)
	r.told("early")

	// What comes later changes nothing, not even the beginning of its deletion.
	m.cluster(t, "old", nil, conditions("False"))
	m.cluster(t, "plain", nil, map[string]any{"phase": "Failed"})
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(clusterKind)
	u.SetNamespace(m.namespace)
	u.SetName("new")
	if err := m.admin.Get(t.Context(), keyOf(u), u); err != nil {
		t.Fatal(err)
	}
	u.SetFinalizers([]string{"cluster.cluster.x-k8s.io/test"})
	if err := m.admin.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if err := m.admin.Delete(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	m.cluster(t, "last", nil, ready) // when this was seen, so was what was before
	m.secret(t, "last-kubeconfig", "value", text)
	r.told("last")
	if clusters := r.Clusters(); len(clusters) != 6 {
		t.Errorf("got %v", clusters)
	}
	if err := m.admin.Get(t.Context(), keyOf(u), u); err != nil {
		t.Fatal(err)
	}
	u.SetFinalizers(nil)
	if err := m.admin.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, there := r.Clusters()[m.namespace+"/new"]; there {
			return errors.New("the cluster outlives its object")
		}
		return nil
	})
}

func TestWhereKubeconfigsAre(t *testing.T) {
	t.Parallel()
	m := newManagement(t)
	text := m.Kubeconfig(t)
	m.cluster(t, "prod", map[string]string{"team": "blue"}, ready)
	m.secret(t, "prod-kubeconfig", "value", text)
	m.secret(t, "user-prod", "config", text)
	m.secret(t, "blue-prod", "hook", text)
	config := m.AdminConfig()
	cases := []struct {
		name      string
		inventory *capicluster.Inventory
		want      string // a fault, or nothing
	}{
		{"by default", &capicluster.Inventory{}, ""},
		{"by another name and key", &capicluster.Inventory{SecretName: "user-{cluster}", SecretKey: "config"}, ""},
		{"in another namespace", &capicluster.Inventory{SecretNamespace: "kube-public"}, `Secret "prod-kubeconfig" in namespace "kube-public" is missing`},
		{"by a function", &capicluster.Inventory{Secret: func(c *capicluster.Cluster) (string, string, string) {
			return c.Namespace, c.Labels["team"] + "-" + c.Name, "hook"
		}}, ""},
		{"by a function that leads elsewhere", &capicluster.Inventory{Secret: func(*capicluster.Cluster) (string, string, string) {
			return "kube-system", "prod", "hook"
		}}, "is not where Secrets are watched: set SecretNamespace"},
		{"under a key that is not there", &capicluster.Inventory{SecretKey: "other"}, `key "other" of Secret "prod-kubeconfig"`},
		{"but only those that are selected", &capicluster.Inventory{SecretSelector: "a=b"}, "is missing, or is not selected by its labels"},
		{"or all of them", &capicluster.Inventory{SecretSelector: capicluster.AnySecret}, ""},
		{"if they are to be connected", &capicluster.Inventory{Connect: func(c *capicluster.Cluster) bool { return c.Name == "dev" }}, "is not connected yet"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			tc.inventory.Config, tc.inventory.Namespace = config, m.namespace
			r := m.run(t, tc.inventory)
			if tc.want != "" {
				r.faulty("prod", tc.want)
				return
			}
			if diff := cmp.Diff(map[string]string{"team": "blue"}, r.told("prod").Properties); diff != "" {
				t.Errorf("properties (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChangedLabelsAreTold(t *testing.T) {
	t.Parallel()
	m := newManagement(t)
	m.provision(t, "prod", m.Kubeconfig(t))
	r := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace})
	before := r.told("prod")
	want := map[string]string{"tier": "gold"}
	m.cluster(t, "prod", want, ready)
	eventually(t, func() error {
		if now := r.Clusters()[m.namespace+"/prod"]; now.Version != before.Version || !maps.Equal(now.Properties, want) {
			return fmt.Errorf("got %v", now.Properties)
		}
		return nil
	})
}

func TestVersionsComeAndGo(t *testing.T) {
	t.Parallel()
	m := newManagementIn(t, "alpha") // of its own, where nobody else minds
	r := m.run(t, &capicluster.Inventory{Config: m.AdminConfig(), Namespace: m.namespace})
	eventually(t, func() error {
		if got := fmt.Sprint(r.Faults()[""]); !strings.Contains(got, "install it") {
			return fmt.Errorf("the fault is %s", got)
		}
		return nil
	})

	m.serve(t, "v1beta1")
	prod := &unstructured.Unstructured{Object: map[string]any{}}
	prod.SetAPIVersion("cluster.x-k8s.io/v1beta1")
	prod.SetKind("Cluster")
	prod.SetNamespace(m.namespace)
	prod.SetName("prod")
	m.apply(t, prod)
	prod.Object["status"] = map[string]any{"phase": "Provisioned"}
	if err := m.admin.Status().Update(t.Context(), current(t, m, prod)); err != nil {
		t.Fatal(err)
	}
	m.secret(t, "prod-kubeconfig", "value", m.Kubeconfig(t))
	r.told("prod")
	if err := r.Faults()[""]; err != nil {
		t.Error(err)
	}

	m.serve(t, "v1beta2") // an upgrade
	m.provision(t, "later", m.Kubeconfig(t))
	r.told("later")
	for _, event := range r.Events() {
		if event.Did == "Remove" {
			t.Errorf("it told %v", r.Events())
		}
	}
	eventually(t, func() error { return r.Faults()[""] })
}

// current is the object as the API server has it, with the wanted status.
func current(t *testing.T, m *management, want *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	have := want.DeepCopy()
	if err := m.admin.Get(t.Context(), keyOf(have), have); err != nil {
		t.Fatal(err)
	}
	have.Object["status"] = want.Object["status"]
	return have
}

func TestWhatCannotBeMendedIsAnError(t *testing.T) {
	m := newManagement(t)
	for want, i := range map[string]*capicluster.Inventory{
		"reading the label selector":              {Selector: "a in"},
		"the name must be a DNS label":            {IssueOwnCredential: &capicluster.Own{Local: "Not A Name"}},
		"a token lives between 10m0s and 24h0m0s": {IssueOwnCredential: &capicluster.Own{Local: "hub", Lifetime: 1}},
	} {
		i.Config, i.Namespace = m.AdminConfig(), m.namespace
		if err := i.Run(t.Context(), &inventorytest.Recorder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want …%s…", err, want)
		}
	}
}

func keyOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

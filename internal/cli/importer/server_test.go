package importer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/importer"
)

const patience = 30 * time.Second

func admin(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(fleettest.Use(t, "primary").AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// apply is kubectl apply --server-side.
func apply(t *testing.T, c client.Client, content map[string]any, opts ...client.ApplyOption) error {
	t.Helper()
	opts = append(opts, client.FieldOwner("test"), client.ForceOwnership)
	return c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content}), opts...)
}

func TestAnAPIServerTakesWhatIsPrinted(t *testing.T) {
	c := admin(t)
	fleettest.Use(t, "primary").Install(t, "../../../config/crd/*.yaml")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "hawser"}}
	if err := c.Create(t.Context(), namespace); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
	for file := range inputs {
		text, err := imported(t, file, true).YAML()
		if err != nil {
			t.Fatal(err)
		}
		documents, err := importer.Read(text)
		if err != nil || len(documents) == 0 {
			t.Fatalf("%s: %d documents, %v", file, len(documents), err)
		}
		for _, d := range documents {
			name := fmt.Sprintf("%s: %v %v", file, d["kind"], d["metadata"].(map[string]any)["name"])
			if err := apply(t, c, d, client.DryRunAll); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// foreignKind installs a kind of somebody else's, as far as reading it needs.
func foreignKind(t *testing.T, gvk schema.GroupVersionKind, scope string) {
	t.Helper()
	plural := strings.ToLower(gvk.Kind) + "s"
	crd := map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": plural + "." + gvk.Group},
		"spec": map[string]any{
			"group": gvk.Group, "scope": scope,
			"names": map[string]any{"kind": gvk.Kind, "plural": plural, "singular": strings.ToLower(gvk.Kind)},
			"versions": []any{map[string]any{"name": gvk.Version, "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
		},
	}
	text, err := json.Marshal(crd)
	if err != nil {
		t.Fatal(err)
	}
	if err := fleettest.Use(t, "primary").Apply(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func TestFromACluster(t *testing.T) {
	c := admin(t)
	admiralty := schema.GroupVersion{Group: "multicluster.admiralty.io", Version: "v1alpha1"}
	if _, _, err := importer.FromCluster(t.Context(), c, "admiralty", ""); err == nil || !strings.Contains(err.Error(), "does not know the kind Target") {
		t.Errorf("without Admiralty: error %v", err)
	}
	foreignKind(t, admiralty.WithKind("ClusterTarget"), "Cluster")
	foreignKind(t, schema.GroupVersionKind{Group: "crd.projectcalico.org", Version: "v1", Kind: "RemoteClusterConfiguration"}, "Cluster")
	for _, namespace := range []string{"admiralty", "calico-system", "argocd", "mirrord"} {
		if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"admiralty": "us-east", "calico": "inline", "argocd": "cert", "mirrord": "alpha"}
	for file, source := range inputs {
		if want[source] == "" || file == "mirrord" {
			continue
		}
		for _, d := range read(t, file) {
			kind := d["kind"]
			if kind != "Secret" && kind != "ConfigMap" && kind != "ClusterTarget" && (kind != "RemoteClusterConfiguration" || d["apiVersion"] == "projectcalico.org/v3") {
				continue
			}
			if d["metadata"].(map[string]any)["namespace"] == "shop" {
				continue
			}
			if err := apply(t, c, d); err != nil {
				t.Fatal(err)
			}
		}
		fleettest.Eventually(t, patience, func() error {
			documents, notes, err := importer.FromCluster(t.Context(), c, source, importer.DefaultNamespace(source))
			if err != nil || len(notes) > 0 {
				return fmt.Errorf("%w, notes %v", errors.Join(err, errors.New("reading")), notes)
			}
			result, err := importer.Import(source, documents, importer.Options{Namespace: "hawser", Now: now})
			if err != nil {
				return err
			}
			for _, item := range result.Items {
				if item.Object.GetName() == want[source] {
					return nil
				}
			}
			return fmt.Errorf("%s: no %s among %v", source, want[source], result.Items)
		})
	}
	missing := map[string]any{"apiVersion": admiralty.String(), "kind": "ClusterTarget", "metadata": map[string]any{"name": "missing"},
		"spec": map[string]any{"kubeconfigSecret": map[string]any{"name": "missing", "namespace": "admiralty"}}}
	if err := apply(t, c, missing); err != nil {
		t.Fatal(err)
	}
	_, notes, err := importer.FromCluster(t.Context(), c, "admiralty", "")
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0].String(), `Secret "admiralty/missing" could not be read: NotFound`) {
		t.Errorf("notes %v, error %v", notes, err)
	}
}

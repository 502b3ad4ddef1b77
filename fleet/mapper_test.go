package fleet_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

func TestOnlyWhatIsUsedIsDiscovered(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	proxy := alpha.HTTPProxy(t)
	w := newWorld(t).run()
	c := w.join("alpha", alpha, proxy.URL)
	for _, list := range []client.ObjectList{&corev1.ConfigMapList{}, &corev1.SecretList{}, &appsv1.DeploymentList{}, &corev1.NodeList{}} {
		if err := c.GetClient().List(t.Context(), list); err != nil {
			t.Errorf("%T: %v", list, err)
		}
	}
	discovered := map[string]int{}
	for path, n := range proxy.Count() {
		if path == "GET /apis/about.k8s.io" { // by the probe of the connection
			continue
		}
		if strings.HasPrefix(path, "GET /apis") && strings.Count(path, "/") <= 3 || path == "GET /api" || path == "GET /api/v1" {
			discovered[path] = n
		}
	}
	if len(discovered) != 2 || discovered["GET /api/v1"] != 1 || discovered["GET /apis/apps/v1"] != 1 {
		t.Errorf("discovered %v, want core and apps, once each", discovered)
	}
	m := c.GetRESTMapper()
	for gk, scope := range map[schema.GroupKind]meta.RESTScope{{Kind: "Pod"}: meta.RESTScopeNamespace, {Kind: "Node"}: meta.RESTScopeRoot} {
		mapping, err := m.RESTMapping(gk, "v1")
		if err != nil || mapping.Scope != scope || mapping.GroupVersionKind.GroupKind() != gk {
			t.Errorf("%s: %v, %v", gk, mapping, err)
		}
	}
	if _, err := m.RESTMapping(schema.GroupKind{Kind: "Nothing"}, "v1"); !meta.IsNoMatchError(err) {
		t.Errorf("an unknown kind: %v", err)
	}
	if _, err := m.RESTMapping(schema.GroupKind{Group: "nowhere.example.com", Kind: "Nothing"}, "v1"); !meta.IsNoMatchError(err) {
		t.Errorf("a kind of an unknown group: %v", err)
	}
	// Questions without a version are for who knows everything.
	if mapping, err := m.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"}); err != nil || mapping.Resource.Version != "v1" {
		t.Errorf("without a version: %v, %v", mapping, err)
	}
	if gvk, err := m.KindFor(schema.GroupVersionResource{Resource: "pods"}); err != nil || gvk.Kind != "Pod" {
		t.Errorf("the kind of pods: %v, %v", gvk, err)
	}
}

func TestAKindThatIsInstalledLater(t *testing.T) {
	beta := fleettest.Use(t, "beta")
	ns := beta.Namespace(t)
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(beta.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var got seen
	later := &unstructured.Unstructured{}
	later.SetGroupVersionKind(schema.GroupVersionKind{Group: "test.example.com", Version: "v1", Kind: "Later"})
	if err := fleet.NewControllerManagedBy(w.Fleet).For(later).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.run()
	c := w.join("beta", beta, beta.Server)
	if _, err := c.GetRESTMapper().RESTMapping(schema.GroupKind{Group: "test.example.com", Kind: "Later"}, "v1"); !meta.IsNoMatchError(err) {
		t.Errorf("before it is installed: %v", err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "laters.test.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "test.example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "laters", Kind: "Later", ListKind: "LaterList", Singular: "later"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}},
			}},
		},
	}
	if err := admin.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	obj := later.DeepCopy()
	obj.SetNamespace(ns)
	obj.SetName("one")
	fleettest.Eventually(t, patience, func() error { return client.IgnoreAlreadyExists(admin.Create(t.Context(), obj.DeepCopy())) })
	eventually(t, "it is reconciled", func() bool { return got.of("beta", ns, "one") > 0 })
}

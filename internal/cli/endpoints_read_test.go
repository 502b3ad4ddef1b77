package cli

import (
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/publish/set"
)

// askForBrokenSets asks for sets whose selector cannot be read: one that never had another one, and one that something was
// made of before.
func (f *field) askForBrokenSets(t *testing.T) {
	for name, text := range map[string]string{"SHOP-never": "app =", "SHOP-before": "global()"} {
		f.make(f.here, &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: strings.ReplaceAll(name, "SHOP", f.namespace)}, Spec: v1alpha1.EndpointSetSpec{
			Selector: text, Clusters: v1alpha1.ClusterScope{Names: []string{"alpha"}},
			Outputs: []v1alpha1.EndpointOutput{
				{Name: "group", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{}}, // which nobody serves
				{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: f.namespace}},
			},
		}})
	}
	got := f.says("endpoints", "set", "SHOP-never", "--from", "self")
	if got.Code != exitFailed || got.Out != "" {
		t.Errorf("exit code %d, and it prints %s", got.Code, got.Out)
	}
	wantText(t, "stderr", got.Err, `hawser: EndpointSet "SHOP-never": spec.selector: parsing the selector at column 5: `, "; it matches nothing\napp =\n    ^")

	var es v1alpha1.EndpointSet
	if err := f.here.Client.Get(t.Context(), client.ObjectKey{Name: f.namespace + "-before"}, &es); err != nil {
		t.Fatal(err)
	}
	last, err := set.Selector(`projectcalico.org/namespace == "` + f.namespace + `" && has(canary)`)
	if err != nil {
		t.Fatal(err)
	}
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: f.namespace, Name: es.Name + "-cm-alpha", OwnerReferences: []metav1.OwnerReference{set.Owner(&es)},
		Labels:      map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy, publish.SetLabel: es.Name, publish.ClusterLabel: "alpha"},
		Annotations: map[string]string{publish.SelectorAnnotation: last.String()},
	}}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(made)
	if err != nil {
		t.Fatal(err)
	}
	made.Annotations[publish.HashAnnotation] = publish.ContentHash(&unstructured.Unstructured{Object: fields}) // nobody has edited it
	if err := f.here.Client.Create(t.Context(), made, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		t.Fatal(err)
	}
	const said = "-  EndpointSet(SHOP-before): spec.selector: global() is allowed in the namespaceSelector of a policy only"
	got = f.says("endpoints", "set", "SHOP-before", "--from", "self")
	if want := `Endpoints in EndpointSet "SHOP-before" (selector "(projectcalico.org/namespace == "SHOP" && has(canary))"):
  Workload endpoint alpha/node-1/k8s/SHOP.web-2/eth0
`; got.Code != exitFailed || got.Out != want {
		t.Errorf("exit code %d, and it prints\n%s", got.Code, got.Out)
	}
	wantText(t, "stderr", got.Err, said, `the selector that was read last: (projectcalico.org/namespace == "SHOP" && has(canary))`)

	got = f.says("endpoints", "explain", "alpha/SHOP/web-2", "--from", "self")
	wantText(t, "what explains a pod", got.Out, `EndpointSet "SHOP-before" (selector "(projectcalico.org/namespace == "SHOP" && has(canary))")`)
	wantText(t, "stderr", got.Err, said, "-  EndpointSet(SHOP-never): spec.selector: ")
}

// askForABrokenSetAsSomebody who may not list what was made.
func (f *field) askForABrokenSetAsSomebody(t *testing.T, viewer *cluster) {
	got := asPerson(viewer, "endpoints", "set", f.namespace+"-before", "--query-port", strconv.Itoa(f.port))
	if got.Code != exitFailed || got.Out != "" {
		t.Errorf("exit code %d, and it prints %s", got.Code, got.Out)
	}
	wantText(t, "stderr", got.Err, "spec.selector: global() is allowed in the namespaceSelector of a policy only", "which selector was read last, and is followed, you may not see: ", "forbidden")
}

package publish

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestTheSelectorThatSomethingWasMadeByLast(t *testing.T) {
	object := func(uid types.UID, cluster, selector string, manager string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
		o.SetName("x-" + cluster)
		o.SetLabels(map[string]string{SetLabel: "x", ClusterLabel: cluster})
		o.SetAnnotations(map[string]string{SelectorAnnotation: selector})
		o.SetOwnerReferences([]metav1.OwnerReference{{UID: uid}})
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: manager}})
		return o
	}
	entries := []v1alpha1.FederatedCluster{{Name: "a", ObservedGeneration: 2}, {Name: "b", ObservedGeneration: 5}, {Name: "c", ObservedGeneration: 5}}
	for name, tt := range map[string]struct {
		objects []*unstructured.Unstructured
		want    string
	}{
		"nothing was made":                             {nil, ""},
		"of the cluster that was written last":         {[]*unstructured.Unstructured{object("u", "a", "old", "hawser"), object("u", "b", "new", "hawser")}, "new"},
		"the same whichever is seen first":             {[]*unstructured.Unstructured{object("u", "c", "one", "hawser"), object("u", "b", "other", "hawser")}, "one"},
		"of a cluster of which nothing is told, alone": {[]*unstructured.Unstructured{object("u", "d", "has(d)", "hawser")}, "has(d)"},
		"what was made for an earlier set of the name": {[]*unstructured.Unstructured{object("before", "a", "old", "hawser")}, ""},
		"what somebody edited":                         {[]*unstructured.Unstructured{object("u", "a", "old", "somebody")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var made Made
			for _, o := range tt.objects {
				if o.GetManagedFields()[0].Manager == "hawser" {
					o.SetAnnotations(merged(o.GetAnnotations(), nil, map[string]string{HashAnnotation: ContentHash(o)}))
				}
				made.Add(o, "u")
			}
			if got := made.Last(entries); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

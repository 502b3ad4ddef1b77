package federatedservice

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/service"
)

// TestWhatADefinitionDoesNotKeepOfAnImportIsWrittenOnce: one of an earlier version knows fewer fields. What somebody edits is
// put back.
func TestWhatADefinitionDoesNotKeepOfAnImportIsWrittenOnce(t *testing.T) {
	im := &mcs.ServiceImport{}
	im.APIVersion, im.Kind = mcs.GroupName+"/v1alpha1", mcs.ServiceImportKindName
	im.Namespace, im.Name, im.UID = "shop", "db", "1"
	im.Spec = mcs.ServiceImportSpec{Type: mcs.ClusterSetIP, Ports: []mcs.ServicePort{{Name: "sql", Port: 5432}}}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(im)
	if err != nil {
		t.Fatal(err)
	}
	client, writes := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), &unstructured.Unstructured{Object: object}), 0
	client.PrependReactor("update", mcs.ServiceImportPluralName, func(a clienttesting.Action) (bool, runtime.Object, error) {
		writes++
		if u, ok := a.(clienttesting.UpdateAction).GetObject().(*unstructured.Unstructured); ok {
			unstructured.RemoveNestedField(u.Object, "spec", "trafficDistribution")
		}
		return false, nil, nil
	})
	local, err := service.NewLocal(service.LocalOptions{Config: &rest.Config{Host: "https://cluster.invalid"}, Changed: func(service.Key) {}})
	if err != nil {
		t.Fatal(err)
	}
	c := &Controller{leader: writer{dynamic: client}, local: local, specs: map[service.Key]kept[mcs.ServiceImportSpec]{}}
	key := service.Key{Import: true, Namespace: "shop", Name: "db"}
	brings := func(want int, port int32) {
		t.Helper()
		for range 3 {
			next := im.DeepCopy()
			next.Spec.TrafficDistribution, next.Spec.Ports[0].Port = new("PreferClose"), port
			if im, err = c.updateImport(t.Context(), key, im, next); err != nil {
				t.Fatal(err)
			}
		}
		if writes != want || im.Spec.Ports[0].Port != port {
			t.Errorf("it was written %d times, want %d, and is %+v", writes, want, im.Spec)
		}
	}
	brings(1, 5432)
	brings(2, 6432)
	im = im.DeepCopy()
	im.Spec.Ports[0].Port = 1
	brings(3, 6432)
	im = im.DeepCopy()
	im.UID = "2" // another one, as a definition that was replaced may keep it
	brings(4, 6432)
}

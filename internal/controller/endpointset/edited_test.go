package endpointset_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
)

func (s *scene) globalNetworkSet(cluster string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("projectcalico.org/v3")
	o.SetKind("GlobalNetworkSet")
	o.SetName(s.name + "-gns-" + cluster)
	return o
}

func globalOutput() v1alpha1.EndpointOutput {
	return v1alpha1.EndpointOutput{Name: "gns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Labels: map[string]string{"role": "web"}}}
}

// TestAnEditThatOnlyTakesAwayIsSeen, for which nobody is named, as is one of a label that the output asked for; by a
// process that begins after it, too.
func TestAnEditThatOnlyTakesAwayIsSeen(t *testing.T) {
	t.Parallel()
	s, a, r := followed(t)
	s.set("has(app)", []string{a}, s.configMap(), s.networkPolicy(), globalOutput())
	s.has(a, "10.0.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	gns := s.globalNetworkSet(a)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name + "-cm-" + a}}
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name + "-np-" + a}}
	for _, o := range []client.Object{cm, np, gns} {
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil || o.GetAnnotations()[publish.StoredAnnotation] != "" {
			t.Errorf("the API server makes something else of %T: %v (%v)", o, o.GetAnnotations(), err)
		}
	}
	patch := func(o client.Object, text string) {
		t.Helper()
		if err := s.admin.Patch(t.Context(), o, client.RawPatch(types.JSONPatchType, []byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	patch(cm, `[{"op":"remove","path":"/data"}]`)
	patch(np, `[{"op":"remove","path":"/spec/ingress"}]`)
	patch(gns, `[{"op":"replace","path":"/metadata/labels/role","value":"other"}]`)
	edited := []string{"ConfigMap " + s.namespace + "/" + cm.Name + " was edited by ", "NetworkPolicy " + s.namespace + "/" + np.Name + " was edited by ", "GlobalNetworkSet " + gns.GetName() + " was edited by "}
	s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, edited...)
	r.Stop()
	r = s.replica(newBook(), nil)
	r.follow(a)
	r.pod(a, "one", web, "10.0.0.1")
	r.pod(a, "two", web, "10.0.0.7")
	eventually(t, func() error {
		if es := s.says(v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonOutputsRefused, edited...); es.Status.Addresses != 2 {
			return fmt.Errorf("there are %d addresses", es.Status.Addresses)
		}
		return nil
	})
	s.has(a)
	if got, err := s.nets("projectcalico.org/v3", "GlobalNetworkSet", "nets"); err != nil || !slices.Equal(got, []string{"10.0.0.1/32"}) {
		t.Errorf("the GlobalNetworkSets have %v (%v)", got, err)
	}
	for _, o := range []client.Object{cm, np, gns} {
		if err := s.admin.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	s.has(a, "10.0.0.1/32", "10.0.0.7/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

// TestDefaultsOfAnAPIAreNoEdit: those that a later version of it has, and those that were there before.
func TestDefaultsOfAnAPIAreNoEdit(t *testing.T) {
	s, a, r := followed(t)
	s.set("has(app)", []string{a}, globalOutput())
	has := func(annotated bool, want ...string) {
		t.Helper()
		eventually(t, func() error {
			gns := s.globalNetworkSet(a)
			if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(gns), gns); err != nil {
				return err
			}
			got, _, _ := unstructured.NestedStringSlice(gns.Object, "spec", "nets")
			if noted := gns.GetAnnotations()[publish.StoredAnnotation] != ""; !slices.Equal(got, want) || noted != annotated {
				return fmt.Errorf("it has %v, and notes what became of it: %t", got, noted)
			}
			return nil
		})
	}
	has(false, "10.0.0.1/32")
	definition := &unstructured.Unstructured{}
	definition.SetAPIVersion("apiextensions.k8s.io/v1")
	definition.SetKind("CustomResourceDefinition")
	definition.SetName("globalnetworksets.projectcalico.org")
	patch := func(ctx context.Context, text string) error {
		return s.admin.Patch(ctx, definition, client.RawPatch(types.JSONPatchType, []byte(text)))
	}
	const at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tier"
	if err := patch(t.Context(), `[{"op":"add","path":"`+at+`","value":{"type":"string","default":"x"}}]`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // others have the same kind
		_ = patch(context.Background(), `[{"op":"remove","path":"`+at+`"}]`)
		eventually(t, func() error {
			gns := s.globalNetworkSet("none")
			gns.Object["spec"] = map[string]any{}
			if err := s.admin.Create(context.Background(), gns, client.DryRunAll); err != nil {
				return err
			}
			if _, found, _ := unstructured.NestedString(gns.Object, "spec", "tier"); found {
				return errors.New("it still has a default")
			}
			return nil
		})
	})
	eventually(t, func() error {
		gns := s.globalNetworkSet(a)
		if err := s.admin.Get(t.Context(), client.ObjectKeyFromObject(gns), gns); err != nil {
			return err
		}
		if tier, _, _ := unstructured.NestedString(gns.Object, "spec", "tier"); tier != "x" {
			return errors.New("it has no default yet")
		}
		return nil
	})
	again := func() {
		r.Stop()
		r = s.replica(newBook(), nil)
		r.follow(a)
		r.pod(a, "one", web, "10.0.0.1")
	}
	again() // the default is what nobody wrote
	r.pod(a, "two", web, "10.0.0.7")
	has(true, "10.0.0.1/32", "10.0.0.7/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
	again() // the default is what became of what we wrote
	has(true, "10.0.0.1/32")
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)
}

package attempts_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/internal/authors"
)

// ofOthers are objects of each kind that the manager writes, which it did not make.
func ofOthers(namespace string) []client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: unique("theirs")}
	return []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta},
		&networkingv1.NetworkPolicy{ObjectMeta: meta},
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
		&discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4},
	}
}

// marked is an object with what the manager puts on its own.
func marked(o client.Object) client.Object {
	o = o.DeepCopyObject().(client.Object)
	o.SetLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy})
	if _, slice := o.(*discoveryv1.EndpointSlice); slice {
		o.SetLabels(map[string]string{discoveryv1.LabelManagedBy: service.ManagedBy})
	}
	return o
}

const notItsOwn = "the manager writes and deletes only what it made"

// writesWhatIsForeign changes and deletes what others made, and then the same with what the manager made.
func writesWhatIsForeign(t *testing.T, w *world) {
	thief := tokenOf(t, w.here, w.credentials.manager)
	for _, o := range ofOthers(w.other) {
		mustCreate(t, w.local, o)
		o.SetAnnotations(map[string]string{"stolen": "yes"})
		must(t, refused(thief.Update(t.Context(), o, client.DryRunAll), notItsOwn))
		must(t, refused(thief.Delete(t.Context(), o, client.DryRunAll), notItsOwn))
	}
	for _, o := range ofOthers(w.other) {
		o = marked(o)
		must(t, thief.Create(t.Context(), o.DeepCopyObject().(client.Object), client.DryRunAll))
		mustCreate(t, w.local, o)
		o.SetAnnotations(map[string]string{"made": "anew"})
		must(t, thief.Update(t.Context(), o.DeepCopyObject().(client.Object), client.DryRunAll))
		must(t, thief.Delete(t.Context(), o, client.DryRunAll))
	}
	for _, name := range []string{v1alpha1.ManagerConfigMap, "hawser-shards"} { // which it writes in its own namespace
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name}}
		if err := w.local.Create(t.Context(), cm.DeepCopy()); client.IgnoreAlreadyExists(err) != nil {
			t.Error(err)
		}
		must(t, thief.Update(t.Context(), cm, client.DryRunAll))
	}
}

// makesWithoutLabel makes objects that nobody would know as the manager's.
func makesWithoutLabel(t *testing.T, w *world) {
	thief := tokenOf(t, w.here, w.credentials.manager)
	for _, o := range ofOthers(w.other) {
		must(t, refused(thief.Create(t.Context(), o, client.DryRunAll), notItsOwn))
	}
}

// takesOver puts the manager's label on what others made, and takes it off what the manager made.
func takesOver(t *testing.T, w *world) {
	thief := tokenOf(t, w.here, w.credentials.manager)
	for _, o := range ofOthers(w.other) {
		mustCreate(t, w.local, o)
		must(t, refused(thief.Update(t.Context(), marked(o), client.DryRunAll), notItsOwn))
	}
	for _, o := range ofOthers(w.other) {
		o = marked(o)
		mustCreate(t, w.local, o)
		o.SetLabels(nil)
		must(t, refused(thief.Update(t.Context(), o, client.DryRunAll), notItsOwn))
	}
}

// writesRights writes the ConfigMap by which clusters of EKS say who is an admin, with the label of the manager.
func writesRights(t *testing.T, w *world) {
	thief := tokenOf(t, w.here, w.credentials.manager)
	auth := marked(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: "aws-auth"}}).(*corev1.ConfigMap)
	must(t, refused(thief.Create(t.Context(), auth.DeepCopy(), client.DryRunAll), "no ConfigMap in namespace kube-system"))
	mustCreate(t, w.local, auth)
	auth.Data = map[string]string{"mapUsers": "- username: thief"}
	must(t, refused(thief.Update(t.Context(), auth, client.DryRunAll), "no ConfigMap in namespace kube-system"))
	must(t, refused(thief.Delete(t.Context(), auth, client.DryRunAll), "no ConfigMap in namespace kube-system"))
}

// writesStatusOfService goes by the status of a Service, which also takes labels, owners and addresses.
func writesStatusOfService(t *testing.T, w *world) {
	thief := tokenOf(t, w.here, w.credentials.manager)
	s := ofOthers(w.other)[2].(*corev1.Service)
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	mustCreate(t, w.local, s)
	patch := func(text string) error {
		return thief.Status().Patch(t.Context(), s.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(text)), client.DryRunAll)
	}
	must(t, patch(`{"status":{"conditions":[{"type":"hawser.io/Federated","status":"True","reason":"a","message":"b","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`))
	for what, text := range map[string]string{
		"an address":   `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`,
		"a label":      `{"metadata":{"labels":{"` + v1alpha1.ManagedByLabel + `":"` + v1alpha1.ManagedBy + `"}}}`,
		"an owner":     `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"gone","uid":"gone"}]}}`,
		"a finalizer":  `{"metadata":{"finalizers":["hawser.io/held"]}}`,
		"a federation": `{"metadata":{"annotations":{"` + service.SelectorAnnotation + `":"all()"}}}`,
	} {
		if err := refused(patch(text), "nothing but conditions"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// settledHere says whether the policy of the manager is in force.
func settledHere(t *testing.T, w *world) bool {
	t.Helper()
	return refused(tokenOf(t, w.here, w.credentials.manager).Create(t.Context(), ofOthers(w.other)[0], client.DryRunAll), authors.ManagerPolicy) == nil
}

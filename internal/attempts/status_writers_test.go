package attempts_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// statusWriters may write the status of one kind and nothing else of it. A status is no input: whoever may write it has
// no way to the spec, and nothing is done because of what stands there.
var statusWriters = map[string]func(*testing.T, *world){
	"of a RemoteCluster changes its server":         serverByStatus,
	"of an AccessRequest changes its output":        outputByStatus,
	"of an AWSIdentity changes its role":            roleByStatus,
	"of an EKSInventory changes whom it asks":       accountsByStatus,
	"of a RemoteCluster has Hawser take it off":     finalizerByStatus,
	"of an AWSIdentity lets others enter as itself": usedByStatus,
	"of an EndpointSet changes what is made of it":  outputsByStatus,
	"of a FederatedNetworkPolicy opens it":          rulesByStatus,
}

// byStatus writes both as one who may write the status alone, and holds the spec to what it was.
func byStatus(t *testing.T, w *world, user, resource string, obj client.Object, change map[string]any) {
	t.Helper()
	who := as(t, w.here, user, everythingOn(resource+"/status"))
	before := obj.DeepCopyObject().(client.Object)
	if err := w.local.Get(t.Context(), client.ObjectKeyFromObject(obj), before); err != nil {
		t.Fatal(err)
	}
	change["status"] = map[string]any{"observedGeneration": 1}
	patch, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	merge := client.RawPatch("application/merge-patch+json", patch)
	must(t, who.Status().Patch(t.Context(), obj.DeepCopyObject().(client.Object), merge))
	must(t, refused(who.Patch(t.Context(), obj.DeepCopyObject().(client.Object), merge), "cannot patch resource"))
	must(t, refused(who.Delete(t.Context(), obj.DeepCopyObject().(client.Object)), "cannot delete resource"))
	after := obj.DeepCopyObject().(client.Object)
	if err := w.local.Get(t.Context(), client.ObjectKeyFromObject(obj), after); err != nil {
		t.Fatal(err)
	}
	if before.GetGeneration() != after.GetGeneration() || len(before.GetFinalizers()) != len(after.GetFinalizers()) {
		t.Errorf("its spec or its finalizers were changed by the status: generation %d is %d, finalizers %v are %v",
			before.GetGeneration(), after.GetGeneration(), before.GetFinalizers(), after.GetFinalizers())
	}
}

func serverByStatus(t *testing.T, w *world) {
	byStatus(t, w, "sam", "remoteclusters", &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}, map[string]any{
		"spec": map[string]any{"server": "https://sam.example.com"},
	})
}

func finalizerByStatus(t *testing.T, w *world) {
	byStatus(t, w, "sif", "remoteclusters", &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}, map[string]any{
		"metadata": map[string]any{"finalizers": nil},
	})
}

func outputByStatus(t *testing.T, w *world) {
	byStatus(t, w, "sue", "accessrequests", requestFor(w.shop, "shop", "shop"), map[string]any{
		"spec": map[string]any{"output": map[string]any{"secretName": "elsewhere"}, "grant": "entry"},
	})
}

func identity(name, source string) *v1alpha1.AWSIdentity {
	return &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AWSIdentitySpec{
		Type: v1alpha1.AWSRoleIdentity, Role: &v1alpha1.AWSRole{RoleARN: "arn:aws:iam::111122223333:role/reader"},
		SourceIdentityRef: &v1alpha1.AWSIdentityRef{Name: source},
	}}
}

func roleByStatus(t *testing.T, w *world) {
	id := identity("sky", "nowhere")
	mustCreate(t, w.local, id)
	byStatus(t, w, "sky", "awsidentities", id, map[string]any{
		"spec": map[string]any{"role": map[string]any{"roleARN": "arn:aws:iam::111122223333:role/admin"}},
	})
}

// usedByStatus says of an identity that leads nowhere that it is ready and who it is. What uses it goes by its spec.
func usedByStatus(t *testing.T, w *world) {
	id, who := identity("sly", "nowhere"), as(t, w.here, "sly", everythingOn("awsidentities/status"))
	mustCreate(t, w.local, id)
	is(t, w.local, id, func() []metav1.Condition { return id.Status.Conditions }, v1alpha1.Ready, metav1.ConditionFalse, v1alpha1.ReasonIdentityNotFound)
	ready := `{"status":{"arn":"arn:aws:sts::111122223333:assumed-role/admin/x","chain":["sly"],"conditions":[
		{"type":"Ready","status":"True","reason":"IdentityReady","message":"as admin","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":1}]}}`
	must(t, who.Status().Patch(t.Context(), id.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(ready))))
	auth := v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{Region: "eu-central-1", AccountID: "111122223333", ClusterName: "sly", IdentityRef: &v1alpha1.AWSIdentityRef{Name: "sly"}}}
	must(t, tie(t, w.local, "sly", w.there.Server, w.there.CA(), auth))
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "sly"}}
	is(t, w.local, rc, func() []metav1.Condition { return rc.Status.Conditions }, v1alpha1.Authenticated, metav1.ConditionFalse, v1alpha1.ReasonIdentityNotFound)
}

func accountsByStatus(t *testing.T, w *world) {
	inv := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "sol"}, Spec: v1alpha1.EKSInventorySpec{
		Regions: []string{"eu-central-1"}, Accounts: []v1alpha1.EKSAccount{{IdentityRef: &v1alpha1.AWSIdentityRef{Name: "nowhere"}}},
	}}
	mustCreate(t, w.local, inv)
	byStatus(t, w, "sol", "eksinventories", inv, map[string]any{
		"spec": map[string]any{"removed": "delete", "accounts": []any{map[string]any{"tokenIdentityRef": map[string]any{"name": "strong"}}}},
	})
}

func outputsByStatus(t *testing.T, w *world) {
	set := setOf(func(w *world) []v1alpha1.EndpointOutput { return nil })(w)
	mustCreate(t, w.local, set)
	byStatus(t, w, "sef", "endpointsets", set, map[string]any{
		"spec": map[string]any{"outputs": []any{map[string]any{"name": "a", "configMap": map[string]any{"namespace": w.other}}}},
	})
}

func rulesByStatus(t *testing.T, w *world) {
	p := policyOf(v1alpha1.TargetNetworkPolicy)(w)
	mustCreate(t, w.local, p)
	byStatus(t, w, "sun", "federatednetworkpolicies", p, map[string]any{
		"spec": map[string]any{"ingress": []any{map[string]any{"action": "Allow"}}},
	})
}

package fleettest_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/fleettest"
)

func TestPoliciesAreInForceWhenTheyWereAwaited(t *testing.T) {
	c := fleettest.Use(t, "primary")
	ns := c.Namespace(t)
	for i := range 3 {
		name := fmt.Sprintf("%s-%d", ns, i)
		manifests := fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]}
  matchConditions: [{name: this, expression: "request.name == '%[1]s'"}]
  validations: [{expression: "false", message: not this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, name)
		if err := c.Apply(t.Context(), []byte(manifests)); err != nil {
			t.Fatal(err)
		}
		c.AwaitPolicies(t)
		_, err := c.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err == nil || !strings.Contains(err.Error(), "not this one") {
			t.Errorf("the request that policy %s refuses: %v", name, err)
		}
	}
	policies, err := c.Client().AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies.Items {
		if strings.HasPrefix(p.Name, "fleettest-") {
			t.Errorf("policy %s was left behind", p.Name)
		}
	}
}

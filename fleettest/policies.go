package fleettest

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// policyTimeout is how long a policy may take until requests are admitted by it: a second, on a machine that has time.
const policyTimeout = 30 * time.Second

// AwaitPolicies waits until every ValidatingAdmissionPolicy and binding that was written before is in force. API servers
// take them up a moment after they are written, and then all that there are. So one more is written, which refuses
// something of its own, until it does.
func (c *Cluster) AwaitPolicies(t testing.TB) {
	t.Helper()
	ctx, client := t.Context(), c.Client()
	name := "fleettest-" + strings.ToLower(rand.Text())
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policies, bindings := client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	configMaps := admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: probe.ObjectMeta, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: configMaps}}},
		MatchConditions:  []admissionv1.MatchCondition{{Name: "the-probe", Expression: "request.name == '" + name + "'"}},
		Validations:      []admissionv1.Validation{{Expression: "false", Message: "policies are in force"}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: probe.ObjectMeta, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_ = bindings.Delete(ctx, name, metav1.DeleteOptions{}) // what is left matches nothing but the probe
		_ = policies.Delete(ctx, name, metav1.DeleteOptions{})
	}()
	if _, err := policies.Create(ctx, policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("making a policy in cluster %q: %v", c.Name, err)
	}
	if _, err := bindings.Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatalf("binding a policy in cluster %q: %v", c.Name, err)
	}
	Eventually(t, policyTimeout, func() error {
		_, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			return errors.New("the newest policy is not in force")
		case strings.Contains(err.Error(), "policies are in force"):
			return nil
		default:
			return err
		}
	})
}

package member

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// GateRole is the name of the roles and bindings of the gate.
	GateRole = "hawser-gate"
	// GatePolicy is the name of the ValidatingAdmissionPolicy, and of its binding, that keeps the gate
	// from writing the keys that it verifies with.
	GatePolicy = "hawser-gate"
)

// gateRights are the rights of the gate: it reads issuers and grants, mints tokens in
// v1alpha1.GrantsNamespace and nowhere else, and says of an issuer when it was last used.
func gateRights() []right {
	return rightsOf(partGate,
		right{
			rule: rule("", "namespaces", []string{"get"}, SystemNamespace),
			why:  "the id of this cluster, and hence the audience that tokens must have",
		},
		right{
			rule: rbacv1.PolicyRule{APIGroups: []string{hawserGroup}, Resources: []string{"trustedissuers", "accessgrants"}, Verbs: []string{"list", "watch"}},
			why:  "whose tokens are believed, and what is granted to whom",
		},
		right{
			rule: rule(hawserGroup, "trustedissuers/status", []string{"patch"}),
			why:  "when an issuer was last used, and why it failed; a policy refuses any other field",
		},
		right{
			scope: grants, rule: rule("", "serviceaccounts/token", []string{"create"}),
			why: "tokens of the accounts that grants made; a policy caps each by its grant",
		},
	)
}

func gateObjects() []client.Object {
	sa := account(v1alpha1.Namespace, v1alpha1.GateServiceAccount, "")
	sa.AutomountServiceAccountToken = nil // its pods talk to the API server
	return slices.Concat(
		gatePolicy(),
		[]client.Object{sa},
		runnerRoles(GateRole, gateRights()),
		runnerBindings(GateRole, v1alpha1.GateServiceAccount, gateRights()),
	)
}

// gatePolicy lets the gate change lastUse and lastFailure of a TrustedIssuer's status, and nothing
// else: RBAC cannot tell fields apart, and who could write the keys could be anybody.
func gatePolicy() []client.Object {
	var validations []admissionv1.Validation
	for _, field := range []string{"conditions", "observedGeneration", "audiences", "keys", "fetchedAt"} {
		validations = append(validations, admissionv1.Validation{
			Expression: fmt.Sprintf("object.?status.?%[1]s == oldObject.?status.?%[1]s", field),
			Message:    "the gate does not write status." + field + " of a TrustedIssuer",
			Reason:     forbidden,
		})
	}
	return policy(GatePolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: matching(named{hawserGroup, "v1alpha1", "trustedissuers/status", onUpdate}),
		MatchConditions:  []admissionv1.MatchCondition{byAccount(v1alpha1.GateServiceAccount)},
		Validations:      validations,
	}, nil)
}

package member

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// ApprovalsPolicy is the name of the ValidatingAdmissionPolicy, and of its binding, that keeps the member controllers to
// the certificate requests of connections.
const ApprovalsPolicy = "hawser-member-approvals"

// approvalsPolicy keeps whoever holds the account of the member controllers from approving what somebody else asks
// for: with anybody who may make a CertificateSigningRequest they would be anybody. What a connection asks for it does
// not read: that is the approver's to check.
func approvalsPolicy() []client.Object {
	return policy(ApprovalsPolicy, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: matching(named{certificatesGroup, "v1", "certificatesigningrequests/approval", onUpdate}),
		MatchConditions:  []admissionv1.MatchCondition{byAccount(ControllersServiceAccount)},
		Validations: []admissionv1.Validation{{
			Expression: "object.spec.signerName == '" + certificatesv1.KubeAPIServerClientSignerName + "' && " +
				"object.spec.username.startsWith('" + v1alpha1.MemberUser("") + "')",
			Message: "the member controllers decide on the certificate requests of connections, and on no others",
			Reason:  forbidden,
		}},
	}, nil)
}

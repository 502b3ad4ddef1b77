package accessgrant

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/member"
)

// guardTrust is how long an answer that all is well is believed.
const guardTrust = time.Minute

// guard looks whether the policy is in force that lets nobody grant more than they have. Where it is
// not, whoever may write grants could be anybody by this controller's hand.
type guard struct {
	live  client.Reader
	clock clock.PassiveClock

	mu   sync.Mutex
	last time.Time
}

// missing is nil where authors are bounded, and otherwise says what is wrong.
func (g *guard) missing(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.last.IsZero() && g.clock.Since(g.last) < guardTrust {
		return nil
	}
	if err := g.look(ctx); err != nil {
		return fmt.Errorf("%w: nobody keeps authors of grants within their rights: apply what hawser member manifests --controllers prints", err)
	}
	g.last = g.clock.Now()
	return nil
}

func (g *guard) look(ctx context.Context) error {
	var policy admissionv1.ValidatingAdmissionPolicy
	var binding admissionv1.ValidatingAdmissionPolicyBinding
	for _, obj := range []client.Object{&policy, &binding} {
		err := g.live.Get(ctx, client.ObjectKey{Name: member.GrantAuthorsPolicy}, obj)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is missing", describePolicy(obj))
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", describePolicy(obj), err)
		}
	}
	switch {
	case binding.Spec.PolicyName != member.GrantAuthorsPolicy, binding.Spec.MatchResources != nil,
		!slices.Contains(binding.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Errorf("%s does not put it in force for every grant", describePolicy(&binding))
	case policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionv1.Fail, !sameValidations(policy):
		return fmt.Errorf("%s is not Hawser's", describePolicy(&policy))
	}
	return nil
}

// sameValidations compares with what this build would install: a policy that was weakened is none.
func sameValidations(policy admissionv1.ValidatingAdmissionPolicy) bool {
	for _, obj := range member.ControllerObjects(member.ControllerOptions{}) {
		want, ok := obj.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok || want.Name != policy.Name {
			continue
		}
		return slices.EqualFunc(want.Spec.Validations, policy.Spec.Validations, func(a, b admissionv1.Validation) bool { return a.Expression == b.Expression }) &&
			slices.Equal(want.Spec.MatchConditions, policy.Spec.MatchConditions)
	}
	return false
}

func describePolicy(obj client.Object) string {
	kind := "ValidatingAdmissionPolicy"
	if _, ok := obj.(*admissionv1.ValidatingAdmissionPolicyBinding); ok {
		kind = "ValidatingAdmissionPolicyBinding"
	}
	return fmt.Sprintf("%s %q", kind, member.GrantAuthorsPolicy)
}

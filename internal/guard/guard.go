// Package guard finds out whether an admission policy that keeps authors within their rights (package member) is
// in force in this cluster. Controllers that act on what people write ask it first: without the policy, whoever may
// write the object could be anybody by the controller's hand. It installs and repairs nothing.
package guard

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

// trusted is how long an answer that all is well is believed.
const trusted = time.Minute

// Policy is one ValidatingAdmissionPolicy with its binding of the same name. It is safe for concurrent use.
type Policy struct {
	// Name of the policy: one of package member.
	Name string
	// Without says what nobody does where it is not in force.
	Without string
	// Live reads the policy past any cache.
	Live  client.Reader
	Clock clock.PassiveClock

	mu   sync.Mutex
	last time.Time
}

// Missing is nil where the policy is in force as this build would install it, and otherwise says what is wrong and
// what to do. That all is well is remembered for a minute.
func (p *Policy) Missing(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() && p.Clock.Since(p.last) < trusted {
		return nil
	}
	if err := p.look(ctx); err != nil {
		return fmt.Errorf("%w: %s: apply what hawser member manifests --controllers prints", err, p.Without)
	}
	p.last = p.Clock.Now()
	return nil
}

func (p *Policy) look(ctx context.Context) error {
	var policy admissionv1.ValidatingAdmissionPolicy
	var binding admissionv1.ValidatingAdmissionPolicyBinding
	for _, obj := range []client.Object{&policy, &binding} {
		err := p.Live.Get(ctx, client.ObjectKey{Name: p.Name}, obj)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("%s is missing", p.describe(obj))
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", p.describe(obj), err)
		}
	}
	switch {
	case binding.Spec.PolicyName != p.Name, binding.Spec.MatchResources != nil,
		!slices.Contains(binding.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Errorf("%s does not put it in force for every object", p.describe(&binding))
	case policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionv1.Fail, !sameValidations(policy):
		return fmt.Errorf("%s is not Hawser's", p.describe(&policy))
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

func (p *Policy) describe(obj client.Object) string {
	kind := "ValidatingAdmissionPolicy"
	if _, ok := obj.(*admissionv1.ValidatingAdmissionPolicyBinding); ok {
		kind = "ValidatingAdmissionPolicyBinding"
	}
	return fmt.Sprintf("%s %q", kind, p.Name)
}

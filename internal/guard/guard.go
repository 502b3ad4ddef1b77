// Package guard finds out whether an admission policy that keeps authors within their rights (packages member and
// internal/authors) is in force in this cluster. Controllers that act on what people write ask it first: without the policy, whoever may
// write the object could be anybody by the controller's hand. It remembers which specs nobody was asked about, and installs and
// repairs nothing.
package guard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/internal/authors"
	"github.com/hawser-io/hawser/member"
)

// trusted is how long an answer that all is well is believed.
const trusted = time.Minute

// briefly is the same for the policies of federated endpoints: what is written in that time after one was deleted may be
// taken for what its author was asked about.
const briefly = time.Second

// Policy is one ValidatingAdmissionPolicy with its binding of the same name. It is safe for concurrent use.
type Policy struct {
	// Name of the policy: one of package member, or of package authors.
	Name string
	// Without says what nobody does where it is not in force.
	Without string
	// Live reads the policy past any cache.
	Live  client.Reader
	Clock clock.PassiveClock
	// Trusted is how long an answer that all is well is believed. Zero means a minute.
	Trusted time.Duration

	remedy    string
	ofManager bool // it is authors who are kept within their rights by the others

	mu   sync.Mutex
	last time.Time
}

// Missing is nil where the policy is in force as this build would install it, and otherwise says what is wrong and
// what to do. That all is well is remembered for a while.
func (p *Policy) Missing(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() && p.Clock.Since(p.last) < cmp.Or(p.Trusted, trusted) {
		return nil
	}
	if err := p.look(ctx); err != nil {
		err = fmt.Errorf("%w: %s: %s", err, p.Without, cmp.Or(p.remedy, "apply what hawser member manifests --controllers prints"))
		if p.ofManager {
			err = managerUnbounded{err}
		}
		return err
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
			return unread(err, fmt.Errorf("reading %s: %w", p.describe(obj), err))
		}
	}
	switch {
	case binding.Spec.PolicyName != p.Name, binding.Spec.MatchResources != nil,
		!slices.Contains(binding.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Errorf("%s does not put it in force for every object", p.describe(&binding))
	case policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionv1.Fail, !asInstalled(policy):
		return fmt.Errorf("%s is not Hawser's", p.describe(&policy))
	}
	return nil
}

// notKnown says that it could not be found out whether a policy is in force, this time.
type notKnown struct{ error }

// Unwrap returns the cause.
func (e notKnown) Unwrap() error { return e.error }

// unread is what comes of an error of reading. Who may not read a policy does not get to know by asking again.
func unread(cause, err error) error {
	if apierrors.IsForbidden(cause) {
		return err
	}
	return notKnown{err}
}

// asInstalled compares with what this build would install: a policy that was weakened is none.
func asInstalled(policy admissionv1.ValidatingAdmissionPolicy) bool {
	for _, obj := range slices.Concat(member.ControllerObjects(member.ControllerOptions{}), authors.Objects()) {
		want, ok := obj.(*admissionv1.ValidatingAdmissionPolicy)
		if !ok || want.Name != policy.Name {
			continue
		}
		return slices.EqualFunc(want.Spec.Validations, policy.Spec.Validations, func(a, b admissionv1.Validation) bool { return a.Expression == b.Expression }) &&
			slices.Equal(want.Spec.MatchConditions, policy.Spec.MatchConditions) &&
			slices.Equal(want.Spec.Variables, policy.Spec.Variables) &&
			equality.Semantic.DeepEqual(want.Spec.ParamKind, policy.Spec.ParamKind) &&
			equality.Semantic.DeepEqual(withDefaults(want.Spec.MatchConstraints), withDefaults(policy.Spec.MatchConstraints))
	}
	return false
}

// withDefaults fills in what API servers fill in.
func withDefaults(match *admissionv1.MatchResources) *admissionv1.MatchResources {
	match = match.DeepCopy()
	if match == nil {
		return nil
	}
	if match.NamespaceSelector == nil {
		match.NamespaceSelector = &metav1.LabelSelector{}
	}
	if match.ObjectSelector == nil {
		match.ObjectSelector = &metav1.LabelSelector{}
	}
	if match.MatchPolicy == nil {
		match.MatchPolicy = new(admissionv1.Equivalent)
	}
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{match.ResourceRules, match.ExcludeResourceRules} {
		for i := range rules {
			if rules[i].Scope == nil {
				rules[i].Scope = new(admissionv1.AllScopes)
			}
		}
	}
	return match
}

func (p *Policy) describe(obj client.Object) string {
	kind := "ValidatingAdmissionPolicy"
	if _, ok := obj.(*admissionv1.ValidatingAdmissionPolicyBinding); ok {
		kind = "ValidatingAdmissionPolicyBinding"
	}
	return fmt.Sprintf("%s %q", kind, p.Name)
}

// Policies are in force where each of them is.
type Policies []*Policy

// Missing is nil where all are in force, and otherwise says what is wrong with the first that is not.
func (all Policies) Missing(ctx context.Context) error {
	for _, p := range all {
		if err := p.Missing(ctx); err != nil {
			return err
		}
	}
	return nil
}

// managerUnbounded says that authors are kept within their rights, and the manager is not.
type managerUnbounded struct{ error }

// Unwrap returns the cause.
func (e managerUnbounded) Unwrap() error { return e.error }

const federationRemedy = "apply config/endpoints, or the chart with endpoints.enabled"

// Federation are the policies that keep authors of EndpointSets and FederatedNetworkPolicies within their rights, and the
// manager to what it made. Whoever makes something of these asks it first.
func Federation(live client.Reader, clock clock.PassiveClock) Policies {
	return Policies{
		{Name: authors.Policy, Without: "nobody keeps authors of EndpointSets and FederatedNetworkPolicies within their rights", Live: live, Clock: clock, Trusted: briefly, remedy: federationRemedy},
		{Name: authors.ManagerPolicy, Without: "nobody keeps the manager to what it made", Live: live, Clock: clock, Trusted: briefly, remedy: federationRemedy, ofManager: true},
	}
}

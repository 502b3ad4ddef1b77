package policy

import (
	"cmp"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/selector"
)

// Reading is what there is to do for a FederatedNetworkPolicy.
type Reading struct {
	// Item is what the publisher is to do. Where the policy has no plan it withdraws what is allowed.
	Item publish.Item
	// Base are the objects that are of no cluster. Where Stays, nobody can say whom the policy is for now, nor whom it was for
	// last: what is there stays, and lets nothing through.
	Base  []client.Object
	Stays bool
	// Last is what to read the policy with where it cannot be used any more; zero where it cannot now.
	Last Last
	// Refused and Warned are what there is to say of the spec. Narrow are the selectors of peers that should not match
	// everything that there is: that is not to be seen here.
	Refused, Warned []publish.Statement
	Narrow          []publish.Narrow
	// Sought are the selectors that are meant to match something: the policy's own, in the local cluster, and those of peers.
	Sought []publish.Sought
}

// Last is what matters, for whose pods are closed, of a policy when its selector could be used last. The zero value knows
// of nothing.
type Last struct {
	Selector string                // empty: nobody can say
	Target   v1alpha1.PolicyTarget // that something is made for; empty: nothing is there
	Local    Local
}

// KeyOf is the key of a policy.
func KeyOf(namespace, name string) publish.Key {
	return publish.Key{Kind: publish.FederatedNetworkPolicy, Namespace: namespace, Name: name}
}

// Read reads a policy. The pods of the selector that was used last stay closed where the one in the spec cannot be used.
func Read(p *v1alpha1.FederatedNetworkPolicy, local Local, last Last) Reading {
	r := Reading{Item: publish.Item{
		Key: KeyOf(p.Namespace, p.Name), Generation: p.Generation, Scope: p.Spec.Clusters, Staleness: p.Spec.Staleness, Known: p.Status.Clusters,
		Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: publish.FederatedNetworkPolicy, Name: p.Name, UID: p.UID,
		},
		Render: func(publish.Request) (publish.Rendered, error) { return publish.Rendered{}, nil },
	}}
	if err := publish.CheckScope(p.Spec.Clusters); err != nil {
		r.Refused = append(r.Refused, publish.Statement{Reason: v1alpha1.ReasonSpecInvalid, Message: err.Error() + ": no cluster is selected"})
	}
	plan, err := Compile(p, local)
	r.refuse(err, v1alpha1.ReasonSpecInvalid)
	if plan == nil {
		return r.closed(p, last)
	}
	target, err := plan.For(&p.Spec)
	r.refuse(err, v1alpha1.ReasonNotExpressible)
	if target == nil {
		return r.closed(p, last)
	}
	r.warn(plan.Warnings)
	r.Narrow, r.Sought = plan.narrow(), plan.Sought()
	r.Item.Selectors, r.Item.Render = plan.Selectors, target.Render
	r.Base = noted(target.Base(), plan)
	r.Last = Last{plan.Pods.Said.Selector.String(), cmp.Or(p.Spec.Target, v1alpha1.TargetNetworkPolicy), local}
	return r
}

// refuse says what is wrong with fields.
func (r *Reading) refuse(err error, reason string) {
	var problems Problems
	var syntax *selector.SyntaxError
	switch {
	case err == nil:
		return
	case errors.As(err, &syntax):
		reason = v1alpha1.ReasonSelectorInvalid
	}
	text := err.Error()
	if errors.As(err, &problems) {
		text = problems.Describe()
	}
	if len(r.Refused) == 0 { // once is enough
		text += "\nuntil it is mended, a rule that is refused allows nothing"
	}
	r.Refused = append(r.Refused, publish.Statement{Reason: reason, Message: text})
}

// warn says which fields are hardly meant as they are.
func (r *Reading) warn(of Problems) {
	reason := v1alpha1.ReasonWritten
	switch {
	case len(of) == 0:
		return
	case errors.Is(of, errNothing):
		reason = v1alpha1.ReasonSelectsNothing
	case errors.Is(of, errEverything):
		reason = v1alpha1.ReasonSelectsEverything
	}
	r.Warned = append(r.Warned, publish.Statement{Reason: reason, Message: of.Describe()})
}

// narrow are the selectors of peers, each with the field that narrows it most. What can match no more than one namespace,
// or says all(), or is warned of, is not among them.
func (p *Plan) narrow() (all []publish.Narrow) {
	for i := range p.Rules {
		side := &p.Rules[i].Peer
		said, accounts := &side.Said, &side.Said.ServiceAccounts
		if said.NamespaceSelector == nil || said.NamespaceSelector.UsesGlobal() {
			continue
		}
		field := ""
		switch {
		case said.Selector != nil && !said.Selector.MatchesEverything():
			field = ".selector"
		case len(accounts.Names) > 0 || accounts.Selector != nil:
			field = ".serviceAccounts"
		case !said.NamespaceSelector.MatchesEverything():
			field = ".namespaceSelector"
		default:
			continue
		}
		all = append(all, publish.Narrow{Field: side.Field + field, Selector: side.Endpoints})
	}
	return all
}

// Sought are the policy's own selector, where the local cluster is known and it does not mean all pods, and the peers of
// rules, each with the field that says most of it, and the names of ports. What can match nothing at all is warned of
// already.
func (p *Plan) Sought() (all []publish.Sought) {
	own := p.Pods.Said.Selector
	if p.Local.Name != "" && !own.MatchesEverything() && !own.MatchesNothing() {
		all = append(all, publish.Sought{Field: p.Pods.Field + ".selector", Selector: p.Pods.Endpoints, Local: p.Local.Name})
	}
	for i := range p.Rules {
		all = append(all, p.soughtPorts(&p.Rules[i])...)
		side := &p.Rules[i].Peer
		if side.Endpoints == nil || side.Endpoints.MatchesNothing() {
			continue
		}
		said, field := &side.Said, side.Field
		switch {
		case said.Selector != nil && !said.Selector.MatchesEverything():
			field += ".selector"
		case len(said.ServiceAccounts.Names) > 0 || said.ServiceAccounts.Selector != nil:
			field += ".serviceAccounts"
		case said.NamespaceSelector != nil:
			field += ".namespaceSelector"
		}
		all = append(all, publish.Sought{Field: field, Selector: side.Endpoints})
	}
	return all
}

// soughtPorts are those that a rule calls by name, which somebody is meant to have of those that traffic goes to.
func (p *Plan) soughtPorts(rule *Rule) (all []publish.Sought) {
	to := rule.Destination()
	s := publish.Sought{Field: to.Field + ".ports", Selector: to.Endpoints}
	if rule.Direction == v1alpha1.PolicyTypeIngress {
		s.Selector, s.Local = p.Pods.Endpoints, p.Local.Name
		if s.Local == "" {
			return nil
		}
		if narrowed, err := selector.And(p.Pods.Endpoints, to.Endpoints); err == nil {
			s.Selector = narrowed
		}
	}
	for _, name := range to.Ports.Names {
		s.Port = index.Port{Name: name, Protocol: rule.Protocol}
		all = append(all, s)
	}
	return all
}

// closed keeps the pods closed that were, where nobody can say whom the policy is for now.
func (r Reading) closed(p *v1alpha1.FederatedNetworkPolicy, last Last) Reading {
	said := "nothing is closed, and nothing allowed"
	if last.Target != "" {
		said = "nobody can say which selector was used last, so that what closes pods stays as it is, and nothing is allowed"
	}
	if plan, target := last.of(p); target != nil {
		r.Base = noted(target.Base(), plan)
		said = fmt.Sprintf("the pods of the selector that was used last stay closed, %s, and nothing is allowed", last.Selector)
	} else {
		r.Stays = true
	}
	r.Refused = append(r.Refused, publish.Statement{Reason: v1alpha1.ReasonSpecInvalid, Message: said})
	return r
}

// of closes the pods of a policy that were closed last, by what they were closed with, or else by what it has for its
// target now. It has none where they cannot be told.
func (l Last) of(p *v1alpha1.FederatedNetworkPolicy) (*Plan, Target) {
	if l.Selector == "" {
		return nil, nil
	}
	before := p.DeepCopy()
	before.Spec.Types = typesOf(&p.Spec)
	before.Spec.Selector, before.Spec.Ingress, before.Spec.Egress = l.Selector, nil, nil
	plan, _ := Compile(before, l.Local)
	if plan == nil {
		return nil, nil
	}
	for _, by := range []v1alpha1.PolicyTarget{l.Target, p.Spec.Target} {
		before.Spec.Target = by
		if target, _ := plan.For(&before.Spec); target != nil {
			return plan, target
		}
	}
	return nil, nil
}

// noted has objects tell for whom they were made.
func noted(base []client.Object, p *Plan) []client.Object {
	for _, o := range base {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[publish.SelectorAnnotation] = p.Pods.Said.Selector.String()
		o.SetAnnotations(annotations)
	}
	return base
}

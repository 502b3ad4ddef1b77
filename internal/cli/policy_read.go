package cli

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/query"
)

// readPolicy reads a policy. What is wrong with it, or is more than its target can express, is a gap; the plan is nil
// where nothing can be said of it.
func readPolicy(p *v1alpha1.FederatedNetworkPolicy, local policy.Local) (query.Policy, []query.Gap) {
	r := refusals{spec: &p.Spec, object: policyTitle(p)}
	plan, err := policy.Compile(p, local)
	if plan == nil {
		r.note(err, v1alpha1.ReasonSpecInvalid, "nothing can be said of the policy")
		return query.Policy{}, r.gaps
	}
	r.plan = plan
	r.note(err, v1alpha1.ReasonSpecInvalid, "the rules of that direction allow nothing") // which is of spec.types
	target, err := plan.For(&p.Spec)
	r.all = target == nil
	r.note(err, v1alpha1.ReasonNotExpressible, "nothing is allowed")
	slices.SortStableFunc(r.found, func(a, b query.Refused) int {
		return cmp.Or(-cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Field, b.Field))
	})
	read := query.Policy{Plan: plan, Refused: slices.Compact(r.found), Withheld: withheld(p, len(r.gaps) > 0)}
	if target != nil {
		read.Sought = plan.Sought()
	}
	return read, r.gaps
}

// fieldsOfRules are the fields of rules in what the manager says.
var fieldsOfRules = regexp.MustCompile(`spec\.(?:ingress|egress)\[\d+\](?:\.\w+|\[\d+\])*`)

// ofReading are the reasons of conditions that begin with what is wrong with the spec.
var ofReading = []string{v1alpha1.ReasonSpecInvalid, v1alpha1.ReasonSelectorInvalid, v1alpha1.ReasonNotExpressible}

// withheld is what the manager says it could not make of a policy, but for what is told of it already: some is only seen
// where there are endpoints, as whom notSelector takes away by the address alone, or where objects are written.
func withheld(p *v1alpha1.FederatedNetworkPolicy, told bool) (gaps []query.Gap) {
	ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.Ready)
	if ready == nil || ready.Status != metav1.ConditionFalse || ready.ObservedGeneration != p.Generation {
		return nil
	}
	add := func(reason, message string) {
		gaps = append(gaps, query.Gap{Object: policyTitle(p), Reason: reason, Message: oneLine(fieldsOfRules.ReplaceAllStringFunc(message, numbered))})
	}
	if ready.Reason == v1alpha1.ReasonOutputsRefused || !told && slices.Contains(ofReading, ready.Reason) {
		add(ready.Reason, ready.Message)
		return gaps
	}
	for _, c := range p.Status.Clusters {
		for _, why := range c.Refused {
			if c.ObservedGeneration == p.Generation {
				add(v1alpha1.ReasonOutputsRefused, c.Name+": "+why)
			}
		}
	}
	return gaps
}

// policyTitle is a policy as gaps name it.
func policyTitle(p *v1alpha1.FederatedNetworkPolicy) string {
	return "FederatedNetworkPolicy(" + p.Namespace + "/" + p.Name + ")"
}

// refusals are what is wrong with a policy.
type refusals struct {
	spec   *v1alpha1.FederatedNetworkPolicySpec
	plan   *policy.Plan
	object string
	all    bool // what is not of one rule is of all
	found  []query.Refused
	gaps   []query.Gap
}

// note notes problems, each with what comes of it, and of the rules that it is of.
func (r *refusals) note(err error, reason, so string) {
	var problems policy.Problems
	switch {
	case err == nil:
		return
	case !errors.As(err, &problems):
		r.gaps = append(r.gaps, query.Gap{Object: r.object, Reason: reason, Message: oneLine(err.Error())})
		return
	}
	for _, problem := range problems {
		cause, comes := oneLine(problem.Cause.Error()), so
		direction, number := ruleOf(problem.Field)
		if number > 0 {
			comes = "the rule allows nothing"
		}
		for _, at := range r.rules(direction, number) {
			r.found = append(r.found, query.Refused{Direction: at.direction, Rule: at.number, Field: problem.Field, Reason: reason, Message: cause})
		}
		r.gaps = append(r.gaps, query.Gap{Object: r.object, Reason: reason, Message: numbered(problem.Field) + ": " + cause + ": " + comes})
	}
}

// place is that of a rule.
type place struct {
	direction v1alpha1.PolicyType
	number    int
}

// rules are those that a problem is of: the one that it names, or else those of a direction that is not closed, or all.
func (r *refusals) rules(direction v1alpha1.PolicyType, number int) (all []place) {
	if number > 0 {
		return []place{{direction, number}}
	}
	for direction, n := range map[v1alpha1.PolicyType]int{v1alpha1.PolicyTypeIngress: len(r.spec.Ingress), v1alpha1.PolicyTypeEgress: len(r.spec.Egress)} {
		for i := range n {
			if r.plan != nil && (r.all || !r.plan.Closes(direction)) {
				all = append(all, place{direction, i + 1})
			}
		}
	}
	return all
}

// ruleOf is the rule that a field is of, by its number from 1; 0: it is of none.
func ruleOf(field string) (v1alpha1.PolicyType, int) {
	for direction, before := range map[v1alpha1.PolicyType]string{v1alpha1.PolicyTypeIngress: "spec.ingress[", v1alpha1.PolicyTypeEgress: "spec.egress["} {
		if rest, ok := strings.CutPrefix(field, before); ok {
			digits, _, _ := strings.Cut(rest, "]")
			if i, err := strconv.Atoi(digits); err == nil {
				return direction, i + 1
			}
		}
	}
	return "", 0
}

// numbered is a field with its rule as matches name it, which count from 1.
func numbered(field string) string {
	direction, number := ruleOf(field)
	if number == 0 {
		return field
	}
	return fmt.Sprintf("%s (%s rule %d)", field, bound(direction), number)
}

// bound is the word for a direction that calicoq has.
func bound(direction v1alpha1.PolicyType) string {
	if direction == v1alpha1.PolicyTypeEgress {
		return "outbound"
	}
	return "inbound"
}

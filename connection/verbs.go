package connection

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/member"
)

const (
	pathAccessReviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	pathRulesReviews  = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
	// nowhere is a namespace that cannot be: what is allowed there is allowed everywhere.
	nowhere = "hawser.nowhere"
)

// missingVerbs returns which of the checks the identity is not allowed, in words that name what is missing.
//
// One question for each namespace answers nearly all of them, where the cluster tells all of its rules. What it does not
// tell, or denies, is asked for by itself: that is the answer that counts, and costs a request for each verb.
func missingVerbs(ctx context.Context, call caller, checks []authorizationv1.ResourceAttributes) ([]string, error) {
	var missing []string
	rules := map[string][]authorizationv1.ResourceRule{}
	for _, check := range checks {
		known, asked := rules[check.Namespace]
		if !asked {
			known = rulesIn(ctx, call, check.Namespace)
			rules[check.Namespace] = known
		}
		if slices.ContainsFunc(known, func(r authorizationv1.ResourceRule) bool { return covers(r, check) }) {
			continue
		}
		review := authorizationv1.SelfSubjectAccessReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"},
			Spec:     authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &check},
		}
		var out authorizationv1.SelfSubjectAccessReview
		if err := call.json(ctx, http.MethodPost, pathAccessReviews, review, &out); err != nil {
			return missing, fmt.Errorf("asking whether we may %s: %w", member.Describe(check), err)
		}
		if !out.Status.Allowed {
			missing = append(missing, member.Describe(check))
		}
	}
	return missing, nil
}

// rulesIn are the rules that hold for us in a namespace, or in all of them; none where the cluster does not tell all, as one
// that asks a webhook: that may deny what a rule allows.
func rulesIn(ctx context.Context, call caller, namespace string) []authorizationv1.ResourceRule {
	if namespace == "" {
		namespace = nowhere
	}
	review := authorizationv1.SelfSubjectRulesReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectRulesReview"},
		Spec:     authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}
	var out authorizationv1.SelfSubjectRulesReview
	err := call.json(ctx, http.MethodPost, pathRulesReviews, review, &out)
	if err != nil || out.Status.Incomplete || out.Status.EvaluationError != "" {
		return nil
	}
	return out.Status.ResourceRules
}

// covers reports whether a rule allows what is checked, as RBAC reads it.
func covers(r authorizationv1.ResourceRule, check authorizationv1.ResourceAttributes) bool {
	is := func(all []string, one string) bool { return slices.Contains(all, one) || slices.Contains(all, "*") }
	resource := check.Resource
	if check.Subresource != "" {
		resource += "/" + check.Subresource
	}
	return is(r.Verbs, check.Verb) && is(r.APIGroups, check.Group) &&
		(is(r.Resources, resource) || check.Subresource != "" && slices.Contains(r.Resources, "*/"+check.Subresource)) &&
		(len(r.ResourceNames) == 0 || check.Name != "" && slices.Contains(r.ResourceNames, check.Name))
}

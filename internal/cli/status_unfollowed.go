package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
)

// reasonWithoutEndpoints of a gap: the manager does not look after what is there.
const reasonWithoutEndpoints = "WithoutEndpoints"

// unfollowed makes a gap of sets and policies that the manager does not look after, as it runs without --endpoints. That
// is known where the chart's Deployment says how it runs; the status of each stays as it was last, and tells nothing.
func (r *statusReader) unfollowed(ctx context.Context, _ identity) error {
	if len(r.s.EndpointSets)+len(r.s.FederatedNetworkPolicies) == 0 {
		return nil
	}
	var pods appsv1.Deployment
	if _, err := r.get(ctx, "Deployment", managerDeployment, &pods); err != nil {
		return err
	}
	if on, known := followsEndpoints(&pods); known && !on {
		r.s.Gaps = append(r.s.Gaps, Gap{Kind: "Process", Namespace: r.namespace, Name: processManager, Reason: reasonWithoutEndpoints,
			Message: "the manager runs without --endpoints: what was made of EndpointSets, FederatedNetworkPolicies and Services stays as it was last, and nobody follows"})
	}
	return nil
}

// followsEndpoints says whether the manager of a Deployment runs with --endpoints, where that can be told by its arguments.
func followsEndpoints(pods *appsv1.Deployment) (on, known bool) {
	for _, c := range pods.Spec.Template.Spec.Containers {
		if !slices.Contains(c.Args, "manager") || slices.ContainsFunc(c.Args, func(arg string) bool { return strings.Contains(arg, "$(") }) {
			continue
		}
		on, known = false, true
		for _, arg := range c.Args {
			if arg == "--endpoints" {
				on = true
			} else if text, ok := strings.CutPrefix(arg, "--endpoints="); ok {
				on, _ = strconv.ParseBool(text)
			}
		}
	}
	return on, known
}

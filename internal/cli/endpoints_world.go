package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/query"
)

// contributors is the clusters that endpoints may be taken from.
type contributors struct {
	clusters []v1alpha1.RemoteCluster
	local    policy.Local // empty where the local cluster is not in the fleet
	name     string       // that the local cluster goes by in others
}

// contributors reads which clusters there are. What each may contribute is for others to say.
func (d *deps) readContributors(ctx context.Context, here *cluster) (contributors, error) {
	var f contributors
	id, err := d.identityOf(ctx, here.Client)
	if err != nil && !apierrors.IsForbidden(err) { // it is needed for a connection of one's own only
		return f, err
	}
	f.name = id.Name
	all, err := listClusters(ctx, here.Client, nil)
	if err != nil {
		return f, err
	}
	for _, rc := range all {
		if !rc.DeletionTimestamp.IsZero() {
			continue
		}
		if isLocal(&rc) {
			f.local = policy.Local{Name: rc.Name, ID: clusterID(&rc)}
		}
		f.clusters = append(f.clusters, rc)
	}
	return f, nil
}

func isLocal(rc *v1alpha1.RemoteCluster) bool { return rc.Spec.Auth.Type == v1alpha1.AuthInCluster }

// expected returns the clusters that a question is about.
func (f contributors) expected(name string) ([]v1alpha1.RemoteCluster, error) {
	if name == "" {
		return f.clusters, nil
	}
	for i := range f.clusters {
		if f.clusters[i].Name == name {
			return f.clusters[i : i+1], nil
		}
	}
	return nil, usageError("there is no RemoteCluster %q: hawser clusters lists them", name)
}

// world reads the policies and sets of the local cluster, by one's own rights. What may not be read, or is malformed, is
// a gap.
func (d *deps) world(ctx context.Context, here *cluster, f contributors) (query.World, []query.Gap, error) {
	var (
		w        query.World
		gaps     []query.Gap
		policies v1alpha1.FederatedNetworkPolicyList
		sets     v1alpha1.EndpointSetList
	)
	for kind, list := range map[string]client.ObjectList{"FederatedNetworkPolicies": &policies, "EndpointSets": &sets} {
		err := here.Client.List(ctx, list)
		switch {
		case err == nil, meta.IsNoMatchError(err), apierrors.IsNotFound(err): // there is no such kind, and so none of it
		case apierrors.IsForbidden(err):
			gaps = append(gaps, query.Gap{Object: kind, Reason: reasonForbidden, Message: "you may not list them: " + oneLine(err.Error())})
		default:
			return w, nil, fmt.Errorf("listing %s: %w", kind, err)
		}
	}
	for i := range policies.Items {
		plan, wrong := compilePolicy(&policies.Items[i], f.local)
		gaps = append(gaps, wrong...)
		if plan != nil {
			w.Policies = append(w.Policies, plan)
		}
	}
	query.SortPolicies(w.Policies)
	for i := range sets.Items {
		known, err := d.readSet(ctx, here, &sets.Items[i])
		if err != nil {
			return w, nil, err
		}
		gaps = append(gaps, known.refused...)
		if known.selector != nil {
			w.Sets = append(w.Sets, query.Set{Name: sets.Items[i].Name, Selector: known.selector, Clusters: sets.Items[i].Spec.Clusters})
		}
	}
	slices.SortFunc(w.Sets, func(a, b query.Set) int { return strings.Compare(a.Name, b.Name) })
	return w, gaps, nil
}

// compilePolicy reads a policy. What is wrong with it, or is more than its target can express, is a gap; the plan is nil
// where nothing can be said of it.
func compilePolicy(p *v1alpha1.FederatedNetworkPolicy, local policy.Local) (*policy.Plan, []query.Gap) {
	plan, err := policy.Compile(p, local)
	if plan == nil {
		return nil, policyGaps(p, err, v1alpha1.ReasonSpecInvalid, ": nothing can be said of the policy")
	}
	const rule = ": the rule allows nothing"
	_, refused := plan.For(&p.Spec)
	return plan, append(policyGaps(p, err, v1alpha1.ReasonSpecInvalid, rule), policyGaps(p, refused, v1alpha1.ReasonNotExpressible, rule)...)
}

func policyGaps(p *v1alpha1.FederatedNetworkPolicy, err error, reason, so string) []query.Gap {
	object := "FederatedNetworkPolicy(" + p.Namespace + "/" + p.Name + ")"
	var problems policy.Problems
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &problems):
		return []query.Gap{{Object: object, Reason: reason, Message: oneLine(err.Error())}}
	}
	var gaps []query.Gap
	for _, problem := range problems {
		gaps = append(gaps, query.Gap{Object: object, Reason: reason, Message: oneLine(problem.Error()) + so})
	}
	return gaps
}

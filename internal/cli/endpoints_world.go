package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/query"
)

// contributors is the clusters that endpoints may be taken from.
type contributors struct {
	clusters []v1alpha1.RemoteCluster
	leaving  []v1alpha1.RemoteCluster // those that are being deleted
	local    policy.Local             // empty where the local cluster is not in the fleet
	name     string                   // that the local cluster goes by in others
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
			f.leaving = append(f.leaving, rc)
			continue
		}
		if rc.IsLocal() {
			f.local = policy.Local{Name: rc.Name, ID: clusterID(&rc)}
		}
		f.clusters = append(f.clusters, rc)
	}
	return f, nil
}

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

// localCluster is what the local cluster is called where it has no name in the fleet.
const localCluster = "the local cluster"

// absent are the clusters that a scope asks for and that are not there, as the condition Complete of its object has them.
func (f contributors) absent(object string, scope v1alpha1.ClusterScope) (gaps []query.Gap) {
	var all []publish.Cluster
	for i := range f.clusters {
		all = append(all, publish.Cluster{Name: f.clusters[i].Name, Labels: f.clusters[i].Labels, Local: f.clusters[i].IsLocal()})
	}
	for i := range f.leaving {
		all = append(all, publish.Cluster{Name: f.leaving[i].Name, Labels: f.leaving[i].Labels, Local: f.leaving[i].IsLocal(), Gone: true})
	}
	absent := publish.Absent(scope, all, localCluster)
	for _, name := range slices.Sorted(maps.Keys(absent)) {
		g := query.Gap{Cluster: name, Reason: v1alpha1.ReasonClustersMissing, Message: absent[name]}
		if name == localCluster {
			g.Cluster, g.Object = "", localCluster
		}
		gaps = append(gaps, g)
	}
	if len(gaps) == 0 && !slices.ContainsFunc(all, func(c publish.Cluster) bool { return publish.Selects(scope, c.Name, c.Labels, c.Local) }) {
		gaps = []query.Gap{{Object: object, Reason: v1alpha1.ReasonNoClusters, Message: "no cluster is selected by spec.clusters"}}
	}
	return gaps
}

// addLocal adds the local cluster where it is not in the fleet, by whatever name is free.
func (f *contributors) addLocal() {
	if f.local.Name != "" {
		return
	}
	name := cmp.Or(f.name, "local")
	for slices.ContainsFunc(f.clusters, func(rc v1alpha1.RemoteCluster) bool { return rc.Name == name }) {
		name += "-local"
	}
	rc := v1alpha1.RemoteCluster{Spec: v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{Type: v1alpha1.AuthInCluster}}}
	rc.Name = name
	f.clusters = append(f.clusters, rc)
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
		read, wrong := readPolicy(&policies.Items[i], f.local)
		gaps = append(gaps, wrong...)
		if read.Plan != nil {
			w.Policies = append(w.Policies, read)
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

package publish

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// complete says which clusters are missing, stale, or have gaps.
func (a *Asked) complete(selected map[string]*Cluster) metav1.Condition {
	var missing []string
	for name, why := range Absent(a.Scope, a.Clusters, a.Local) {
		missing = append(missing, fmt.Sprintf("%s: %s", name, why))
	}
	for name := range selected {
		if why := lacks(a.entry(name)); why != "" {
			missing = append(missing, fmt.Sprintf("%s: %s", name, why))
		}
	}
	slices.Sort(missing)
	c := metav1.Condition{Type: v1alpha1.Complete}
	switch {
	case len(missing) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, strings.Join(missing, "; ")
	case len(selected) == 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonNoClusters, "no cluster is selected by spec.clusters"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonAllClusters, fmt.Sprintf("all %d clusters are followed", len(selected))
		if len(selected) == 1 {
			c.Message = "the one cluster is followed"
		}
	}
	return c
}

// Absent are the clusters that a scope asks for and that are not there, and why. local is the name of the local cluster,
// which may be none of the clusters.
func Absent(scope v1alpha1.ClusterScope, clusters []Cluster, local string) map[string]string {
	all := map[string]string{}
	known, there := map[string]*Cluster{}, false
	for i := range clusters {
		known[clusters[i].Name] = &clusters[i]
		there = there || clusters[i].Local
	}
	if scope.Local && !there {
		all[local] = "the local cluster is not in the fleet, so that nobody follows it: the manager runs with --management-only"
	}
	for _, name := range scope.Names {
		switch c := known[name]; {
		case c == nil:
			all[name] = "there is no RemoteCluster of this name"
		case c.Local && !scope.Local:
			all[name] = "it is the local cluster, which is taken by clusters.local: true alone"
		}
	}
	for name, c := range known { // it would be selected if it were not
		if c.Gone && Selects(scope, name, c.Labels, c.Local) {
			all[name] = "it is being deleted"
		}
	}
	return all
}

// lacks says what is missing of a cluster; "" for nothing.
func lacks(e *v1alpha1.FederatedCluster) string {
	if e == nil {
		return "nobody has told of it yet"
	}
	var why []string
	switch {
	case e.Expired && e.StaleSince != nil:
		why = append(why, "not heard of since "+e.StaleSince.UTC().Format(time.RFC3339)+", and its addresses were taken away")
	case e.Expired:
		why = append(why, "its addresses were taken away, and come back when it was heard of for long enough")
	case e.StaleSince != nil:
		why = append(why, "not heard of since "+e.StaleSince.UTC().Format(time.RFC3339))
	}
	return strings.Join(append(why, e.Gaps...), ", ")
}

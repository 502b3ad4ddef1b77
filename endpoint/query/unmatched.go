package query

import (
	"fmt"
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// Unmatched is a selector that nothing matches of what is known.
type Unmatched struct {
	publish.Sought
	// Where nothing was found.
	Where string
}

// Unmatched are those of some selectors that match none of the endpoints of an answer to a question for them, in the
// clusters of a scope or, for pods, in the local one. Of clusters that were never listed nothing is known, and where
// that is all, nothing is said.
func (a Answer) Unmatched(scope v1alpha1.ClusterScope, sought []publish.Sought) (all []Unmatched) {
	in, locals := map[string]bool{}, map[string]bool{}
	for _, c := range a.Clusters {
		if !c.Synced {
			continue
		}
		if InScope(scope, c) {
			in[c.Name] = true
		}
		if c.Local {
			locals[c.Name] = true
		}
	}
	for _, s := range sought {
		among, where := in, fmt.Sprintf("any of %d clusters", len(in))
		switch {
		case s.Local != "":
			among, where = locals, "the local cluster, where the policy's pods are,"
		case len(in) == 1:
			where = "the one cluster"
		}
		if len(among) > 0 && !a.found(s, among) {
			all = append(all, Unmatched{s, where})
		}
	}
	return all
}

// found says whether a selector matches something in some clusters, as publish.Unmatched does.
func (a Answer) found(s publish.Sought, among map[string]bool) bool {
	some := false
	for _, e := range a.Endpoints {
		switch {
		case !among[e.Cluster] || s.Local != "" && e.Kind != "Pod" || !s.Selector.MatchMap(e.Labels):
		case s.Port.Name == "" || slices.ContainsFunc(e.Ports, func(p Port) bool { return s.Asks(p.Name, p.Protocol) }):
			return true
		default:
			some = true
		}
	}
	return s.Port.Name != "" && !some
}

// Everything says that the endpoints of an answer are all that its clusters have, of several namespaces: the only
// selector of the question narrows nothing.
func (a Answer) Everything() bool {
	namespaces := map[string]bool{}
	for _, e := range a.Endpoints {
		if e.Namespace != "" {
			namespaces[e.Namespace] = true
		}
	}
	return len(namespaces) > 1 && !slices.ContainsFunc(a.Clusters, func(c Cluster) bool { return !c.Whole })
}

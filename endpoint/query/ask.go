package query

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// Catalog is what answers: *endpoint.Catalog.
type Catalog interface {
	Index() *index.Index
	States() []endpoint.ClusterState
}

// Reasons of gaps, besides those of the catalog.
const (
	// ReasonStale of a cluster that is not heard of now: what is known of it is old.
	ReasonStale = "Stale"
	// ReasonNotAnswered of a replica that did not answer, and of a cluster that nobody answered for.
	ReasonNotAnswered = "NotAnswered"
)

// Ask answers a question. An error is one of the question: a selector that cannot be read is a
// *selector.SyntaxError.
func Ask(c Catalog, q Question) (Answer, error) {
	selectors, err := q.parse()
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Clusters: []Cluster{}, Endpoints: []Endpoint{}, Gaps: []Gap{}}
	for _, state := range c.States() {
		if q.Cluster != "" && q.Cluster != state.Name {
			continue
		}
		cluster := clusterOf(state)
		cluster.Whole = whole(c.Index(), state, selectors)
		a.Clusters = append(a.Clusters, cluster)
		a.Gaps = append(a.Gaps, gapsOf(state)...)
		a.Endpoints = append(a.Endpoints, find(c.Index(), cluster, q, selectors)...)
	}
	a.sort()
	return a, nil
}

func clusterOf(s endpoint.ClusterState) Cluster {
	return Cluster{Name: s.Name, ID: s.ID, Labels: s.Labels, Local: s.Local, Synced: s.Synced, StaleSince: timeOf(s.StaleSince)}
}

func timeOf(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}

// gapsOf are what the catalog says is missing, and that what it has is old.
func gapsOf(s endpoint.ClusterState) []Gap {
	var gaps []Gap
	for _, g := range s.Gaps {
		gaps = append(gaps, Gap{Cluster: s.Name, Reason: g.Reason, Message: g.Message, Count: g.Count})
	}
	if s.Synced && !s.StaleSince.IsZero() {
		gaps = append(gaps, Gap{Cluster: s.Name, Reason: ReasonStale, Since: timeOf(s.StaleSince),
			Message: fmt.Sprintf("it is not followed since %s: its endpoints are those of then", s.StaleSince.UTC().Format(time.RFC3339))})
	}
	return gaps
}

// whole says that the only selector leaves nothing of a cluster that was listed.
func whole(x *index.Index, s endpoint.ClusterState, selectors []*selector.Selector) bool {
	if !s.Synced || len(selectors) != 1 {
		return false
	}
	others, err := selector.Not(selectors[0])
	if err != nil {
		return false
	}
	for range x.Look(others, s.Name) {
		return false
	}
	return true
}

// find returns what is asked for of one cluster.
func find(x *index.Index, c Cluster, q Question, selectors []*selector.Selector) []Endpoint {
	var found []Endpoint
	there := map[index.ID]bool{}
	for _, s := range selectors {
		for seen := range x.Look(s, c.Name) {
			if id := seen.ID(); q.wants(seen) && !there[id] {
				there[id] = true
				found = append(found, describe(seen, c))
			}
		}
	}
	return found
}

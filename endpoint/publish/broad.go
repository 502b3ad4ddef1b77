package publish

import (
	"fmt"
	"slices"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// Followed is what this process knows of the endpoints of clusters: an *endpoint.Catalog.
type Followed interface {
	Index() *index.Index
	State(cluster string) (endpoint.ClusterState, bool)
}

// Narrow is a selector that is meant to match less than everything, as it does not say all(), and the field that it
// stands in.
type Narrow struct {
	Field    string
	Selector *selector.Selector
}

// Broad says which selectors match every endpoint of the clusters that are selected nevertheless, where these are of more
// than one namespace. It knows no more than this process: where another one follows some of the clusters, it says
// nothing. by may be nil.
func (a *Asked) Broad(by Followed, selectors ...Narrow) (warned []Statement) {
	clusters, ok := a.followed(by)
	if !ok {
		return nil
	}
	for _, s := range selectors {
		not, err := selector.Not(s.Selector)
		if err != nil || matches(by, not, clusters) || !severalNamespaces(by, clusters) {
			continue
		}
		warned = append(warned, Statement{v1alpha1.ReasonSelectsEverything, fmt.Sprintf(
			"%s: %s matches every endpoint that the clusters have now, in all namespaces: if that is meant, write all()", s.Field, s.Selector)})
	}
	return warned
}

// followed are the clusters that are selected and that this process knows. It is not ok where another one knows more.
func (a *Asked) followed(by Followed) (names []string, ok bool) {
	if by == nil {
		return nil, false
	}
	for name := range a.selected() {
		state, known := by.State(name)
		switch {
		case known && state.Synced:
			names = append(names, name)
		case a.entry(name) != nil: // somebody has told what it has
			return nil, false
		}
	}
	return names, true
}

var inANamespace = selector.MustParse("has(" + selector.NamespaceLabel + ")")

// severalNamespaces looks at one endpoint, and for one of another namespace.
func severalNamespaces(by Followed, clusters []string) bool {
	const label = selector.NamespaceLabel
	for _, name := range clusters {
		if e, ok := first(by, inANamespace, name); ok {
			others, err := selector.Parse(fmt.Sprintf("has(%s) && %s != %q", label, label, e.Namespace))
			return err == nil && matches(by, others, clusters)
		}
	}
	return false
}

// matches says whether a selector matches anything.
func matches(by Followed, s *selector.Selector, clusters []string) bool {
	return slices.ContainsFunc(clusters, func(name string) bool {
		_, ok := first(by, s, name)
		return ok
	})
}

// first is any endpoint of a cluster that a selector matches. The others are not looked at.
func first(by Followed, s *selector.Selector, cluster string) (index.Endpoint, bool) {
	for e := range by.Index().Eval(s, cluster) {
		return e, true
	}
	return index.Endpoint{}, false
}

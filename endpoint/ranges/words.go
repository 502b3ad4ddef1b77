package ranges

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// Use is a live selector.
type Use struct {
	// By names what uses it, such as EndpointSet "web".
	By       string
	Selector *selector.Selector
	// Clusters that it looks in.
	Clusters []string
}

// word is something that a selector asks for.
type word struct{ kind, name string }

// Kinds of words, as people are told of them.
const (
	namespace    = "namespace"
	namespaceKey = "a namespace with the label"
	account      = "service account"
	accountKey   = "a service account with the label"
	key          = "an endpoint with the label"
	cluster      = "cluster"
)

// The labels by which namespaces and service accounts have their names.
const (
	calicoName     = "projectcalico.org/name"
	kubernetesName = "kubernetes.io/metadata.name"
)

// words finds what selectors ask for and a cluster that they look in lacks.
func words(clusters []Cluster, uses []Use) []Finding {
	var found []Finding
	for _, u := range uses {
		for _, w := range asked(u.Selector) {
			var lacking []string
			if w.kind == cluster {
				if !slices.ContainsFunc(clusters, func(c Cluster) bool { return c.Name == w.name }) {
					found = append(found, Finding{Check: CheckSelector, Severity: Warning, Clusters: []string{},
						Message: fmt.Sprintf("%s selects cluster %q, which there is none of", u.By, w.name), Repair: "correct the selector, or join the cluster: hawser join " + w.name + " --remote-context CONTEXT"})
				}
				continue
			}
			for _, c := range clusters {
				if slices.Contains(u.Clusters, c.Name) && !c.Words.has(w) {
					lacking = append(lacking, c.Name)
				}
			}
			if len(lacking) > 0 {
				found = append(found, Finding{Check: CheckSelector, Severity: Warning, Clusters: lacking,
					Message: fmt.Sprintf("%s selects %s %q, which there is none of in %s", u.By, w.kind, w.name, strings.Join(lacking, ", ")),
					Repair:  "make it there, if it is meant there too; else correct the selector, or narrow spec.clusters"})
			}
		}
	}
	if len(found) == 0 && len(uses) > 0 {
		found = append(found, Finding{Check: CheckSelector, Severity: OK, Clusters: names(clusters), Message: "each cluster has what live selectors ask for"})
	}
	return found
}

// has says whether a word is there. What is not known counts as there.
func (w Words) has(one word) bool {
	among := map[string]map[string]bool{
		namespace: w.Namespaces, namespaceKey: w.NamespaceKeys, account: w.Accounts, accountKey: w.AccountKeys, key: w.Keys,
	}[one.kind]
	return among == nil || among[one.name]
}

// asked are the words that a selector asks for, each once, in the order of the text. What it denies it can do without.
func asked(s *selector.Selector) (all []word) {
	add := func(w word) {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	values := func(kind string, test selector.Expr) {
		switch test.Kind() {
		case selector.KindEqual:
			add(word{kind, test.Value()})
		case selector.KindIn:
			for _, v := range test.Values() {
				add(word{kind, v})
			}
		}
	}
	for test := range wanted(s.Expr(), false) {
		switch label := test.Label(); {
		case label == selector.NamespaceLabel, label == selector.NamespacePrefix+calicoName, label == selector.NamespacePrefix+kubernetesName:
			values(namespace, test)
		case label == selector.ServiceAccountLabel, label == selector.ServiceAccountPrefix+calicoName:
			values(account, test)
		case label == index.ClusterLabel:
			values(cluster, test)
		case label == index.ClusterIDLabel, label == index.OrchestratorLabel:
		case strings.HasPrefix(label, selector.NamespacePrefix):
			add(word{namespaceKey, strings.TrimPrefix(label, selector.NamespacePrefix)})
		case strings.HasPrefix(label, selector.ServiceAccountPrefix):
			add(word{accountKey, strings.TrimPrefix(label, selector.ServiceAccountPrefix)})
		default:
			add(word{key, label})
		}
	}
	return all
}

// wanted are the tests that an endpoint passes, some of them at least, because of what it has.
func wanted(e selector.Expr, denied bool) iter.Seq[selector.Expr] {
	denied = denied != e.Negated()
	return func(yield func(selector.Expr) bool) {
		switch e.Kind() {
		case selector.KindTrue:
		case selector.KindAnd, selector.KindOr:
			for operand := range e.Operands() {
				for test := range wanted(operand, denied) {
					if !yield(test) {
						return
					}
				}
			}
		default:
			if !denied {
				yield(e)
			}
		}
	}
}

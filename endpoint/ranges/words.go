package ranges

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

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
	// Not says that what it matches is taken away.
	Not bool
	// ServicesOf is the namespace whose Services it selects. Empty: it selects endpoints.
	ServicesOf string
}

// asked is something that a selector asks for. Of labels of Services, in is their namespace.
type asked struct{ kind, name, in string }

func (a asked) String() string {
	if a.kind == serviceKey {
		return fmt.Sprintf("a Service in namespace %q with the label %q", a.in, a.name)
	}
	return fmt.Sprintf("%s %q", a.kind, a.name)
}

// Kinds of words, as people are told of them.
const (
	namespace    = "namespace"
	namespaceKey = "a namespace with the label"
	account      = "service account"
	accountKey   = "a service account with the label"
	key          = "an endpoint with the label"
	serviceKey   = "a Service with the label"
	cluster      = "cluster"
)

// calicoName is the label by which Calico's namespaces and service accounts have their names.
const calicoName = "projectcalico.org/name"

// remoteLabel is that of the cluster, on Services of remote ones.
const remoteLabel = "federation.tigera.io/remoteClusterName"

// words finds what selectors ask for and a cluster that they look in lacks.
func words(sites []site, uses []Use) []Finding {
	var found []Finding
	there := map[string]bool{}
	for _, s := range sites {
		there[s.Name] = true
	}
	for _, u := range uses {
		in := map[string]bool{}
		for _, name := range u.Clusters {
			in[name] = true
		}
		for _, a := range u.asks() {
			if a.kind == cluster {
				if !there[a.name] {
					found = append(found, u.finding(a, []string{}, "correct the selector, or join the cluster: hawser join NAME --remote-context CONTEXT"))
				}
				continue
			}
			var lacking []string
			for _, s := range sites {
				if in[s.Name] && !s.Words.has(a) {
					lacking = append(lacking, s.Name)
				}
			}
			if len(lacking) > 0 {
				repair := "make it there, if it is meant there too; else correct the selector"
				if u.ServicesOf == "" {
					repair += ", or narrow spec.clusters"
				}
				found = append(found, u.finding(a, lacking, repair))
			}
		}
	}
	if len(found) == 0 && len(uses) > 0 {
		return fine(CheckSelector, sites, Unread.ofWords, "each cluster has what live selectors ask for")
	}
	return found
}

func (u Use) finding(a asked, lacking []string, repair string) Finding {
	does, where := "selects", ""
	if u.Not {
		does = "takes away"
	}
	if len(lacking) > 0 {
		where = " in " + list(lacking)
	}
	return Finding{Check: CheckSelector, Severity: Warning, Clusters: lacking, Repair: repair,
		Message: fmt.Sprintf("%s %s %s, which there is none of%s", u.By, does, a, where)}
}

// has says whether what is asked for is there. What is not known counts as there.
func (w Words) has(a asked) bool {
	var among map[string]bool
	switch a.kind {
	case namespace:
		among = w.Namespaces
	case namespaceKey:
		among = w.NamespaceKeys
	case account:
		among = w.Accounts
	case accountKey:
		among = w.AccountKeys
	case key:
		among = w.Keys
	case serviceKey: // where the namespace is missing, that is said
		return w.ServiceKeys == nil || w.Namespaces != nil && !w.Namespaces[a.in] || w.ServiceKeys[a.in][a.name]
	}
	return among == nil || among[a.name]
}

// asks are what a selector asks for, each once, in the order of the text. What it denies it can do without.
func (u Use) asks() (all []asked) {
	for test := range wanted(u.Selector.Expr(), false) {
		for _, a := range u.ask(test) {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// ask is what one test asks for.
func (u Use) ask(test selector.Expr) []asked {
	switch label := test.Label(); {
	case label == index.ClusterLabel, u.ServicesOf != "" && label == remoteLabel:
		return values(cluster, test)
	case label == index.ClusterIDLabel:
		return nil
	case label == selector.NamespaceLabel:
		return values(namespace, test)
	case u.ServicesOf != "": // they inherit nothing
		return []asked{{serviceKey, label, u.ServicesOf}}
	default:
		return ofEndpoints(label, test)
	}
}

func ofEndpoints(label string, test selector.Expr) []asked {
	switch {
	case label == selector.NamespacePrefix+calicoName, label == selector.NamespacePrefix+corev1.LabelMetadataName:
		return values(namespace, test)
	case label == selector.ServiceAccountLabel, label == selector.ServiceAccountPrefix+calicoName:
		return values(account, test)
	case label == index.OrchestratorLabel:
		return nil
	case strings.HasPrefix(label, selector.NamespacePrefix):
		return []asked{{kind: namespaceKey, name: strings.TrimPrefix(label, selector.NamespacePrefix)}}
	case strings.HasPrefix(label, selector.ServiceAccountPrefix):
		return []asked{{kind: accountKey, name: strings.TrimPrefix(label, selector.ServiceAccountPrefix)}}
	}
	return []asked{{kind: key, name: label}}
}

// values are what is named by a test for equality.
func values(kind string, test selector.Expr) (all []asked) {
	switch test.Kind() {
	case selector.KindEqual:
		all = append(all, asked{kind: kind, name: test.Value()})
	case selector.KindIn:
		for _, v := range test.Values() {
			all = append(all, asked{kind: kind, name: v})
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

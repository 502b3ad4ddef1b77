package set

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/selector"
)

// Set is an EndpointSet that was read.
type Set struct {
	// Item is what the publisher is to do. It has no selector where none can be read.
	Item *publish.Item
	// Base are the objects that are of no cluster.
	Base []client.Object
	// Refused and Warned are what there is to say of the spec. Narrow is the selector, where it should not match
	// everything that there is: that is not to be seen here.
	Refused, Warned []publish.Statement
	Narrow          []publish.Narrow
}

// KeyOf is the key of a set of that name.
func KeyOf(name string) publish.Key { return publish.Key{Kind: publish.EndpointSet, Name: name} }

// Read reads an EndpointSet. last is the selector that what is there was made by, empty for none: it holds on where the
// one in the spec cannot be read. Where neither can, it is a set of nothing, so that nothing stays let in that is gone.
func Read(es *v1alpha1.EndpointSet, last string) Set {
	s := Set{Base: base(es)}
	parsed, err := Selector(es.Spec.Selector)
	if err != nil {
		s.Refused = append(s.Refused, unreadable(err, last))
		if parsed, err = Selector(last); last == "" || err != nil {
			parsed = nil
		}
	}
	if err := publish.CheckScope(es.Spec.Clusters); err != nil {
		s.Refused = append(s.Refused, publish.Statement{Reason: v1alpha1.ReasonSpecInvalid, Message: err.Error() + ": no cluster is selected"})
	}
	s.Warned = append(warnings(parsed), kept(es)...)
	var selectors []*selector.Selector
	if parsed != nil {
		selectors = []*selector.Selector{parsed}
	}
	if parsed != nil && !parsed.MatchesEverything() { // or it is all(), or warned of
		s.Narrow = []publish.Narrow{{Field: "spec.selector", Selector: parsed}}
	}
	outputs := es.DeepCopy()
	s.Item = &publish.Item{
		Key: KeyOf(es.Name), Generation: es.Generation, Scope: es.Spec.Clusters, Staleness: es.Spec.Staleness, Known: es.Status.Clusters,
		Owner:     Owner(es),
		Places:    Places(es),
		Selectors: selectors,
		Render: func(r publish.Request) (publish.Rendered, error) {
			if parsed == nil {
				return renderNothing(outputs, r)
			}
			return render(outputs, parsed.String(), r)
		},
	}
	return s
}

// Owner refers to a set.
func Owner(es *v1alpha1.EndpointSet) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: publish.EndpointSet, Name: es.Name, UID: es.UID}
}

// Selector reads the selector of a set.
func Selector(text string) (*selector.Selector, error) {
	s, err := selector.Parse(text)
	if err == nil && s.UsesGlobal() {
		return nil, errors.New("global() is allowed in the namespaceSelector of a policy only: for what is in no namespace, write !has(" + selector.NamespaceLabel + ")")
	}
	return s, err
}

// unreadable says what is wrong with a selector, where, and what holds on meanwhile.
func unreadable(err error, last string) publish.Statement {
	text := "spec.selector: " + err.Error()
	if last != "" {
		text += fmt.Sprintf("; until it is mended, what was made follows the selector that was read last: %s", last)
	} else {
		text += "; it matches nothing"
	}
	var syntax *selector.SyntaxError
	if errors.As(err, &syntax) {
		text += "\n" + syntax.Caret()
	}
	return publish.Statement{Reason: v1alpha1.ReasonSelectorInvalid, Message: text}
}

// warnings are of selectors that are hardly meant as they are written.
func warnings(s *selector.Selector) []publish.Statement {
	switch {
	case s == nil:
	case s.MatchesNothing():
		return []publish.Statement{{Reason: v1alpha1.ReasonSelectsNothing, Message: fmt.Sprintf("spec.selector: %s matches nothing, whatever labels there are", s)}}
	case s.MatchesEverything() && s.String() != selector.All().String():
		return []publish.Statement{{Reason: v1alpha1.ReasonSelectsEverything, Message: fmt.Sprintf("spec.selector: %s matches every endpoint of the clusters, whatever its labels: if that is meant, write all()", s)}}
	}
	return nil
}

// kept are of labels that an output asks for and that are not for it to choose.
func kept(es *v1alpha1.EndpointSet) (all []publish.Statement) {
	for i, o := range es.Spec.Outputs {
		for name := range labelsOf(o) {
			if reserved(name) {
				all = append(all, publish.Statement{Reason: v1alpha1.ReasonSpecInvalid, Message: fmt.Sprintf("spec.outputs[%d]: the label %s is kept for Hawser and is left out", i, name)})
			}
		}
	}
	return all
}

func reserved(label string) bool {
	domain, _, _ := strings.Cut(label, "/")
	return label == v1alpha1.ManagedByLabel || domain == "hawser.io" || strings.HasSuffix(domain, ".hawser.io")
}

package aws

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Namespaces says for which namespaces an identity may be used: All, or those in Names, or those that
// Selector matches. The zero value admits none, and so does a selector that is empty: to some readers
// it means none and to others all.
type Namespaces struct {
	All      bool
	Names    []string
	Selector labels.Selector
}

// NamespacesOf reads allowedNamespaces: absent is none, {} is all, anything else is the names or the
// selector. A list of no names and a selector of no requirements add nothing, so that what was
// narrowed to nothing is never read as all. With an error comes none.
func NamespacesOf(a *v1alpha1.AllowedNamespaces) (Namespaces, error) {
	switch {
	case a == nil:
		return Namespaces{}, nil
	case a.Names == nil && a.Selector == nil:
		return Namespaces{All: true}, nil
	}
	selector, err := selectorOf(a.Selector)
	if err != nil {
		return Namespaces{}, fmt.Errorf("reading allowedNamespaces.selector: %w", err)
	}
	return Namespaces{Names: slices.Clone(a.Names), Selector: selector}, nil
}

func selectorOf(s *metav1.LabelSelector) (labels.Selector, error) {
	if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return nil, nil
	}
	return metav1.LabelSelectorAsSelector(s)
}

// Namespace is the namespace on whose behalf an identity is used: that of the object that an inventory
// made a cluster from. An empty Name means that a person wrote the object, who needs no leave.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Admit reports whether the identity may be used for ns.
func (n Namespaces) Admit(ns Namespace) bool {
	if ns.Name == "" || n.All || slices.Contains(n.Names, ns.Name) {
		return true
	}
	return n.Selector != nil && !n.Selector.Empty() && n.Selector.Matches(labels.Set(ns.Labels))
}

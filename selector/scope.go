package selector

import (
	"errors"
	"fmt"
)

// The labels that an endpoint has besides its own, as Calico names them.
const (
	// NamespaceLabel holds the namespace of whatever is in one. Host endpoints do not have it.
	NamespaceLabel = "projectcalico.org/namespace"
	// ServiceAccountLabel holds the name of a pod's service account.
	ServiceAccountLabel = "projectcalico.org/serviceaccount"
	// NamespacePrefix stands before each label that an endpoint has from its namespace.
	NamespacePrefix = "pcns."
	// ServiceAccountPrefix stands before each label that an endpoint has from its service account.
	ServiceAccountPrefix = "pcsa."
)

// Prefix returns the selector with a prefix before each label.
func (s *Selector) Prefix(prefix string) (*Selector, error) {
	if !isLabel(prefix) {
		return nil, fmt.Errorf("setting prefix %.600q before the labels of a selector: it cannot be part of a label", prefix)
	}
	return s.rewrite(fmt.Sprintf("setting prefix %q before the labels of a selector", prefix), func(tree []node) {
		setPrefix(tree, prefix)
	})
}

// ForNamespaces returns the selector of the endpoints whose namespace this one matches: a rule's or a
// policy's namespaceSelector. all() becomes what is in any namespace. global(), which has to stand
// alone, becomes what is in none.
//
// A selector that a namespace without labels matches, as a != "x" does, also matches endpoints that have
// no namespace at all. It does so in Calico.
func (s *Selector) ForNamespaces() (*Selector, error) {
	if s.UsesGlobal() && (len(s.tree) > 1 || s.tree[0].not) {
		return nil, errors.New("selecting namespaces: global() has to stand alone in a namespaceSelector")
	}
	return s.rewrite("selecting namespaces", func(tree []node) {
		setPrefix(tree, NamespacePrefix)
		for i := range tree {
			switch n := &tree[i]; n.op {
			case opGlobal:
				n.op, n.label, n.not = opHas, NamespaceLabel, !n.not
			case opAll:
				n.op, n.label = opHas, NamespaceLabel
			}
		}
	})
}

// ForServiceAccounts returns the selector of the endpoints whose service account this one matches, as
// the serviceAccountSelector of a policy means it: all() becomes what has any service account. In the
// peer of a rule all() stays as it is, see [Peer].
func (s *Selector) ForServiceAccounts() (*Selector, error) {
	const what = "selecting service accounts"
	if s.UsesGlobal() {
		return nil, fmt.Errorf("%s: %w", what, errGlobal)
	}
	return s.rewrite(what, func(tree []node) {
		setPrefix(tree, ServiceAccountPrefix)
		for i := range tree {
			if n := &tree[i]; n.op == opAll {
				n.op, n.label = opHas, ServiceAccountLabel
			}
		}
	})
}

var errGlobal = errors.New("global() is allowed in a namespaceSelector only")

// UsesGlobal says whether global() stands anywhere in the selector. Only a namespaceSelector may have it.
func (s *Selector) UsesGlobal() bool {
	if s.empty() {
		return false
	}
	for i := range s.tree {
		if s.tree[i].op == opGlobal {
			return true
		}
	}
	return false
}

func setPrefix(tree []node, prefix string) {
	for i := range tree {
		if n := &tree[i]; n.label != "" {
			n.label = prefix + n.label
		}
	}
}

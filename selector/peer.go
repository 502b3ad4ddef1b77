package selector

import "fmt"

// Peer is what one side of a rule says about endpoints, in Calico's words. A field that was not set is
// nil; one that was set to blanks is all().
type Peer struct {
	Selector          *Selector
	NotSelector       *Selector
	NamespaceSelector *Selector
	ServiceAccounts   ServiceAccounts
}

// ServiceAccounts names service accounts by name and by label; both have to hold where both are set.
type ServiceAccounts struct {
	Names    []string
	Selector *Selector
}

// Endpoints returns the one selector for a peer in a policy of the namespace, "" for a policy of none.
// It is nil where the peer says nothing about endpoints, and so means any address.
//
// A policy's namespace bounds the peer as soon as the peer has any selector, also a NotSelector, and has
// no NamespaceSelector. The NotSelector itself is not part of the result, nor bounded: what it matches
// is taken away.
func (p Peer) Endpoints(namespace string) (*Selector, error) {
	if err := usable(p.Selector); err != nil {
		return nil, fmt.Errorf("reading selector: %w", err)
	}
	if err := usable(p.NotSelector); err != nil {
		return nil, fmt.Errorf("reading notSelector: %w", err)
	}
	accounts, err := p.ServiceAccounts.endpoints()
	if err != nil {
		return nil, fmt.Errorf("reading serviceAccounts: %w", err)
	}
	named, err := both(accounts, p.Selector)
	if err != nil {
		return nil, err
	}
	scope, err := p.scope(namespace, named != nil || p.NotSelector != nil)
	if err != nil {
		return nil, err
	}
	return both(scope, named)
}

// scope is where a peer looks, nil for everywhere.
func (p Peer) scope(namespace string, selects bool) (*Selector, error) {
	if p.NamespaceSelector == nil {
		if namespace == "" || !selects {
			return nil, nil
		}
		return Equals(NamespaceLabel, namespace)
	}
	scope, err := p.NamespaceSelector.ForNamespaces()
	if err != nil {
		return nil, fmt.Errorf("reading namespaceSelector: %w", err)
	}
	return scope, nil
}

func (a ServiceAccounts) endpoints() (*Selector, error) {
	var labelled, named *Selector
	var err error
	if err := usable(a.Selector); err != nil {
		return nil, err
	}
	if a.Selector != nil {
		if labelled, err = a.Selector.Prefix(ServiceAccountPrefix); err != nil {
			return nil, err
		}
	}
	if len(a.Names) > 0 {
		if named, err = In(ServiceAccountLabel, a.Names...); err != nil {
			return nil, err
		}
	}
	return both(labelled, named)
}

// usable refuses what may not stand outside of a namespaceSelector. What was not set may.
func usable(s *Selector) error {
	switch {
	case s == nil:
		return nil
	case s.empty():
		return errNone
	case s.UsesGlobal():
		return errGlobal
	}
	return nil
}

// both joins what is set.
func both(a, b *Selector) (*Selector, error) {
	switch {
	case a == nil:
		return b, nil
	case b == nil:
		return a, nil
	}
	return And(a, b)
}

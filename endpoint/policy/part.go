package policy

import (
	"github.com/hawser-io/hawser/selector"
)

// part is a selector that the endpoints of a side have to meet, or, with not, must not.
type part struct {
	field    string
	selector *selector.Selector
	not      bool
}

// partsOf are what a peer says of endpoints, field by field: together they are its Endpoints, without what its
// NotSelector matches. An error of one is an error of all: a part that is lost would widen the rest.
func partsOf(field string, said *selector.Peer, namespace string) (all []part, err error) {
	add := func(field string, s *selector.Selector, failed error) {
		if failed != nil {
			err = failed
		}
		all = append(all, part{field: field, selector: s})
	}
	accounts := &said.ServiceAccounts
	switch {
	case said.NamespaceSelector != nil:
		scope, err := said.NamespaceSelector.ForNamespaces()
		add(field+".namespaceSelector", scope, err)
	case said.Selector != nil || said.NotSelector != nil || len(accounts.Names) > 0 || accounts.Selector != nil:
		scope, err := selector.Equals(selector.NamespaceLabel, namespace)
		add(field, scope, err)
	}
	if len(accounts.Names) > 0 {
		named, err := selector.In(selector.ServiceAccountLabel, accounts.Names...)
		add(field+".serviceAccounts.names", named, err)
	}
	if accounts.Selector != nil {
		labelled, err := accounts.Selector.Prefix(selector.ServiceAccountPrefix)
		add(field+".serviceAccounts.selector", labelled, err)
	}
	if said.Selector != nil {
		add(field+".selector", said.Selector, nil)
	}
	if said.NotSelector != nil {
		all = append(all, part{field: field + ".notSelector", selector: said.NotSelector, not: true})
	}
	return all, err
}

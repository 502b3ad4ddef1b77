package policy

import (
	"fmt"
	"strings"

	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// Selectors as Calico has them, for everything and for nothing.
const (
	everything = "all()"
	nothing    = "!all()"
)

// ofCalico are the selectors of a side, for endpoints of the local cluster, in Calico's words: those that were
// written, but for what they say of the cluster, which Calico does not know, and which is decided here. It is nil where
// no endpoint matches. A side that says anything of endpoints has a selector here, so that its namespace bounds it even
// if nothing else is left.
func (p *Plan) ofCalico(s *Side) (*calico.EntityRule, Problems) {
	var problems Problems
	var side calico.EntityRule
	if s.Endpoints == nil {
		return &side, nil
	}
	some := true
	text := func(field string, said *selector.Selector, decide bool) string {
		if said == nil {
			return ""
		}
		written, err := p.written(said, decide)
		if err != nil {
			problems.add(s.Field+field, err)
		}
		return written
	}
	side.NamespaceSelector = text(".namespaceSelector", s.Said.NamespaceSelector, false)
	switch side.Selector = text(".selector", s.Said.Selector, true); side.Selector {
	case "":
		side.Selector = everything
	case nothing:
		some = false
	}
	switch side.NotSelector = text(".notSelector", s.Said.NotSelector, true); side.NotSelector {
	case nothing:
		side.NotSelector = ""
	case everything:
		some = false
	}
	if accounts := s.Said.ServiceAccounts; len(accounts.Names) > 0 || accounts.Selector != nil {
		side.ServiceAccounts = &calico.ServiceAccountMatch{Names: accounts.Names, Selector: text(".serviceAccounts.selector", accounts.Selector, false)}
	}
	if len(problems) > 0 || !some {
		return nil, problems
	}
	return &side, nil
}

// written is a selector for Calico. If it is one of an endpoint's labels, what it asks of the cluster is decided: what
// is then always or never true is everything or nothing.
func (p *Plan) written(s *selector.Selector, decide bool) (string, error) {
	ofCluster := false
	for test := range s.Expr().Tests() {
		if strings.Contains(test.Value(), "all(") || strings.Contains(test.Value(), "global(") {
			return "", errRewritten
		}
		for _, value := range test.Values() {
			if strings.Contains(value, "all(") || strings.Contains(value, "global(") {
				return "", errRewritten
			}
		}
		ofCluster = ofCluster || isOfCluster(test.Label())
	}
	text := s.String()
	if decide && ofCluster {
		decided, err := p.decided(s.Expr())
		if err != nil {
			return "", err
		}
		text = decided.String()
	}
	switch {
	case decide && s.MatchesNothing():
		return nothing, nil
	case len(text) > calico.MaxSelector:
		return "", fmt.Errorf("it has %d bytes in its canonical form, and Calico takes %d", len(text), calico.MaxSelector)
	}
	return text, nil
}

func isOfCluster(label string) bool {
	return label == index.ClusterLabel || label == index.ClusterIDLabel
}

// decided is a selector without what it asks of the cluster: the local one decides that.
func (p *Plan) decided(e selector.Expr) (*selector.Selector, error) {
	switch {
	case e.Kind() == selector.KindAnd || e.Kind() == selector.KindOr:
		return p.decidedAll(e)
	case isOfCluster(e.Label()):
		m, _ := p.local(e.Label())
		if m.cannot != "" {
			return nil, fmt.Errorf("%s cannot be decided: %s", describe(e), m.cannot)
		}
		return constant(e.Accepts(m.constant) != e.Negated())
	}
	made, err := test(e)
	if err != nil || !e.Negated() {
		return made, err
	}
	return selector.Not(made)
}

// decidedAll is decided of what is joined.
func (p *Plan) decidedAll(e selector.Expr) (*selector.Selector, error) {
	and := e.Kind() == selector.KindAnd
	var open []*selector.Selector
	for operand := range e.Operands() {
		o, err := p.decided(operand)
		if err != nil {
			return nil, err
		}
		switch text := o.String(); {
		case text != everything && text != nothing:
			open = append(open, o)
		case (text == everything) != and: // it decides all of it
			return constant(!and != e.Negated())
		}
	}
	if len(open) == 0 {
		return constant(and != e.Negated())
	}
	made, err := selector.Or(open...)
	if and {
		made, err = selector.And(open...)
	}
	if err != nil || !e.Negated() {
		return made, err
	}
	return selector.Not(made)
}

func constant(holds bool) (*selector.Selector, error) {
	if holds {
		return selector.Parse(everything)
	}
	return selector.Parse(nothing)
}

// test is a single test, without its negation.
func test(e selector.Expr) (*selector.Selector, error) {
	operator := ""
	switch e.Kind() {
	case selector.KindTrue:
		return selector.All(), nil
	case selector.KindHas:
		return selector.Has(e.Label())
	case selector.KindEqual:
		return selector.Equals(e.Label(), e.Value())
	case selector.KindIn:
		return selector.In(e.Label(), e.Values()...)
	case selector.KindContains:
		operator = "contains"
	case selector.KindStartsWith:
		operator = "starts with"
	default:
		operator = "ends with"
	}
	quote := `"`
	if strings.Contains(e.Value(), quote) { // which a value with both kinds cannot come from
		quote = "'"
	}
	return selector.Parse(e.Label() + " " + operator + " " + quote + e.Value() + quote)
}

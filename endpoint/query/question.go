package query

import (
	"fmt"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// Question asks for endpoints: those that any of some selectors matches, bounded by what else is said.
type Question struct {
	// Selectors of which one has to match. None match nothing; all() is any endpoint.
	Selectors []string `json:"selectors"`
	// Cluster and Node that they are in. Empty: any.
	Cluster string `json:"cluster,omitempty"`
	Node    string `json:"node,omitempty"`
	// Name of the pod, host or network set. Empty: any.
	Name string `json:"name,omitempty"`
}

// Bounds of a question that comes over a wire.
const (
	maxSelectors = 10_000
	maxQuestion  = 16 << 20 // bytes
)

// parse reads the selectors, each once.
func (q Question) parse() (selectors []*selector.Selector, err error) {
	if len(q.Selectors) > maxSelectors {
		return nil, fmt.Errorf("reading a question: it has %d selectors: no more than %d are allowed", len(q.Selectors), maxSelectors)
	}
	asked := map[string]bool{}
	for _, text := range q.Selectors {
		s, err := selector.Parse(text)
		if err != nil {
			return nil, err
		}
		if form := s.String(); !asked[form] {
			asked[form] = true
			selectors = append(selectors, s)
		}
	}
	return selectors, nil
}

// wants says whether an endpoint is asked for, as far as that is not for selectors to say.
func (q Question) wants(e *index.Seen) bool {
	return (q.Node == "" || e.Node() == q.Node) && (q.Name == "" || e.ID().Name == q.Name)
}

package endpoint

import (
	"slices"
	"strings"
	"sync"

	"github.com/hawser-io/hawser/endpoint/index"
)

// waiting stands before the index, and holds the endpoints whose namespace is not known yet: pods and namespaces are
// followed each by themselves. Selectors may leave out what is in some namespaces by the labels of these, and nobody is to
// match for as long as nobody knows them.
type waiting struct {
	part *index.Cluster

	mu sync.Mutex                             // held while an endpoint is handed on, so that none is handed on after what was heard of it later
	of map[string]map[index.ID]index.Endpoint // by namespace
}

// set hands an endpoint on, or holds it.
func (w *waiting) set(e *index.Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(e.ID)
	if e.Namespace == "" || w.part.Knows(e.Namespace) {
		w.part.Set(e)
		return
	}
	w.part.Delete(e.ID)
	if w.of == nil {
		w.of = map[string]map[index.ID]index.Endpoint{}
	}
	held := clone(e)
	if w.of[held.Namespace] == nil {
		w.of[held.Namespace] = map[index.ID]index.Endpoint{}
	}
	w.of[held.Namespace][held.ID] = held
}

func (w *waiting) remove(id index.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(id)
	w.part.Delete(id)
}

func (w *waiting) drop(id index.ID) {
	delete(w.of[id.Namespace], id)
	if len(w.of[id.Namespace]) == 0 {
		delete(w.of, id.Namespace)
	}
}

// known hands on what is in a namespace that the index knows by now, with the addresses that the bounds allow now.
func (w *waiting) known(namespace string, b Bounds) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.of[namespace] {
		if e.Addresses = b.keep(e.Addresses); len(e.Addresses) > 0 {
			w.part.Set(&e)
		}
	}
	delete(w.of, namespace)
}

// begin forgets what is held of a list that begins anew.
func (w *waiting) begin(of index.List) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, held := range w.of {
		for id := range held {
			if id.List() == of {
				w.drop(id)
			}
		}
	}
}

// clone copies all of an endpoint, whose texts are parts of what was read.
func clone(e *index.Endpoint) index.Endpoint {
	c := *e
	c.Namespace, c.Name = strings.Clone(e.Namespace), strings.Clone(e.Name)
	c.ServiceAccount, c.Node = strings.Clone(e.ServiceAccount), strings.Clone(e.Node)
	c.Addresses, c.Ports, c.Labels = slices.Clone(e.Addresses), slices.Clone(e.Ports), slices.Clone(e.Labels)
	for i, p := range c.Ports {
		c.Ports[i].Name, c.Ports[i].Protocol = strings.Clone(p.Name), strings.Clone(p.Protocol)
	}
	for i, l := range c.Labels {
		c.Labels[i] = index.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
	}
	return c
}

package service

import (
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

// View is what one cluster has: its services, their endpoints, and its exports. It is for several goroutines.
type View struct {
	mu         sync.RWMutex
	namespaces map[string]*namespace
}

// namespace holds what there is in one, by the names of the objects.
type namespace struct {
	services map[string]*Service
	slices   map[string]*Slice
	of       map[string]map[string]*Slice // the slices of each service
	exports  map[string]*mcs.ServiceExport
}

// NewView makes an empty one.
func NewView() *View { return &View{namespaces: map[string]*namespace{}} }

func (v *View) in(name string) *namespace {
	n := v.namespaces[name]
	if n == nil {
		n = &namespace{services: map[string]*Service{}, slices: map[string]*Slice{}, of: map[string]map[string]*Slice{}, exports: map[string]*mcs.ServiceExport{}}
		v.namespaces[name] = n
	}
	return n
}

func (v *View) tidy(name string) {
	if n := v.namespaces[name]; n != nil && len(n.services)+len(n.slices)+len(n.exports) == 0 {
		delete(v.namespaces, name)
	}
}

// SetService sets a service, or removes it where s is nil, and reports whether anything is another now.
func (v *View) SetService(key types.NamespacedName, s *Service) (changed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.in(key.Namespace)
	defer v.tidy(key.Namespace)
	before := n.services[key.Name]
	if s == nil {
		delete(n.services, key.Name)
		return before != nil
	}
	n.services[key.Name] = s
	return before == nil || !equality.Semantic.DeepEqual(before, s)
}

// SetSlice sets a slice, or removes it where s is nil, and returns the services whose endpoints are others now.
func (v *View) SetSlice(key types.NamespacedName, s *Slice) (changed []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.in(key.Namespace)
	defer v.tidy(key.Namespace)
	before := n.slices[key.Name]
	if before != nil && s != nil && before.Service == s.Service && before.Portless == s.Portless && slices.Equal(before.Ports, s.Ports) && slices.Equal(before.Endpoints, s.Endpoints) {
		return nil
	}
	if before != nil {
		changed = append(changed, before.Service)
		delete(n.slices, key.Name)
		delete(n.of[before.Service], key.Name)
		if len(n.of[before.Service]) == 0 {
			delete(n.of, before.Service)
		}
	}
	if s != nil {
		n.slices[key.Name] = s
		if n.of[s.Service] == nil {
			n.of[s.Service] = map[string]*Slice{}
		}
		n.of[s.Service][key.Name] = s
		if len(changed) == 0 || changed[0] != s.Service {
			changed = append(changed, s.Service)
		}
	}
	return changed
}

// SetExport sets an export, or removes it where e is nil, and reports whether anything is another now.
func (v *View) SetExport(key types.NamespacedName, e *mcs.ServiceExport) (changed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.in(key.Namespace)
	defer v.tidy(key.Namespace)
	before := n.exports[key.Name]
	if e == nil {
		delete(n.exports, key.Name)
		return before != nil
	}
	n.exports[key.Name] = e
	return before == nil || before.UID != e.UID || !before.CreationTimestamp.Equal(&e.CreationTimestamp) || !equality.Semantic.DeepEqual(before.Spec, e.Spec)
}

// Exports are the names of the exports of a namespace; of all, where it is empty.
func (v *View) Exports(in string) []types.NamespacedName {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []types.NamespacedName
	for space, n := range v.namespaces {
		if in != "" && in != space {
			continue
		}
		for name := range n.exports {
			all = append(all, types.NamespacedName{Namespace: space, Name: name})
		}
	}
	return all
}

// Exported returns what an export of the cluster says, and the slices of its service. It is nil where the service
// is not exported, or cannot be: problem then says why, if there is an export.
func (v *View) Exported(namespace, name string) (export *Export, of []*Slice, problem Problem) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n := v.namespaces[namespace]
	if n == nil || n.exports[name] == nil {
		return nil, nil, Problem{}
	}
	s := n.services[name]
	if problem := s.problem(); !problem.None() {
		return nil, nil, problem
	}
	return newExport(n.exports[name], s), sorted(n.of[name]), Problem{}
}

// SlicesOf returns the slices of a service as they are, whether it is exported or not; none where it cannot be.
func (v *View) SlicesOf(namespace, name string) []*Slice {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n := v.namespaces[namespace]
	if n == nil {
		return nil
	}
	if problem := n.services[name].problem(); !problem.None() {
		return nil
	}
	return sorted(n.of[name])
}

// problem is why a service cannot be exported. Nil is none.
func (s *Service) problem() Problem {
	switch {
	case s == nil:
		return Problem{string(mcs.ServiceExportReasonNoService), "there is no Service of this name"}
	case s.External:
		return Problem{string(mcs.ServiceExportReasonInvalidServiceType), "a Service of type ExternalName cannot be exported: make one in each cluster"}
	case s.Federated:
		return Problem{ReasonFederated, "the Service has its endpoints from other clusters itself, and so cannot be exported"}
	}
	return Problem{}
}

// Backing returns the slices of the services of the cluster that back a Service that selects.
func (v *View) Backing(f *Federated, c Cluster) []*Slice {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n := v.namespaces[f.Namespace]
	if n == nil {
		return nil
	}
	var all []*Slice
	for _, name := range slices.Sorted(maps.Keys(n.services)) {
		s := n.services[name]
		if s.Federated || s.External || len(n.of[name]) == 0 {
			continue
		}
		if f.Selector.Match(&labels{own: s.Labels, namespace: f.Namespace, cluster: c}) {
			all = append(all, sorted(n.of[name])...)
		}
	}
	return all
}

func sorted(of map[string]*Slice) []*Slice {
	all := make([]*Slice, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, of[name])
	}
	return all
}

// labels are those by which a service is selected: its own, and those that it has from where it is, which its own
// cannot hide. The label of Calico is on services of remote clusters alone.
type labels struct {
	own       map[string]string
	namespace string
	cluster   Cluster
}

// Get implements selector.Labels.
func (l *labels) Get(name string) (value string, ok bool) {
	switch name {
	case selector.NamespaceLabel:
		return l.namespace, true
	case index.ClusterLabel:
		return l.cluster.Name, true
	case index.ClusterIDLabel:
		return l.cluster.ID, l.cluster.ID != ""
	case CalicoClusterLabel:
		if l.cluster.Local {
			return "", false
		}
		return l.cluster.Name, true
	}
	value, ok = l.own[name]
	return value, ok
}

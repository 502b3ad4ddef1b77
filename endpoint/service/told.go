package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func (l *Local) setService(o runtime.Object) {
	if s, ok := o.(*corev1.Service); ok {
		l.WroteService(s)
	}
}

// WroteService tells of a Service as it was written, or watched.
func (l *Local) WroteService(s *corev1.Service) {
	key, problem := keyOf(s), exportProblem(s)
	l.mu.Lock()
	backed, there := l.backs[key]
	l.backs[key] = problem
	_, exported := l.exports.all[key]
	before, told := (*corev1.Service)(nil), false
	if l.matters(s) {
		kept := s.DeepCopy()
		kept.ManagedFields = nil
		before, _, told = l.services.set(kept)
	} else {
		before, told = l.services.displace(s)
	}
	l.file(key)
	l.mu.Unlock()
	if told {
		l.toldService(key, before)
		l.toldService(key, s)
	}
	if exported && (!there || backed != problem) {
		l.changed(importOf(key))
	}
}

// exportProblem is why a Service cannot be exported.
func exportProblem(s *corev1.Service) Problem {
	read := ReadService(s)
	return read.problem()
}

// matters says whether a Service is one that selects, or did, or the one of an import.
func (l *Local) matters(s *corev1.Service) bool {
	_, asked, _ := annotation(s)
	if asked || s.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy && s.Labels[mcs.LabelServiceName] != "" {
		return true
	}
	return slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool { return c.Type == ConditionFederated })
}

func (l *Local) dropService(key types.NamespacedName, uid types.UID) {
	l.mu.Lock()
	s, had := l.services.drop(key, uid)
	if _, another := l.services.all[key]; another {
		l.mu.Unlock()
		return
	}
	_, exported := l.exports.all[key]
	delete(l.backs, key)
	l.file(key)
	l.mu.Unlock()
	if had {
		l.toldService(key, s)
	}
	if exported {
		l.changed(importOf(key))
	}
}

// file is called with l.mu held, for a Service that is another now.
func (l *Local) file(key types.NamespacedName) {
	asked := false
	if s, there := l.services.all[key]; there {
		_, asked, _ = annotation(s)
	}
	in := l.selecting[key.Namespace]
	switch {
	case asked && in == nil:
		l.selecting[key.Namespace] = map[string]struct{}{key.Name: {}}
	case asked:
		in[key.Name] = struct{}{}
	case in != nil:
		delete(in, key.Name)
		if len(in) == 0 {
			delete(l.selecting, key.Namespace)
		}
	}
}

// toldService tells of a Service that matters, or did: one that selects, or that of an import.
func (l *Local) toldService(key types.NamespacedName, s *corev1.Service) {
	if s == nil {
		return
	}
	if name := s.Labels[mcs.LabelServiceName]; name != "" {
		l.changed(Key{Import: true, Namespace: key.Namespace, Name: name})
	}
	l.changed(Key{Namespace: key.Namespace, Name: key.Name})
}

func (l *Local) setSlice(o runtime.Object) {
	if s, ok := o.(*discoveryv1.EndpointSlice); ok {
		l.WroteSlice(s)
	}
}

// WroteSlice tells of a slice as it was written, or watched.
func (l *Local) WroteSlice(s *discoveryv1.EndpointSlice) {
	key, ok := KeyOf(s)
	if !ok {
		l.lose(func() (*discoveryv1.EndpointSlice, bool) { return l.slices.displace(s) })
		return
	}
	s = s.DeepCopy()
	s.ManagedFields = nil
	l.mu.Lock()
	before, had, taken := l.slices.set(s)
	if taken {
		if had {
			l.unfile(before)
		}
		if l.of[key] == nil {
			l.of[key] = map[string]*discoveryv1.EndpointSlice{}
		}
		l.of[key][s.Name] = s
		if l.clusters[key.Whole()] == nil {
			l.clusters[key.Whole()] = map[string]struct{}{}
		}
		l.clusters[key.Whole()][key.Cluster] = struct{}{}
	}
	l.mu.Unlock()
	if !taken {
		return
	}
	l.toldSlice(key, before, s)
	if had {
		if old, _ := KeyOf(before); old != key {
			l.toldSlice(old, before, nil)
		}
	}
}

// toldSlice tells of a slice of a key that is another, where there is one. What an export says matters to the slices of the
// other clusters.
func (l *Local) toldSlice(key Key, before, after *discoveryv1.EndpointSlice) {
	l.changed(key)
	if key.Import && sourceText(before) != sourceText(after) {
		l.changed(key.Whole())
	}
}

func sourceText(s *discoveryv1.EndpointSlice) string {
	if s == nil {
		return ""
	}
	return s.Annotations[SourceAnnotation]
}

// unfile is called with l.mu held.
func (l *Local) unfile(s *discoveryv1.EndpointSlice) {
	key, _ := KeyOf(s)
	delete(l.of[key], s.Name)
	if len(l.of[key]) > 0 {
		return
	}
	delete(l.of, key)
	delete(l.clusters[key.Whole()], key.Cluster)
	if len(l.clusters[key.Whole()]) == 0 {
		delete(l.clusters, key.Whole())
	}
}

func (l *Local) dropSlice(name types.NamespacedName, uid types.UID) {
	l.lose(func() (*discoveryv1.EndpointSlice, bool) { return l.slices.drop(name, uid) })
}

// lose takes the slice that forget forgets, if there is one, off what it was made for.
func (l *Local) lose(forget func() (*discoveryv1.EndpointSlice, bool)) {
	l.mu.Lock()
	s, had := forget()
	if had {
		l.unfile(s)
	}
	l.mu.Unlock()
	if had {
		key, _ := KeyOf(s)
		l.toldSlice(key, s, nil)
	}
}

// DeletedSlice tells of a slice that was deleted.
func (l *Local) DeletedSlice(s *discoveryv1.EndpointSlice) {
	l.mu.Lock()
	if l.slices.bury(s) {
		l.unfile(s)
	}
	l.mu.Unlock()
	key, _ := KeyOf(s)
	l.toldSlice(key, s, nil)
}

func (l *Local) setNamespace(o runtime.Object) {
	n, ok := o.(*corev1.Namespace)
	if !ok {
		return
	}
	if n.DeletionTimestamp != nil { // nothing can be made in there any more
		l.dropNamespace(n.Name)
		return
	}
	l.mu.Lock()
	_, had := l.namespaces[n.Name]
	l.namespaces[n.Name] = struct{}{}
	l.mu.Unlock()
	if !had {
		l.changed(Key{Import: true, Namespace: n.Name})
	}
}

func (l *Local) dropNamespace(name string) {
	l.mu.Lock()
	delete(l.namespaces, name)
	l.mu.Unlock()
}

// DeletedImport tells of an import that was deleted.
func (l *Local) DeletedImport(im *mcs.ServiceImport) {
	l.mu.Lock()
	l.imports.bury(im)
	l.mu.Unlock()
}

// WroteImport tells of an import as it was written, or watched.
func (l *Local) WroteImport(im *mcs.ServiceImport) { wrote(l, &l.imports, im) }

// WroteExport tells of an export as it was written, or watched.
func (l *Local) WroteExport(e *mcs.ServiceExport) { wrote(l, &l.exports, e) }

// wrote takes over an import or an export, unless a later one of it is known, and tells of what it stands for.
func wrote[T metav1.Object](l *Local, all *store[T], o T) {
	o.SetManagedFields(nil)
	l.mu.Lock()
	_, _, taken := all.set(o)
	l.mu.Unlock()
	if taken {
		l.changed(importOf(keyOf(o)))
	}
}

// dropping forgets imports, or exports, that are gone, and tells of what they stood for.
func dropping[T metav1.Object](l *Local, all *store[T]) func(types.NamespacedName, types.UID) {
	return func(key types.NamespacedName, uid types.UID) {
		l.mu.Lock()
		all.drop(key, uid)
		l.mu.Unlock()
		l.changed(importOf(key))
	}
}

// reading hands on those objects of a watch that can be read.
func reading[T any](take func(*T)) func(runtime.Object) {
	return func(o runtime.Object) {
		if typed := read[T](o); typed != nil {
			take(typed)
		}
	}
}

// importOf is the key of an import, which is also that of the exports that it is made of.
func importOf(name types.NamespacedName) Key {
	return Key{Import: true, Namespace: name.Namespace, Name: name.Name}
}

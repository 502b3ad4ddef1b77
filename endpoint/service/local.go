package service

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// ConditionFederated is the condition of Services that select services of all clusters.
const ConditionFederated = "hawser.io/Federated"

// Local is what the local cluster has of all this: the Services that select, the slices and the imports that there are,
// and its own exports. What is written is told to it, so that it is never behind whoever writes.
type Local struct {
	changed func(Key)
	tables  []*table

	importVersion atomic.Pointer[string] // that is served

	servicesTable, slicesTable, namespacesTable, importsTable, exportsTable *table

	mu         sync.Mutex
	services   store[*corev1.Service]
	selecting  map[string]map[string]struct{}   // the names of those that select, by namespace
	backs      map[types.NamespacedName]Problem // every Service: why it cannot be exported
	slices     store[*discoveryv1.EndpointSlice]
	of         map[Key]map[string]*discoveryv1.EndpointSlice
	clusters   map[Key]map[string]struct{} // that there are slices of, by the whole key
	imports    store[*mcs.ServiceImport]
	exports    store[*mcs.ServiceExport]
	namespaces map[string]struct{}
}

// LocalOptions are what a Local takes from its surroundings. Config is required.
type LocalOptions struct {
	Config *rest.Config
	// Changed is told of what is another now: of the slices of a key, of what a key without a cluster stands for, of
	// a namespace of imports (the key has no name), or of what is known at all (the zero Key). It must not wait.
	Changed func(Key)
	Look    time.Duration
	Clock   clock.WithTicker
	Log     logr.Logger
}

// NewLocal makes one that knows nothing until Run.
func NewLocal(o LocalOptions) (*Local, error) {
	c, err := newClients(o.Config)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Look == 0 {
		o.Look = DefaultLook
	}
	l := &Local{
		changed: o.Changed, services: newStore[*corev1.Service](), slices: newStore[*discoveryv1.EndpointSlice](),
		imports: newStore[*mcs.ServiceImport](), exports: newStore[*mcs.ServiceExport](), backs: map[types.NamespacedName]Problem{}, selecting: map[string]map[string]struct{}{},
		of: map[Key]map[string]*discoveryv1.EndpointSlice{}, clusters: map[Key]map[string]struct{}{}, namespaces: map[string]struct{}{},
	}
	l.servicesTable = &table{Resource: "services", Open: c.services, Set: l.setService, Drop: l.dropService}
	l.slicesTable = &table{Resource: "endpointslices", Open: c.slices(discoveryv1.LabelManagedBy + "=" + ManagedBy), Set: l.setSlice, Drop: l.dropSlice}
	l.namespacesTable = &table{Resource: "namespaces", Open: c.namespaces, Set: l.setNamespace, Drop: func(key types.NamespacedName, _ types.UID) { l.dropNamespace(key.Name) }}
	l.importsTable = &table{Resource: mcs.ServiceImportPluralName, Open: c.multicluster(mcs.ServiceImportPluralName, func(version string) { l.importVersion.Store(&version) }), Set: reading(l.WroteImport), Drop: dropping(l, &l.imports)}
	l.exportsTable = &table{Resource: mcs.ServiceExportPluralName, Open: c.multicluster(mcs.ServiceExportPluralName, func(string) {}), Set: reading(l.WroteExport), Drop: dropping(l, &l.exports)}
	l.tables = []*table{l.servicesTable, l.slicesTable, l.namespacesTable, l.importsTable, l.exportsTable}
	for _, t := range l.tables {
		t.Look, t.Clock, t.Log, t.Changed = o.Look, o.Clock, o.Log, func() { o.Changed(Key{}) }
	}
	return l, nil
}

// Run follows the local cluster until ctx ends.
func (l *Local) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, t := range l.tables {
		running.Go(func() { t.Run(ctx) }) // ends with ctx
	}
	running.Wait()
}

// Synced says that everything was listed once, or, without imports, everything apart from these and exports. Before
// that, nothing follows from what is missing.
func (l *Local) Synced(imports bool) bool {
	for _, t := range l.tables {
		if optional := t == l.importsTable || t == l.exportsTable; (imports || !optional) && !t.State().Synced {
			return false
		}
	}
	return true
}

// Imports says whether the cluster has ServiceImports at all.
func (l *Local) Imports() bool { return !l.importsTable.State().Absent }

// ImportVersion is the apiVersion of ServiceImports here.
func (l *Local) ImportVersion() string {
	version := mcs.GroupVersion.Version
	if served := l.importVersion.Load(); served != nil {
		version = *served
	}
	return mcs.GroupName + "/" + version
}

// Service returns a Service that selects, or did, or one of an import; nil where there is none such. It is not to be changed.
func (l *Local) Service(namespace, name string) *corev1.Service {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.services.all[types.NamespacedName{Namespace: namespace, Name: name}]
}

// HasService says whether there is a Service of the name, of any kind.
func (l *Local) HasService(namespace, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.backs[types.NamespacedName{Namespace: namespace, Name: name}]
	return has
}

// Exportable returns why the Service of an export cannot be exported.
func (l *Local) Exportable(namespace, name string) Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	problem, there := l.backs[types.NamespacedName{Namespace: namespace, Name: name}]
	if !there {
		return (*Service)(nil).problem()
	}
	return problem
}

// Import returns an import; nil where there is none. It is not to be changed.
func (l *Local) Import(namespace, name string) *mcs.ServiceImport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.imports.all[types.NamespacedName{Namespace: namespace, Name: name}]
}

// Export returns an export of the local cluster; nil where there is none. It is not to be changed.
func (l *Local) Export(namespace, name string) *mcs.ServiceExport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.exports.all[types.NamespacedName{Namespace: namespace, Name: name}]
}

// HasNamespace says whether there is a namespace in which something can be made.
func (l *Local) HasNamespace(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, has := l.namespaces[name]
	return has
}

// Slices returns the slices of a key with a cluster, sorted by name. They are not to be changed.
func (l *Local) Slices(key Key) []*discoveryv1.EndpointSlice {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.of[key]
	all := make([]*discoveryv1.EndpointSlice, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, of[name])
	}
	return all
}

// Clusters are those that there are slices of for a whole key, sorted.
func (l *Local) Clusters(whole Key) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.clusters[whole]))
}

// Selecting are the keys of the Services of a namespace that select; of all, where it is empty.
func (l *Local) Selecting(namespace string) []Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Key
	add := func(namespace string) {
		for name := range l.selecting[namespace] {
			all = append(all, Key{Namespace: namespace, Name: name})
		}
	}
	if namespace != "" {
		add(namespace)
		return all
	}
	for namespace := range l.selecting {
		add(namespace)
	}
	return all
}

// Known are the keys of all slices, and the whole keys of all Services, imports and exports.
func (l *Local) Known() (of, whole []Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[Key]struct{}{}
	for key := range l.of {
		of = append(of, key)
		all[key.Whole()] = struct{}{}
	}
	for key, s := range l.services.all {
		if name := s.Labels[mcs.LabelServiceName]; name != "" {
			all[Key{Import: true, Namespace: key.Namespace, Name: name}] = struct{}{}
		}
		all[Key{Namespace: key.Namespace, Name: key.Name}] = struct{}{}
	}
	for key := range l.imports.all {
		all[importOf(key)] = struct{}{}
	}
	for key := range l.exports.all {
		all[importOf(key)] = struct{}{}
	}
	return of, slices.SortedFunc(maps.Keys(all), Key.Compare)
}

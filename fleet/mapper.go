package fleet

import (
	"context"
	"net/http"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// mapper says which resource a kind is. Controller-runtime's own reads, and keeps, all that a cluster serves,
// a quarter of a megabyte for a bare one and many times that with custom resources; of a thousand clusters
// that is most of the memory. This one asks for a group and version when a kind of it is wanted. Only
// questions of other forms, which neither caches nor clients ask, are for the large one.
type mapper struct {
	ctx   context.Context //nolint:containedctx // the life of the cluster: the interface has none
	asked *discovery.DiscoveryClient
	whole func() (meta.RESTMapper, error)

	mu     sync.Mutex
	tables map[schema.GroupVersion]*table
}

var _ meta.RESTMapper = (*mapper)(nil)

func newMapper(ctx context.Context, config *rest.Config, client *http.Client) (*mapper, error) {
	asked, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	return &mapper{
		ctx: ctx, asked: asked, tables: map[schema.GroupVersion]*table{},
		whole: sync.OnceValues(func() (meta.RESTMapper, error) { return apiutil.NewDynamicRESTMapper(config, client) }),
	}, nil
}

// table is what a cluster serves in one group and version, by kind.
type table struct {
	asking sync.Mutex // held while the cluster is asked

	mu      sync.RWMutex
	answers int
	kinds   map[string]resource
}

type resource struct {
	name       string
	namespaced bool
}

// find knows lists by what they are lists of, as discovery does not name them.
func (t *table) find(kind string) (r resource, known bool, answers int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if r, known = t.kinds[kind]; !known {
		r, known = t.kinds[strings.TrimSuffix(kind, "List")]
	}
	return r, known, t.answers
}

func (m *mapper) table(gv schema.GroupVersion) *table {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tables[gv]
	if t == nil {
		t = &table{}
		m.tables[gv] = t
	}
	return t
}

// find returns the resource of a kind, if the cluster has it. A kind that is not known is asked for each
// time: it may have been installed since.
func (m *mapper) find(gvk schema.GroupVersionKind) (r resource, found bool, err error) {
	t := m.table(gvk.GroupVersion())
	r, found, before := t.find(gvk.Kind)
	if found {
		return r, true, nil
	}
	t.asking.Lock()
	defer t.asking.Unlock()
	if r, found, now := t.find(gvk.Kind); found || now != before {
		return r, found, nil // somebody has asked meanwhile
	}
	list, err := m.asked.ServerResourcesForGroupVersionWithContext(m.ctx, gvk.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		list, err = &metav1.APIResourceList{}, nil
	}
	if err != nil {
		return resource{}, false, err
	}
	t.learn(list)
	r, found, _ = t.find(gvk.Kind)
	return r, found, nil
}

func (t *table) learn(list *metav1.APIResourceList) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers++
	t.kinds = make(map[string]resource, len(list.APIResources))
	for i := range list.APIResources {
		r := &list.APIResources[i]
		if _, twice := t.kinds[r.Kind]; !twice && !strings.Contains(r.Name, "/") { // no subresource
			// Copies: the strings may be parts of the whole answer.
			t.kinds[strings.Clone(r.Kind)] = resource{strings.Clone(r.Name), r.Namespaced}
		}
	}
}

// RESTMapping implements meta.RESTMapper.
func (m *mapper) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	for _, version := range versions {
		if version == "" {
			versions = nil
			break
		}
	}
	if len(versions) == 0 {
		return whole(m, func(w meta.RESTMapper) (*meta.RESTMapping, error) { return w.RESTMapping(gk) })
	}
	for _, version := range versions {
		gvk := gk.WithVersion(version)
		r, found, err := m.find(gvk)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		mapping := &meta.RESTMapping{Resource: gvk.GroupVersion().WithResource(r.name), GroupVersionKind: gvk, Scope: meta.RESTScopeRoot}
		if r.namespaced {
			mapping.Scope = meta.RESTScopeNamespace
		}
		return mapping, nil
	}
	return nil, &meta.NoKindMatchError{GroupKind: gk, SearchedVersions: versions}
}

// whole puts a question to the mapper that knows everything.
func whole[T any](m *mapper, question func(meta.RESTMapper) (T, error)) (T, error) {
	w, err := m.whole()
	if err != nil {
		var none T
		return none, err
	}
	return question(w)
}

// RESTMappings implements meta.RESTMapper.
func (m *mapper) RESTMappings(gk schema.GroupKind, versions ...string) ([]*meta.RESTMapping, error) {
	return whole(m, func(w meta.RESTMapper) ([]*meta.RESTMapping, error) { return w.RESTMappings(gk, versions...) })
}

// KindFor implements meta.RESTMapper.
func (m *mapper) KindFor(r schema.GroupVersionResource) (schema.GroupVersionKind, error) {
	return whole(m, func(w meta.RESTMapper) (schema.GroupVersionKind, error) { return w.KindFor(r) })
}

// KindsFor implements meta.RESTMapper.
func (m *mapper) KindsFor(r schema.GroupVersionResource) ([]schema.GroupVersionKind, error) {
	return whole(m, func(w meta.RESTMapper) ([]schema.GroupVersionKind, error) { return w.KindsFor(r) })
}

// ResourceFor implements meta.RESTMapper.
func (m *mapper) ResourceFor(r schema.GroupVersionResource) (schema.GroupVersionResource, error) {
	return whole(m, func(w meta.RESTMapper) (schema.GroupVersionResource, error) { return w.ResourceFor(r) })
}

// ResourcesFor implements meta.RESTMapper.
func (m *mapper) ResourcesFor(r schema.GroupVersionResource) ([]schema.GroupVersionResource, error) {
	return whole(m, func(w meta.RESTMapper) ([]schema.GroupVersionResource, error) { return w.ResourcesFor(r) })
}

// ResourceSingularizer implements meta.RESTMapper.
func (m *mapper) ResourceSingularizer(r string) (string, error) {
	return whole(m, func(w meta.RESTMapper) (string, error) { return w.ResourceSingularizer(r) })
}

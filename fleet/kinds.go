package fleet

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// CacheOptions are how the objects of each cluster of a fleet are cached. The zero value caches whatever is
// read or watched, whole. What they mean is what controller-runtime's cache.Options of the same names mean.
type CacheOptions struct {
	// DefaultTransform trims objects before they are kept: cache.TransformStripManagedFields, or one's own.
	DefaultTransform toolscache.TransformFunc
	// DefaultLabelSelector bounds what is cached.
	DefaultLabelSelector labels.Selector
	// ByObject are other options for some kinds. Of a virtual cluster only its own namespace is cached,
	// whatever Namespaces says.
	ByObject map[client.Object]cache.ByObject
	// MetadataOnly are kinds of which only the metadata is cached. Controllers watch them so by themselves;
	// who reads one reads a metav1.PartialObjectMetadata, and gets an error for anything else.
	MetadataOnly []client.Object
	// SyncPeriod is how often every object is handed to the controllers again.
	SyncPeriod *time.Duration
	// ReaderFailOnMissingInformer lets a read of a kind fail that no controller and no index has asked for,
	// instead of starting an informer for it.
	ReaderFailOnMissingInformer bool
	// Uncached are kinds that clients read from the API server.
	Uncached []client.Object
	// Unstructured lets clients read unstructured objects from the cache as well.
	Unstructured bool
}

// form is how objects are held.
type form int

const (
	structured form = iota
	unstructuredForm
	metadataOnly
)

func formOf(obj runtime.Object) form {
	switch obj.(type) {
	case runtime.Unstructured:
		return unstructuredForm
	case *metav1.PartialObjectMetadata, *metav1.PartialObjectMetadataList:
		return metadataOnly
	}
	return structured
}

// kind is what has one informer in each cluster.
type kind struct {
	gvk  schema.GroupVersionKind
	form form
}

// String names the kind for people.
func (k kind) String() string {
	if k.form == metadataOnly {
		return k.gvk.GroupKind().String() + " (metadata)"
	}
	return k.gvk.GroupKind().String()
}

// cached is CacheOptions by kind.
type cached struct {
	CacheOptions
	scheme   *runtime.Scheme
	byKind   map[schema.GroupVersionKind]cache.ByObject
	metadata map[schema.GroupVersionKind]bool
}

// resolve finds the kinds that the options speak of.
func (o CacheOptions) resolve(scheme *runtime.Scheme) (cached, error) {
	c := cached{o, scheme, map[schema.GroupVersionKind]cache.ByObject{}, map[schema.GroupVersionKind]bool{}}
	for obj, options := range o.ByObject {
		gvk, err := apiutil.GVKForObject(obj, scheme)
		if err != nil {
			return c, fmt.Errorf("finding the kind of %T in Cache.ByObject: %w", obj, err)
		}
		c.byKind[gvk] = options
	}
	for _, obj := range o.MetadataOnly {
		gvk, err := apiutil.GVKForObject(obj, scheme)
		if err != nil {
			return c, fmt.Errorf("finding the kind of %T in Cache.MetadataOnly: %w", obj, err)
		}
		c.metadata[gvk] = true
	}
	return c, nil
}

// kindOf is the kind that an object is cached as: its metadata, where that is all that is cached of it.
func (c cached) kindOf(obj runtime.Object) (kind, error) {
	k, err := gvkOf(obj, c.scheme)
	if err == nil && c.metadata[k.gvk] {
		k.form = metadataOnly
	}
	return k, err
}

// example makes an empty object of a kind.
func (c cached) example(k kind) (client.Object, error) {
	switch k.form {
	case unstructuredForm:
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(k.gvk)
		return u, nil
	case metadataOnly:
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(k.gvk)
		return m, nil
	}
	obj, err := c.scheme.New(k.gvk)
	if err != nil {
		return nil, fmt.Errorf("making a %s: %w", k, err)
	}
	typed, ok := obj.(client.Object)
	if !ok {
		return nil, fmt.Errorf("making a %s: %T has no metadata", k, obj)
	}
	return typed, nil
}

// options of the cache that holds a kind, in a cluster or in one namespace of it.
func (c cached) options(gvk schema.GroupVersionKind) cache.Options {
	o := cache.Options{
		Scheme: c.scheme, SyncPeriod: c.SyncPeriod, DefaultTransform: c.DefaultTransform, DefaultLabelSelector: c.DefaultLabelSelector,
	}
	own, ok := c.byKind[gvk]
	if !ok {
		return o
	}
	if own.SyncPeriod != nil {
		o.SyncPeriod = own.SyncPeriod
	}
	if own.Transform != nil {
		o.DefaultTransform = own.Transform
	}
	if own.Label != nil {
		o.DefaultLabelSelector = own.Label
	}
	o.DefaultFieldSelector = own.Field
	o.DefaultUnsafeDisableDeepCopy = own.UnsafeDisableDeepCopy
	o.DefaultEnableWatchBookmarks = own.EnableWatchBookmarks
	o.DefaultNamespaces = own.Namespaces
	return o
}

// metadataOf is the same kind as obj, as metadata only. The kind of obj is known to be in the scheme.
func metadataOf(obj client.Object, scheme *runtime.Scheme) client.Object {
	m := &metav1.PartialObjectMetadata{}
	if k, err := gvkOf(obj, scheme); err == nil {
		m.SetGroupVersionKind(k.gvk)
	}
	return m
}

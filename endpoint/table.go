package endpoint

import (
	"context"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint/follow"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

// ErrOtherCluster says that another cluster answers.
var ErrOtherCluster = follow.ErrOtherCluster

// table follows the objects of one resource.
type table struct {
	*follow.Table[*wire.Object]
	resource string
	bounded  bool // what is taken of it depends on the bounds
	optional bool // not every cluster has it
	// goes says that it goes without what it may not read.
	goes atomic.Bool
}

// allTables follow what every cluster has, and Calico's kinds.
func (f *Feed) allTables() []*table {
	part := f.options.Part
	pods, nodes := index.ListOf(index.Pod), index.ListOf(index.Node)
	hosts, sets := index.ListOf(index.HostEndpoint), index.ListOf(index.NetworkSet)
	calico := []*table{
		f.endpoints("hostendpoints", hosts, index.HostEndpoint, hostEndpoint),
		f.endpoints("networksets", sets, index.NetworkSet, networkSet),
		f.endpoints("globalnetworksets", index.GlobalNetworkSets, index.NetworkSet, networkSet),
	}
	for _, t := range calico {
		t.optional = true
	}
	return append([]*table{
		f.follows("namespaces", index.Namespaces,
			func(o *wire.Object) {
				part.SetNamespace(o.Name, o.Own)
				f.know(o.Name)
			}, func(n types.NamespacedName) { part.DeleteNamespace(n.Name) }),
		f.follows("serviceaccounts", index.ServiceAccounts,
			func(o *wire.Object) { part.SetServiceAccount(o.Namespace, o.Name, o.Own) }, func(n types.NamespacedName) { part.DeleteServiceAccount(n.Namespace, n.Name) }),
		f.endpoints("nodes", nodes, index.Node, node),
		f.endpoints("pods", pods, index.Pod, pod),
	}, calico...)
}

// endpoints makes a table of objects that endpoints are made of.
func (f *Feed) endpoints(resource string, of index.List, kind index.Kind, read func(*wire.Object, Bounds) (taken, bool)) *table {
	t := f.follows(resource, of,
		func(o *wire.Object) { f.take(index.ID{Kind: kind, Namespace: o.Namespace, Name: o.Name}, o, read) },
		func(n types.NamespacedName) { f.drop(index.ID{Kind: kind, Namespace: n.Namespace, Name: n.Name}) })
	t.bounded = true
	return t
}

// follows makes a table that fills a list of the index. set and remove are told of objects.
func (f *Feed) follows(resource string, of index.List, set func(*wire.Object), remove func(types.NamespacedName)) *table {
	t := &table{resource: resource}
	t.Table = &follow.Table[*wire.Object]{
		Resource: resource, Set: set, Drop: func(n types.NamespacedName, _ types.UID) { remove(n) },
		Open: func(ctx context.Context) (follow.Source, error) {
			if t.optional {
				return f.look(ctx, resource)
			}
			return source(f.client, resource), nil
		},
		Listed: func(all []*wire.Object) {
			if t.bounded { // first: what was held would count as listed where its namespace becomes known in between
				f.waiting.begin(of)
				f.refused.begin(of)
			}
			f.options.Part.Begin(of)
			for _, o := range all {
				set(o)
			}
			f.end(of)
			if t.bounded && f.refused.end(of) {
				f.options.Changed()
			}
		},
		Identity: follow.NewIdentity(f.client, f.options.ID), Changed: f.changed,
		Look: f.options.LookEvery, Clock: f.options.Clock, Log: f.options.Log,
	}
	return t
}

// know hands on what waits for a namespace that is known now.
func (f *Feed) know(namespace string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.waiting.known(namespace, f.bounds)
}

// end ends a list: what was not told of since its beginning is gone.
func (f *Feed) end(of index.List) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	f.options.Part.End(of)
}

func source(client *rest.RESTClient, resource string) follow.Source {
	ask := func(o metav1.ListOptions) *rest.Request {
		return client.Get().Resource(resource).VersionedParams(&o, metav1.ParameterCodec)
	}
	return follow.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := &wire.List{}
			return list, ask(o).Do(ctx).Into(list)
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			return ask(o).Watch(ctx)
		},
	}
}

// mayLack says that an error is no reason not to use what there is: of what not every cluster has, the right to read
// it may be missing, and an API server of its own away.
func (t *table) mayLack(err error) bool {
	return t.optional && (apierrors.IsForbidden(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsNotFound(err))
}

func (t *table) state() (synced bool, fault Fault) {
	s := t.State()
	if t.mayLack(s.Err) {
		t.goes.Store(true)
	}
	if t.optional && apierrors.IsNotFound(s.Err) { // it is looked for
		s.Err = nil
	}
	if s.Err != nil {
		fault = Fault{s.Since, s.Err}
	}
	return s.Synced || t.goes.Load(), fault
}

package endpoint

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

// calicoTables follow Calico's kinds, where a cluster has them. Two of them fill one list of the index, and so each
// keeps which objects are its own.
func (f *Feed) calicoTables() []*table {
	of := func(resource string, kind index.Kind, read func(*wire.Object, Bounds) (taken, bool)) *table {
		own := members{}
		return &table{
			resource: resource, optional: true, bounded: true,
			set: func(o *wire.Object) {
				own.see(o)
				f.take(index.ID{Kind: kind, Namespace: o.Namespace, Name: o.Name}, o, read)
			},
			remove: func(o *wire.Object) {
				own.forget(o)
				f.drop(index.ID{Kind: kind, Namespace: o.Namespace, Name: o.Name})
			},
			has:   func() bool { return len(own.all) > 0 },
			begin: own.begin,
			end: func() {
				for _, name := range own.end() {
					f.drop(index.ID{Kind: kind, Namespace: name.Namespace, Name: name.Name})
				}
			},
		}
	}
	return []*table{
		of("hostendpoints", index.HostEndpoint, hostEndpoint),
		of("networksets", index.NetworkSet, networkSet),
		of("globalnetworksets", index.NetworkSet, networkSet),
	}
}

// hostEndpoint makes an endpoint of a host as Calico knows it: it has the addresses that somebody expects of it.
func hostEndpoint(o *wire.Object, b Bounds) (t taken, ok bool) {
	t.endpoint = index.Endpoint{ID: index.ID{Kind: index.HostEndpoint, Name: o.Name}, Labels: o.Own, Node: o.Node, Ports: o.Ports}
	t.take(b, o.IPs)
	return t, len(t.endpoint.Addresses) > 0
}

// networkSet makes an endpoint of a set of addresses, of a namespace or of none. What Hawser wrote, here or there, is
// made of endpoints, and no source of them.
func networkSet(o *wire.Object, b Bounds) (t taken, ok bool) {
	for _, l := range o.Own {
		if l.Name == v1alpha1.ManagedByLabel && l.Value == v1alpha1.ManagedBy {
			return taken{}, false
		}
	}
	t.endpoint = index.Endpoint{ID: index.ID{Kind: index.NetworkSet, Namespace: o.Namespace, Name: o.Name}, Labels: o.Own}
	t.take(b, o.IPs)
	return t, len(t.endpoint.Addresses) > 0
}

// look finds how a cluster serves one of Calico's resources. There is no client where it does not.
func (f *Feed) look(ctx context.Context, resource string) (*rest.RESTClient, error) {
	for _, version := range wire.CalicoVersions() {
		found, err := f.serves(ctx, version, resource)
		if err != nil {
			return nil, err
		}
		if found {
			return wire.CalicoClient(f.options.Config, version)
		}
	}
	return nil, f.verify(ctx)
}

func (f *Feed) serves(ctx context.Context, version schema.GroupVersion, resource string) (bool, error) {
	text, err := f.client.Get().AbsPath("/apis", version.Group, version.Version).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var all metav1.APIResourceList
	if err := json.Unmarshal(text, &all); err != nil {
		return false, fmt.Errorf("reading what %s has: %w", version, err)
	}
	for _, r := range all.APIResources {
		if r.Name == resource {
			return true, nil
		}
	}
	return false, nil
}

// members are the objects of a table that has a list of the index not for itself. One goroutine uses it.
type members struct {
	all, listed map[types.NamespacedName]struct{}
}

func (m *members) see(o *wire.Object) {
	if m.all == nil {
		m.all = map[types.NamespacedName]struct{}{}
	}
	name := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
	m.all[name] = struct{}{}
	if m.listed != nil {
		m.listed[name] = struct{}{}
	}
}

func (m *members) forget(o *wire.Object) {
	delete(m.all, types.NamespacedName{Namespace: o.Namespace, Name: o.Name})
}

func (m *members) begin() { m.listed = map[types.NamespacedName]struct{}{} }

// end returns those that were not seen since begin.
func (m *members) end() (gone []types.NamespacedName) {
	for name := range m.all {
		if _, there := m.listed[name]; !there {
			gone = append(gone, name)
			delete(m.all, name)
		}
	}
	m.listed = nil
	return gone
}

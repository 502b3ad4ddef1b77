package endpoint

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/follow"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

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

// look finds how a cluster serves one of Calico's resources.
func (f *Feed) look(ctx context.Context, resource string) (follow.Source, error) {
	for _, version := range wire.CalicoVersions() {
		found, err := f.serves(ctx, version, resource)
		if err != nil {
			return follow.Source{}, err
		}
		if !found {
			continue
		}
		client, err := wire.CalicoClient(f.options.Config, version)
		if err != nil {
			return follow.Source{}, err
		}
		return source(client, resource), nil
	}
	return follow.Source{}, follow.ErrAbsent
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

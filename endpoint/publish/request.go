package publish

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
)

// MaxAddresses is how many addresses of one cluster an item has at most: what it makes of them has to find room in the
// local cluster, whatever a remote one tells.
const MaxAddresses = 1 << 17

// request is what is asked of an item: of nothing, where addresses are taken away.
func (p *Publisher) request(item *live, at owner, state endpoint.ClusterState, empty bool) Request {
	pieces := map[string]int{}
	for _, r := range p.objects.records.believed(at, item.Places) {
		pieces[whole(r.name)] = max(piecesOf(r), pieces[whole(r.name)])
	}
	return Request{
		Key: at.key, Cluster: state,
		Members: func(i int) iter.Seq[index.Endpoint] {
			if empty {
				return func(func(index.Endpoint) bool) {}
			}
			return item.queries[i].Members(at.cluster)
		},
		Addresses: func(i int) iter.Seq[netip.Prefix] {
			if empty {
				return func(func(netip.Prefix) bool) {}
			}
			return item.queries[i].Addresses(at.cluster)
		},
		Count: func(i int) int {
			if empty {
				return 0
			}
			return item.queries[i].Len(at.cluster)
		},
		Pieces: func(base string) int { return pieces[Name(MaxName, base, at.cluster, 1)] },
	}
}

// wants completes what was rendered. Every object says of which cluster it is, and, where addresses are taken away, that
// they are: the others may not be there to tell. The first says since when it is silent, where addresses may be taken away
// for that; where it does not, the status does.
func (p *Publisher) wants(ctx context.Context, at owner, item *live, rendered Rendered, of view) ([]wanted, error) {
	var all []wanted
	within := of.state.Bounds.Extent()
	for i, o := range rendered.Objects {
		annotations := map[string]string{}
		if of.state.ID != "" {
			annotations[ClusterIDAnnotation] = of.state.ID
		}
		if within != "" {
			annotations[WithinAnnotation] = within
		}
		if of.phase == expired {
			annotations[ExpiredAnnotation] = "true"
		}
		if by := policyOf(item.Staleness); i == 0 && by.ExpireAfter > 0 && of.phase != current {
			// It is zero where the status alone has told a restart that they are away.
			if !of.age.Since.IsZero() && (of.phase == expired || !p.options.Clock.Now().Before(of.age.tellable(by))) {
				annotations[StaleSinceAnnotation] = of.age.Since.UTC().Format(time.RFC3339)
			}
		}
		o.SetAnnotations(merged(o.GetAnnotations(), nil, annotations))
		w, err := want(p.scheme, o, at.key, item.Owner)
		if err != nil {
			return nil, err
		}
		if w.ref.namespace == "" && at.key.Namespace != "" {
			owner, err := p.space(ctx, item)
			if err != nil {
				return nil, err
			}
			w.object.SetOwnerReferences([]metav1.OwnerReference{owner})
		}
		all = append(all, w)
	}
	return all, nil
}

// space refers to the namespace of an item. What is in no namespace cannot go with an item that is in one; it goes with
// that namespace at least, should nobody be left who sweeps it.
func (p *Publisher) space(ctx context.Context, item *live) (metav1.OwnerReference, error) {
	of := metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: item.Key.Namespace}
	p.mu.Lock()
	of.UID = item.space
	p.mu.Unlock()
	if of.UID != "" {
		return of, nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	found, err := p.objects.client.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Get(ctx, of.Name, metav1.GetOptions{})
	if err != nil {
		return of, fmt.Errorf("reading the namespace of %s: %w", item.Key, err)
	}
	of.UID = found.GetUID()
	p.mu.Lock()
	defer p.mu.Unlock()
	item.space = of.UID
	return of, nil
}

package publish

import (
	"iter"
	"net/netip"
	"strconv"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
)

// request is what is asked of an item: of nothing, where addresses are taken away.
func (p *Publisher) request(item *live, at owner, state endpoint.ClusterState, empty bool) Request {
	pieces := map[string]int{}
	for _, r := range p.objects.records.of(at) {
		n := 1
		if text := r.annotations[PiecesAnnotation]; text != "" {
			n, _ = strconv.Atoi(text)
		}
		pieces[whole(r.name)] = max(n, pieces[whole(r.name)])
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

// wants completes what was rendered. The first object says how old it is, where addresses are taken away for that.
func (p *Publisher) wants(at owner, item *live, rendered Rendered, phase phase, age staleness) ([]wanted, error) {
	var all []wanted
	for i, o := range rendered.Objects {
		if expires := item.Staleness != nil && item.Staleness.Policy == v1alpha1.StalenessExpire; i == 0 && expires && phase != current {
			annotations := map[string]string{StaleSinceAnnotation: age.began.UTC().Format(time.RFC3339)}
			if phase == expired {
				annotations[ExpiredAnnotation] = "true"
			}
			o.SetAnnotations(merged(o.GetAnnotations(), nil, annotations))
		}
		w, err := want(p.scheme, o, at.key, item.Owner)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

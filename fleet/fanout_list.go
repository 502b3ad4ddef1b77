package fleet

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Live lets List ask the API servers, and not the caches.
func Live() client.ListOption { return option(func(o *fanOut) { o.live = true }) }

// Pages lets List ask the API servers for so many objects at a time, and put them together: what a cluster
// holds then need not fit into one answer. It implies Live.
func Pages(size int64) client.ListOption {
	return option(func(o *fanOut) { o.live, o.page = true, size })
}

// List lists objects of every cluster of the fleet, as Each asks them: one result for each, sorted by name.
// Values are never nil; with an error they are empty. empty makes a list, with its kind set where it is
// unstructured or of metadata.
//
// It reads from the caches. A kind that no controller and no index has asked for yet is cached from then on,
// in every cluster, and the first answer waits for that: for something asked once, use Live. Options are
// those of the client, and Live, Pages and Within.
func List[L client.ObjectList](ctx context.Context, f *Fleet, empty func() L, opts ...client.ListOption) []Result[L] {
	var o fanOut
	var own []FanOutOption
	for _, opt := range opts {
		if fan, ok := opt.(FanOutOption); ok {
			fan.applyToFanOut(&o)
			own = append(own, fan)
		}
	}
	results := Each(ctx, f, func(ctx context.Context, c *Cluster) (L, error) {
		list := empty()
		switch {
		case o.page > 0:
			return listPages(ctx, c.GetAPIReader(), empty, o.page, opts)
		case o.live:
			return list, c.GetAPIReader().List(ctx, list, opts...)
		}
		return list, c.GetClient().List(ctx, list, opts...)
	}, own...)
	for i := range results {
		r := &results[i]
		switch {
		case r.Err != nil:
			r.Value, r.Err = empty(), bare(r.Err)
		case o.live:
			r.Age = 0
		}
	}
	return results
}

// bare takes from around a *ClusterError what the request was, which says nothing: it was a list, and was sent
// to an address that only the connection understands.
func bare(err error) error {
	if known, ok := errors.AsType[*ClusterError](err); ok {
		return known
	}
	return err
}

// listPages reads a list in pages.
func listPages[L client.ObjectList](ctx context.Context, reader client.Reader, empty func() L, size int64, opts []client.ListOption) (L, error) {
	whole := empty()
	var items []runtime.Object
	for token := ""; ; {
		page := empty()
		err := reader.List(ctx, page, append(opts[:len(opts):len(opts)], client.Limit(size), client.Continue(token))...)
		if token != "" && apierrors.IsResourceExpired(err) {
			// The first pages are of a state that is too long ago to see the rest of: once more, in one.
			return whole, reader.List(ctx, whole, opts...)
		}
		if err != nil {
			return whole, err
		}
		if token == "" {
			whole = page
		}
		more, err := meta.ExtractList(page)
		if err != nil {
			return whole, fmt.Errorf("reading a page of a %T: %w", page, err)
		}
		items = append(items, more...)
		if token = page.GetContinue(); token == "" {
			break
		}
	}
	whole.SetContinue("")
	whole.SetRemainingItemCount(nil)
	if err := meta.SetList(whole, items); err != nil {
		return whole, fmt.Errorf("putting the pages of a %T together: %w", whole, err)
	}
	return whole, nil
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// piecesOf is among how many objects the addresses are divided that an object has some of.
func piecesOf(r *record) int {
	n, err := strconv.Atoi(r.annotations[PiecesAnnotation])
	if err != nil || n < 1 || n > MaxPieces { // somebody may have written anything
		return 1
	}
	return n
}

// put writes objects, of no addresses or of some.
func (p *Publisher) put(ctx context.Context, at owner, item *live, of view, wants []wanted, empty bool) (outcome, error) {
	out, err := p.objects.write(ctx, at, wants, manner{ours: true, empty: empty})
	if len(out.kept) > 0 && ctx.Err() == nil {
		err = errors.Join(err, p.asDivided(ctx, at, item, of, &out))
	}
	return out, err
}

// asDivided brings objects up to date that were kept as they are, as addresses cannot be divided anew yet: by the division
// that is there, so that nothing that is gone is let in meanwhile. What came of it is added to what there is to tell.
func (p *Publisher) asDivided(ctx context.Context, at owner, item *live, of view, out *outcome) error {
	var errs []error
	kept := out.kept
	for n, objects := range kept {
		request := p.request(item, at, of.state, false)
		request.Pieces = func(string) int { return -n }
		rendered, err := item.Render(request)
		switch {
		case !p.unchanged(at, of): // it was lost while it was read
			return fmt.Errorf("reading cluster %q: %w", at.cluster, errChanged)
		case !p.current(item):
			return nil
		case err != nil:
			out.failed = append(out.failed, shortened(err.Error()))
			continue
		}
		wants, err := p.wants(ctx, at, item, rendered, of)
		if err != nil {
			return err
		}
		more, err := p.objects.write(ctx, at, wants, manner{ours: true, only: objects})
		errs = append(errs, err)
		out.add(more)
	}
	return errors.Join(errs...)
}

// unchanged says whether what matters of a cluster to what is made of it is as it was.
func (p *Publisher) unchanged(at owner, of view) bool {
	now, still := p.options.Catalog.State(at.cluster)
	return still && now.Synced == of.state.Synced && now.ID == of.state.ID
}

// add adds what came of writing others.
func (o *outcome) add(more outcome) {
	o.objects += more.objects
	o.refused, o.failed = slices.Concat(o.refused, more.refused), slices.Concat(o.failed, more.failed)
	o.again, o.waiting, o.soon = o.again || more.again, o.waiting || more.waiting, soonest(o.soon, more.soon)
}

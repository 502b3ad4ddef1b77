package publish

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
)

// progress is what is known of an item in a cluster. It is used by one task of each kind at a time, under the
// publisher's lock.
type progress struct {
	age      age
	restored bool                  // what an earlier process, or another replica, has left was read
	looked   endpoint.ClusterState // as it was looked at last
	outdated outdated              // as it was then
	// entry is what there is to say in the status; nil: nothing yet.
	entry    *v1alpha1.FederatedCluster
	reported *v1alpha1.FederatedCluster // what was said last
	at       time.Time                  // when
}

// panicked is the error of what came upon a mistake of ours.
type panicked struct {
	with  any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.with) }

// caught is what a function returns. A panic is an error of it alone: some object may have brought it about, and would in
// every replica that takes its cluster over, while this process has tokens and grants to look after, too.
func caught(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicked{r, debug.Stack()}
		}
	}()
	return do()
}

// work does a task of a queue. What is to be done again it notes.
func (p *Publisher) work(ctx context.Context, of *queue, t task) {
	err := caught(func() error { return p.try(ctx, t) })
	var mistake *panicked
	switch {
	case errors.As(err, &mistake):
		p.options.Log.Error(err, "publishing panicked, and is tried again", "item", t.key.String(), "cluster", t.cluster, "stack", string(mistake.stack))
	case err != nil && !errors.Is(err, errChanged):
		p.options.Log.Info("publishing failed, and is tried again", "item", t.key.String(), "cluster", t.cluster, "reason", err.Error())
	}
	of.done(t, err)
}

// try does a task.
func (p *Publisher) try(ctx context.Context, t task) (err error) {
	if t.what == spreading {
		p.spread(t)
		return nil
	}
	at := owner{t.key, t.cluster}
	working, leave, ok := p.enter(ctx, t.cluster)
	if !ok { // another replica's; if it becomes ours, we are told
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.progress, at)
		return nil
	}
	defer leave()
	if t.what == writing {
		err = p.write(working, at)
	} else {
		err = p.report(working, at)
	}
	if working.Err() != nil {
		return nil // it is not ours any more
	}
	return err
}

// write makes the objects of an item in a cluster what they are to be.
func (p *Publisher) write(ctx context.Context, at owner) error {
	if !p.objects.enough() {
		return nil // we are told when it is
	}
	item, of := p.look(at)
	if item == nil {
		return nil // the leader sweeps what is left
	}
	if of.phase == held && of.outdated.why == "" {
		p.hold(at, item, of)
		return nil
	}
	rendered, err := item.Render(p.request(item, at, of.state, of.phase == expired || of.phase == held))
	if !p.unchanged(at, of) {
		return fmt.Errorf("reading cluster %q: %w", at.cluster, errChanged) // it was lost while it was read
	}
	if !p.current(item) {
		return nil // its selectors may have ended while they were read; what took its place is noted
	}
	if err == nil && rendered.Addresses > MaxAddresses {
		err = fmt.Errorf("more than %d addresses match in this cluster", MaxAddresses)
	}
	if err != nil { // which comes of what there is, so that another try would be of no use
		return p.refuse(ctx, at, item, of, shortened(err.Error()))
	}
	return p.apply(ctx, at, item, of, rendered)
}

// refuse says why nothing is made of what there is. What was made stays as it is, unless an earlier generation has made it:
// somebody may have taken back what that allowed.
func (p *Publisher) refuse(ctx context.Context, at owner, item *live, of view, why string) error {
	if of.by < item.Generation {
		if rendered, err := item.Render(p.request(item, at, of.state, true)); err == nil {
			rendered.Refused = append(rendered.Refused, why+": nothing of it is let stand")
			return p.apply(ctx, at, item, of, rendered)
		}
	}
	p.say(at, item, of, func(e *v1alpha1.FederatedCluster) { e.Refused = []string{why + ": what was made stays as it is"} })
	return nil
}

// apply writes what was rendered, and says what came of it.
func (p *Publisher) apply(ctx context.Context, at owner, item *live, of view, rendered Rendered) error {
	wants, err := p.wants(ctx, at, item, rendered, of)
	if err != nil {
		return err
	}
	out, err := p.put(ctx, at, item, of, wants, rendered.Addresses == 0)
	if ctx.Err() != nil || err != nil && p.queue.first(task{at.key, at.cluster, writing}) {
		return err // it may well pass before it is told
	}
	if out.again {
		p.queue.note(task{at.key, at.cluster, writing}, p.options.LookAgain)
	}
	if out.soon > 0 {
		p.queue.note(task{at.key, at.cluster, writing}, out.soon)
		if err == nil && len(out.failed) == 0 { // too many were at work, which is nothing to tell
			return nil
		}
	}
	p.say(at, item, of, func(e *v1alpha1.FederatedCluster) {
		switch {
		case out.waiting || out.soon > 0 || err != nil: // not all is done
		case of.phase != held:
			e.ObservedGeneration = item.Generation
		case of.outdated.another:
			e.ObservedGeneration = 0 // nothing is made of this one
		}
		e.Endpoints, e.Addresses, e.Objects = int64(rendered.Endpoints), int64(rendered.Addresses), int32(out.objects) //nolint:gosec // they were counted here
		e.Refused = atMost(append(slices.Clone(rendered.Refused), out.told()...))
	})
	return err
}

// current says whether an item was not replaced, and so its selectors are live.
func (p *Publisher) current(item *live) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.items[item.Key] == item
}

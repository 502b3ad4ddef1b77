package capa

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/inventory/capa"
)

const (
	defaultFirstRetry = 5 * time.Second
	lastRetry         = 5 * time.Minute
	// describers are how many clusters AWS is asked about at a time: a region that never answers holds up one each.
	describers = 16
)

// describer asks AWS about control planes, keeps what it said, and asks again where that was no use.
type describer struct {
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	describe func(context.Context, types.NamespacedName, capa.Question) capa.Answer
	answered func(source types.NamespacedName) // set before anything is asked

	mu    sync.Mutex
	asked map[types.NamespacedName]dialog
}

// dialog is a question with its answer, as far as there is one.
type dialog struct {
	question capa.Question
	answer   *capa.Answer
}

func newDescriber(c clock.WithTicker, firstRetry time.Duration, describe func(context.Context, types.NamespacedName, capa.Question) capa.Answer) *describer {
	return &describer{
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](firstRetry, lastRetry),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Clock: c}),
		describe: describe,
		asked:    map[types.NamespacedName]dialog{},
	}
}

// run works through the queue until ctx ends.
func (d *describer) run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range describers {
		workers.Go(func() {
			for d.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	d.queue.ShutDown()
	workers.Wait()
	return nil
}

func (d *describer) next(ctx context.Context) bool {
	source, ended := d.queue.Get()
	if ended {
		return false
	}
	defer d.queue.Done(source)
	question, ok := d.question(source)
	if !ok {
		d.queue.Forget(source)
		return true
	}
	answer := d.describe(ctx, source, question)
	if ctx.Err() != nil {
		return false
	}
	if answer.Err == nil {
		d.queue.Forget(source)
	} else {
		d.queue.AddRateLimited(source)
	}
	if d.keep(source, question, answer) {
		d.answered(source)
	}
	return true
}

// ask puts a question, unless it is under way or answered already.
func (d *describer) ask(source types.NamespacedName, q capa.Question) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.asked[source]; ok && known.question == q {
		return
	}
	d.asked[source] = dialog{question: q}
	d.queue.Forget(source)
	d.queue.Add(source)
}

// answer is what was said to a question; nil if nothing yet.
func (d *describer) answer(source types.NamespacedName, q capa.Question) *capa.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.asked[source]; known.question == q {
		return known.answer
	}
	return nil
}

func (d *describer) question(source types.NamespacedName) (capa.Question, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.asked[source]
	return known.question, ok
}

// keep reports whether the answer is to what is still the question.
func (d *describer) keep(source types.NamespacedName, q capa.Question, a capa.Answer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.asked[source]; !ok || known.question != q {
		return false
	}
	d.asked[source] = dialog{q, &a}
	return true
}

// again asks everything anew, since what the answers depend on has changed. Until then they count.
func (d *describer) again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for source := range d.asked {
		d.queue.Forget(source)
		d.queue.Add(source)
	}
}

func (d *describer) forget(source types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.asked, source)
}

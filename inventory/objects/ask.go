package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// answerTimeout is how long the API server may take to answer a list, or to begin a watch, and how much
// longer than agreed a watch may last: one that answers no more must not hold us for ever.
const answerTimeout = time.Minute

// asker asks for objects with a deadline, and reports what goes wrong.
type asker struct {
	objects dynamic.ResourceInterface
	chosen  metav1.ListOptions
	what    string

	report func(error)    // may be nil
	asking sync.WaitGroup // lists; the reflector turns its back on one when ctx ends

	mu    sync.Mutex
	ended bool
	fault string // the last that was reported
}

func (a *asker) selected(options metav1.ListOptions) metav1.ListOptions {
	options.LabelSelector, options.FieldSelector = a.chosen.LabelSelector, a.chosen.FieldSelector
	return options
}

func (a *asker) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	if !a.begin() {
		return nil, context.Canceled
	}
	defer a.asking.Done()
	timed, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	list, err := a.objects.List(timed, a.selected(options))
	if err != nil { // that one may list is no reason to be at ease: one may have to watch, too
		a.learn(ctx, "listing", plain(timed, err))
	}
	return list, err
}

func (a *asker) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	most := answerTimeout
	if options.TimeoutSeconds != nil {
		most += time.Duration(*options.TimeoutSeconds) * time.Second
	}
	timed, cancel := context.WithTimeout(ctx, most)
	unanswered := time.AfterFunc(answerTimeout, cancel)
	w, err := a.objects.Watch(timed, a.selected(options))
	unanswered.Stop()
	switch {
	case err == nil:
		a.learn(ctx, "watching", nil)
		return &answered{w, cancel}, nil
	case options.SendInitialEvents == nil && !apierrors.IsResourceExpired(err): // expired: a list comes next
		a.learn(ctx, "watching", plain(timed, err))
	case options.SendInitialEvents != nil:
		// A list is asked for next, because this may be an API server that does not know such watches. As
		// a connection refused, the reflector would wait here with no regard to ctx.
		err = errors.New(err.Error())
	}
	cancel()
	return nil, err
}

// plain says that a deadline of ours has passed where that is all there is to say.
func plain(timed context.Context, err error) error {
	if timed.Err() != nil {
		return fmt.Errorf("no answer within %s", answerTimeout)
	}
	return err
}

// learn reports what keeps objects from being read, once.
func (a *asker) learn(ctx context.Context, doing string, err error) {
	if ctx.Err() != nil {
		return // we end it ourselves
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	text := ""
	if err != nil {
		err = fmt.Errorf("%s %s: %w", doing, a.what, err)
		text = err.Error()
	}
	if text == a.fault || a.ended || a.report == nil {
		return
	}
	a.fault = text
	a.report(err)
}

// begin counts a list, unless it comes too late.
func (a *asker) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.asking.Add(1)
	}
	return !a.ended
}

// end waits for what is still being asked. ctx has ended, so that is soon.
func (a *asker) end() {
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	a.asking.Wait()
}

// answered is a watch with its deadline.
type answered struct {
	watch.Interface
	cancel context.CancelFunc
}

// Stop ends the watch.
func (w *answered) Stop() {
	w.Interface.Stop()
	w.cancel()
}

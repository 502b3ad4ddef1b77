package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/hawser-io/hawser/endpoint/wire"
)

// table follows the objects of one resource.
type table struct {
	feed     *Feed
	resource string
	bounded  bool // what is taken of it depends on the bounds
	optional bool // not every cluster has it
	// set and remove are told of objects, begin and end of a list: what is not set between them is gone.
	set, remove func(*wire.Object)
	begin, end  func()
	has         func() bool // anything. Of what is optional.

	mu        sync.Mutex
	client    *rest.RESTClient // for what is optional, as it was found
	synced    bool
	fault     Fault
	restart   context.CancelFunc // of what runs now
	streaming bool               // the list comes with the watch
	wentBack  bool               // the cluster had an older version than we, and is listed anew because of that
}

// backoff is how long a list that fails waits for the next try: not for long, because a connection that is
// known to be dead answers at once.
var backoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.6, Jitter: .2, Steps: 100, Cap: 5 * time.Second}

func (t *table) run(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		once, cancel := context.WithCancel(ctx)
		t.mu.Lock()
		t.restart = cancel
		t.mu.Unlock()
		if !t.optional || t.find(once, first) {
			t.follow(once)
		}
		cancel()
	}
}

// find waits until the cluster has the resource. ok is false if ctx ended before that. What there was of it goes only when
// it was looked for twice: an API server that begins does not know everything at once.
func (t *table) find(ctx context.Context, first bool) (ok bool) {
	options, pace, doubted := t.feed.options, backoff, false
	for pause := time.Duration(0); ; first = false {
		if !first {
			if pause == 0 {
				pause = pace.Step()
			}
			select {
			case <-ctx.Done():
				return false
			case <-options.Clock.After(pause):
			}
		}
		client, err := t.feed.look(ctx, t.resource)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			t.learn(ctx, err)
			pause = 0
		case client != nil:
			t.mu.Lock()
			t.client = client
			t.mu.Unlock()
			return true
		case t.has() && !doubted:
			doubted = true
			pause = min(options.LookEvery, backoff.Cap)
		default: // what it had of it, it has no more
			_ = t.Replace(nil, "")
			t.well(ctx)
			pause, pace = options.LookEvery, backoff
		}
	}
}

func (t *table) follow(ctx context.Context) {
	pace := backoff
	logger := logr.Discard() // what goes wrong is in the state
	ctx = klog.NewContext(ctx, logger)
	toolscache.NewReflectorWithOptions(t.source(), &wire.Object{}, t, toolscache.ReflectorOptions{
		Name: t.resource, Clock: t.feed.options.Clock, Backoff: &pace, Logger: &logger,
	}).RunWithContext(ctx)
}

// again lists everything anew.
func (t *table) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.restart != nil {
		t.restart()
	}
}

func (t *table) ask(o metav1.ListOptions) *rest.Request {
	client := t.feed.client
	if t.optional {
		t.mu.Lock()
		client = t.client
		t.mu.Unlock()
	}
	return client.Get().Resource(t.resource).VersionedParams(&o, metav1.ParameterCodec)
}

func (t *table) source() *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			t.stream(false)
			list := &wire.List{}
			err := t.verify().Sure(ctx, o.ResourceVersion)
			if err == nil {
				err = t.ask(o).Do(ctx).Into(list)
			}
			if err == nil && list.Continue == "" {
				err = t.feed.verify(ctx)
			}
			if err != nil {
				err = t.verify().Reconsider(ctx, err)
				t.learn(ctx, err)
				return nil, err
			}
			return list, nil // that it is well again is learned from the watch that follows
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.Watch = true
			streaming := o.SendInitialEvents != nil && *o.SendInitialEvents
			t.stream(streaming)
			w, err := t.watch(ctx, o)
			switch {
			case apierrors.IsResourceExpired(err): // a list follows, and nothing is wrong
			case err != nil:
				t.learn(ctx, err)
			case !streaming:
				t.well(ctx)
			}
			if err != nil {
				return nil, atOnce(err, streaming)
			}
			return w, nil
		},
	}
}

// atOnce makes of an error one that a reflector takes as a reason to list in the other way. Of a watch that begins with a
// list it would take some as a reason to wait, with no regard to whether it is to end; the wait after a list that fails
// has.
func atOnce(err error, streaming bool) error {
	if streaming && (utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)) {
		return errors.New(err.Error())
	}
	return err
}

func (t *table) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := t.verify().Sure(ctx, o.ResourceVersion); err != nil {
		return nil, err
	}
	w, err := t.ask(o).Watch(ctx)
	if err != nil {
		return nil, t.verify().Reconsider(ctx, err)
	}
	if err := t.proceed(ctx, o); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

func (t *table) verify() Verify { return t.feed.verify }

// proceed says whether a watch that was opened is one of the right cluster, in the state that we know it in: one that
// was restored from a backup would tell nothing before it is where it was before.
func (t *table) proceed(ctx context.Context, o metav1.ListOptions) error {
	if o.SendInitialEvents != nil && *o.SendInitialEvents {
		return t.feed.verify(ctx)
	}
	behind, err := t.feed.behind(ctx, o.ResourceVersion)
	if err != nil {
		return err
	}
	t.mu.Lock()
	again := behind && !t.wentBack // where versions cannot be compared, this is found once
	t.wentBack = behind
	t.mu.Unlock()
	if !again {
		return nil
	}
	t.feed.options.Log.Info("the cluster went back to an earlier state: listing anew", "resource", t.resource)
	t.again()
	return apierrors.NewResourceExpired("the cluster is in an earlier state")
}

func (t *table) stream(streaming bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streaming = streaming
}

// mayLack says that an error is no reason not to use what there is: of what not every cluster has, the right to read
// it may be missing, and an API server of its own away.
func (t *table) mayLack(err error) bool {
	return t.optional && (apierrors.IsForbidden(err) || apierrors.IsServiceUnavailable(err))
}

// learn keeps what the last request failed with.
func (t *table) learn(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	f := t.feed
	if t.optional && apierrors.IsNotFound(err) {
		t.again() // by looking whether the cluster has it
		return
	}
	t.mu.Lock()
	begins := t.fault.Err == nil
	if begins {
		t.fault.Since = f.options.Clock.Now()
	}
	said := t.fault.Err
	t.fault.Err = fmt.Errorf("following %s: %w", t.resource, err)
	t.synced = t.synced || t.mayLack(err)
	t.mu.Unlock()
	if begins {
		f.options.Log.Info("following no more", "resource", t.resource, "reason", err.Error())
	}
	if begins || classify(said) != classify(err) {
		f.changed()
	}
}

// well ends the fault.
func (t *table) well(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	ends := t.fault.Err != nil
	t.fault = Fault{}
	t.mu.Unlock()
	if ends {
		t.feed.options.Log.Info("following again", "resource", t.resource)
		t.feed.changed()
	}
}

func (t *table) state() (synced bool, fault Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.synced, t.fault
}

// Add implements cache.ReflectorStore.
func (t *table) Add(obj any) error { return t.Update(obj) }

// Update implements cache.ReflectorStore.
func (t *table) Update(obj any) error {
	o, ok := obj.(*wire.Object)
	if !ok {
		return fmt.Errorf("following %s: got %T", t.resource, obj)
	}
	t.set(o)
	return nil
}

// Delete implements cache.ReflectorStore.
func (t *table) Delete(obj any) error {
	o, ok := obj.(*wire.Object)
	if !ok {
		return fmt.Errorf("following %s: got %T", t.resource, obj)
	}
	t.remove(o)
	return nil
}

// Replace implements cache.ReflectorStore. It is called when a list has ended: what is not in it is gone.
func (t *table) Replace(all []any, _ string) error {
	t.begin()
	for _, obj := range all {
		if err := t.Update(obj); err != nil {
			return err
		}
	}
	t.end()
	t.mu.Lock()
	first, ends := !t.synced, t.streaming && t.fault.Err != nil // the watch that streamed it goes on
	t.synced = true
	if ends {
		t.fault = Fault{}
	}
	t.mu.Unlock()
	if ends {
		t.feed.options.Log.Info("following again", "resource", t.resource)
	}
	if first || ends {
		t.feed.changed()
	}
	return nil
}

// Resync implements cache.ReflectorStore.
func (*table) Resync() error { return nil }

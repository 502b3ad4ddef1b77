// Package objects follows the objects of one kind in a cluster, for the inventories that read them: what is
// there, what changes and what goes, through interruptions of the API server of any length. What the objects
// mean is the business of who follows them.
package objects

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// A request that failed is repeated after a second, then after twice as long, up to half a minute, with
// jitter; the first wait is short again once it went well for two minutes.
const (
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second
	calmAfter    = 2 * time.Minute
)

// Follower follows the objects of one kind, as T. It needs the verbs list and watch on them.
type Follower[T any] struct {
	// Config reaches the cluster. It is not changed.
	Config *rest.Config
	// Resource says which kind.
	Resource schema.GroupVersionResource
	// Namespace is where the objects are. Empty means everywhere.
	Namespace string
	// Labels and Fields select objects, in the syntax of kubectl's --selector and --field-selector. An object
	// that is no longer selected is gone, as if it had been deleted. Empty takes all.
	Labels, Fields string
	// Clock for waits between attempts. Nil means the real one.
	Clock clock.WithTicker
}

// Handler is told of objects. One call is made at a time, and the next waits for it: do not block.
// A nil function is not called.
type Handler[T any] struct {
	// Set tells of an object that is new or has changed, or again of one that is as it was. What is there at
	// the beginning, or after an interruption, comes oldest first.
	Set func(key types.NamespacedName, object *T)
	// Delete tells of an object that is gone, also one that went during an interruption.
	Delete func(key types.NamespacedName)
	// Malformed tells of an object that is no T. It is there, and what was known of it is the last that is.
	Malformed func(key types.NamespacedName, err error)
	// Synced tells, once, that every object that is there has been told of.
	Synced func()
	// Fault tells what keeps the objects from being read, as often as that changes, and nil when they can be
	// read again. Until then what was told still stands.
	Fault func(err error)
}

// Run tells h of the objects until ctx ends, and returns nil then. It returns earlier only with an error that
// no retry can mend: in Config or in the selectors. An API server that does not answer, a kind that it does not
// have and a missing permission are Faults, and are tried again.
func (f *Follower[T]) Run(ctx context.Context, h Handler[T]) error {
	if _, err := labels.Parse(f.Labels); err != nil {
		return fmt.Errorf("following %s: reading the label selector %q: %w", f.what(), f.Labels, err)
	}
	if _, err := fields.ParseSelector(f.Fields); err != nil {
		return fmt.Errorf("following %s: reading the field selector %q: %w", f.what(), f.Fields, err)
	}
	config := rest.CopyConfig(f.Config)
	config.Timeout = 0 // it would cut every watch; asker sets the deadlines
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("following %s: %w", f.what(), err)
	}
	asker := &asker{
		objects: client.Resource(f.Resource).Namespace(f.Namespace),
		chosen:  metav1.ListOptions{LabelSelector: f.Labels, FieldSelector: f.Fields},
		what:    f.what(),
		report:  h.Fault,
	}
	defer asker.end()
	clk := f.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	reflector := cache.NewReflectorWithOptions(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: asker.list, WatchFuncWithContext: asker.watch}, client),
		&unstructured.Unstructured{}, &store[T]{handler: h, known: map[types.NamespacedName]struct{}{}},
		cache.ReflectorOptions{Name: "hawser/" + f.Resource.Resource, Clock: clk})
	// What the reflector has to say, Fault says too.
	follow(logr.NewContext(ctx, logr.FromContextOrDiscard(ctx).V(1)), reflector, clk)
	return nil
}

// follow lists and watches again and again. All that it starts ends before it returns.
func follow(ctx context.Context, r *cache.Reflector, clk clock.WithTicker) {
	delay := wait.Backoff{
		Duration: firstBackoff, Cap: maxBackoff, Factor: 2, Jitter: 0.5, Steps: 10, // 2^5 s is the cap already
	}.DelayWithReset(clk, calmAfter)
	for {
		// What went wrong was reported by asker, or was the natural end of a watch.
		_ = r.ListAndWatchWithContext(ctx)
		timer := clk.NewTimer(delay())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}

// what names the objects in errors.
func (f *Follower[T]) what() string {
	what := f.Resource.GroupResource().String()
	if f.Namespace != "" {
		what += fmt.Sprintf(" in namespace %q", f.Namespace)
	}
	return what
}

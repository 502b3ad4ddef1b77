package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/kinds"
)

// LeaderOptions are what a leader works with. Objects are required.
type LeaderOptions struct {
	// Objects of the local cluster. Somebody else runs them.
	Objects *Objects
	Clock   clock.PassiveClock
	// Every is how long what is said of an item stays before it is said anew. Zero means 2 s.
	Every time.Duration
	// LookAgain is when something is tried again that was refused for a reason that no watch tells of. Zero means 30 s.
	LookAgain time.Duration
}

// Leader does for items what is of no cluster, and what is left of clusters that nobody works for. One replica of
// several has one. Its methods may be called from several goroutines, each item from one at a time.
type Leader struct {
	options LeaderOptions
	scheme  *runtime.Scheme
	objects *Objects

	mu       sync.Mutex
	said     map[Key]said
	unwanted map[owner]time.Time         // since when
	selected map[Key]map[string]*Cluster // when the item was kept last
}

// lag is how long something has to be unwanted before it is swept: what is known of an item, of clusters and of objects
// comes by different ways, and what is made of a cluster that has just come is not to go for that.
const lag = time.Second

// said is what was said of an item, and when. The cache may still show what was said before.
type said struct {
	uid    types.UID
	at     time.Time
	status v1alpha1.FederationStatus
}

// NewLeader makes one.
func NewLeader(o LeaderOptions) (*Leader, error) {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.LookAgain == 0 {
		o.LookAgain = 30 * time.Second
	}
	scheme, err := kinds.Scheme()
	if err != nil {
		return nil, fmt.Errorf("making the scheme: %w", err)
	}
	return &Leader{options: o, scheme: scheme, objects: o.Objects, said: map[Key]said{}, unwanted: map[owner]time.Time{}, selected: map[Key]map[string]*Cluster{}}, nil
}

// Notify has f called with the key of an item of whose objects one has changed that is the leader's business, being of no
// cluster, or of one that is not selected; and with each item that there are objects of when it is known which there are:
// also of one that is gone. f must not wait.
func (l *Leader) Notify(f func(Key)) (stop func()) {
	return l.objects.notify(func(at owner, _ bool) {
		switch {
		case at == owner{}:
			if l.objects.enough() {
				for _, k := range l.objects.records.keys() {
					f(k)
				}
			}
		case !l.publishers(at):
			f(at.key)
		}
	})
}

// publishers says that what is made for an owner is the publisher's business: of a cluster that is selected.
func (l *Leader) publishers(at owner) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return at.cluster != "" && l.selected[at.key][at.cluster] != nil
}

// Keep makes the objects of no cluster what base says, sweeps what is left of clusters that are not selected, and
// writes the conditions and the totals. again is when to call it again; zero: when something changes.
func (l *Leader) Keep(ctx context.Context, a Asked, base []client.Object) (again time.Duration, err error) {
	if !l.objects.enough() || len(a.Refused) > 0 && !l.objects.Settled() { // what is left tells how to go on, where a selector cannot be read
		return time.Second, nil
	}
	selected := a.kept()
	l.mu.Lock()
	l.selected[a.Key] = selected // from now on, we are told of what is left of others
	l.mu.Unlock()
	var out outcome
	var writing error
	if !a.Held {
		out, writing = l.base(ctx, a, base)
	}
	refused, left, sweeping := l.sweep(ctx, a, selected)
	if out.again {
		again = l.options.LookAgain
	}
	if out.waiting {
		again = soonest(again, time.Second)
	}
	wait, saying := l.say(ctx, &a, append(out.told(), refused...))
	return soonest(again, wait, left, out.soon), errors.Join(writing, sweeping, saying)
}

// soonest is the shortest of some times that are not zero; zero where all are.
func soonest(all ...time.Duration) (least time.Duration) {
	for _, d := range all {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// base writes what is of no cluster.
func (l *Leader) base(ctx context.Context, a Asked, base []client.Object) (outcome, error) {
	var wants []wanted
	for _, o := range base {
		w, err := want(l.scheme, o, a.Key, a.Owner)
		if err != nil {
			return outcome{}, err
		}
		wants = append(wants, w)
	}
	return l.objects.write(ctx, owner{key: a.Key}, wants, manner{stays: a.Stays})
}

// sweep takes away what is left of clusters that are gone, disabled, or not selected any more. again is when more is to
// be swept.
func (l *Leader) sweep(ctx context.Context, a Asked, selected map[string]*Cluster) (refused []string, again time.Duration, err error) {
	left, objects := map[owner]bool{}, map[owner]bool{}
	for _, at := range l.objects.records.owners(a.Key) {
		if at.cluster != "" && selected[at.cluster] == nil {
			left[at], objects[at] = true, true
		}
	}
	for _, e := range a.Status.Clusters {
		if selected[e.Name] == nil {
			left[owner{a.Key, e.Name}] = true
		}
	}
	due, again := l.due(a.Key, left)
	var errs []error
	for _, at := range due {
		if objects[at] {
			out, err := l.objects.write(ctx, at, nil, manner{})
			refused, again = append(refused, out.told()...), soonest(again, out.soon)
			if out.again {
				again = soonest(again, l.options.LookAgain)
			}
			errs = append(errs, err)
		}
		if a.entry(at.cluster) != nil {
			errs = append(errs, applyEntry(ctx, l.objects.client, a.Key, a.Owner.UID, at.cluster, nil))
		}
	}
	return refused, again, errors.Join(errs...)
}

// due are those of an item that were left for long enough. again is when the next is.
func (l *Leader) due(k Key, left map[owner]bool) (due []owner, again time.Duration) {
	now := l.options.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := range l.unwanted {
		if at.key == k && !left[at] {
			delete(l.unwanted, at)
		}
	}
	for at := range left {
		since, ok := l.unwanted[at]
		if !ok {
			since = now
			l.unwanted[at] = now
		}
		if wait := lag - now.Sub(since); wait > 0 {
			again = soonest(again, wait)
		} else {
			due = append(due, at)
		}
	}
	return due, again
}

// say writes the conditions and totals, if they say something new, and not too often.
func (l *Leader) say(ctx context.Context, a *Asked, refused []string) (wait time.Duration, err error) {
	now := l.options.Clock.Now()
	l.mu.Lock()
	last, ok := l.said[a.Key]
	l.mu.Unlock()
	ok = ok && last.uid == a.Owner.UID
	if ok { // a condition stands since then, whatever the cache shows
		a.Status.Conditions = last.status.Conditions
	}
	s := summarize(a, refused, now)
	status := v1alpha1.FederationStatus{Conditions: s.conditions, ObservedGeneration: a.Generation, Endpoints: s.endpoints, Addresses: s.addresses}
	if ok {
		if equality.Semantic.DeepEqual(status, last.status) {
			return 0, nil
		}
		if wait := l.options.Every - now.Sub(last.at); wait > 0 && status.ObservedGeneration == last.status.ObservedGeneration && sameConditions(status, last.status) {
			return wait, nil
		}
	}
	if err := applyStatus(ctx, l.objects.client, a.Key, a.Owner.UID, v1alpha1.FieldManager, status); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[a.Key] = said{a.Owner.UID, now, status}
	return 0, nil
}

// sameConditions says whether conditions have the same status and reason: their messages can wait.
func sameConditions(a, b v1alpha1.FederationStatus) bool {
	return slices.EqualFunc(a.Conditions, b.Conditions, func(a, b metav1.Condition) bool {
		return a.Type == b.Type && a.Status == b.Status && a.Reason == b.Reason
	})
}

// Gone sweeps what is left of an item that is gone: the garbage collector takes the rest.
func (l *Leader) Gone(ctx context.Context, k Key) error {
	l.due(k, nil)
	l.mu.Lock()
	delete(l.said, k)
	delete(l.selected, k)
	l.mu.Unlock()
	var errs []error
	for _, at := range l.objects.records.owners(k) {
		out, err := l.objects.write(ctx, at, nil, manner{})
		if told := out.told(); len(told) > 0 || out.soon > 0 {
			err = errors.Join(err, fmt.Errorf("removing what was made for %s: not everything could be removed: %s", k, strings.Join(told, "; ")))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

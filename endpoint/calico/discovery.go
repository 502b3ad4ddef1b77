package calico

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
)

const (
	// recheck is how often a cluster is asked again: five small requests each time.
	recheck = 30 * time.Second
	// patience is how long it may take to answer all of them.
	patience = 10 * time.Second
	// pause is how long an answer holds, whoever asks again.
	pause = 5 * time.Second
)

// Lister asks a cluster for the resources of a group and version. client-go's discovery client is one.
type Lister interface {
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// Discovery knows what one cluster serves of the kinds of this package, and asks again from time to time. It is safe
// for concurrent use.
//
// A version that cannot be asked for, since the API server behind it is away, is no version that is gone: what was
// known of it holds on.
type Discovery struct {
	lister Lister
	clock  clock.WithTicker
	again  chan struct{}

	mu     sync.Mutex
	served Served
	looked time.Time // when the last answer came
	told   map[int]func()
	next   int
}

// NewDiscovery makes one that knows nothing until Look or Run.
func NewDiscovery(lister Lister, clock clock.WithTicker) *Discovery {
	return &Discovery{lister: lister, clock: clock, again: make(chan struct{}, 1), told: map[int]func(){}}
}

// Served is what is known now.
func (d *Discovery) Served() Served {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.served
}

// Notify has f called after each change of Served, one call at a time, until stop is called. f must not wait, nor
// call d.
func (d *Discovery) Notify(f func()) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.next
	d.next++
	d.told[id] = f
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.told, id)
	}
}

// Again has Run ask soon: somebody found a kind gone. Within a few seconds it asks once.
func (d *Discovery) Again() {
	select {
	case d.again <- struct{}{}:
	default:
	}
}

// Await has Run ask, unless it has just asked: somebody waits for a kind that was not there.
func (d *Discovery) Await() {
	if d.left() <= 0 {
		d.Again()
	}
}

// left is how long the last answer holds still.
func (d *Discovery) left() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return pause - d.clock.Since(d.looked)
}

// Run asks until the context ends. It is the caller's goroutine that it runs in.
func (d *Discovery) Run(ctx context.Context) error {
	ticker := d.clock.NewTicker(recheck)
	defer ticker.Stop()
	for {
		if d.left() <= 0 {
			d.Look(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		case <-d.again:
			if left := d.left(); left > 0 {
				select {
				case <-ctx.Done():
					return nil
				case <-d.clock.After(left):
				}
				select { // whoever asked meanwhile gets the same answer
				case <-d.again:
				default:
				}
			}
		}
	}
}

// Look asks once, and returns when Served has the answer. What could not be asked is in the errors of Served.
func (d *Discovery) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := map[schema.GroupVersion]found{}
	for _, k := range table {
		for _, v := range k.versions {
			if _, asked := all[v]; !asked {
				all[v] = d.ask(ctx, v)
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = d.clock.Now()
	var now Served
	for k := range kinds {
		now.answers[k] = decide(table[k], all, d.served.answers[k])
	}
	changed := !slices.EqualFunc(now.answers[:], d.served.answers[:], same)
	d.served = now
	if !changed {
		return
	}
	for _, f := range d.told {
		f()
	}
}

// found is what one version has.
type found struct {
	resources []string
	fault     error
}

func (d *Discovery) ask(ctx context.Context, v schema.GroupVersion) found {
	list, err := d.lister.ServerResourcesForGroupVersionWithContext(ctx, v.String())
	if apierrors.IsNotFound(err) {
		return found{}
	}
	if err == nil && list == nil {
		err = errors.New("there was no answer")
	}
	if err != nil {
		return found{fault: err}
	}
	var f found
	for _, r := range list.APIResources {
		f.resources = append(f.resources, r.Name)
	}
	return f
}

// decide finds the best version of a kind. One that did not answer could be better than those that come after it: so
// whatever was known before it went away holds on, and if that is nothing, one that comes after it is only for reading.
func decide(k known, all map[schema.GroupVersion]found, before answer) answer {
	now := answer{asked: true}
	for _, v := range k.versions {
		f := all[v]
		if f.fault != nil {
			if now.fault == nil {
				now.fault = f.fault
			}
			if v == before.version {
				now.version = v
				return now
			}
			continue
		}
		if slices.Contains(f.resources, k.plural) {
			now.version = v
			return now
		}
	}
	return now
}

// same says whether two answers lead to the same. The words of a fault may differ from time to time.
func same(a, b answer) bool {
	return a.asked == b.asked && a.version == b.version && (a.fault == nil) == (b.fault == nil)
}

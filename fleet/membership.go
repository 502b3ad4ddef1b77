package fleet

import (
	"context"
	"fmt"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/hawser-io/hawser/inventory"
)

// inbox is what the inventory has told and the fleet has not yet heard: for each name what it comes down
// to, in the order in which names were first mentioned. It implements inventory.Sink.
type inbox struct {
	wake chan struct{} // holds one signal

	mu     sync.Mutex
	news   map[string]*news
	order  []string
	synced bool
	closed bool
}

// news of one name. Remove and then Set is not the same as Set: it may be another cluster.
type news struct {
	removed bool
	ended   []chan struct{} // to be closed when what was removed has ended
	set     *inventory.Cluster
	faulty  bool
	fault   error
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), news: map[string]*news{}}
}

// Set implements inventory.Sink.
func (b *inbox) Set(c inventory.Cluster) { b.tell(c.Spec.Name, func(n *news) { n.set = &c }) }

// Remove implements inventory.Sink.
func (b *inbox) Remove(name string) {
	b.tell(name, func(n *news) { *n = news{removed: true, ended: n.ended} })
}

// End removes a cluster, and says when nothing runs for it any more, its reconciles among it: see shard.Ender.
func (b *inbox) End(name string) (ended <-chan struct{}) {
	done := make(chan struct{})
	b.tell(name, func(n *news) { *n = news{removed: true, ended: append(n.ended, done)} })
	return done
}

// Fault implements inventory.Sink.
func (b *inbox) Fault(name string, err error) {
	b.tell(name, func(n *news) { n.faulty, n.fault = true, err })
}

// Synced implements inventory.Sink.
func (b *inbox) Synced() {
	b.mu.Lock()
	b.synced = true
	b.mu.Unlock()
	b.rouse()
}

// close ends what nobody will hear any more: there is no cluster left.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	_, all, _ := b.take()
	for _, n := range all {
		closeAll(n.ended)
	}
}

func (b *inbox) tell(name string, change func(*news)) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		n := &news{}
		change(n)
		closeAll(n.ended)
		return
	}
	n := b.news[name]
	if n == nil {
		n = &news{}
		b.news[name] = n
		b.order = append(b.order, name)
	}
	change(n)
	b.mu.Unlock()
	b.rouse()
}

func (b *inbox) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (b *inbox) take() (order []string, all map[string]*news, synced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	order, all, synced = b.order, b.news, b.synced
	b.order, b.news = nil, map[string]*news{}
	return order, all, synced
}

// membership is the fleet as a runnable of its manager. Its one goroutine adds and removes clusters.
//
// For the manager it is a cache: caches run on every replica, also on those that stand by, and at the end
// they outlive the controllers, whose last reconciles may still need them.
type membership struct{ *Fleet }

// GetCache is what the manager tells caches by. It waits for it, too, before it starts any controller.
func (membership) GetCache() cache.Cache { return readyCache{} }

// readyCache is nothing that anybody would have to wait for.
type readyCache struct{ cache.Cache }

// WaitForCacheSync implements cache.Informers.
func (readyCache) WaitForCacheSync(context.Context) bool { return true }

// Start implements manager.Runnable.
func (f membership) Start(ctx context.Context) error {
	f.metrics.clusters.add(f.Fleet)
	defer f.metrics.clusters.remove(f.Fleet)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan error, 1)
	go func() { told <- f.options.Inventory.Run(ctx, f.inbox) }() // ends with ctx

	var ending sync.WaitGroup // of the clusters that have left
	err := f.follow(ctx, told, &ending)
	cancel() // which is the end of every cluster; but none has left
	for _, c := range f.Clusters() {
		ending.Go(c.end)
	}
	ending.Wait()
	f.inbox.close()
	return err
}

// follow does what the inventory tells until ctx ends or there is nobody to tell it.
func (f membership) follow(ctx context.Context, told <-chan error, ending *sync.WaitGroup) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-told:
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("reading the inventory of the fleet: %w", err)
			}
			told = nil // it has told all that it will; the clusters stay
		case <-f.inbox.wake:
			order, all, synced := f.inbox.take()
			for _, name := range order {
				f.hear(ctx, name, all[name], ending)
			}
			if synced {
				f.markSynced()
			}
		}
	}
}

func (f membership) markSynced() {
	select {
	case <-f.synced:
	default:
		close(f.synced)
	}
}

// hear takes in the news of one name.
func (f membership) hear(ctx context.Context, name string, n *news, ending *sync.WaitGroup) {
	f.mu.Lock()
	if n.removed {
		delete(f.faults, name)
		delete(f.unusable, name)
	}
	if n.faulty {
		delete(f.faults, name)
		if n.fault != nil {
			f.faults[name] = n.fault
		}
	}
	c := f.clusters[name]
	f.mu.Unlock()
	if c != nil && n.removed {
		f.leave(c, ending)
		c = nil
	}
	if len(n.ended) > 0 {
		f.endings.tell(name, n.ended)
	}
	switch {
	case n.set == nil:
	case c != nil && c.becomes(*n.set):
		f.update(c, *n.set)
	default:
		f.join(ctx, *n.set, c, ending)
	}
}

// join takes a new cluster in, in place of the one that had its name, if any. What cannot be used replaces nothing.
func (f membership) join(ctx context.Context, told inventory.Cluster, before *Cluster, ending *sync.WaitGroup) {
	name := told.Spec.Name
	c, err := newCluster(ctx, f.Fleet, told)
	if err != nil {
		f.mu.Lock()
		f.unusable[name] = err
		f.mu.Unlock()
		f.log.Error(err, "a cluster of the inventory cannot be used", "cluster", name)
		return
	}
	if before != nil {
		f.leave(before, ending)
	}
	f.mu.Lock()
	delete(f.unusable, name)
	for _, i := range f.indexes {
		c.store.addIndex(i)
	}
	f.clusters[name] = c
	f.tellAll(step{engaged, c})
	f.mu.Unlock()
	f.log.Info("a cluster has joined the fleet", "cluster", name)
}

func (f membership) update(c *Cluster, told inventory.Cluster) {
	changes := c.update(told)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.unusable, c.name)
	if changes {
		f.tellAll(step{changed, c})
	}
}

// leave takes a cluster out at once; what it ran ends in the background.
func (f membership) leave(c *Cluster, ending *sync.WaitGroup) {
	f.mu.Lock()
	delete(f.clusters, c.name)
	c.cancel(notFound(c.name))
	f.tellAll(step{gone, c})
	f.mu.Unlock()
	f.endings.begin(c)
	idle, ended := c.work.idle(), make(chan struct{})
	ending.Go(func() {
		defer close(ended)
		c.end()
	})
	go func() { // ends with the last reconcile of the cluster, for which its end does not wait
		<-ended
		<-idle
		f.endings.end(c)
	}()
	f.log.Info("a cluster has left the fleet", "cluster", c.name)
}

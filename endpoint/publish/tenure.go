package publish

import (
	"context"
	"sync"
)

// Own says that a cluster is this replica's from now on. It does not wait.
func (p *Publisher) Own(cluster string) {
	p.mu.Lock()
	delete(p.disowned, cluster)
	p.mu.Unlock()
	p.all(cluster)
}

// Disown ends what is done for a cluster that is to be another replica's. What it returns is closed when nothing is
// written any more. It does not wait.
func (p *Publisher) Disown(cluster string) (ended <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disowned[cluster] = true
	for at := range p.progress {
		if at.cluster == cluster {
			delete(p.progress, at)
		}
	}
	done := make(chan struct{})
	t := p.tenures[cluster]
	if t == nil {
		close(done)
		return done
	}
	t.cancel()
	go func() { // ends with the work that is cancelled
		t.working.Wait()
		close(done)
	}()
	return done
}

// tenure is the work on a cluster, from its first task until none is left.
type tenure struct {
	ctx     context.Context //nolint:containedctx // it is that of every task of the tenure
	cancel  context.CancelFunc
	count   int
	working sync.WaitGroup
}

// enter begins work on a cluster, if that is this replica's.
func (p *Publisher) enter(ctx context.Context, cluster string) (working context.Context, leave func(), ok bool) {
	released := func() {}
	if p.options.Shards != nil {
		if released, ok = p.options.Shards.Enter(cluster); !ok {
			return nil, nil, false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.disowned[cluster] {
		released()
		return nil, nil, false
	}
	t := p.tenures[cluster]
	if t == nil || t.ctx.Err() != nil {
		t = &tenure{}
		t.ctx, t.cancel = context.WithCancel(ctx)
		p.tenures[cluster] = t
	}
	t.count++
	t.working.Add(1)
	return t.ctx, func() {
		p.mu.Lock()
		t.count--
		if t.count == 0 && p.tenures[cluster] == t {
			t.cancel()
			delete(p.tenures, cluster)
		}
		p.mu.Unlock()
		t.working.Done()
		released()
	}, true
}

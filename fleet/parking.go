package fleet

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// parking is where the requests of one controller wait that failed because a cluster is out of reach. Tried
// again and again they would cost a worker each time, and come back up to a quarter of an hour late.
type parking struct {
	fleet *Fleet
	gauge prometheus.Gauge

	mu      sync.Mutex
	queue   requestQueue // set when the controller starts
	waiting map[string]map[Request]struct{}
}

func (p *parking) open(q requestQueue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = q
}

// park takes a request that failed with err, if that says that a cluster is out of reach and it still is.
func (p *parking) park(r Request, err error) bool {
	var why *ClusterError
	if !errors.As(err, &why) || errors.Is(why, ErrNotFound) {
		return false
	}
	c := p.fleet.find(why.Cluster)
	if c == nil || c.link.err() == nil {
		return false // something else is wrong: the queue's own delays are for that
	}
	p.mu.Lock()
	if p.waiting[c.name] == nil {
		p.waiting[c.name] = map[Request]struct{}{}
	}
	p.waiting[c.name][r] = struct{}{}
	p.count()
	p.mu.Unlock()
	// It may have come back, or left, between the two looks, and nobody would tell again.
	if c.link.err() == nil || c.ctx.Err() != nil {
		p.resume(c.name)
	}
	return true
}

// resume puts what waits for a cluster back into the queue: the cluster can be reached, or has left.
func (p *parking) resume(cluster string) {
	p.mu.Lock()
	requests, queue := p.waiting[cluster], p.queue
	if requests != nil {
		delete(p.waiting, cluster)
		p.count()
	}
	p.mu.Unlock()
	for r := range requests {
		queue.Add(r)
	}
}

func (p *parking) count() {
	n := 0
	for _, requests := range p.waiting {
		n += len(requests)
	}
	p.gauge.Set(float64(n))
}

package shard

import (
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Handler does the work for clusters.
type Handler struct {
	// Gained is told of a cluster that is owned from now on. It must not wait. For one cluster, calls of Gained and End
	// come one after the other. May be nil.
	Gained func(cluster string)
	// End ends whatever runs for a cluster, and returns what is closed when all of it has ended. It must not wait, and
	// is called at once and again when no work that was Entered is under way any more. May be nil.
	End func(cluster string) (ended <-chan struct{})
	// Orphaned is told of a name that is no cluster's any more, where this replica is the leader and with it responsible
	// for whatever still asks for it. The empty name: it has become the leader, and any may be. May be nil.
	Orphaned func(cluster string)
}

// follower does what assignments say: it begins with what is gained, ends what is lost, and says up to which
// generation that is done.
type follower struct {
	work *work
	log  logr.Logger
	// acknowledge is told, without waiting, that ack says something else now.
	acknowledge func()

	handlers []Handler // fixed from Start on

	mu      sync.Mutex
	seen    *corev1.ConfigMap
	last    Assignment
	uid     types.UID           // of the Lease that is held; empty: none, and nothing is owned
	leaving bool                // nothing is owned any more, whatever is assigned
	owned   map[string]struct{} // as told to handlers
	obeyed  int64               // the generation that owned and ending are for
	// ending are the clusters that have not ended yet, each with the last generation at which it was still this replica's.
	// Some later one took it, and not necessarily the one that told: nobody sees them all.
	ending map[string]int64
	acked  int64
	ended  chan struct{} // closed when nothing is owned and nothing is ending; made by drop
}

func newFollower(w *work, log logr.Logger, acknowledge func()) *follower {
	return &follower{work: w, log: log, acknowledge: acknowledge, owned: map[string]struct{}{}, ending: map[string]int64{}}
}

// obey takes in an assignment, unless it is older than what is known.
func (f *follower) obey(cm *corev1.ConfigMap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen != nil && !newer(cm, f.seen) {
		return
	}
	a, err := Decode(cm)
	if err != nil {
		f.log.Error(err, "reading the assignment of clusters: going on as before")
		return
	}
	f.seen, f.last = cm, a
	f.apply()
}

// hold says under which Lease the replica works from now on.
func (f *follower) hold(uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uid, f.acked = uid, 0
	f.apply()
}

// drop ends everything, and returns what is closed when it has ended. If it is for good nothing is begun any more.
func (f *follower) drop(forGood bool) (ended <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaving = f.leaving || forGood
	if !forGood {
		f.uid = ""
	}
	if f.ended == nil {
		f.ended = make(chan struct{})
	}
	done := f.ended
	f.apply()
	return done
}

// apply is called with f.mu held.
func (f *follower) apply() {
	wanted := f.wanted()
	lost, gained := 0, 0
	for c := range f.owned {
		if _, ok := wanted[c]; !ok {
			lost++
			f.lose(c)
		}
	}
	for c := range wanted {
		if f.gain(c) {
			gained++
		}
	}
	f.obeyed = f.last.Generation
	if lost+gained > 0 {
		f.log.Info("this replica owns other clusters now", "generation", f.last.Generation, "owned", len(f.owned), "gained", gained, "lost", lost)
	}
	f.settle()
}

func (f *follower) wanted() map[string]struct{} {
	wanted := map[string]struct{}{}
	if f.uid == "" || f.leaving {
		return wanted
	}
	for _, c := range f.last.Shards[f.uid].Owns {
		wanted[c] = struct{}{}
	}
	return wanted
}

// gain begins with a cluster, unless it has not ended yet.
func (f *follower) gain(c string) bool {
	_, owned := f.owned[c]
	_, ending := f.ending[c]
	if owned || ending {
		return false
	}
	f.owned[c] = struct{}{}
	f.work.own(c)
	for _, h := range f.handlers {
		if h.Gained != nil {
			h.Gained(c)
		}
	}
	return true
}

func (f *follower) lose(c string) {
	delete(f.owned, c)
	f.ending[c] = f.obeyed
	idle := f.work.disown(c)
	go func() { // ends when what ran for the cluster has
		f.end(c)
		<-idle
		f.end(c) // what was under way may have begun something
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.ending, c)
		if _, again := f.wanted()[c]; again {
			f.gain(c)
		}
		f.settle()
	}()
}

func (f *follower) end(c string) {
	var ending []<-chan struct{}
	for _, h := range f.handlers {
		if h.End != nil {
			ending = append(ending, h.End(c))
		}
	}
	for _, ended := range ending {
		<-ended
	}
}

// settle computes what can be acknowledged. It is called with f.mu held.
func (f *follower) settle() {
	ack := f.last.Generation
	for _, before := range f.ending {
		ack = min(ack, before)
	}
	if f.uid != "" && ack > f.acked {
		f.acked = ack
		f.acknowledge()
	}
	if f.ended != nil && len(f.owned)+len(f.ending) == 0 {
		close(f.ended)
		f.ended = nil
	}
}

// ack is the generation up to which everything that was taken has ended.
func (f *follower) ack() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked
}

// assigned reports whether the last assignment still has a shard for a Lease.
func (f *follower) assigned(uid types.UID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.last.Shards[uid]
	return ok
}

// counts is how many clusters are owned, and which generation is known.
func (f *follower) counts() (owned int, generation int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.owned), f.last.Generation
}

func (f *follower) orphaned(cluster string) {
	for _, h := range f.handlers {
		if h.Orphaned != nil {
			h.Orphaned(cluster)
		}
	}
}

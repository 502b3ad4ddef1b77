package shard

import (
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// observer watches the Leases of all replicas, on every replica: whoever becomes the leader knows already for how long
// each has stood still. It compares no clock with another host's; what a Lease says of times is for people.
type observer struct {
	clock    clock.PassiveClock
	duration time.Duration
	replica  func(lease string) string
	changed  func()

	mu      sync.Mutex
	sighted map[types.UID]*sighting
}

// sighting is what was seen of one Lease.
type sighting struct {
	lease   string
	replica string
	version string
	acked   int64
	first   time.Time // when it was seen first
	since   time.Time // when this version was, or its absence
	state   state
}

type state int

const (
	present state = iota
	// vanished: somebody else than its holder or we deleted it. Its holder may be at work for as long as it lasted.
	vanished
	// over: its holder has released it, or it was deleted because it had stood still. Nobody works under it.
	over
)

func (o *observer) seen(l *coordinationv1.Lease) {
	o.mu.Lock()
	now := o.clock.Now()
	s := o.sighted[l.UID]
	if s == nil {
		s = &sighting{lease: l.Name, replica: o.replica(l.Name), first: now}
		o.sighted[l.UID] = s
	}
	news := s.version != l.ResourceVersion
	if news {
		s.version, s.since = l.ResourceVersion, now
		s.acked = max(s.acked, ackOf(l))
		if holderOf(l) == "" {
			s.state = over
		}
	}
	o.mu.Unlock()
	if news {
		o.changed()
	}
}

func (o *observer) gone(l *coordinationv1.Lease) {
	o.mu.Lock()
	s := o.sighted[l.UID]
	switch {
	case s == nil, s.state != present: // we knew
	case holderOf(l) == "":
		s.state = over
	default:
		s.state, s.since = vanished, o.clock.Now()
	}
	o.mu.Unlock()
	o.changed()
}

// miss says that a shard has no Lease that was ever seen here.
func (o *observer) miss(uid types.UID, replica string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sighted[uid] == nil {
		now := o.clock.Now()
		o.sighted[uid] = &sighting{replica: replica, first: now, since: now, state: vanished}
	}
}

// bury says that a Lease was deleted at the version at which it had stood still.
func (o *observer) bury(uid types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.sighted[uid]; s != nil {
		s.state = over
	}
}

// restart begins to count anew: for a while nobody could have renewed.
func (o *observer) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.Now()
	for _, s := range o.sighted {
		s.since = now
	}
}

// judgement is what follows from all that was seen.
type judgement struct {
	peers map[types.UID]peer
	first map[types.UID]time.Time // when each of them was seen first
	still map[types.UID]sighting  // stood still for their whole duration
	over  map[types.UID]sighting  // of which the Lease may be there yet
	next  time.Duration           // until it has to be judged again; zero: when something changes
}

func (o *observer) judge() judgement {
	o.mu.Lock()
	defer o.mu.Unlock()
	j := judgement{peers: map[types.UID]peer{}, first: map[types.UID]time.Time{}, still: map[types.UID]sighting{}, over: map[types.UID]sighting{}}
	now := o.clock.Now()
	for uid, s := range o.sighted {
		left := o.duration - now.Sub(s.since)
		switch {
		case s.state == over:
			j.over[uid] = *s
			continue
		case s.state == vanished && left <= 0:
			s.state = over
			j.over[uid] = *s
			continue
		case left <= 0:
			j.still[uid] = *s
		case j.next == 0 || left < j.next:
			j.next = left
		}
		j.peers[uid] = peer{replica: s.replica, acked: s.acked, eligible: s.state == present}
		j.first[uid] = s.first
	}
	return j
}

// forget drops what is over and stands in no assignment.
func (o *observer) forget(uid types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.sighted[uid]; s != nil && s.state == over {
		delete(o.sighted, uid)
	}
}

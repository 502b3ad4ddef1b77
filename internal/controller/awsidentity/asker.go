package awsidentity

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/aws"
)

const (
	// askInterval is how often each identity is tried. A session that is good costs nothing; one that
	// is due is renewed by it, before a cluster has to wait for that.
	askInterval = time.Minute
	// retryInterval is how often one that failed is tried, which asks AWS only as often as the session's own
	// back-off allows.
	retryInterval = 5 * time.Second
	// askTimeout is the deadline of one try, and atOnce how many run side by side: a region that never
	// answers holds up a few tries of others, and no reconcile.
	askTimeout = 20 * time.Second
	atOnce     = 16
	// unused is how long a session is kept that nobody asks for.
	unused = time.Hour
)

// Answer is what is known of an identity: whether it can be used, whose session it is, until when, and what
// went wrong last.
type Answer struct {
	Usable    bool
	ARN       string
	ExpiresAt time.Time
	Err       error
}

// same reports whether two answers say the same to a person.
func (a Answer) same(b Answer) bool {
	return a.Usable == b.Usable && a.ARN == b.ARN && a.ExpiresAt.Equal(b.ExpiresAt) && (a.Err == nil) == (b.Err == nil) && (a.Err == nil || a.Err.Error() == b.Err.Error())
}

// Asker asks AWS about identities, now and then and side by side, and remembers the answers.
type Asker struct {
	Sessions *aws.Sessions
	Clock    clock.WithTicker
	// Changed is called, without waiting, when something new was learned of an identity.
	Changed func(name string)

	init  sync.Once
	wake  chan struct{}
	slots chan struct{}

	mu    sync.Mutex
	known map[string]*entry
}

type entry struct {
	chain  aws.Chain
	way    string // fingerprint of the chain that the answer speaks of
	answer Answer
	due    time.Time
	asking bool
}

func (a *Asker) lazyInit() {
	a.init.Do(func() {
		a.wake, a.slots = make(chan struct{}, 1), make(chan struct{}, atOnce)
		a.known = map[string]*entry{}
	})
}

// ask returns what is known of an identity whose way is chain, and sees to it that more will be. It does not wait.
func (a *Asker) ask(name string, chain aws.Chain) Answer {
	a.lazyInit()
	a.mu.Lock()
	defer a.mu.Unlock()
	e, way := a.known[name], chain.Fingerprint()
	if e == nil || e.way != way {
		e = &entry{way: way}
		a.known[name] = e
		a.poke()
	}
	e.chain = chain
	return e.answer
}

// forget reports whether the identity was one that is asked about.
func (a *Asker) forget(name string) (known bool) {
	a.lazyInit()
	a.mu.Lock()
	defer a.mu.Unlock()
	known = a.known[name] != nil
	delete(a.known, name)
	return known
}

func (a *Asker) poke() {
	select {
	case a.wake <- struct{}{}:
	default: // a round is on its way
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*Asker) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable: it asks until ctx ends, and returns when every question has ended.
func (a *Asker) Start(ctx context.Context) error {
	a.lazyInit()
	var questions sync.WaitGroup
	defer questions.Wait()
	ticker := a.Clock.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		a.round(ctx, &questions)
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-ticker.C():
			a.Sessions.Evict(unused)
		}
	}
}

func (a *Asker) round(ctx context.Context, questions *sync.WaitGroup) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	for name, e := range a.known {
		if e.asking || now.Before(e.due) {
			continue
		}
		e.asking, e.due = true, now.Add(askInterval)
		questions.Go(func() { a.question(ctx, name, e) })
	}
}

// question ends by its deadline, or with ctx.
func (a *Asker) question(ctx context.Context, name string, e *entry) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return
	}
	a.mu.Lock()
	chain, before := e.chain, e.answer
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer := a.answer(ctx, chain)
	a.mu.Lock()
	e.answer, e.asking = answer, false
	if answer.Err != nil {
		e.due = a.Clock.Now().Add(retryInterval)
	}
	current := a.known[name] == e
	a.mu.Unlock()
	if current && !answer.same(before) {
		a.Changed(name)
	}
}

// answer takes on the identity, and asks STS who that is where taking it on did not tell, or costs nothing
// and so proves nothing.
func (a *Asker) answer(ctx context.Context, chain aws.Chain) Answer {
	_, err := a.Sessions.Provider(chain).Retrieve(ctx)
	usable := err == nil
	if err == nil && (len(chain.Roles) == 0 || a.Sessions.Session(chain).ARN == "") {
		_, _, err = a.Sessions.CallerIdentity(ctx, chain, len(chain.Roles))
		usable = err == nil || len(chain.Roles) > 0
	}
	s := a.Sessions.Session(chain)
	if err == nil {
		err = s.Err
	}
	return Answer{Usable: usable, ARN: s.ARN, ExpiresAt: s.ExpiresAt, Err: err}
}

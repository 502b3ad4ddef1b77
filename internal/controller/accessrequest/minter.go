package accessrequest

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
)

const (
	// attemptTimeout is the deadline of one attempt, all of its requests together.
	attemptTimeout = 20 * time.Second
	// Side by side, and tokens a second, are what the requests for one cluster may take of it; and as many tokens are
	// looked at, on an account of their own: nobody waits for a first token because many are looked at.
	sideBySide = 4
	perSecond  = 10
)

// Minter asks remote clusters for tokens and looks whether they are still good: side by side, each attempt with
// its deadline, those for one cluster within a budget of their own. No reconcile waits for it, and a dead
// cluster costs nobody but its own requests anything. It remembers the tokens for as long as there is somebody who
// wants them.
type Minter struct {
	remote  remote
	clock   clock.PassiveClock
	changed func(types.NamespacedName)

	ctx     context.Context //nolint:containedctx // the life of every attempt, ended by Close
	cancel  context.CancelFunc
	running sync.WaitGroup // grows only with mu held, and not once ctx has ended

	mu      sync.Mutex
	entries map[types.NamespacedName]*entry
	lanes   map[string]*lane
}

// remote is what attempts are made of.
type remote interface {
	// mint makes a token and proves it. It fails with a *refusal where the cluster grants none.
	mint(ctx context.Context, w want) (held, error)
	// check asks the cluster about a token. It fails with credential.ErrRefused where that is dead.
	check(ctx context.Context, w want, h held) error
}

// lane holds the requests for one cluster to its budget.
type lane struct {
	slots         chan struct{}
	mints, checks *rate.Limiter
}

func newLane() *lane {
	return &lane{make(chan struct{}, sideBySide), rate.NewLimiter(perSecond, perSecond), rate.NewLimiter(perSecond, perSecond)}
}

// turn waits for the turn of an attempt, and returns what ends it.
func (l *lane) turn(ctx context.Context, todo step) (release func(), err error) {
	pace := l.mints
	if todo == stepCheck {
		pace = l.checks
	}
	if err := pace.Wait(ctx); err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// NewMinter returns a minter whose attempts end with ctx, or with Close. local is the name of the local cluster.
func NewMinter(ctx context.Context, links *fleet.Links, local string, clk clock.PassiveClock) *Minter {
	return newMinter(ctx, &cluster{links: links, local: local, clock: clk}, clk)
}

func newMinter(ctx context.Context, r remote, clk clock.PassiveClock) *Minter {
	m := &Minter{remote: r, clock: clk, entries: map[types.NamespacedName]*entry{}, lanes: map[string]*lane{}}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m
}

// tell sets who is told, without waiting, when something new is known of a request.
func (m *Minter) tell(changed func(types.NamespacedName)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = changed
}

// Close ends every attempt and waits until they have ended.
func (m *Minter) Close() {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	m.running.Wait()
}

// look returns what is known of a request that wants w, and begins an attempt if one is due. found is the token
// that lies in its output, for a minter that knows nothing yet. It does not wait.
func (m *Minter) look(key types.NamespacedName, w want, found *held) known {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	e := m.entries[key]
	if e == nil {
		e = &entry{held: found}
		m.entries[key] = e
	}
	e.ask(w)
	if !e.busy && !now.Before(e.due) && m.ctx.Err() == nil {
		e.busy = true
		l, todo := m.lane(w.cluster), e.step(now)
		m.running.Go(func() { m.attempt(key, e, l, todo) }) // ends by its deadline, once its turn has come, or with m.ctx
	}
	return e.known(now)
}

// Forget drops what is known of a request.
func (m *Minter) Forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

func (m *Minter) lane(cluster string) *lane {
	l := m.lanes[cluster]
	if l == nil {
		l = newLane()
		m.lanes[cluster] = l
	}
	return l
}

func (m *Minter) attempt(key types.NamespacedName, e *entry, l *lane, todo step) {
	release, err := l.turn(m.ctx, todo)
	if err != nil {
		return
	}
	defer release()
	m.mu.Lock()
	w, h, current := e.want, e.held, m.entries[key] == e
	todo = e.step(m.clock.Now()) // it may have waited
	m.mu.Unlock()
	if !current {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, attemptTimeout)
	defer cancel()
	outcome := m.try(ctx, w, h, todo)
	m.mu.Lock()
	e.learn(w, outcome, m.clock.Now())
	tell := m.changed
	current = m.entries[key] == e
	m.mu.Unlock()
	if current && m.ctx.Err() == nil && tell != nil {
		tell(key)
	}
}

// try does what is to be done. A token that turns out to be dead is replaced at once; one that cannot be replaced
// because the connection is down is looked at, since the cluster may have cut off both.
func (m *Minter) try(ctx context.Context, w want, h *held, todo step) outcome {
	var dead bool
	if todo == stepCheck {
		err := m.remote.check(ctx, w, *h)
		if !isRefused(err) {
			return outcome{held: h, checkErr: err}
		}
		h, dead = nil, true
	}
	fresh, err := m.remote.mint(ctx, w)
	if err == nil {
		return outcome{held: &fresh}
	}
	var down *notReadyError
	if h != nil && errors.As(err, &down) && isRefused(m.remote.check(ctx, w, *h)) {
		h, dead = nil, true
	}
	return outcome{held: h, err: err, dead: dead}
}

// held is a token that was minted for a request, and proved.
type held struct {
	cred credential.Credential
	// id is that of the want that it was minted for.
	id string
	// subject is who the cluster says the holder is.
	subject string
}

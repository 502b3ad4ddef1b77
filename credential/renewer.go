package credential

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// stepTimeout is the deadline of each thing that a Renewer does.
	stepTimeout = 30 * time.Second
	// keepTimeout is for one write in the local cluster, also when we are being stopped: what was
	// minted must not be lost.
	keepTimeout = 10 * time.Second
	// inputInterval is how often the input is read again without being told of a change:
	// Secrets outside Hawser's own namespace are not watched.
	inputInterval = time.Minute
	// Failed attempts are repeated after firstBackoff, doubled up to maxBackoff.
	firstBackoff = time.Second
	maxBackoff   = 5 * time.Minute
	// forcedBackoff keeps a server that refuses whatever it issued from turning every 401 into a
	// renewal: the second forced renewal comes at the earliest this long after the first, and so on, doubled.
	forcedBackoff = 10 * time.Second
)

// State is what a Renewer knows. It holds the credential, so it is not for printing.
type State struct {
	// Credential in use; zero where there is none yet. An expired one stays here until it is replaced.
	Credential Credential
	// Identity that the cluster gave to it.
	Identity Identity
	// SwappedAt is when it took over.
	SwappedAt time.Time
	// First says that none was in use before it.
	First bool
	// InputErr is what is wrong with the input, if anything. With a credential in use it is a
	// warning: that one stays.
	InputErr error
	// RenewErr is why the last attempt to renew failed; nil after a success.
	RenewErr error
	// KeepErr is why the credential in use would not survive a restart.
	KeepErr error
	// MoveErr is why the credential could not move to a changed address; nil when there is nothing to move.
	MoveErr error
	// Dead says that the cluster refused the credential in use and that a forced renewal did not help.
	Dead bool
	// Renewals and Failures count attempts to renew.
	Renewals, Failures int
}

// Renewer keeps the credential of one connection fresh. It obtains, proves,
// swaps, and keeps; the old credential stays in use until a new one is proved.
type Renewer struct {
	Link  Link
	Clock clock.WithTicker
	// Swap puts a proved credential in use.
	Swap func(Credential)
	// Report is told of every change of state, from the goroutine of Run.
	Report func(State)

	init sync.Once
	wake chan struct{}

	mu      sync.Mutex
	source  Source
	refresh bool       // the input may have changed
	force   bool       // somebody asked for a renewal now
	reprove bool       // the address changed
	refused Credential // the last credential that the cluster answered 401 to

	// What follows belongs to the goroutine of Run.
	current     Source
	maker       Source // of the credential in use: only it can renew it
	state       State
	nextInput   time.Time
	nextRenewal time.Time // zero: never by itself
	nextForced  time.Time
	nextMove    time.Time // zero: there is nothing to move
	nextKeep    time.Time // zero: there is nothing to keep
	inputTries  int
	renewTries  int
	forcedTries int
	moveTries   int
	keepTries   int
}

func (r *Renewer) lazyInit() {
	r.init.Do(func() { r.wake = make(chan struct{}, 1) })
}

func (r *Renewer) poke() {
	select {
	case r.wake <- struct{}{}:
	default: // a wake-up is already on its way
	}
}

// SetSource says where credentials come from. It is called before Run, and may be called again:
// the credential in use stays until the new source's is proved. It does not wait.
func (r *Renewer) SetSource(source Source) {
	r.lazyInit()
	r.mu.Lock()
	r.source, r.refresh = source, true
	r.mu.Unlock()
	r.poke()
}

// Refresh says that the input may have changed. It does not wait.
func (r *Renewer) Refresh() {
	r.lazyInit()
	r.mu.Lock()
	r.refresh = true
	r.mu.Unlock()
	r.poke()
}

// Renew asks for a renewal now, however young the credential is. It does not wait.
func (r *Renewer) Renew() {
	r.lazyInit()
	r.mu.Lock()
	r.force = true
	r.mu.Unlock()
	r.poke()
}

// Reprove says that the address changed: the credential in use has to prove itself there. It does not wait.
func (r *Renewer) Reprove() {
	r.lazyInit()
	r.mu.Lock()
	r.reprove = true
	r.mu.Unlock()
	r.poke()
}

// Refused says that the cluster answered 401 to c. It does not wait. However
// often it is said, one credential causes one forced renewal.
func (r *Renewer) Refused(c Credential) {
	r.lazyInit()
	r.mu.Lock()
	again := !r.refused.IsZero() && r.refused.Equal(c)
	r.refused = c
	r.mu.Unlock()
	if !again {
		r.poke()
	}
}

// Accepted says that the cluster answered a request made with c, and so ends a series of forced renewals.
func (r *Renewer) Accepted(c Credential) {
	r.lazyInit()
	r.mu.Lock()
	again := !r.refused.IsZero() && r.refused.Equal(c)
	if again {
		r.refused = Credential{}
	}
	r.mu.Unlock()
	if again {
		r.poke()
	}
}

// Run renews until ctx ends.
func (r *Renewer) Run(ctx context.Context) {
	r.lazyInit()
	timer := r.Clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			if !timer.Stop() {
				select {
				case <-timer.C():
				default:
				}
			}
		case <-timer.C():
		}
		timer.Reset(r.round(ctx))
	}
}

// asks is what others want of the Renewer, taken at the beginning of a round.
type asks struct {
	refresh, force, reprove bool
	rejected                bool // the credential in use was answered with 401
}

func (r *Renewer) takeAsks() asks {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = r.source
	a := asks{refresh: r.refresh, force: r.force, reprove: r.reprove}
	a.rejected = !r.refused.IsZero() && !r.state.Credential.IsZero() && r.refused.Equal(r.state.Credential)
	r.refresh, r.force, r.reprove = false, false, false
	return a
}

// round does what is due and returns how long there is nothing to do.
func (r *Renewer) round(ctx context.Context) time.Duration {
	a, now := r.takeAsks(), r.Clock.Now()
	if !a.rejected {
		r.state.Dead = false
	}
	if a.reprove {
		r.moveTries, r.nextMove = 0, now
	}
	if r.usable(now) {
		r.maintain(ctx, a, now)
	} else if a.force {
		r.mu.Lock()
		r.force = true // for when there is something to renew
		r.mu.Unlock()
	}
	if due(r.nextKeep, now) {
		r.keep(ctx)
	}
	if a.refresh || !now.Before(r.nextInput) {
		r.takeInput(ctx, a.refresh)
	}
	r.Report(r.state)
	return r.untilNext(a.rejected)
}

// maintain does what a usable credential needs: to move, or to be renewed.
func (r *Renewer) maintain(ctx context.Context, a asks, now time.Time) {
	if due(r.nextMove, now) {
		r.move(ctx)
	}
	switch {
	case r.state.Dead: // what the cluster refuses cannot renew itself: a probe or the input ends this
	case a.rejected && !now.Before(r.nextForced):
		r.renewRefused(ctx)
	case a.force || due(r.nextRenewal, now):
		r.renew(ctx)
	}
}

// due reports whether a time has come; the zero time never does.
func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

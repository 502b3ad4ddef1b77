package accessrequest

import (
	"errors"
	"hash/fnv"
	"time"

	"github.com/hawser-io/hawser/credential"
)

const (
	// checkEvery is how often a token that was handed out is looked at: within this time and the ten seconds that an
	// API server remembers a good one, an output that is of no use any more is gone.
	checkEvery = 30 * time.Second
	// Attempts that fail are repeated after firstRetry, doubled up to lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = time.Minute
)

// want is what a request asks of its cluster.
type want struct {
	cluster, account string
	lifetime         time.Duration
	// id is a fingerprint of all that decides whether a token is the one that is wanted.
	id string
	// seed spreads what many requests do in time.
	seed string
}

// jitter is a number in [0,1) that is the want's own.
func (w want) jitter() float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(w.seed))
	return float64(h.Sum32()) / (1 << 32)
}

// entry is what is known of one request. The minter's lock guards it.
type entry struct {
	want     want
	held     *held
	dead     bool // the cluster has refused the token that was held last, and gave no other
	err      error
	failures int
	due      time.Time // of the next attempt
	busy     bool
}

// known is what a reconcile is told of an entry.
type known struct {
	// held is the token to hand out; nil while there is none that is good.
	held *held
	// err is why there is none, or why it was not renewed. Both may be nil: nothing is known yet.
	err error
	// dead says that the cluster refuses the token that was handed out. Then there is none.
	dead bool
	// due is when to look again.
	due time.Time
}

type step int

const (
	stepMint step = iota
	stepCheck
)

// outcome is what came of an attempt.
type outcome struct {
	held     *held
	err      error
	dead     bool  // the token that was held is refused
	checkErr error // why the token could not be looked at, which says nothing about it
}

// ask takes what is wanted now. What was learned about something else is forgotten.
func (e *entry) ask(w want) {
	if e.want.id != w.id {
		e.err, e.failures, e.due, e.dead = nil, 0, time.Time{}, false
		if e.held != nil && e.held.id != w.id {
			e.held = nil
		}
	}
	e.want = w
}

func (e *entry) step(now time.Time) step {
	if e.held == nil || e.held.id != e.want.id || e.held.cred.ExpiredAt(now) {
		return stepMint
	}
	if at, ok := e.held.cred.RenewAt(e.want.jitter()); ok && !now.Before(at) {
		return stepMint
	}
	return stepCheck
}

// learn takes what came of an attempt for w.
func (e *entry) learn(w want, o outcome, now time.Time) {
	e.busy = false
	if w.id != e.want.id {
		return // something else is wanted by now: its attempt is due
	}
	e.held, e.err = o.held, o.err
	e.dead = e.held == nil && (e.dead || o.dead)
	var refused *refusal
	if errors.As(o.err, &refused) {
		e.held = nil
	}
	var notReady *notReadyError
	if errors.As(o.err, &notReady) {
		e.due = now.Add(time.Second) // nobody looks before the connection is ready again
		return
	}
	if o.err != nil {
		pause := min(firstRetry<<min(e.failures, 8), lastRetry)
		e.failures++
		e.due = now.Add(pause)
		return
	}
	e.failures = 0
	e.due = now.Add(time.Duration((0.9 + 0.2*w.jitter()) * float64(checkEvery)))
	if e.held == nil {
		return
	}
	if at, ok := e.held.cred.RenewAt(w.jitter()); ok && at.After(now) && at.Before(e.due) {
		e.due = at
	}
}

func (e *entry) known(now time.Time) known {
	k := known{err: e.err, due: e.due, dead: e.dead && e.err != nil}
	if e.busy {
		k.due = now.Add(checkEvery) // the end of the attempt is told
	}
	if e.held != nil && e.held.id == e.want.id && !e.held.cred.ExpiredAt(now) {
		k.held = e.held
	}
	return k
}

func isRefused(err error) bool { return errors.Is(err, credential.ErrRefused) }

// refusal says that a cluster grants no token, whatever else it says.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

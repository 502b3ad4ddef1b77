package credential

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// What a Renewer does in a round, step by step. All of it runs in the goroutine of Run.

// usable reports whether there is a credential worth renewing from.
func (r *Renewer) usable(now time.Time) bool {
	return !r.state.Credential.IsZero() && !r.state.Credential.ExpiredAt(now)
}

// move proves the credential in use at a changed address.
func (r *Renewer) move(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	who, err := r.Link.Prove(ctx, r.state.Credential)
	if err != nil {
		r.state.MoveErr = err
		r.nextMove = r.Clock.Now().Add(backoff(firstBackoff, r.moveTries))
		r.moveTries++
		return
	}
	r.swap(ctx, r.state.Credential, who)
}

// renewRefused makes the one renewal that a 401 causes. If it fails too, the
// credential is dead and the input is tried again.
func (r *Renewer) renewRefused(ctx context.Context) {
	now := r.Clock.Now()
	if now.Sub(r.nextForced) > maxBackoff { // the last storm is long over
		r.forcedTries = 0
	}
	r.nextForced = now.Add(backoff(forcedBackoff, r.forcedTries))
	r.forcedTries++
	r.renew(ctx)
	if r.state.Credential.Watched || errors.Is(r.state.RenewErr, ErrRefused) {
		r.state.Dead = true
		r.nextInput = r.Clock.Now()
	}
}

func (r *Renewer) renew(ctx context.Context) {
	if r.state.Credential.Watched {
		r.nextInput = r.Clock.Now() // the input is all that there is to look at
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	next, err := r.maker.Renew(ctx, r.state.Credential, r.Link)
	if next.Endpoint == nil {
		next.Binding = r.state.Credential.Binding
	}
	var who Identity
	if err == nil {
		who, err = r.Link.Prove(ctx, next)
	}
	if err != nil {
		r.state.RenewErr = explain(ctx, r.maker, err)
		r.state.Failures++
		r.nextRenewal = r.Clock.Now().Add(backoff(firstBackoff, r.renewTries))
		r.renewTries++
		return
	}
	r.state.Renewals++
	r.swap(ctx, next, who)
}

// takeInput reads the input and moves to it where it is new, or where the
// credential in use is no good. A bad input never takes away a good credential.
func (r *Renewer) takeInput(ctx context.Context, changed bool) {
	now := r.Clock.Now()
	r.nextInput = now.Add(inputInterval)
	if changed {
		r.inputTries = 0
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	candidates, err := r.current.Obtain(ctx)
	good := r.usable(now) && !r.state.Dead
	switch {
	case err != nil && good:
		r.state.InputErr = err
	case err != nil:
		_ = r.tryAll(ctx, candidates) // what was kept, if anything; the input's fault is what to tell
		r.state.InputErr = err
		r.retryInput(now)
	case good && len(candidates) > 0 && candidates[0].Origin == r.state.Credential.Origin:
		r.state.InputErr = nil
		r.maker = r.current
		r.watch(candidates[0].Watched)
	default:
		if r.state.InputErr = r.tryAll(ctx, candidates); r.state.InputErr != nil {
			r.retryInput(now)
		}
	}
}

func (r *Renewer) retryInput(now time.Time) {
	r.nextInput = now.Add(min(backoff(firstBackoff, r.inputTries), inputInterval))
	r.inputTries++
}

// tryAll proves the candidates in turn and swaps to the first that is accepted.
func (r *Renewer) tryAll(ctx context.Context, candidates []Credential) error {
	var errs []error
	good := r.usable(r.Clock.Now()) && !r.state.Dead
	for _, c := range candidates {
		if good && c.Origin == r.state.Credential.Origin {
			continue // in use already
		}
		if c.Binding == nil && c.Endpoint == nil && c.Origin == r.state.Credential.Origin {
			c.Binding = r.state.Credential.Binding
		}
		if c.ExpiredAt(r.Clock.Now()) {
			errs = append(errs, fmt.Errorf("%w: it expired at %s", ErrRefused, c.ExpiresAt.Format(time.RFC3339)))
			continue
		}
		who, err := r.Link.Prove(ctx, c)
		if err == nil {
			r.maker = r.current
			r.swap(ctx, c, who)
			if len(errs) > 0 && c.Origin != candidates[0].Origin {
				return errors.Join(errs...) // what was kept goes on, the new input was refused
			}
			return nil
		}
		errs = append(errs, explain(ctx, r.current, err))
	}
	return errors.Join(errs...)
}

// explain asks the source of a refused credential what is behind it.
func explain(ctx context.Context, source Source, err error) error {
	e, ok := source.(Explainer)
	if !ok || !errors.Is(err, ErrRefused) {
		return err
	}
	return e.Explain(ctx, err)
}

func (r *Renewer) swap(ctx context.Context, c Credential, who Identity) {
	now := r.Clock.Now()
	c.Binding = who.Binding
	r.Swap(c)
	r.state.First = r.state.Credential.IsZero()
	if r.state.First && !c.ObtainedAt.IsZero() && c.ObtainedAt.Before(now) {
		now = c.ObtainedAt // what is gone on from took over when it was obtained, by whoever ran then
	}
	r.state.Credential, r.state.Identity, r.state.SwappedAt = c, who, now
	r.state.RenewErr, r.state.Dead = nil, false
	r.inputTries, r.renewTries = 0, 0
	if !r.Link.Elsewhere(c) {
		r.state.MoveErr, r.nextMove = nil, time.Time{}
	}
	r.schedule()
	r.keepTries = 0
	r.keep(ctx)
}

// keep persists the credential in use. It works already; it only would not survive a restart.
func (r *Renewer) keep(ctx context.Context) {
	r.nextKeep, r.state.KeepErr = time.Time{}, nil
	k, ok := r.maker.(Keeper)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	if err := k.Keep(ctx, r.state.Credential); err != nil {
		r.state.KeepErr = fmt.Errorf("keeping the credential for a restart: %w", err)
		r.nextKeep = r.Clock.Now().Add(backoff(firstBackoff, r.keepTries))
		r.keepTries++
	}
}

func (r *Renewer) untilNext(rejected bool) time.Duration {
	now := r.Clock.Now()
	if end, ok := r.state.Credential.Deadline(); ok && end.After(now) && end.Before(r.nextInput) {
		r.nextInput = end // once it has expired, the input is all that is left
	}
	next := sooner(r.nextInput, r.nextKeep)
	if r.usable(now) {
		next = sooner(next, r.nextMove)
		if !r.state.Dead {
			next = sooner(next, r.nextRenewal)
		}
		if rejected && !r.state.Dead {
			next = sooner(next, r.nextForced)
		}
	}
	return max(next.Sub(now), 0)
}

// sooner returns the earlier of two times; a zero other is none.
func sooner(t, other time.Time) time.Time {
	if !other.IsZero() && other.Before(t) {
		return other
	}
	return t
}

// watch takes over whether the credential is watched or renewed, which another source of the same
// input may see differently.
func (r *Renewer) watch(watched bool) {
	if r.state.Credential.Watched == watched {
		return
	}
	r.state.Credential.Watched = watched
	r.schedule()
}

// schedule sets when the credential in use is renewed.
func (r *Renewer) schedule() {
	r.nextRenewal = time.Time{}
	if r.state.Credential.Watched {
		return
	}
	at, ends := r.state.Credential.RenewAt(rand.Float64())
	if !ends {
		at = r.Clock.Now() // one without an end is what renewal is to do away with
	}
	r.nextRenewal = at
}

// backoff doubles first with every try up to maxBackoff, and takes up to a fifth off at random.
func backoff(first time.Duration, tries int) time.Duration {
	d := maxBackoff
	if tries < 16 {
		d = min(first<<tries, maxBackoff)
	}
	return d - time.Duration(rand.Float64()*0.2*float64(d))
}

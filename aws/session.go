package aws

import (
	"context"
	"fmt"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// renewBefore is the least that a session has left when it is renewed: a token needs 14 minutes.
	renewBefore = 15 * time.Minute
	// renewSpacing is the least time between two renewals that succeed, where a session is good for longer.
	renewSpacing = time.Minute
	// rereadInterval is how often credentials that never expire are asked for again: a mounted file
	// may have been replaced.
	rereadInterval = time.Hour
	// patience is how long a caller waits for a renewal while the old credentials are still good.
	patience = 5 * time.Second
)

// grant is what was obtained. It holds secrets, so it is not for printing.
type grant struct {
	creds        awssdk.Credentials
	arn, account string
	obtainedAt   time.Time
	renewAt      time.Time // zero: never
	spoiled      bool      // AWS called them dead, though by our clock they are good
}

// usable reports whether the credentials are there and good at now.
func (g grant) usable(now time.Time) bool {
	return g.creds.HasKeys() && (!g.creds.CanExpire || now.Before(g.creds.Expires))
}

// pressing reports whether it is better to wait for a renewal that is under way.
func (g grant) pressing(now time.Time) bool {
	return g.spoiled || g.creds.CanExpire && g.creds.Expires.Sub(now) <= renewBefore
}

// session keeps the credentials of one identity fresh. At most one attempt to obtain them is under way.
type session struct {
	clock  clock.WithTicker
	jitter func() float64
	hop    int
	ref    Ref

	usedAt time.Time // belongs to Sessions.mu

	mu        sync.Mutex
	grant     grant
	err       *Error    // of the last attempt
	tries     int       // failed ones in a row
	notBefore time.Time // the next attempt, after a failed one
	flight    chan struct{}
}

// obtain makes credentials; asked says that somebody was troubled for them.
type obtain func(ctx context.Context) (g grant, asked bool, err *Error)

// credentials returns those in use. It begins to renew them when that is due, and waits for it if they
// end soon; it fails only where there are none that are good.
func (s *session) credentials(ctx context.Context, obtain obtain) (awssdk.Credentials, *Error) {
	s.mu.Lock()
	now := s.clock.Now()
	if s.flight == nil && s.due(now) {
		s.begin(ctx, obtain)
	}
	flight, g := s.flight, s.grant
	s.mu.Unlock()

	switch {
	case flight == nil:
	case !g.usable(now):
		select {
		case <-flight:
		case <-ctx.Done():
			return awssdk.Credentials{}, s.unanswered(ctx.Err())
		}
	case g.pressing(now):
		timer := s.clock.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-flight:
		case <-timer.C():
		case <-ctx.Done():
		}
	}
	return s.inUse()
}

func (s *session) inUse() (awssdk.Credentials, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	switch {
	case s.grant.usable(now):
		return s.grant.creds, nil
	case s.err != nil:
		return awssdk.Credentials{}, s.err
	}
	return awssdk.Credentials{}, &Error{Hop: s.hop, Ref: s.ref, Reason: v1alpha1.ReasonCredentialsExpired, Err: fmt.Errorf("its credentials ended before they could be used")}
}

func (s *session) unanswered(err error) *Error {
	return &Error{Hop: s.hop, Ref: s.ref, Reason: v1alpha1.ReasonAWSUnreachable, Err: fmt.Errorf("waiting for its credentials: %w", err)}
}

// due reports whether an attempt should be made now.
func (s *session) due(now time.Time) bool {
	if now.Before(s.notBefore) {
		return false
	}
	return !s.grant.usable(now) || !s.grant.renewAt.IsZero() && !now.Before(s.grant.renewAt)
}

// begin starts the one attempt. It is not bound to the caller, who may lose patience: the next one
// takes what it brings.
func (s *session) begin(ctx context.Context, obtain obtain) {
	ctx = context.WithoutCancel(ctx)
	done := make(chan struct{})
	s.flight = done
	go func() {
		g, asked, err := obtain(ctx)
		s.end(g, asked, err)
		close(done)
	}()
}

func (s *session) end(g grant, asked bool, err *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if err == nil && !g.usable(now) {
		err = s.stillborn(g, now)
	}
	s.flight, s.err = nil, err
	if err == nil {
		g.renewAt = renewAt(g, now, s.jitter())
		if g.arn == "" && g.creds.AccessKeyID == s.grant.creds.AccessKeyID { // STS was asked about them before
			g.arn, g.account = s.grant.arn, s.grant.account
		}
		s.grant, s.tries, s.notBefore = g, 0, time.Time{}
		return
	}
	if asked { // otherwise it is an earlier link that backs off
		s.tries++
		s.notBefore = now.Add(backoff(err.Reason, s.tries, s.jitter()))
	}
}

func (s *session) stillborn(g grant, now time.Time) *Error {
	return &Error{Hop: s.hop, Ref: s.ref, Reason: v1alpha1.ReasonClockSkew, Repair: repairClock,
		Err: fmt.Errorf("its new session ended %s ago by our clock", now.Sub(g.creds.Expires).Round(time.Second))}
}

// renewAt is a quarter of the life before the end, but at least renewBefore, and earlier by up to a
// tenth of the life, so that sessions made together are not renewed together. A short life is renewed
// in its second half.
func renewAt(g grant, now time.Time, jitter float64) time.Time {
	if !g.creds.CanExpire {
		if g.obtainedAt.IsZero() { // keys from a Secret: others replace them
			return time.Time{}
		}
		return now.Add(rereadInterval + time.Duration(jitter*0.1*float64(rereadInterval)))
	}
	life := g.creds.Expires.Sub(g.obtainedAt)
	spread := time.Duration(jitter * 0.1 * float64(life))
	at := g.creds.Expires.Add(-max(renewBefore, life/4) - spread)
	if half := g.obtainedAt.Add(life / 2); at.Before(half) {
		at = half.Add(spread)
	}
	if soonest := now.Add(renewSpacing); at.Before(soonest) {
		return soonest
	}
	return at
}

// backoff is how long nobody asks again after a failure: doubled each time, longer where AWS asks for
// less or says no, and spread so that many that failed together do not come back together.
func backoff(reason string, tries int, jitter float64) time.Duration {
	first, most := time.Second, time.Minute
	switch reason {
	case v1alpha1.ReasonThrottled:
		first, most = 5*time.Second, 5*time.Minute
	case v1alpha1.ReasonAWSUnreachable, v1alpha1.ReasonAWSError:
	default: // a person has to change something
		first, most = 5*time.Second, 2*time.Minute
	}
	wait := most
	if tries < 10 {
		wait = min(first<<(tries-1), most)
	}
	return wait + time.Duration(jitter*0.25*float64(wait))
}

// spoil says that AWS refused creds as dead: they are renewed at the next occasion, unless they are new.
func (s *session) spoil(creds awssdk.Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grant.creds.AccessKeyID != creds.AccessKeyID || s.grant.renewAt.IsZero() {
		return
	}
	s.grant.spoiled = true
	if soonest := s.grant.obtainedAt.Add(renewSpacing); soonest.Before(s.grant.renewAt) {
		s.grant.renewAt = soonest
	}
}

// identified remembers whom STS takes creds for.
func (s *session) identified(creds awssdk.Credentials, arn, account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grant.creds.AccessKeyID == creds.AccessKeyID {
		s.grant.arn, s.grant.account = arn, account
	}
}

func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight != nil
}

// state is what is known, as seen on a chain of hops roles.
func (s *session) state(hops int) SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := SessionState{ARN: s.grant.arn, AccountID: s.grant.account}
	if s.grant.creds.CanExpire {
		state.ExpiresAt = s.grant.creds.Expires
	}
	if s.err != nil {
		state.Err = s.err.at(hops)
	}
	return state
}

// Package oidc is the credential source of auth.type oidc: tokens of an issuer that the remote cluster
// trusts, made anew before they end and stored nowhere. They come from the local cluster, from a cloud, or
// from SPIFFE, and are shown to the remote's API server itself, or to its gate, which gives one for it
// that the API server knows.
//
// What the remote makes of a token is package trust's business there.
package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/trust/exchange"
)

const (
	// DefaultLifetime is asked for, of tokens that are shown to an API server and of what a gate gives.
	DefaultLifetime = time.Hour
	// shownOnce is the lifetime of a token that is only shown to a gate, once and at once.
	shownOnce = credential.MinLifetime
)

// Tokens are where tokens come from.
type Tokens interface {
	// Token makes a token for an audience, with its times and ObtainedAt. Lifetime is asked for where it
	// can be. Its errors never hold the token.
	Token(ctx context.Context, audience string, lifetime time.Duration) (credential.Credential, error)
	// Fingerprint changes when the tokens are somebody else's.
	Fingerprint() string
}

// Source makes the tokens of one remote cluster.
type Source struct {
	Tokens Tokens
	// Audience of the next token. It is asked for before each, since what was right may not be any more.
	// Its errors are *credential.InputErrors.
	Audience func(ctx context.Context) (string, error)
	// Gate exchanges the tokens. Nil: they are shown to the API server itself.
	Gate *Gate
	// Binding is the server that an earlier token was proved at, remembered over a restart.
	Binding *credential.Binding
	Clock   clock.PassiveClock

	// What was made last, for which audience; methods are called by one goroutine at a time.
	last     credential.Credential
	audience string
}

// Gate is the token exchange of a remote cluster.
type Gate struct {
	exchange.Client
	// Grant is the name of the AccessGrant that is asked for, where there are several.
	Grant string
	// Lifetime asked for. Zero means DefaultLifetime.
	Lifetime time.Duration
}

// Obtain returns the token that was made last, or makes one. It reaches the local cluster, the issuer and
// the gate, and never the remote's API server.
func (s *Source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	audience, err := s.Audience(ctx)
	if err != nil {
		s.last = credential.Credential{} // whatever is wrong with the audience is wrong with the token for it
		return nil, err
	}
	if s.good(audience) {
		return []credential.Credential{s.last}, nil
	}
	next, err := s.make(ctx, audience)
	if err != nil {
		return nil, err
	}
	return []credential.Credential{next}, nil
}

// good reports whether the last token is of use: Renew replaces it in time.
func (s *Source) good(audience string) bool {
	return !s.last.IsZero() && s.audience == audience && !s.last.ExpiredAt(s.Clock.Now())
}

// Renew makes the next token.
func (s *Source) Renew(ctx context.Context, _ credential.Credential, _ credential.Link) (credential.Credential, error) {
	audience, err := s.Audience(ctx)
	if err != nil {
		return credential.Credential{}, err
	}
	return s.make(ctx, audience)
}

// Keep remembers where a token was proved, so that the next one is shown to no other server. Nothing is
// kept over a restart: that is what the status is for.
func (s *Source) Keep(_ context.Context, c credential.Credential) error {
	s.Binding = c.Binding
	return nil
}

// Explain is told that the API server refused the last token, and says what to look at.
func (s *Source) Explain(_ context.Context, refused error) error {
	s.last = credential.Credential{}
	why := fmt.Sprintf("it does not trust the issuer of the token for audience %q: hawser trust render prints there what it has to be given (kubectl --context CONTEXT get trustedissuers shows whom it may believe), or name the gate in auth.oidc.exchange", s.audience)
	switch s.Tokens.(type) {
	case Azure, Google:
		why = "it is no cluster of the cloud that the token is from, or does not let this identity in"
	}
	if s.Gate != nil {
		why = "the gate at " + s.Gate.URL + " gave a token that this API server does not know: it may be the gate of another cluster, or the AccessGrant has just ended (kubectl --context CONTEXT get accessgrants)"
	}
	return &credential.InputError{Reason: v1alpha1.ReasonRefused, Err: fmt.Errorf("%w: %s", refused, why)}
}

func (s *Source) make(ctx context.Context, audience string) (credential.Credential, error) {
	lifetime := DefaultLifetime
	if s.Gate != nil {
		lifetime = shownOnce
	}
	c, err := s.Tokens.Token(ctx, audience, lifetime)
	if err != nil {
		return credential.Credential{}, withReason(v1alpha1.ReasonTokenFailed, err)
	}
	if s.Gate != nil {
		if c, err = s.Gate.exchange(ctx, c.Token, audience, s.Clock.Now()); err != nil {
			return credential.Credential{}, withReason(v1alpha1.ReasonExchangeFailed, err)
		}
	}
	if err := s.check(c); err != nil {
		return credential.Credential{}, withReason(v1alpha1.ReasonTokenFailed, err)
	}
	c.Origin, c.Binding = s.origin(audience), s.Binding
	s.last, s.audience = c, audience
	return c, nil
}

// check refuses what is dead already, and what has no end: nothing would renew it.
func (s *Source) check(c credential.Credential) error {
	switch {
	case c.IsZero():
		return errors.New("making a token: there is none")
	case c.ExpiresAt.IsZero():
		return errors.New("making a token: it has no end")
	case c.ExpiredAt(s.Clock.Now()):
		return fmt.Errorf("making a token: it expired at %s", c.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// exchange shows a token to the gate.
func (g *Gate) exchange(ctx context.Context, token credential.Secret, audience string, now time.Time) (credential.Credential, error) {
	lifetime := g.Lifetime
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	response, err := g.Exchange(ctx, exchange.Request{SubjectToken: token, Audience: audience, Scope: g.Grant, Lifetime: lifetime})
	if err != nil {
		return credential.Credential{}, exchange.AtGate(err)
	}
	return answered(response, now), nil
}

// answered is the credential that an exchange yields: it ends when the token says or when the answer says,
// whichever comes first.
func answered(response exchange.Response, now time.Time) credential.Credential {
	c := credential.NewToken(response.Token.Reveal(), "")
	c.ObtainedAt = now
	if response.ExpiresIn > 0 && (c.ExpiresAt.IsZero() || c.Lifetime() > response.ExpiresIn) {
		c.IssuedAt, c.ExpiresAt = now, now.Add(response.ExpiresIn)
	}
	return c
}

// origin names what a token grew from.
func (s *Source) origin(audience string) string {
	parts := []string{"oidc", s.Tokens.Fingerprint(), audience}
	if g := s.Gate; g != nil {
		parts = append(parts, g.URL, string(g.CAData), g.Grant, g.Lifetime.String())
	}
	return fingerprint(parts...)
}

func fingerprint(parts ...string) string {
	all := make([][]byte, len(parts))
	for i, part := range parts {
		all[i] = []byte(part)
	}
	return credential.Fingerprint(all...)
}

// withReason gives an error a reason, unless it has one.
func withReason(reason string, err error) error {
	if known, ok := errors.AsType[*credential.InputError](err); ok {
		return &credential.InputError{Reason: known.Reason, Err: err}
	}
	return &credential.InputError{Reason: reason, Err: err}
}

var (
	_ credential.Source    = (*Source)(nil)
	_ credential.Explainer = (*Source)(nil)
	_ credential.Keeper    = (*Source)(nil)
)

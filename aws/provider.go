package aws

import (
	"context"
	"errors"
	"fmt"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// provider is an awssdk.CredentialsProvider for one chain.
type provider struct {
	sessions *Sessions
	chain    Chain
	keys     []string // fingerprints of the prefixes of chain, the ground first
}

// Retrieve implements awssdk.CredentialsProvider.
func (p *provider) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	creds, err := p.session().credentials(ctx, p.obtain)
	if err != nil && ctx.Err() != nil && p.sessions.waiting.Load() > 0 { // it may be us that it waits for
		err = &Error{Hop: err.Hop, Ref: err.Ref, Reason: v1alpha1.ReasonThrottled,
			Err: fmt.Errorf("waiting for its turn: not more than %d roles are assumed in a second", p.sessions.PerSecond)}
	}
	if err != nil {
		return awssdk.Credentials{}, err.at(len(p.chain.Roles))
	}
	return creds, nil
}

func (p *provider) session() *session {
	return p.sessions.touch(p.keys, func() *session {
		return &session{clock: p.sessions.Clock, jitter: p.sessions.Jitter, hop: len(p.chain.Roles), ref: p.ref()}
	})
}

// ref is the identity that the chain leads to.
func (p *provider) ref() Ref { return p.chain.identity(len(p.chain.Roles)).Ref }

// source is the provider of what the last role is assumed from.
func (p *provider) source() *provider {
	hop := len(p.chain.Roles) - 1
	return &provider{sessions: p.sessions, chain: p.chain.prefix(hop), keys: p.keys[:hop+1]}
}

// broken puts an error at the last hop of the chain.
func (p *provider) broken(err *Error) *Error {
	e := *err
	e.Hop, e.Hops, e.Ref = len(p.chain.Roles), len(p.chain.Roles), p.ref()
	return &e
}

// brokenBy is what an error means that came while the last hop of the chain was asked for. One that
// an earlier hop reported stays with that.
func (p *provider) brokenBy(err error, format string, args ...any) *Error {
	var earlier *Error
	if errors.As(err, &earlier) {
		return earlier
	}
	return p.broken(AsError(p.ref(), err)).doing(format, args...)
}

// client asks STS with the given credentials, where the chain that is walked leads to partition.
func (p *provider) client(ctx context.Context, partition string, creds awssdk.CredentialsProvider) (STSClient, string, error) {
	last, wanted := p.chain.identity(len(p.chain.Roles)), ""
	switch {
	case last.Role != nil:
		wanted = last.Role.Region
	case last.Keys != nil:
		wanted = last.Keys.Region
	}
	region := p.sessions.regionFor(wanted, partition)
	client, err := p.sessions.client(ctx, region, creds)
	return client, region, err
}

// obtain makes new credentials. asked says that STS was asked, or whoever gives the manager its own identity.
func (p *provider) obtain(ctx context.Context) (g grant, asked bool, err *Error) {
	if len(p.chain.Roles) > 0 {
		return p.assume(ctx)
	}
	if keys := p.chain.Ground.Keys; keys != nil {
		return grant{creds: awssdk.Credentials{
			AccessKeyID:     keys.AccessKeyID,
			SecretAccessKey: keys.SecretAccessKey.Reveal(),
			SessionToken:    keys.SessionToken.Reveal(),
			Source:          "Hawser",
		}}, false, nil
	}
	g, err = p.ground(ctx)
	return g, true, err
}

var _ awssdk.CredentialsProvider = (*provider)(nil)

// reasons by which the credentials that signed a request are to blame, not the request.
func blamesSource(reason string) bool {
	return reason == v1alpha1.ReasonCredentialsExpired || reason == v1alpha1.ReasonCredentialsInvalid
}

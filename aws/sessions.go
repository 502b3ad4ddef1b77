package aws

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Sessions keeps live credentials: one session for each identity of each chain, shared by all chains
// that begin with the same links. A session is made when somebody first asks for it, renewed when
// somebody asks in the last part of its life, and dropped by Evict. The zero value works.
type Sessions struct {
	// Clock decides about expiry. By default the real one.
	Clock clock.WithTicker
	// Ground gives the manager's own identity; it is called for every renewal. By default the SDK's
	// chain: environment, IRSA, Pod Identity, instance.
	Ground func(ctx context.Context) (awssdk.CredentialsProvider, error)
	// STS makes clients. By default those of LoadConfig.
	STS func(region string, creds awssdk.CredentialsProvider) STSClient
	// Region whose STS is asked where an identity names none and its partition has it. AWS_REGION.
	Region string
	// PerSecond bounds how many roles are assumed in a second, over all identities; more have to
	// wait. Zero is without bound.
	PerSecond int
	// Jitter spreads renewals and retries; values in [0,1). By default random.
	Jitter func() float64

	init     sync.Once
	limiter  *rate.Limiter
	configMu sync.Mutex
	config   *awssdk.Config

	mu       sync.Mutex
	sessions map[string]*session
}

// SessionState is what is known of an identity without asking AWS.
type SessionState struct {
	// ARN and AccountID by which STS knows the session; empty where STS was not asked yet.
	ARN, AccountID string
	// ExpiresAt is when the credentials in use end; zero for none and for those that never expire.
	ExpiresAt time.Time
	// Err is why they could not be made or renewed, last time: an *Error. With a session that is
	// still good it is a warning. Nil after a success.
	Err error
}

func (s *Sessions) lazyInit() {
	s.init.Do(func() {
		s.sessions = map[string]*session{}
		if s.Clock == nil {
			s.Clock = clock.RealClock{}
		}
		if s.Jitter == nil {
			s.Jitter = func() float64 { return rand.Float64() }
		}
		if s.PerSecond > 0 {
			s.limiter = rate.NewLimiter(rate.Limit(s.PerSecond), 1)
		}
	})
}

// Provider gives the credentials of a resolved chain, live: it makes and renews them as needed, and
// asks what they are made from anew whenever it has to. Keep the chain's versions right instead of
// the provider: a changed identity is another chain. Its errors are *Errors.
func (s *Sessions) Provider(chain Chain) awssdk.CredentialsProvider { return s.provider(chain) }

func (s *Sessions) provider(chain Chain) *provider {
	s.lazyInit()
	return &provider{sessions: s, chain: chain, keys: chain.fingerprints()}
}

// ProviderRef is the identity whose credentials creds are, where they come from Sessions.
func ProviderRef(creds awssdk.CredentialsProvider) Ref {
	if p, ok := creds.(*provider); ok {
		return p.ref()
	}
	return Ref{}
}

// Session says what is known of a chain's session without asking anybody.
func (s *Sessions) Session(chain Chain) SessionState {
	s.lazyInit()
	s.mu.Lock()
	known := s.sessions[chain.Fingerprint()]
	s.mu.Unlock()
	if known == nil {
		return SessionState{}
	}
	return known.state(len(chain.Roles))
}

// Evict drops the sessions that nobody asked for since the given time.
func (s *Sessions) Evict(unused time.Duration) {
	s.lazyInit()
	before := s.Clock.Now().Add(-unused)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, known := range s.sessions {
		if known.usedAt.Before(before) && !known.busy() {
			delete(s.sessions, key)
		}
	}
}

// CallerIdentity asks STS who the first hop roles of a chain are in the end; 0 is what it starts from.
func (s *Sessions) CallerIdentity(ctx context.Context, chain Chain, hop int) (arn, account string, err error) {
	hops := len(chain.Roles)
	if hop < 0 || hop > hops {
		return "", "", fmt.Errorf("asking who hop %d is: the chain has %d", hop, hops)
	}
	p := s.provider(chain.prefix(hop))
	creds, err := p.Retrieve(ctx)
	if err != nil {
		return "", "", AsError(p.ref(), err).at(hops)
	}
	client, region, err := p.client(ctx, chain.Partition(), p)
	if err != nil {
		return "", "", p.brokenBy(err, "asking STS who it is").at(hops)
	}
	answer, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", "", p.brokenBy(err, "asking the STS of %s who it is", region).at(hops)
	}
	arn, account = awssdk.ToString(answer.Arn), awssdk.ToString(answer.Account)
	p.session().identified(creds, arn, account)
	return arn, account, nil
}

// touch finds the session of the last key, makes it if needed, and marks all of them as used: what is
// in use keeps what it is made from.
func (s *Sessions) touch(keys []string, make func() *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := keys[len(keys)-1]
	if s.sessions[last] == nil {
		s.sessions[last] = make()
	}
	now := s.Clock.Now()
	for _, key := range keys {
		if known := s.sessions[key]; known != nil {
			known.usedAt = now
		}
	}
	return s.sessions[last]
}

// pace waits for the leave to assume one more role.
func (s *Sessions) pace(ctx context.Context) error {
	if s.limiter == nil {
		return nil
	}
	now := s.Clock.Now()
	wait := s.limiter.ReserveN(now, 1).DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	timer := s.Clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// client makes a client of STS.
func (s *Sessions) client(ctx context.Context, region string, creds awssdk.CredentialsProvider) (STSClient, error) {
	if s.STS != nil {
		return s.STS(region, creds), nil
	}
	s.configMu.Lock()
	defer s.configMu.Unlock()
	if s.config == nil {
		cfg, err := LoadConfig(ctx, s.Clock)
		if err != nil {
			return nil, err
		}
		s.config = &cfg
	}
	return STSFrom(*s.config)(region, creds), nil
}

// regionFor is the region whose STS is asked for a partition; wanted is what the identity says.
func (s *Sessions) regionFor(wanted, partition string) string {
	switch {
	case wanted != "":
		return wanted
	case partition == "" && s.Region != "":
		return s.Region
	case s.Region != "" && PartitionOfRegion(s.Region) == partition:
		return s.Region
	}
	return DefaultRegion(partition)
}

// provider is an awssdk.CredentialsProvider for one chain.
type provider struct {
	sessions *Sessions
	chain    Chain
	keys     []string // fingerprints of the prefixes of chain, the ground first
}

// Retrieve implements awssdk.CredentialsProvider.
func (p *provider) Retrieve(ctx context.Context) (awssdk.Credentials, error) {
	creds, err := p.session().credentials(ctx, p.obtain)
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

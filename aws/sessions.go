package aws

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
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
	waiting  atomic.Int32 // for the limiter
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
		e := p.brokenBy(err, "asking the STS of %s who it is", region)
		if blamesSource(e.Reason) {
			p.session().spoil(creds)
		}
		return "", "", e.at(hops)
	}
	arn, account = awssdk.ToString(answer.Arn), awssdk.ToString(answer.Account)
	p.session().identified(creds, arn, account)
	return arn, account, nil
}

// touch finds the session of the last key, makes it if needed, and marks all of them as used: what is
// in use keeps what it is made from.
func (s *Sessions) touch(keys []string, fresh func() *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := keys[len(keys)-1]
	if s.sessions[last] == nil {
		s.sessions[last] = fresh()
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
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
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

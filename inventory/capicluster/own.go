package capicluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/bearertoken"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/member"
)

// DefaultLifetime of the tokens that connections of their own run on.
const DefaultLifetime = time.Hour

// Own makes each connection run on a narrow identity: the member side's service account, which is no administrator,
// and whose token renews itself by its own right (see package member).
//
// The administrator's kubeconfig is used when a connection is first made: the member side is installed with it, and
// a first token minted. It is used again when there is no token that could renew itself, because nobody was there to
// renew it before it expired, or because the cluster refuses it; then only to mint another. What has been removed in the
// cluster meanwhile is not installed again, unless the kubeconfig leads elsewhere.
//
// Nothing is stored: after a restart the kubeconfig is used anew, and the member side is brought up to date. Who is to
// cut a connection for good therefore turns this off first, or takes the kubeconfig away.
type Own struct {
	// Local is the name of the local cluster, by which the remote ones keep the member side. Required. A
	// RemoteCluster that leads to the same cluster shares it.
	Local string
	// Capabilities and Requires are what the identity may do.
	Capabilities []v1alpha1.Capability
	Requires     []v1alpha1.Rule
	// Lifetime of the tokens. Zero means DefaultLifetime.
	Lifetime time.Duration
	// Version of Hawser, recorded in the remote cluster. May be empty.
	Version string
}

func (o *Own) options() member.Options {
	return member.Options{Local: o.Local, Capabilities: o.Capabilities, Requires: o.Requires, Identity: member.ServiceAccount, Version: o.Version}
}

func (o *Own) validate() error {
	if o.Lifetime != 0 && (o.Lifetime < credential.MinLifetime || o.Lifetime > member.DefaultMaxTokenLifetime) {
		return fmt.Errorf("lifetime %s: a token lives between %s and %s", o.Lifetime, credential.MinLifetime, member.DefaultMaxTokenLifetime)
	}
	return o.options().Validate()
}

func (o *Own) lifetime() time.Duration {
	if o.Lifetime == 0 {
		return DefaultLifetime
	}
	return o.Lifetime
}

// cluster is one whose connection runs on an identity of its own. Its Version changes with the address, and not with
// the administrator's credential: that is read when it is needed.
func (o *Own) cluster(name string, a *admin, at credential.Endpoint, clk clock.PassiveClock) inventory.Cluster {
	return inventory.Cluster{
		Spec: connection.Spec{
			Name: name, AuthType: string(v1alpha1.AuthBearerToken), Local: o.Local,
			Checks: member.Checks(o.Local, o.Capabilities, o.Requires, member.ServiceAccount),
		},
		Source:  &source{own: o, name: name, admin: a, clock: clk},
		Version: originOf(at),
	}
}

// originOf names what a token grew from: where it is good.
func originOf(at credential.Endpoint) string {
	return credential.Fingerprint([]byte("own"), []byte(at.Server), at.CAData, []byte(at.TLSServerName), []byte(at.ProxyURL))
}

// admin holds the administrator's credential of one cluster as it is now.
type admin struct {
	mu      sync.Mutex
	current credential.Credential
}

func (a *admin) set(c credential.Credential) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = c
}

func (a *admin) get() credential.Credential {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}

// source yields and renews the token of one cluster. Unlike others it reaches the remote cluster also in Obtain, while it
// has no token: there is nothing else that its connection could do meanwhile.
type source struct {
	own   *Own
	name  string
	admin *admin
	clock clock.PassiveClock

	installed string                // where: the origin of the token that came of it
	last      credential.Credential // zero where there is none, or it was refused
}

// Obtain returns the token that there is, or gets one by the administrator's credential.
func (s *source) Obtain(ctx context.Context) ([]credential.Credential, error) {
	admin := s.admin.get()
	origin := originOf(*admin.Endpoint)
	if s.last.Origin == origin && !s.last.ExpiredAt(s.clock.Now()) {
		return []credential.Credential{s.last}, nil
	}
	c, err := s.issue(ctx, admin, origin)
	if err != nil {
		return nil, fmt.Errorf("issuing a credential of our own for cluster %q with its kubeconfig: %w", s.name, err)
	}
	s.last = c
	return []credential.Credential{c}, nil
}

// issue installs the member side, where that has not been done, and mints a token.
func (s *source) issue(ctx context.Context, admin credential.Credential, origin string) (credential.Credential, error) {
	var none credential.Credential
	i, err := newInstaller(admin)
	if err != nil {
		return none, err
	}
	defer i.close()
	if s.installed != origin {
		if err := i.install(ctx, s.own.options()); err != nil {
			return none, explain(err)
		}
	}
	c, err := i.mint(ctx, s.own.Local, s.own.lifetime(), s.installed != origin)
	if err != nil {
		return none, explain(err)
	}
	s.installed = origin
	endpoint := *admin.Endpoint
	c.Endpoint, c.Origin, c.ObtainedAt = &endpoint, origin, s.clock.Now()
	return c, nil
}

// Renew asks for another token by the right of the one that is renewed.
func (s *source) Renew(ctx context.Context, current credential.Credential, link credential.Link) (credential.Credential, error) {
	next, err := (&bearertoken.Source{Lifetime: s.own.lifetime(), Clock: s.clock}).Renew(ctx, current, link)
	if err != nil {
		return credential.Credential{}, err
	}
	next.Endpoint = current.Endpoint
	s.last = next
	return next, nil
}

// Explain is told that the cluster refused the token: another one is minted the next time.
func (s *source) Explain(_ context.Context, refused error) error {
	if errors.Is(refused, credential.ErrRefused) {
		s.last = credential.Credential{}
	}
	return refused
}

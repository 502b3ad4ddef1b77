package gate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/trust"
)

// Why an identity that is believed gets nothing. Refusals of the token itself have the reasons of package trust.
const (
	reasonNotGranted     = "NotGranted"
	reasonGrantEnded     = "GrantEnded"
	reasonAccountMissing = "AccountMissing"
)

// grants are the AccessGrants of the cluster, found by who they let in. They are kept by an informer.
// What is stored is never changed, so that it can be read after the lock is gone.
type grants struct {
	mu       sync.RWMutex
	byName   map[string]*v1alpha1.AccessGrant
	subjects map[identity]names // grants that name a subject
	patterns map[string]names   // grants with a pattern, by TrustedIssuer
}

// identity is a subject of a TrustedIssuer.
type identity struct{ issuer, subject string }

type names map[string]bool

func newGrants() *grants {
	return &grants{byName: map[string]*v1alpha1.AccessGrant{}, subjects: map[identity]names{}, patterns: map[string]names{}}
}

// set adds a grant, or replaces the one of the same name.
func (g *grants) set(ag *v1alpha1.AccessGrant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(ag.Name)
	g.byName[ag.Name] = ag
	for _, s := range ag.Spec.Subjects {
		switch {
		case s.Issuer == nil:
		case s.Issuer.SubjectPattern != "":
			add(g.patterns, s.Issuer.Name, ag.Name)
		default:
			add(g.subjects, identity{s.Issuer.Name, s.Issuer.Subject}, ag.Name)
		}
	}
}

func (g *grants) remove(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(name)
}

func (g *grants) forget(name string) {
	ag, ok := g.byName[name]
	if !ok {
		return
	}
	delete(g.byName, name)
	for _, s := range ag.Spec.Subjects {
		if s.Issuer != nil {
			drop(g.patterns, s.Issuer.Name, name)
			drop(g.subjects, identity{s.Issuer.Name, s.Issuer.Subject}, name)
		}
	}
}

func add[K comparable](index map[K]names, key K, name string) {
	if index[key] == nil {
		index[key] = names{}
	}
	index[key][name] = true
}

func drop[K comparable](index map[K]names, key K, name string) {
	if delete(index[key], name); len(index[key]) == 0 {
		delete(index, key)
	}
}

// admission is what an identity is let in as.
type admission struct {
	grant   *v1alpha1.AccessGrant
	account string
}

// admit finds the grant of that name which lets the identity in, or without a name the oldest one, so
// that a new grant changes nothing for those who have one.
func (g *grants) admit(issuer, subject, name string, now time.Time) (admission, error) {
	candidates := g.candidates(issuer, subject, name)
	var last error
	for _, ag := range candidates {
		a, err := admitBy(ag, issuer, subject, now)
		if err == nil {
			return a, nil
		}
		last = cmp.Or(last, err)
	}
	switch {
	case last != nil:
		return admission{}, last
	case name != "":
		return admission{}, refuse(reasonNotGranted, fmt.Errorf("there is no AccessGrant %q", name))
	default:
		return admission{}, refuse(reasonNotGranted, errors.New("no AccessGrant names the subject"))
	}
}

// candidates are the grants to look at, the oldest first.
func (g *grants) candidates(issuer, subject, name string) []*v1alpha1.AccessGrant {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if name != "" {
		if ag, ok := g.byName[name]; ok {
			return []*v1alpha1.AccessGrant{ag}
		}
		return nil
	}
	var list []*v1alpha1.AccessGrant
	named := g.subjects[identity{issuer, subject}]
	for name := range named {
		list = append(list, g.byName[name])
	}
	for name := range g.patterns[issuer] {
		if !named[name] {
			list = append(list, g.byName[name])
		}
	}
	slices.SortFunc(list, func(a, b *v1alpha1.AccessGrant) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// admitBy is admit for one grant.
func admitBy(ag *v1alpha1.AccessGrant, issuer, subject string, now time.Time) (admission, error) {
	account, ok := grant.AccountFor(ag, issuer, subject)
	switch {
	case !ok:
		return admission{}, refuse(reasonNotGranted, fmt.Errorf("AccessGrant %q does not name the subject", ag.Name))
	case grant.Ended(ag, now):
		return admission{}, refuse(reasonGrantEnded, fmt.Errorf("AccessGrant %q has ended, or is being deleted", ag.Name))
	case !slices.ContainsFunc(ag.Status.Accounts, func(a v1alpha1.GrantAccount) bool { return a.Name == account }):
		// An account of this name may be somebody else's: only the controller knows whether it made it.
		return admission{}, refuse(reasonAccountMissing, fmt.Errorf("the member controllers have not made the account of AccessGrant %q yet: see its condition Ready", ag.Name))
	}
	return admission{ag, account}, nil
}

// lifetime is how long a token may live that comes of a grant and a token of an issuer: what is asked
// for, no more than either allows, and no less than an API server grants.
func lifetime(asked time.Duration, ag *v1alpha1.AccessGrant, ti *v1alpha1.TrustedIssuer, now time.Time) time.Duration {
	life := min(grant.Lifetime(ag, now), trust.MaxLifetime(&ti.Spec))
	if asked > 0 {
		life = min(life, asked)
	}
	return max(life, minLifetime).Truncate(time.Second)
}

func refuse(reason string, err error) error { return &trust.Refusal{Reason: reason, Err: err} }

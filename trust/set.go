package trust

import (
	"slices"
	"strings"
	"time"
)

// A Set is the issuers that a cluster trusts. It never changes.
type Set struct {
	byURL map[string]*Issuer
}

// NewSet makes a Set. Of two issuers with the same url or the same prefix only the older counts, as
// Conflicts has it: the controller may not have said so yet.
func NewSet(issuers ...*Issuer) *Set {
	issuers = slices.SortedFunc(slices.Values(issuers), func(a, b *Issuer) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	s := &Set{byURL: map[string]*Issuer{}}
	urls, prefixes := map[string]bool{}, map[string]bool{}
	for _, i := range issuers {
		url := canonical(i.url)
		if !urls[url] && !prefixes[i.prefix] {
			s.byURL[i.url] = i
		}
		urls[url], prefixes[i.prefix] = true, true
	}
	return s
}

// Verify proves a token of any of the issuers. The error is a *Refusal.
func (s *Set) Verify(token string, now time.Time) (Identity, error) {
	t, refusal := parseToken(token)
	if refusal != nil {
		return Identity{}, refusal
	}
	i := s.byURL[t.issuer]
	if i == nil {
		return Identity{}, refuse(UnknownIssuer, "it is of %.200q, which no TrustedIssuer in use has", t.issuer)
	}
	return i.verifyParsed(t, now)
}

// Issuer returns the issuer of the given name, or nil: for what is known of it besides a token's identity.
func (s *Set) Issuer(name string) *Issuer {
	for _, i := range s.byURL {
		if i.name == name {
			return i
		}
	}
	return nil
}

package trust

import (
	"slices"
	"time"
)

// Leeway is by how much the clocks of an issuer and of this cluster may differ.
const Leeway = 30 * time.Second

// Identity is who a token is of, proved.
type Identity struct {
	// Issuer is the name of the TrustedIssuer.
	Issuer string
	// Subject is the name within the issuer, without the prefix: what an AccessGrant's subject names.
	Subject string
	// User is the name in this cluster: the prefix and the subject.
	User string
	// Groups in this cluster, each with the prefix.
	Groups []string
	// TokenID is the claim jti, empty where the token has none.
	TokenID string
	// IssuedAt and ExpiresAt are when the token's life begins and ends.
	IssuedAt, ExpiresAt time.Time
}

// Verify proves a token at a time, and tells whose it is. The error is a *Refusal.
func (i *Issuer) Verify(token string, now time.Time) (Identity, error) {
	t, refusal := parseToken(token)
	if refusal != nil {
		return Identity{}, refusal
	}
	return i.verifyParsed(t, now)
}

func (i *Issuer) verifyParsed(t *token, now time.Time) (Identity, error) {
	id, refusal := i.prove(t, now)
	if refusal != nil {
		refusal.Issuer = i.name
		return Identity{}, refusal
	}
	return id, nil
}

// prove checks the signature before it looks at what was signed.
func (i *Issuer) prove(t *token, now time.Time) (Identity, *Refusal) {
	switch {
	case t.issuer != i.url:
		return Identity{}, refuse(UnknownIssuer, "it is of %.200q", t.issuer)
	case i.unjudged != 0:
		return Identity{}, refuse(NotJudged, "generation %d of the TrustedIssuer is not judged yet", i.unjudged)
	}
	if refusal := i.checkSignature(t, now); refusal != nil {
		return Identity{}, refusal
	}
	if refusal := i.checkTimes(t, now); refusal != nil {
		return Identity{}, refusal
	}
	if !slices.ContainsFunc(t.audiences, func(a string) bool { return slices.Contains(i.audiences, a) }) {
		return Identity{}, refuse(WrongAudience, "it is for %.200q, not for %q", t.audiences, i.audiences)
	}
	id := Identity{Issuer: i.name, TokenID: t.id, IssuedAt: t.issuedAt, ExpiresAt: t.expiresAt}
	if refusal := i.mapping.apply(t, i.prefix, &id); refusal != nil {
		return Identity{}, refusal
	}
	return id, nil
}

// checkSignature tries the key that the token names; where it names none, the only one there is.
func (i *Issuer) checkSignature(t *token, now time.Time) *Refusal {
	var candidates []usedKey
	for _, k := range i.keys {
		if k.usable(now) && k.signs(t.algorithm) && (t.keyID == "" || t.keyID == k.ID) {
			candidates = append(candidates, k)
		}
	}
	switch {
	case len(candidates) == 0:
		return refuse(UnknownKey, "no key in use is called %.100q and signs by %s", t.keyID, t.algorithm)
	case t.keyID == "" && len(candidates) > 1:
		return refuse(UnknownKey, "it does not say which of %d keys it is signed with", len(candidates))
	}
	for _, k := range candidates {
		if _, err := t.signed.Verify(k.jwk.Key); err == nil {
			return nil
		}
	}
	return refuse(BadSignature, "its signature is not that of key %.100q", t.keyID)
}

func (i *Issuer) checkTimes(t *token, now time.Time) *Refusal {
	const layout = time.RFC3339
	switch lifetime := t.expiresAt.Sub(t.issuedAt); {
	case !now.Before(t.expiresAt.Add(Leeway)):
		return refuse(Expired, "it expired at %s", t.expiresAt.UTC().Format(layout))
	case t.notBefore.After(now.Add(Leeway)):
		return refuse(NotYetValid, "it is valid from %s", t.notBefore.UTC().Format(layout))
	case t.issuedAt.After(now.Add(Leeway)):
		return refuse(NotYetValid, "it is issued at %s", t.issuedAt.UTC().Format(layout))
	case lifetime > i.maxLifetime:
		return refuse(LifetimeTooLong, "it lives for %s, longer than %s", lifetime, i.maxLifetime)
	}
	return nil
}

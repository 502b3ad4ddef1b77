package awstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// oidcProvider is an issuer that an account knows.
type oidcProvider struct {
	issuer    string
	audiences []string
	client    *http.Client
}

// OIDCProvider registers an issuer of web identities with the account, as IAM has to know it before a role can
// trust it, and returns its ARN. ca is the PEM certificate that its server is verified by; without one, those of
// the system. The keys are fetched anew for each token.
func (a *Account) OIDCProvider(issuer string, ca []byte, audiences ...string) string {
	provider := &oidcProvider{issuer: issuer, audiences: audiences, client: issuerClient(ca)}
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	id := a.arn("iam", "oidc-provider/"+strings.TrimPrefix(issuer, "https://"))
	a.providers[id] = provider
	return id
}

func issuerClient(ca []byte) *http.Client {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			panic("awstest: the CA of an issuer is not PEM")
		}
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// assumeRoleWithWebIdentity believes the token of an issuer that the role's account knows and its trust names.
func (r *request) assumeRoleWithWebIdentity() (any, *Failure) {
	w, failure := r.readWish()
	if failure != nil {
		return nil, failure
	}
	raw := r.params.Get("WebIdentityToken")
	claimed, err := claimedIssuer(raw)
	if err != nil {
		return nil, refuse(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	host := strings.TrimPrefix(claimed, "https://")
	denial := refuse(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")

	r.mu.Lock()
	role, _ := r.find(w.role)
	var provider *oidcProvider
	var providerARN string
	if role != nil {
		providerARN = role.account.arn("iam", "oidc-provider/"+host)
		provider = role.account.providers[providerARN]
	}
	now, off := r.now(), r.disabled[r.region]
	r.mu.Unlock()
	switch {
	case role == nil:
		return nil, denial
	case off:
		return nil, regionDisabled(r.region, role.account.ID)
	case provider == nil:
		return nil, refuse(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for %s", claimed)
	}
	token, audience, failure := provider.verify(r.http.Context(), raw, now) // not under the lock: it asks the issuer
	if failure != nil {
		return nil, failure
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	decision := role.trust.decide(question{
		action: "sts:AssumeRoleWithWebIdentity", resource: w.role,
		caller: &asker{federated: providerARN},
		context: map[string][]string{
			strings.ToLower(host + ":sub"): {token.Subject},
			strings.ToLower(host + ":aud"): {audience},
			"sts:rolesessionname":          {w.session.Name},
		},
	})
	if role.deleted || (decision != allowed && decision != granted) {
		return nil, denial
	}
	return role.grant(w, assumeRoleResult{
		SubjectFromWebIdentityToken: token.Subject, Audience: audience, Provider: providerARN,
	})
}

// verify checks signature, issuer, audience and times against the issuer's own keys. Of several audiences, the first
// that the provider knows is the one that conditions see.
func (p *oidcProvider) verify(ctx context.Context, raw string, now time.Time) (token *oidc.IDToken, audience string, failure *Failure) {
	ctx = oidc.ClientContext(ctx, p.client)
	issuer, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		return nil, "", fetchFailure(err)
	}
	token, err = issuer.VerifierContext(ctx, &oidc.Config{
		SkipClientIDCheck: true, // any of several is checked below
		Now:               func() time.Time { return now },
	}).Verify(ctx, raw)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return nil, "", refuse(400, "ExpiredTokenException", "Token expired: current date/time %d must be before the expiration date/time %d",
			now.Unix(), expired.Expiry.Unix())
	case err != nil:
		return nil, "", fetchFailure(err)
	}
	i := slices.IndexFunc(token.Audience, func(a string) bool { return slices.Contains(p.audiences, a) })
	if i < 0 {
		return nil, "", refuse(400, "InvalidIdentityToken", "Incorrect token audience")
	}
	return token, token.Audience[i], nil
}

// fetchFailure tells an issuer that does not answer from a token or issuer that is wrong.
func fetchFailure(err error) *Failure {
	var network *net.OpError
	var timeout net.Error
	if errors.As(err, &network) || (errors.As(err, &timeout) && timeout.Timeout()) {
		return refuse(400, "IDPCommunicationError", "Could not reach the identity provider: %v", err)
	}
	return refuse(400, "InvalidIdentityToken", "The token could not be verified with the keys of your identity provider: %v", err)
}

// claimedIssuer reads iss from a token that nobody has verified yet.
func claimedIssuer(raw string) (string, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "", errors.New("reading token: it has no three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("reading token: %w", err)
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("reading token: %w", err)
	}
	return claims.Issuer, nil
}

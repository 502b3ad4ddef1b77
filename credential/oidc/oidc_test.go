package oidc_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/oidc"
	"github.com/hawser-io/hawser/trust/exchange"
)

func asInput(err error, in **credential.InputError) bool { return errors.As(err, in) }

// counted makes tokens of an issuer.
type counted struct {
	t      *testing.T
	issuer *issuer
	made   int
	life   time.Duration // asked for last
	err    error
}

func (c *counted) Token(_ context.Context, audience string, life time.Duration) (credential.Credential, error) {
	c.made++
	c.life = life
	if c.err != nil {
		return credential.Credential{}, c.err
	}
	token := credential.NewToken(c.issuer.sign(c.t, "me", life, audience), "")
	token.ObtainedAt = time.Now()
	return token, nil
}

func (c *counted) Fingerprint() string { return "counted" }

func one(t *testing.T, source credential.Source) credential.Credential {
	t.Helper()
	list, err := source.Obtain(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("Obtain returned %d credentials and error %v", len(list), err)
	}
	return list[0]
}

func TestATokenIsMadeOnceAndAgainWhenItIsRenewedOrRefused(t *testing.T) {
	tokens := &counted{t: t, issuer: newIssuer(t, "https://issuer.example.com")}
	s := &oidc.Source{Tokens: tokens, Audience: fixed("hawser:1"), Clock: clk}
	first := one(t, s)
	if again := one(t, s); !again.Equal(first) || tokens.made != 1 {
		t.Errorf("%d tokens were made for two looks", tokens.made)
	}
	if tokens.life != time.Hour || first.Watched || first.Subject != "me" {
		t.Errorf("the token was asked for %s, and is %+v", tokens.life, first)
	}
	next, err := s.Renew(t.Context(), first, nil)
	if err != nil || next.Equal(first) || next.Origin != first.Origin {
		t.Errorf("the next is equal: %t, of the same origin: %t, error %v", next.Equal(first), next.Origin == first.Origin, err)
	}
	if again := one(t, s); !again.Equal(next) {
		t.Error("the input is not what was renewed")
	}
	hasReason(t, s.Explain(t.Context(), credential.ErrRefused), v1alpha1.ReasonRefused, "hawser trust render", `"hawser:1"`)
	if again := one(t, s); again.Equal(next) {
		t.Error("a token that was refused is handed out again")
	}
}

func TestAnotherAudienceIsAnotherToken(t *testing.T) {
	tokens := &counted{t: t, issuer: newIssuer(t, "https://issuer.example.com")}
	audience, refused := "hawser:1", error(nil)
	s := &oidc.Source{Tokens: tokens, Audience: func(context.Context) (string, error) { return audience, refused }, Clock: clk}
	first := one(t, s)
	audience = "hawser:2"
	second := one(t, s)
	if second.Equal(first) || second.Origin == first.Origin {
		t.Error("the token for the old audience is handed out")
	}
	refused = &credential.InputError{Reason: v1alpha1.ReasonAudienceShared, Err: errors.New("it is shared")}
	if list, err := s.Obtain(t.Context()); len(list) > 0 {
		t.Errorf("a token for a shared audience is handed out (%v)", err)
	}
	if _, err := s.Renew(t.Context(), second, nil); err == nil {
		t.Error("it is renewed for a shared audience")
	}
	refused = nil
	if third := one(t, s); third.Equal(second) {
		t.Error("the token that was made before goes on")
	}
}

func TestATokenIsBoundToWhereItsPredecessorWasProved(t *testing.T) {
	tokens := &counted{t: t, issuer: newIssuer(t, "https://issuer.example.com")}
	before := &credential.Binding{Server: "https://before"}
	s := &oidc.Source{Tokens: tokens, Audience: fixed("hawser:1"), Binding: before, Clock: clk}
	first := one(t, s)
	if first.Binding != before {
		t.Errorf("the first token is bound to %+v", first.Binding)
	}
	first.Binding = &credential.Binding{Server: "https://now"}
	if err := s.Keep(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if next, err := s.Renew(t.Context(), first, nil); err != nil || next.Binding.Server != "https://now" {
		t.Errorf("the next is bound to %+v (%v)", next.Binding, err)
	}
}

func TestAGateGivesTheTokenThatIsUsed(t *testing.T) {
	from, remote := newIssuer(t, "https://local.example.com"), newIssuer(t, "https://remote.example.com")
	life, says := 30*time.Minute, 1800
	server, ca := serve(t, func(r *http.Request) (any, error) {
		subject, err := from.verify(r.FormValue("subject_token"), "hawser:1")
		if err != nil || r.FormValue("audience") != "hawser:1" || r.FormValue("scope") != "shop" || r.FormValue("lifetime") != "2700" {
			return nil, errors.Join(err, errors.New("the token was not accepted"))
		}
		return map[string]any{"access_token": remote.sign(t, "granted-to-"+subject, life), "issued_token_type": exchange.TypeAccessToken, "token_type": "Bearer", "expires_in": says}, nil
	})
	tokens := &counted{t: t, issuer: from}
	gate := &oidc.Gate{Client: exchange.Client{URL: server.URL, CAData: ca}, Grant: "shop", Lifetime: 45 * time.Minute}
	s := &oidc.Source{Tokens: tokens, Audience: fixed("hawser:1"), Gate: gate, Clock: clk}
	got := one(t, s)
	if got.Subject != "granted-to-me" || got.Lifetime() != life {
		t.Errorf("the token is for %s, and good for %s", got.Subject, got.Lifetime())
	}
	if tokens.life != credential.MinLifetime {
		t.Errorf("what the gate is shown was asked for %s, which is longer than it is needed", tokens.life)
	}
	if again := one(t, s); !again.Equal(got) || tokens.made != 1 {
		t.Error("the gate is asked again for nothing")
	}
	says = 900 // what is said counts where it is less
	if next, err := s.Renew(t.Context(), got, nil); err != nil || next.Lifetime() != 15*time.Minute {
		t.Errorf("the next is good for %s (%v)", next.Lifetime(), err)
	}
	hasReason(t, s.Explain(t.Context(), credential.ErrRefused), v1alpha1.ReasonRefused, server.URL)

	gate.Grant = "other"
	_, err := s.Obtain(t.Context())
	hasReason(t, err, v1alpha1.ReasonExchangeFailed, server.URL, "the token was not accepted")
}

func TestTheFaultOfATokenIsNamed(t *testing.T) {
	tokens := &counted{t: t, issuer: newIssuer(t, "https://issuer.example.com"), err: errors.New("asking the issuer: it is away")}
	s := &oidc.Source{Tokens: tokens, Audience: fixed("hawser:1"), Clock: clk}
	_, err := s.Obtain(t.Context())
	hasReason(t, err, v1alpha1.ReasonTokenFailed, "it is away")
	_, err = s.Renew(t.Context(), credential.Credential{}, nil)
	hasReason(t, err, v1alpha1.ReasonTokenFailed, "it is away")
	tokens.err = &credential.InputError{Reason: v1alpha1.ReasonAudienceShared, Err: errors.New("it is shared")}
	_, err = s.Obtain(t.Context())
	hasReason(t, err, v1alpha1.ReasonAudienceShared, "it is shared")

	server, ca := serve(t, func(*http.Request) (any, error) {
		return map[string]any{"access_token": "opaque", "token_type": "Bearer"}, nil
	})
	s = &oidc.Source{Tokens: &counted{t: t, issuer: newIssuer(t, "https://issuer.example.com")}, Audience: fixed("hawser:1"), Clock: clk, Gate: &oidc.Gate{Client: exchange.Client{URL: server.URL, CAData: ca}}}
	_, err = s.Obtain(t.Context())
	hasReason(t, err, v1alpha1.ReasonTokenFailed, "it has no end")
}

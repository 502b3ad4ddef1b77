package gate

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/tools/cache"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/trust/exchange"
)

func TestOurOwnClientGetsAToken(t *testing.T) {
	e := enter(t)
	w := e.workload(t)
	g := e.start()
	e.trust("primary", w.cluster)
	subject := named(w.subject())
	subject.Issuer.Name = "primary"
	e.grant("enter", subject)
	g.mustAsk(w.token(), nil)

	client := exchange.Client{URL: g.url, CAData: g.certificate.pem}
	asked := exchange.Request{SubjectToken: credential.NewSecret(w.token()), Audience: e.audience, Scope: "enter", Lifetime: 15 * time.Minute}
	got, err := client.Exchange(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if got.ExpiresIn < 14*time.Minute || got.ExpiresIn > 15*time.Minute || got.IssuedTokenType != exchange.TypeAccessToken {
		t.Errorf("got %+v", got)
	}
	if _, err := g.as(got.Token.Reveal()).Discovery().ServerVersion(); err != nil {
		t.Errorf("using the token: %v", err)
	}

	asked.Scope = "no-such"
	var refused *exchange.Error
	if _, err = client.Exchange(t.Context(), asked); !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || refused.Description != notAccepted.description {
		t.Errorf("without a grant: %v", err)
	}
}

func TestFiguresTellWhatHappened(t *testing.T) {
	d := newDoor(t, granted("ci", time.Hour, named(subject)))
	d.limits = newLimiter(Limits{Issuer: Limit{1, 100}, Subject: Limit{0.001, 1}})
	d.ask(d.token(nil), nil)
	d.ask(d.token(nil), nil)
	d.ask(d.token(map[string]any{"aud": "hawser:another"}), nil)
	d.ask("junk", nil)
	d.post(nil)
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(d.figures); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP hawser_gate_exchanges_total Requests to exchange a token, by TrustedIssuer (empty where none was proved) and result: ok, or why not.
# TYPE hawser_gate_exchanges_total counter
hawser_gate_exchanges_total{issuer="",result="Malformed"} 1
hawser_gate_exchanges_total{issuer="",result="MalformedRequest"} 1
hawser_gate_exchanges_total{issuer="b",result="RateLimited"} 1
hawser_gate_exchanges_total{issuer="b",result="WrongAudience"} 1
hawser_gate_exchanges_total{issuer="b",result="ok"} 1
# HELP hawser_gate_exchanges_in_flight Requests that are being answered.
# TYPE hawser_gate_exchanges_in_flight gauge
hawser_gate_exchanges_in_flight 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "hawser_gate_exchanges_total", "hawser_gate_exchanges_in_flight"); err != nil {
		t.Error(err)
	}
	d.figures.forget("b")
	if n := testutil.CollectAndCount(d.figures.exchanges); n != 2 {
		t.Errorf("%d counters are left when the issuer is deleted, want 2", n)
	}
}

func TestGateIsReadyOnlyWhileItServes(t *testing.T) {
	s := &server{synced: []cache.InformerSynced{func() bool { return false }}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Start(ctx); err != nil { // it does not know all issuers and grants, and so listens nowhere
		t.Error(err)
	}
	if err := s.check(nil); err == nil {
		t.Error("ready without having listened")
	}
	s.ready.Store(true)
	if err := s.check(nil); err != nil {
		t.Error(err)
	}
}

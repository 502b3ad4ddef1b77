package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/gate"
	"github.com/hawser-io/hawser/trust/exchange"
)

// issuer measures how long identities of an issuer are let in after its TrustedIssuer is deleted: to the
// last new request that the cluster accepts from a thief who holds both a token of the issuer, which is
// good for an hour, and one that the gate gave for it, and asks for more as often as it can.
func issuer(b *bench.Bench) error {
	plenty := gate.Limit{PerSecond: 1e6, Burst: 1e6}
	alpha, err := b.Enter("alpha", gate.Limits{Issuer: plenty, Subject: plenty})
	if err != nil {
		return err
	}
	defer alpha.End()
	primary, admin, err := b.Cluster("primary")
	if err != nil {
		return err
	}
	name, err := bench.NewWorkload(b.Ctx, admin, "thief")
	if err != nil {
		return err
	}
	subject := "system:serviceaccount:" + metav1.NamespaceDefault + ":" + name
	token, err := bench.Mint(b.Ctx, primary, metav1.NamespaceDefault, name, alpha.Audience)
	if err != nil {
		return err
	}
	t := &trespasser{
		alpha: alpha, foreign: credential.NewSecret(token),
		client: exchange.Client{URL: alpha.GateURL, CAData: alpha.GateCA},
	}
	var worst, worstAtGate time.Duration
	for i := range runs {
		let := v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: primary.Name, Subject: subject}}
		inside, atGate, err := t.once(b, fmt.Sprintf("thief-%d", i), let)
		if err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		b.Say("issuer: last accepted after %s, last exchanged after %s", inside, atGate)
		worst, worstAtGate = max(worst, inside), max(worstAtGate, atGate)
	}
	note := fmt.Sprintf("the worst of %d, from the deletion of the TrustedIssuer to", runs)
	b.Add("issuer_s", worst.Seconds(), "s", note+" the last new request that the API server accepts with a token from the gate")
	b.Add("issuer_gate_s", worstAtGate.Seconds(), "s", note+" the last token that the gate gives")
	return nil
}

// trespasser goes on with what it has, and exchanges its foreign token again and again.
type trespasser struct {
	alpha   *bench.Entered
	foreign credential.Secret
	client  exchange.Client
}

// once lets the thief in, revokes the issuer, and returns when it was last let in, and when the gate last gave it a token.
func (t *trespasser) once(b *bench.Bench, grant string, let v1alpha1.GrantSubject) (inside, atGate time.Duration, err error) {
	primary, _, err := b.Cluster("primary")
	if err != nil {
		return 0, 0, err
	}
	ti, err := t.alpha.Trust(primary)
	if err != nil {
		return 0, 0, err
	}
	ag, err := t.alpha.Grant(grant, let)
	if err != nil {
		return 0, 0, err
	}
	var first kubernetes.Interface
	if err := bench.Until(b.Ctx, "the gate to learn of both", func() bool {
		first, err = t.enter(b.Ctx)
		return err == nil
	}); err != nil {
		return 0, 0, err
	}
	if err := ask(b.Ctx, first); err != nil {
		return 0, 0, fmt.Errorf("before the revocation: %w", err)
	}
	latest := first
	begin := time.Now()
	if err := t.alpha.Admin.Delete(b.Ctx, ti); err != nil {
		return 0, 0, err
	}
	last, lastAtGate := begin, begin
	for time.Since(last) < quiet {
		if next, err := t.enter(b.Ctx); err == nil {
			latest, lastAtGate = next, time.Now()
		}
		for _, held := range []kubernetes.Interface{first, latest} {
			if ask(b.Ctx, held) == nil {
				last = time.Now()
			}
		}
		if err := b.Ctx.Err(); err != nil {
			return 0, 0, err
		}
	}
	return last.Sub(begin), lastAtGate.Sub(begin), t.alpha.Admin.Delete(b.Ctx, ag)
}

// enter exchanges the foreign token for one of alpha.
func (t *trespasser) enter(ctx context.Context) (kubernetes.Interface, error) {
	got, err := t.client.Exchange(ctx, exchange.Request{SubjectToken: t.foreign})
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(t.alpha.Cluster.TokenConfig(got.Token.Reveal()))
}

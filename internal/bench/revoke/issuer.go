package main

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
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
	var worst lasts
	for i := range runs {
		let := v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: primary.Name, Subject: subject}}
		last, err := t.once(b, fmt.Sprintf("thief-%d", i), let)
		if err != nil {
			return fmt.Errorf("issuer: %w", err)
		}
		b.Say("issuer: last exchanged after %s, last allowed after %s, last known after %s", last.exchanged, last.allowed, last.known)
		worst = lasts{max(worst.exchanged, last.exchanged), max(worst.allowed, last.allowed), max(worst.known, last.known)}
	}
	note := fmt.Sprintf("the worst of %d, from the deletion of the TrustedIssuer to", runs)
	b.Add("issuer_s", worst.known.Seconds(), "s", note+" the last new request that is not 401, with a token from the gate: API servers remember a good one for 10 s")
	b.Add("issuer_rights_s", worst.allowed.Seconds(), "s", note+" the last that is allowed what the grant allowed")
	b.Add("issuer_gate_s", worst.exchanged.Seconds(), "s", note+" the last token that the gate gives")
	return nil
}

// lasts is how long after the revocation something was last possible.
type lasts struct{ exchanged, allowed, known time.Duration }

// trespasser goes on with what it has, and exchanges its foreign token again and again.
type trespasser struct {
	alpha   *bench.Entered
	foreign credential.Secret
	client  exchange.Client
}

// once lets the thief in, revokes the issuer, and returns what was possible for how long.
func (t *trespasser) once(b *bench.Bench, grant string, let v1alpha1.GrantSubject) (last lasts, err error) {
	primary, _, err := b.Cluster("primary")
	if err != nil {
		return lasts{}, err
	}
	ti, err := t.alpha.Trust(primary)
	if err != nil {
		return lasts{}, err
	}
	ag, err := t.alpha.Grant(grant, let)
	if err != nil {
		return lasts{}, err
	}
	var first kubernetes.Interface
	if err := bench.Until(b.Ctx, "the thief to be let in", func() bool {
		first, err = t.enter(b.Ctx)
		return err == nil && ask(b.Ctx, first) == nil
	}); err != nil {
		return lasts{}, err
	}
	latest := first
	begin := time.Now()
	if err := t.alpha.Admin.Delete(b.Ctx, ti); err != nil {
		return lasts{}, err
	}
	for time.Since(begin)-max(last.exchanged, last.allowed, last.known) < quiet {
		if next, err := t.enter(b.Ctx); err == nil {
			latest, last.exchanged = next, time.Since(begin)
		}
		for _, held := range []kubernetes.Interface{first, latest} {
			if ask(b.Ctx, held) == nil {
				last.allowed = time.Since(begin)
			}
			if known(b.Ctx, held) {
				last.known = time.Since(begin)
			}
		}
		if err := b.Ctx.Err(); err != nil {
			return lasts{}, err
		}
	}
	return last, t.alpha.Admin.Delete(b.Ctx, ag)
}

// known reports whether the API server still knows whose token it is, whatever that may do.
func known(ctx context.Context, held kubernetes.Interface) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := held.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return err == nil
}

// enter exchanges the foreign token for one of alpha.
func (t *trespasser) enter(ctx context.Context) (kubernetes.Interface, error) {
	got, err := t.client.Exchange(ctx, exchange.Request{SubjectToken: t.foreign})
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(t.alpha.Cluster.TokenConfig(got.Token.Reveal()))
}

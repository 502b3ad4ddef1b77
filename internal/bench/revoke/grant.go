package main

import (
	"context"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/gate"
)

// accessGrant measures how long somebody is let in after their AccessGrant is deleted: to the last new
// request that the cluster accepts from a thief who holds the credential of the connection, mints tokens of
// the grant's account with it, and tries the first of them and the latest as often as it can.
func accessGrant(b *bench.Bench) error {
	alpha, err := b.Enter("alpha", gate.Limits{})
	if err != nil {
		return err
	}
	defer alpha.End()
	thief, err := connectionOf(b, alpha)
	if err != nil {
		return err
	}
	var worst, worstMinted time.Duration
	for i := range runs {
		inside, minted, err := thief.once(b, fmt.Sprintf("stolen-%d", i))
		if err != nil {
			return fmt.Errorf("grant: %w", err)
		}
		b.Say("grant: last accepted after %s, last minted after %s", inside, minted)
		worst, worstMinted = max(worst, inside), max(worstMinted, minted)
	}
	note := fmt.Sprintf("the worst of %d, from the deletion of the AccessGrant to", runs)
	b.Add("grant_s", worst.Seconds(), "s", note+" the last new request that is accepted with a token of its account")
	b.Add("grant_mint_s", worstMinted.Seconds(), "s", note+" the last such token that is given")
	return nil
}

// minter holds the credential of a connection.
type minter struct {
	alpha *bench.Entered
	kube  kubernetes.Interface
}

// connectionOf makes the account of a connection, and steals a token of it.
func connectionOf(b *bench.Bench, alpha *bench.Entered) (minter, error) {
	ns := v1alpha1.MemberNamespace(bench.Local)
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.MemberServiceAccount}},
	} {
		if err := client.IgnoreAlreadyExists(alpha.Admin.Create(b.Ctx, obj)); err != nil {
			return minter{}, fmt.Errorf("making a connection's account: %w", err)
		}
	}
	token, err := bench.Mint(b.Ctx, alpha.Cluster, ns, v1alpha1.MemberServiceAccount)
	if err != nil {
		return minter{}, err
	}
	kube, err := kubernetes.NewForConfig(alpha.Cluster.TokenConfig(token))
	return minter{alpha, kube}, err
}

// once grants, revokes, and returns when the thief was last let in, and when it last got a token.
func (m minter) once(b *bench.Bench, name string) (inside, minted time.Duration, err error) {
	subject := v1alpha1.GrantSubject{LocalCluster: &v1alpha1.GrantLocalCluster{Name: bench.Local, Namespace: "shop"}}
	ag, err := m.alpha.Grant(name, subject)
	if err != nil {
		return 0, 0, err
	}
	account := grant.AccountName(name, subject)
	var first kubernetes.Interface
	if err := bench.Until(b.Ctx, "the first token", func() bool {
		first, err = m.enter(b.Ctx, account)
		return err == nil && ask(b.Ctx, first) == nil
	}); err != nil {
		return 0, 0, err
	}
	latest := first
	begin := time.Now()
	if err := m.alpha.Admin.Delete(b.Ctx, ag); err != nil {
		return 0, 0, err
	}
	last, lastMinted := begin, begin
	for time.Since(last) < quiet {
		if next, err := m.enter(b.Ctx, account); err == nil {
			latest, lastMinted = next, time.Now()
		}
		for _, held := range []kubernetes.Interface{first, latest} {
			if accepted(b.Ctx, held) {
				last = time.Now()
			}
		}
		if err := b.Ctx.Err(); err != nil {
			return 0, 0, err
		}
	}
	return last.Sub(begin), lastMinted.Sub(begin), nil
}

// accepted reports whether a token is still believed, whether or not it is still good for anything: a
// refusal of rights comes sooner, and is no end of an identity.
func accepted(ctx context.Context, held kubernetes.Interface) bool {
	err := ask(ctx, held)
	return err == nil || apierrors.IsForbidden(err)
}

// enter mints a token of a grant's account.
func (m minter) enter(ctx context.Context, account string) (kubernetes.Interface, error) {
	asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	answer, err := m.kube.CoreV1().ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(ctx, account, asked, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(m.alpha.Cluster.TokenConfig(answer.Status.Token))
}

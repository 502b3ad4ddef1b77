// Command gate measures the token exchange: how many a second two cores do, and how long one takes at
// half of that. The cores are shared by everything: API server and etcd of the cluster that is entered,
// gate, and those who ask, each with a connection of its own for each token, as our own client has.
package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
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

const (
	subjects = 20
	askers   = 16 // at the same time, for as many a second as there can be
	warmUp   = 2 * time.Second
	measured = 15 * time.Second
)

func main() {
	bench.Main("gate", []string{"primary", "alpha"}, func(b *bench.Bench) error {
		s := &scene{Bench: b}
		if err := s.set(); err != nil {
			return err
		}
		defer s.alpha.End()
		alone, err := s.asMany(s.mint)
		if err != nil {
			return err
		}
		b.Say("the API server alone: %.0f tokens a second", alone)
		rate, err := s.asMany(s.exchange)
		if err != nil {
			return err
		}
		took, err := s.steadily(rate / 2)
		if err != nil {
			return err
		}
		note := fmt.Sprintf("%d cores, also those of the API server and of who asks; %d subjects; a TLS connection for each token", runtime.NumCPU(), subjects)
		b.Add("exchanges_per_second", rate, "1/s", fmt.Sprintf("%s; %d at the same time for %s", note, askers, measured))
		b.Add("p99_ms", bench.Milliseconds(bench.Quantile(took, 0.99)), "ms", fmt.Sprintf("of %d at %.0f a second, from when each was due", len(took), rate/2))
		b.Add("p50_ms", bench.Milliseconds(bench.Median(took)), "ms", "of the same")
		b.Add("api_server_tokens_per_second", alone, "1/s", "TokenRequests of the same askers to the API server itself, without TLS handshakes: what no gate can exceed")
		return nil
	})
}

// scene is a cluster with a gate, and workloads of another one with a token each.
type scene struct {
	*bench.Bench
	alpha  *bench.Entered
	kube   kubernetes.Interface
	client exchange.Client
	tokens []credential.Secret
	grant  *v1alpha1.AccessGrant
}

func (s *scene) set() error {
	primary, admin, err := s.Cluster("primary")
	if err != nil {
		return err
	}
	plenty := gate.Limit{PerSecond: 1e6, Burst: 1e6}
	if s.alpha, err = s.Enter("alpha", gate.Limits{Issuer: plenty, Subject: plenty}); err != nil {
		return err
	}
	if _, err := s.alpha.Trust(primary); err != nil {
		return err
	}
	var let []v1alpha1.GrantSubject
	for i := range subjects {
		name, err := bench.NewWorkload(s.Ctx, admin, fmt.Sprintf("w%d", i))
		if err != nil {
			return err
		}
		token, err := bench.Mint(s.Ctx, primary, metav1.NamespaceDefault, name, s.alpha.Audience)
		if err != nil {
			return err
		}
		s.tokens = append(s.tokens, credential.NewSecret(token))
		let = append(let, v1alpha1.GrantSubject{Issuer: &v1alpha1.GrantIssuer{Name: "primary", Subject: "system:serviceaccount:" + metav1.NamespaceDefault + ":" + name}})
	}
	if s.grant, err = s.alpha.Grant("bench", let...); err != nil {
		return err
	}
	s.kube = s.alpha.Cluster.Client()
	s.client = exchange.Client{URL: s.alpha.GateURL, CAData: s.alpha.GateCA}
	return bench.Until(s.Ctx, "the gate to learn of the grant", func() bool { return s.exchange(s.Ctx, 0) == nil })
}

// exchange exchanges the token of one subject.
func (s *scene) exchange(ctx context.Context, i int) error {
	_, err := s.client.Exchange(ctx, exchange.Request{SubjectToken: s.tokens[i%subjects]})
	return err
}

// mint has the API server do what it does for an exchange, and nothing else.
func (s *scene) mint(ctx context.Context, i int) error {
	hour := int64(3600)
	asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}
	account := s.grant.Status.Accounts[i%len(s.grant.Status.Accounts)].Name
	_, err := s.kube.CoreV1().ServiceAccounts(v1alpha1.GrantsNamespace).CreateToken(ctx, account, asked, metav1.CreateOptions{})
	return err
}

// asMany does something as often as it goes, and returns how often that is in a second.
func (s *scene) asMany(do func(context.Context, int) error) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(s.Ctx, warmUp+measured, errOver)
	defer cancel()
	var n, counted atomic.Int64
	begin := time.Now()
	err := askAll(askers, func() error {
		for {
			err := do(ctx, int(n.Add(1)))
			if context.Cause(ctx) == errOver { //nolint:errorlint // the very value
				return nil
			}
			if err != nil {
				cancel()
				return err
			}
			if time.Since(begin) > warmUp {
				counted.Add(1)
			}
		}
	})
	return float64(counted.Load()) / measured.Seconds(), err
}

// steadily exchanges at a rate, and returns how long after it was due each was done: who has to wait
// because others are slow has waited, too.
func (s *scene) steadily(rate float64) ([]time.Duration, error) {
	total := int(rate * measured.Seconds())
	took := make([]time.Duration, total)
	var next atomic.Int64
	begin := time.Now()
	err := askAll(8*askers, func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= total {
				return nil
			}
			due := begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			timer := time.NewTimer(time.Until(due))
			select {
			case <-s.Ctx.Done():
				timer.Stop()
				return s.Ctx.Err()
			case <-timer.C:
			}
			if err := s.exchange(s.Ctx, i); err != nil {
				return err
			}
			took[i] = time.Since(due)
		}
	})
	return took, err
}

// errOver ends what is measured.
var errOver = errors.New("it is over")

// askAll runs so many of them until all have returned, and returns one of their errors.
func askAll(many int, ask func() error) error {
	var wg sync.WaitGroup
	errs := make(chan error, many)
	for range many {
		wg.Go(func() { errs <- ask() })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

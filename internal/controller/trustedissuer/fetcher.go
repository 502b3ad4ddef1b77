package trustedissuer

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

const (
	// refresh is how often an issuer that answers is asked for its keys.
	refresh = 5 * time.Minute
	// retryFirst and retryMost are how long one that does not is left alone: longer each time.
	retryFirst, retryMost = 15 * time.Second, 5 * time.Minute
	// unknownKeyEvery is how often it is asked because tokens name a key that it was not known to have:
	// anybody can make such tokens.
	unknownKeyEvery = 30 * time.Second
	// atOnce is how many are asked side by side. Each ends by trust.FetchTimeout.
	atOnce = 64
	// tick is how often the fetcher looks whose time has come.
	tick = time.Second
)

// answer is what an issuer published when it last answered, and what went wrong since.
type answer struct {
	keys []trust.Key
	at   time.Time // to the second, as the API server stores it
	err  error
}

// fetcher asks issuers for their keys, now and then and side by side, and remembers the answers. One
// that hangs holds up a goroutine of its own until the deadline, and no reconcile.
type fetcher struct {
	fetch func(context.Context, *v1alpha1.TrustedIssuerSpec) ([]trust.Key, error)
	clock clock.WithTicker
	// changed is called, without waiting, when an issuer answered, or fails in a new way.
	changed func(name string)

	wake  chan struct{}
	slots chan struct{}

	mu    sync.Mutex
	known map[string]*entry
}

type entry struct {
	spec      v1alpha1.TrustedIssuerSpec
	answer    answer
	attempted time.Time
	due       time.Time
	failures  int
	asking    bool
}

func newFetcher(c clock.WithTicker) *fetcher {
	return &fetcher{
		fetch: trust.Fetch, clock: c, changed: func(string) {},
		wake: make(chan struct{}, 1), slots: make(chan struct{}, atOnce), known: map[string]*entry{},
	}
}

// ask returns what is known of an issuer's keys, and sees to it that more will be. It does not wait.
func (f *fetcher) ask(ti *v1alpha1.TrustedIssuer) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, now := f.known[ti.Name], f.clock.Now()
	if e == nil || !sameWay(&e.spec, &ti.Spec) {
		e = &entry{spec: *ti.Spec.DeepCopy()}
		if fetched := ti.Status.FetchedAt; f.known[ti.Name] == nil && fetched != nil && ti.Generation == ti.Status.ObservedGeneration && len(ti.Status.Keys) > 0 {
			e.due = fetched.Add(refresh) // another process of ours asked not long ago
		}
		f.known[ti.Name] = e
	}
	if last := ti.Status.LastFailure; last != nil && mayBeNewKey(last.Reason) && !last.Time.Time.Before(e.attempted.Truncate(time.Second)) {
		if soon := e.attempted.Add(unknownKeyEvery); soon.Before(e.due) {
			e.due = soon
		}
	}
	if !now.Before(e.due) {
		f.poke()
	}
	return e.answer
}

// mayBeNewKey reports whether a token that was refused so may have been signed with a key that is new,
// or that replaced another one of the same name.
func mayBeNewKey(reason string) bool {
	return reason == trust.UnknownKey || reason == trust.BadSignature
}

func sameWay(a, b *v1alpha1.TrustedIssuerSpec) bool {
	return a.URL == b.URL && a.DiscoveryURL == b.DiscoveryURL && a.CAData == b.CAData
}

func (f *fetcher) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, name)
}

func (f *fetcher) poke() {
	select {
	case f.wake <- struct{}{}:
	default: // a round is on its way
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*fetcher) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable: it asks until ctx ends, and returns when every question has ended.
func (f *fetcher) Start(ctx context.Context) error {
	var questions sync.WaitGroup
	defer questions.Wait()
	ticker := f.clock.NewTicker(tick)
	defer ticker.Stop()
	for {
		f.round(ctx, &questions)
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		case <-ticker.C():
		}
	}
}

func (f *fetcher) round(ctx context.Context, questions *sync.WaitGroup) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	for name, e := range f.known {
		if e.asking || now.Before(e.due) {
			continue
		}
		e.asking, e.attempted = true, now
		questions.Go(func() { f.question(ctx, name, e) })
	}
}

// question ends by its deadline, or with ctx.
func (f *fetcher) question(ctx context.Context, name string, e *entry) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return
	}
	keys, err := f.fetch(ctx, &e.spec) // the spec of an entry never changes
	f.mu.Lock()
	news := err == nil || e.answer.err == nil || steady(err) != steady(e.answer.err)
	now := f.clock.Now()
	e.asking, e.answer.err = false, err
	if err == nil {
		e.answer.keys, e.answer.at = keys, now.Truncate(time.Second)
		e.failures, e.due = 0, now.Add(jitter(refresh))
	} else {
		e.due = now.Add(jitter(min(retryFirst<<min(e.failures, 8), retryMost)))
		e.failures++
	}
	current, changed := f.known[name] == e, f.changed
	f.mu.Unlock()
	if current && news {
		changed(name)
	}
}

// jitter keeps many from asking in step: between nine and eleven tenths.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

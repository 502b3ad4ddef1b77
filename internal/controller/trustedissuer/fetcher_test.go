package trustedissuer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/trust"
)

// issuers are answered for by the test.
type issuers struct {
	*fetcher
	t     *testing.T
	clock *testingclock.FakeClock

	mu    sync.Mutex
	asked map[string]int
	down  map[string]error
	hangs map[string]bool
	told  map[string]int
}

func newIssuers(t *testing.T) *issuers {
	clock := testingclock.NewFakeClock(noon)
	i := &issuers{fetcher: newFetcher(clock), t: t, clock: clock, asked: map[string]int{}, down: map[string]error{}, hangs: map[string]bool{}, told: map[string]int{}}
	i.fetcher.fetch = func(ctx context.Context, spec *v1alpha1.TrustedIssuerSpec) ([]trust.Key, error) {
		i.mu.Lock()
		i.asked[spec.URL]++
		err, hangs := i.down[spec.URL], i.hangs[spec.URL]
		i.mu.Unlock()
		if hangs {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return []trust.Key{{ID: "1"}}, err
	}
	i.fetcher.changed = func(name string) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.told[name]++
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = i.Start(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	fleettest.Eventually(t, 30*time.Second, func() error {
		if !clock.HasWaiters() {
			return errors.New("the fetcher has not started")
		}
		return nil
	})
	return i
}

func issuer(name string) *v1alpha1.TrustedIssuer {
	return &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TrustedIssuerSpec{URL: name}}
}

// wait waits until an issuer was asked so often, and has answered.
func (i *issuers) wait(name string, times int) {
	i.t.Helper()
	fleettest.Eventually(i.t, 30*time.Second, func() error {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.fetcher.mu.Lock()
		defer i.fetcher.mu.Unlock()
		if i.asked[name] < times || i.known[name].asking {
			return errors.New("it has not been asked yet")
		}
		if i.asked[name] > times {
			i.t.Fatalf("%s was asked %d times, want %d", name, i.asked[name], times)
		}
		return nil
	})
}

// step lets time pass. A round that finds nothing to do leaves no trace, so one of another issuer is waited for.
func (i *issuers) step(d time.Duration) {
	i.t.Helper()
	i.clock.Step(d)
	probe := issuer("probe-" + i.clock.Now().String())
	i.ask(probe)
	i.wait(probe.Name, 1)
	i.forget(probe.Name)
}

func TestFetcherAsksNowAndThen(t *testing.T) {
	i := newIssuers(t)
	a := issuer("a")
	if got := i.ask(a); got.keys != nil || got.err != nil {
		t.Errorf("before it was asked: %+v", got)
	}
	i.wait("a", 1)
	if got := i.ask(a); len(got.keys) != 1 || !got.at.Equal(noon) {
		t.Errorf("it answered %+v", got)
	}
	i.step(refresh / 2)
	i.wait("a", 1)
	i.step(refresh)
	i.wait("a", 2)
	if got := i.ask(a); !got.at.After(noon) {
		t.Errorf("it answered at %s", got.at)
	}
	if i.told["a"] != 2 {
		t.Errorf("it was told of %d answers, want 2", i.told["a"])
	}
}

func TestFetcherGoesOnFromWhatTheStatusSays(t *testing.T) {
	i := newIssuers(t)
	a := issuer("a")
	a.Status.FetchedAt, a.Status.Keys = &metav1.Time{Time: noon.Add(-time.Minute)}, []v1alpha1.IssuerKey{{}}
	i.ask(a)
	i.step(time.Second)
	i.wait("a", 0)
	i.step(refresh)
	i.wait("a", 1)
}

func TestFetcherBacksOff(t *testing.T) {
	i := newIssuers(t)
	i.down["a"] = errors.New("down")
	a := issuer("a")
	i.ask(a)
	i.wait("a", 1)
	if got := i.ask(a); got.err == nil || got.keys != nil {
		t.Errorf("it answered %+v", got)
	}
	i.step(retryFirst * 12 / 10)
	i.wait("a", 2)
	i.step(retryFirst * 12 / 10) // now it is left alone for twice as long
	i.wait("a", 2)
	i.step(retryFirst)
	i.wait("a", 3)
	if i.told["a"] != 1 {
		t.Errorf("the same failure was told %d times", i.told["a"])
	}
	i.mu.Lock()
	delete(i.down, "a")
	i.mu.Unlock()
	i.step(retryMost)
	i.wait("a", 4)
	if got := i.ask(a); got.err != nil || len(got.keys) != 1 {
		t.Errorf("it recovered to %+v", got)
	}
}

func TestFetcherKeepsTheAnswerWhenTheIssuerFails(t *testing.T) {
	i := newIssuers(t)
	a := issuer("a")
	i.ask(a)
	i.wait("a", 1)
	i.mu.Lock()
	i.down["a"] = errors.New("down")
	i.mu.Unlock()
	i.step(refresh * 2)
	i.wait("a", 2)
	if got := i.ask(a); got.err == nil || len(got.keys) != 1 || !got.at.Equal(noon) {
		t.Errorf("it says %+v", got)
	}
}

// Whoever sends tokens that name unknown keys makes us ask, but not as often as they like.
func TestFetcherAsksBecauseOfAnUnknownKey(t *testing.T) {
	for _, reason := range []string{trust.UnknownKey, trust.BadSignature} {
		t.Run(reason, func(t *testing.T) {
			i := newIssuers(t)
			a := issuer("a")
			i.ask(a)
			i.wait("a", 1)
			fail := func() {
				a.Status.LastFailure = &v1alpha1.IssuerFailure{Reason: reason, Time: metav1.Time{Time: i.clock.Now()}}
				i.ask(a)
			}
			i.step(5 * time.Second)
			fail()
			i.step(time.Second)
			i.wait("a", 1) // half a minute has not passed since
			i.step(unknownKeyEvery)
			i.wait("a", 2)
			i.ask(a) // the failure is older than the answer now
			i.step(unknownKeyEvery * 2)
			i.wait("a", 2)
			fail()
			i.wait("a", 3)
		})
	}
	t.Run("not because of other failures", func(t *testing.T) {
		i := newIssuers(t)
		a := issuer("a")
		i.ask(a)
		i.wait("a", 1)
		i.step(unknownKeyEvery * 2)
		a.Status.LastFailure = &v1alpha1.IssuerFailure{Reason: trust.Expired, Time: metav1.Time{Time: i.clock.Now()}}
		i.ask(a)
		i.step(time.Second)
		i.wait("a", 1)
	})
}

func TestAHungIssuerHarmsNoOther(t *testing.T) {
	i := newIssuers(t)
	hung := []string{"h1", "h2", "h3"}
	for _, name := range hung { // all before the first is asked
		i.hangs[name] = true
	}
	for _, name := range hung {
		i.ask(issuer(name))
	}
	i.ask(issuer("a"))
	i.wait("a", 1)
	i.step(refresh)
	for _, name := range []string{"h1", "h2", "h3"} {
		i.mu.Lock()
		if i.asked[name] != 1 {
			t.Errorf("%s is asked %d times at once", name, i.asked[name])
		}
		i.mu.Unlock()
	}
}

func TestFetcherStartsAnewAtAnotherAddress(t *testing.T) {
	i := newIssuers(t)
	a := issuer("a")
	i.ask(a)
	i.wait("a", 1)
	a.Spec.URL = "elsewhere"
	if got := i.ask(a); got.keys != nil {
		t.Errorf("keys of the old address are told: %+v", got)
	}
	fleettest.Eventually(t, 30*time.Second, func() error {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.asked["elsewhere"] != 1 {
			return errors.New("the new one has not been asked")
		}
		return nil
	})
}

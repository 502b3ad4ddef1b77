package accessrequest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
)

// fake is a remote that answers what a test wants.
type fake struct {
	mu      sync.Mutex
	mintErr map[string]error // by cluster
	dead    bool             // tokens that are looked at are
	minted  map[string]int
	hang    map[string]bool
	now     func() time.Time
}

func (f *fake) mint(ctx context.Context, w want) (held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hang[w.cluster] {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return held{}, ctx.Err()
	}
	f.minted[w.cluster]++
	if err := f.mintErr[w.cluster]; err != nil {
		return held{}, err
	}
	now := f.now()
	token := credential.NewSecret(fmt.Sprint("token-", f.minted[w.cluster]))
	return held{id: w.id, subject: "x", cred: credential.Credential{Token: token, IssuedAt: now, ObtainedAt: now, ExpiresAt: now.Add(w.lifetime)}}, nil
}

func (f *fake) check(context.Context, want, held) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return fmt.Errorf("asking: %w", credential.ErrRefused)
	}
	return nil
}

func (f *fake) set(change func(f *fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fake) count(cluster string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.minted[cluster]
}

// bench is a minter with a fake remote and a fake clock.
type bench struct {
	*Minter
	t      *testing.T
	remote *fake
	clock  *testingclock.FakeClock
	told   chan types.NamespacedName
}

func newBench(t *testing.T) *bench {
	clk := testingclock.NewFakeClock(start)
	f := &fake{mintErr: map[string]error{}, minted: map[string]int{}, hang: map[string]bool{}, now: clk.Now}
	b := &bench{Minter: newMinter(t.Context(), f, clk), t: t, remote: f, clock: clk, told: make(chan types.NamespacedName, 1000)}
	b.tell(func(key types.NamespacedName) { b.told <- key })
	t.Cleanup(b.Close)
	return b
}

func key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

func wanted(cluster string) want {
	return want{cluster: cluster, account: "g", lifetime: time.Hour, id: "id", seed: "s"}
}

// ask looks, waits for the attempt that this begins, and looks again.
func (b *bench) ask(name, cluster string) known {
	b.t.Helper()
	b.look(key(name), wanted(cluster), nil)
	select {
	case <-b.told:
	case <-time.After(10 * time.Second):
		b.t.Fatal("nothing was learned")
	}
	return b.look(key(name), wanted(cluster), nil)
}

func TestATokenIsMintedOnceAndThenLookedAt(t *testing.T) {
	b := newBench(t)
	if k := b.ask("a", "alpha"); k.held == nil || k.err != nil {
		t.Fatalf("it knows %+v", k)
	}
	for range 3 {
		b.clock.Step(2 * checkEvery)
		if k := b.ask("a", "alpha"); k.held == nil || k.held.cred.Token.Reveal() != "token-1" {
			t.Fatalf("it knows %+v", k)
		}
	}
	b.clock.Step(40 * time.Minute)
	if k := b.ask("a", "alpha"); k.held == nil || k.held.cred.Token.Reveal() != "token-2" {
		t.Errorf("after half of its life it knows %+v", k)
	}
}

func TestATokenThatDiedIsReplacedAtOnce(t *testing.T) {
	b := newBench(t)
	b.ask("a", "alpha")
	b.remote.set(func(f *fake) { f.dead = true })
	b.clock.Step(2 * checkEvery)
	if k := b.ask("a", "alpha"); k.held == nil || k.held.cred.Token.Reveal() != "token-2" {
		t.Errorf("it knows %+v", k)
	}
}

func TestATokenThatDiedAndIsNotGrantedAnyMoreIsGone(t *testing.T) {
	b := newBench(t)
	b.ask("a", "alpha")
	b.remote.set(func(f *fake) { f.dead, f.mintErr["alpha"] = true, &refusal{errors.New("no")} })
	b.clock.Step(2 * checkEvery)
	var refused *refusal
	if k := b.ask("a", "alpha"); k.held != nil || !errors.As(k.err, &refused) {
		t.Errorf("it knows %+v", k)
	}
}

func TestATokenIsLookedAtWhileTheConnectionIsDown(t *testing.T) {
	for name, age := range map[string]time.Duration{"before its renewal": 2 * checkEvery, "when it should be renewed": 40 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.ask("a", "alpha")
			b.remote.set(func(f *fake) { f.mintErr["alpha"] = &notReadyError{"down"} })
			b.clock.Step(age)
			if k := b.ask("a", "alpha"); k.held == nil || k.dead {
				t.Fatalf("of a token that is good it knows %+v", k)
			}
			b.remote.set(func(f *fake) { f.dead = true })
			b.clock.Step(2 * checkEvery)
			for range 2 { // it stays dead
				if k := b.ask("a", "alpha"); k.held != nil || !k.dead || k.err == nil {
					t.Errorf("of a token that died it knows %+v", k)
				}
				b.clock.Step(2 * checkEvery)
			}
			b.remote.set(func(f *fake) { f.mintErr["alpha"] = nil })
			if k := b.ask("a", "alpha"); k.held == nil || k.dead {
				t.Errorf("with the connection back it knows %+v", k)
			}
		})
	}
}

func TestAFailedRenewalLeavesTheTokenUntilItEnds(t *testing.T) {
	b := newBench(t)
	b.ask("a", "alpha")
	b.remote.set(func(f *fake) { f.mintErr["alpha"] = errors.New("timeout") })
	b.clock.Step(40 * time.Minute)
	if k := b.ask("a", "alpha"); k.held == nil || k.err == nil {
		t.Fatalf("it knows %+v", k)
	}
	b.clock.Step(25 * time.Minute)
	if k := b.ask("a", "alpha"); k.held != nil || k.err == nil {
		t.Errorf("after its end it knows %+v", k)
	}
}

func TestADeadClusterHoldsUpNobodyElse(t *testing.T) {
	b := newBench(t)
	b.remote.set(func(f *fake) { f.hang["dead"] = true })
	for i := range 200 {
		b.look(key(fmt.Sprint("dead-", i)), wanted("dead"), nil)
	}
	began := time.Now()
	for i := range 5 {
		if k := b.ask(fmt.Sprint("live-", i), "alpha"); k.held == nil {
			t.Fatalf("it knows %+v", k)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("others took %s", took)
	}
}

func TestTheRequestsForOneClusterKeepToItsBudget(t *testing.T) {
	b := newBench(t)
	for i := range 100 {
		b.look(key(fmt.Sprint("r-", i)), wanted("alpha"), nil)
	}
	for range perSecond {
		<-b.told
	}
	if n := b.remote.count("alpha"); n > 2*perSecond {
		t.Errorf("%d tokens were asked for at once, of a budget of %d a second", n, perSecond)
	}
}

func TestAFirstTokenDoesNotWaitForThoseThatAreLookedAt(t *testing.T) {
	b := newBench(t)
	for i := range 20 * perSecond { // twenty seconds of looking
		b.look(key(fmt.Sprint("r-", i)), wanted("alpha"), lasting("id", time.Hour))
	}
	fleettest.Eventually(t, 30*time.Second, func() error { // all of them have a turn
		b.mu.Lock()
		defer b.mu.Unlock()
		if left := b.lanes["alpha"].checks.Tokens(); left > -15*perSecond {
			return fmt.Errorf("%.0f turns are left", left)
		}
		return nil
	})
	began := time.Now()
	b.look(key("first"), wanted("alpha"), nil)
	for told := ""; told != "first"; told = (<-b.told).Name {
		if time.Since(began) > 5*time.Second {
			t.Fatal("it waits with the others")
		}
	}
}

func TestWhileAnAttemptIsUnderWayNobodyComesToLook(t *testing.T) {
	b := newBench(t)
	b.remote.set(func(f *fake) { f.hang["dead"] = true })
	b.look(key("a"), wanted("dead"), nil)
	b.clock.Step(time.Second)
	if k := b.look(key("a"), wanted("dead"), nil); k.due.Sub(b.clock.Now()) < checkEvery {
		t.Errorf("it is to be looked at in %s", k.due.Sub(b.clock.Now()))
	}
}

func TestWhatIsForgottenIsNotToldOf(t *testing.T) {
	b := newBench(t)
	b.ask("a", "alpha")
	b.Forget(key("a"))
	b.mu.Lock()
	left := len(b.entries)
	b.mu.Unlock()
	if left != 0 {
		t.Errorf("%d entries are left", left)
	}
}

func TestEveryAttemptEndsWithTheMinter(t *testing.T) {
	b := newBench(t)
	b.remote.set(func(f *fake) { f.hang["dead"] = true })
	for i := range 50 {
		b.look(key(fmt.Sprint("dead-", i)), wanted("dead"), nil)
	}
	done := make(chan struct{})
	go func() { b.Close(); close(done) }() // ends with Close, which is what is tried
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it did not end")
	}
	if k := b.look(key("later"), wanted("alpha"), nil); k.held != nil || b.remote.count("alpha") != 0 {
		t.Error("an attempt began after the end")
	}
}

func TestAnOutputIsGoneOnWithAfterARestart(t *testing.T) {
	b := newBench(t)
	k := b.look(key("a"), wanted("alpha"), lasting("id", time.Hour))
	if k.held == nil {
		t.Fatal("it did not take the token that was found")
	}
	fleettest.Eventually(t, 30*time.Second, func() error {
		select {
		case <-b.told:
			return nil
		default:
			return errors.New("it was not looked at")
		}
	})
	if n := b.remote.count("alpha"); n != 0 {
		t.Errorf("%d tokens were asked for, want none", n)
	}
}

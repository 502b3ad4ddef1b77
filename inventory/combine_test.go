package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/inventory"
)

// notes is a Sink that writes down what it is told.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notes) Set(c inventory.Cluster) { n.add("set %s %s", c.Spec.Name, c.Version) }
func (n *notes) Remove(name string)      { n.add("remove %s", name) }
func (n *notes) Fault(name string, err error) {
	n.add("fault %s: %v", name, err)
}
func (n *notes) Synced() { n.add("synced") }

// take returns what was told since the last time.
func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

// script is an inventory that a test plays: each function is one run.
type script []func(ctx context.Context, to inventory.Sink) error

func (s *script) Run(ctx context.Context, to inventory.Sink) error {
	next := (*s)[0]
	if len(*s) > 1 {
		*s = (*s)[1:]
	}
	return next(ctx, to)
}

// tells sets clusters "name version", is in sync, and goes on until the end.
func tells(clusters ...string) func(context.Context, inventory.Sink) error {
	return func(ctx context.Context, to inventory.Sink) error {
		for _, c := range clusters {
			to.Set(cluster(c))
		}
		to.Synced()
		<-ctx.Done()
		return nil
	}
}

func cluster(text string) inventory.Cluster {
	name, version, _ := strings.Cut(text, " ")
	return inventory.Cluster{Spec: connection.Spec{Name: name}, Version: version}
}

func want(t *testing.T, n *notes, lines ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(lines, n.take()); diff != "" {
		t.Errorf("what was told (-want +got)\n%s", diff)
	}
}

// start runs an inventory until the test ends.
func start(t *testing.T, inv inventory.Inventory) *notes {
	t.Helper()
	n := &notes{}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- inv.Run(ctx, n) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v after its context had ended", err)
		}
	})
	return n
}

func TestAPrefixStandsBeforeEveryName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, inventory.Prefixed("kind#", &script{func(ctx context.Context, to inventory.Sink) error {
			to.Set(cluster("dev 1"))
			to.Fault("bad", errors.New("why"))
			to.Fault("", errors.New("no kind"))
			to.Remove("old")
			to.Synced()
			<-ctx.Done()
			return nil
		}}))
		want(t, n, "set kind#dev 1", "fault kind#bad: why", "fault kind#: no kind", "remove kind#old", "synced")
	})
}

func TestAllAreInSyncOnceEachIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		slow := &script{func(ctx context.Context, to inventory.Sink) error {
			<-ready
			to.Set(cluster("b 1"))
			to.Synced()
			to.Synced()
			<-ctx.Done()
			return nil
		}}
		n := start(t, inventory.All(&script{tells("a 1")}, slow))
		want(t, n, "set a 1")
		close(ready)
		want(t, n, "set b 1", "synced")
	})
}

func TestNoInventoriesAreInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { want(t, start(t, inventory.All()), "synced") })
}

func TestAnInventoryThatEndsIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := clocktesting.NewFakeClock(time.Now())
		fail := make(chan error)
		broken := &script{
			func(_ context.Context, to inventory.Sink) error {
				to.Set(cluster("a 1"))
				to.Set(cluster("b 1"))
				to.Set(cluster("c 1"))
				to.Fault("b", errors.New("old"))
				to.Synced()
				return <-fail
			},
			func(context.Context, inventory.Sink) error { return errors.New("still ill") },
			func(ctx context.Context, to inventory.Sink) error {
				to.Set(cluster("b 1"))
				to.Fault("c", errors.New("malformed"))
				to.Synced()
				<-ctx.Done()
				return nil
			},
		}
		n := start(t, &inventory.Combined{
			Inventories: []inventory.Inventory{inventory.Prefixed("x/", broken), &script{tells("quiet 1")}},
			Clock:       clock,
		})
		synctest.Wait()
		n.take()

		fail <- errors.New("ill")
		want(t, n, "fault x/: inventory x/ ended, and is started again in 1s: ill")
		clock.Step(time.Second)
		synctest.Wait()
		if lines := n.take(); len(lines) != 1 || !strings.HasSuffix(lines[0], "still ill") {
			t.Errorf("told %q, want one fault: what was told before stands", lines)
		}
		clock.Step(2 * time.Second)
		synctest.Wait()
		got := n.take()
		if diff := cmp.Diff([]string{"set x/b 1", "fault x/c: malformed"}, got[:2]); diff != "" {
			t.Errorf("first, what the new run tells (-want +got)\n%s", diff)
		}
		rest := map[string]bool{}
		for _, line := range got[2:] {
			rest[line] = true
		}
		if diff := cmp.Diff(map[string]bool{"remove x/a": true, "fault x/b: <nil>": true, "fault x/: <nil>": true}, rest); diff != "" {
			t.Errorf("then, what it no longer tells goes, and neither c nor the other inventory (-want +got)\n%s", diff)
		}
	})
}

func TestOneThatFailsAgainAndAgainIsStartedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := clocktesting.NewFakeClock(time.Now())
		runs := 0
		start(t, &inventory.Combined{Clock: clock, Inventories: []inventory.Inventory{&script{func(context.Context, inventory.Sink) error {
			runs++
			return errors.New("ill")
		}}}})
		for range 3600 {
			synctest.Wait()
			clock.Step(time.Second)
		}
		synctest.Wait()
		if runs < 15 || runs > 25 {
			t.Errorf("it was started %d times in an hour, want about 20", runs)
		}
	})
}

func TestOneThatHasNothingMoreToTellKeepsItsClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, inventory.All(&script{func(_ context.Context, to inventory.Sink) error {
			to.Set(cluster("a 1"))
			return nil
		}}))
		want(t, n, "set a 1", "synced")
	})
}

func TestANameBelongsToTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := make(chan func(inventory.Sink)), make(chan func(inventory.Sink))
		listen := func(acts <-chan func(inventory.Sink)) *script {
			return &script{func(ctx context.Context, to inventory.Sink) error {
				for {
					select {
					case act := <-acts:
						act(to)
					case <-ctx.Done():
						return nil
					}
				}
			}}
		}
		n := start(t, inventory.All(listen(first), listen(second)))
		set := func(text string) func(inventory.Sink) {
			return func(to inventory.Sink) { to.Set(cluster(text)) }
		}
		left := `cluster "a" of inventory_test.script#2 is left out: inventory_test.script has one of that name already`

		first <- set("a 1")
		want(t, n, "set a 1")
		second <- set("a 2")
		want(t, n, "fault a: "+left)
		second <- set("a 3")
		want(t, n)
		first <- func(to inventory.Sink) { to.Fault("a", errors.New("malformed")) }
		want(t, n, "fault a: malformed\n"+left)
		first <- set("a 4")
		first <- func(to inventory.Sink) { to.Fault("a", nil) }
		want(t, n, "set a 4", "fault a: "+left)
		first <- func(to inventory.Sink) { to.Remove("a") }
		want(t, n, "remove a", "set a 3", "fault a: <nil>")
		first <- set("a 5")
		want(t, n, `fault a: cluster "a" of inventory_test.script is left out: inventory_test.script#2 has one of that name already`)
		first <- func(to inventory.Sink) { to.Remove("a") }
		want(t, n, "fault a: <nil>")
		second <- func(to inventory.Sink) { to.Remove("a"); to.Remove("a"); to.Remove("b") }
		want(t, n, "remove a")
	})
}

func TestAFaultClaimsNoName(t *testing.T) {
	n := &notes{}
	c := inventory.NewClaims(n)
	c.Fault("one", "a", errors.New("malformed"))
	c.Set("two", cluster("a 2"))
	c.Set("one", cluster("a 1"))
	c.Remove("two", "a")
	c.Fault("one", "a", nil)
	got := n.take()
	wanted := []string{
		"fault a: malformed", "set a 2",
		"fault a: cluster \"a\" of one is left out: two has one of that name already\nmalformed",
		"remove a", "set a 1", "fault a: malformed", "fault a: <nil>",
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("what was told (-want +got)\n%s", diff)
	}
}

func TestWhatARunLeftBehindIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		n := start(t, inventory.All(&script{func(_ context.Context, to inventory.Sink) error {
			go func() {
				<-late
				to.Set(cluster("ghost 1"))
			}()
			return nil
		}}))
		want(t, n, "synced")
		close(late)
		want(t, n)
	})
}

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/fleettest"
)

// wall is a way to a cluster that nothing comes through.
type wall struct{}

func (wall) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("the way is cut")
}

func refused() *rest.Config { return &rest.Config{Host: "https://cluster.invalid", Transport: wall{}} }

// A list may take its time: as long as nothing has gone wrong, a cluster that is followed for the first time, or over another
// connection, only begins to be.
func TestAClusterBeginsToBeFollowedUntilItIsListedOrSomethingGoesWrong(t *testing.T) {
	starting, off := Gap{Reason: ReasonNotConnected, Message: "starting"}, Gap{Reason: ReasonDisabled, Message: "off"}
	unreachable := Gap{Reason: ReasonUnreachable, Message: "no answer"}
	follow := func(c *Catalog, of Cluster) { _ = c.Follow(context.Background(), of) }
	list := func(c *Catalog) {
		for _, t := range c.clusters["alpha"].feed.tables {
			_ = t.Replace(nil, "")
		}
	}
	for name, tt := range map[string]struct {
		after func(*Catalog, Cluster)
		want  bool
	}{
		"it has no connection yet":     {func(c *Catalog, of Cluster) { c.Suspend(of, starting) }, true},
		"its connection does not work": {func(c *Catalog, of Cluster) { c.Suspend(of, starting); c.Doubt("alpha", unreachable) }, false},
		"its connection works again": {func(c *Catalog, of Cluster) {
			c.Suspend(of, starting)
			c.Doubt("alpha", unreachable)
			c.Doubt("alpha", Gap{})
		}, true},
		"it is disabled":                      {func(c *Catalog, of Cluster) { c.Suspend(of, off) }, false},
		"it may contribute nothing":           {func(c *Catalog, of Cluster) { c.Bar(of, off) }, false},
		"it is followed":                      {follow, true},
		"it is followed, and does not answer": {func(c *Catalog, of Cluster) { of.Config = refused(); follow(c, of) }, false},
		"it is followed, and a probe failed":  {func(c *Catalog, of Cluster) { follow(c, of); c.Doubt("alpha", unreachable) }, false},
		"it is listed":                        {func(c *Catalog, of Cluster) { follow(c, of); list(c) }, false},
		"it is suspended before it is listed": {func(c *Catalog, of Cluster) { follow(c, of); c.Suspend(of, starting) }, false},
		"it is listed over another connection": {func(c *Catalog, of Cluster) {
			follow(c, of)
			list(c)
			of.Config = unanswered()
			follow(c, of)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCatalog(CatalogOptions{})
			defer c.Close()
			tt.after(c, Cluster{Name: "alpha", ID: "id", Config: unanswered(), Bounds: bounds("10.4.0.0/16")})
			fleettest.Eventually(t, 30*time.Second, func() error { // it may take a moment until something has gone wrong
				if s, ok := c.State("alpha"); !ok || s.Beginning != tt.want || s.Beginning && s.StaleSince.IsZero() || s.Bounds.Extent() != "10.4.0.0/16" {
					return fmt.Errorf("it is %+v", s)
				}
				return nil
			})
		})
	}
}

// Bounds that somebody changes while a cluster is not followed are told, as what was made of it may lie outside.
func TestBoundsOfAClusterThatIsNotFollowedAreTold(t *testing.T) {
	c := NewCatalog(CatalogOptions{})
	defer c.Close()
	told := 0
	defer c.Notify(func(string) { told++ })()
	of, off := Cluster{Name: "alpha", ID: "id", Bounds: bounds("10.4.0.0/16", "10.6.0.0/16")}, Gap{Reason: ReasonDisabled, Message: "off"}
	c.Suspend(of, off)
	of.Bounds = bounds("10.6.0.0/16", "10.4.0.0/16")
	c.Suspend(of, off)
	if told != 1 {
		t.Errorf("it was told %d times of a cluster that is as it was", told)
	}
	of.Bounds = bounds("10.4.0.0/16")
	c.Suspend(of, off)
	if s, _ := c.State("alpha"); told != 2 || s.Bounds.Extent() != "10.4.0.0/16" {
		t.Errorf("it was told %d times, and its bounds are %s", told, s.Bounds.Extent())
	}
}

// A probe comes seldom. What it has doubted is no matter of doubt any more when all that had failed works again.
func TestADoubtIsOverWhenWhatFailedWorksAgain(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	c := NewCatalog(CatalogOptions{Clock: clock})
	defer c.Close()
	if err := c.Follow(context.Background(), Cluster{Name: "alpha", ID: "id", Config: unanswered(), Bounds: bounds("10.4.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	unreachable := Gap{Reason: ReasonUnreachable, Message: "no answer to a probe"}
	feed := c.clusters["alpha"].feed
	for _, t := range feed.tables {
		_ = t.Replace(nil, "")
	}
	fails := func(yes bool) {
		feed.staleMu.Lock()
		defer feed.staleMu.Unlock()
		if feed.stale = clock.Now(); !yes {
			feed.stale, feed.mended = time.Time{}, clock.Now()
		}
	}
	doubted := func(want string) {
		t.Helper()
		s, _ := c.State("alpha")
		got := ""
		if !s.StaleSince.IsZero() {
			got = s.StaleSince.Format("05")
		}
		for _, g := range s.Gaps {
			if g == unreachable {
				got += ", as a probe says"
			}
		}
		if got != want {
			t.Errorf("at %s it is stale since %q, want %q", clock.Now().Format("05"), got, want)
		}
		clock.Step(time.Second)
	}
	doubted("")
	c.Doubt("alpha", unreachable)
	doubted("01, as a probe says")
	fails(true)
	doubted("01")
	fails(false)
	doubted("")
	fails(true) // it is another silence
	doubted("04")
	fails(false)
	doubted("")
	c.Doubt("alpha", unreachable) // the probe says so again
	doubted("06, as a probe says")
	c.Doubt("alpha", unreachable)
	doubted("06, as a probe says")
	c.Doubt("alpha", Gap{})
	doubted("")
}

// TestWhatHasFailedIsTriedAtOnceWhenAProbeSaysThatTheClusterAnswers, whenever its time would have come.
func TestWhatHasFailedIsTriedAtOnceWhenAProbeSaysThatTheClusterAnswers(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)) // which stands still
	c := NewCatalog(CatalogOptions{Clock: clock})
	defer c.Close()
	var asked atomic.Int32
	refuses := counting(func() { asked.Add(1) })
	if err := c.Follow(context.Background(), Cluster{Name: "alpha", ID: "id", Config: &rest.Config{Host: "https://cluster.invalid", Transport: refuses}, Bounds: bounds("10.4.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	first := fleettest.Settled(t, &asked, 0)
	c.Doubt("alpha", Gap{Reason: ReasonUnreachable, Message: "no answer to a probe"})
	if again := fleettest.Settled(t, &asked, first-1); again != first {
		t.Errorf("it was asked when the probe had failed: %d times, and before %d", again, first)
	}
	c.Doubt("alpha", Gap{})
	second := fleettest.Settled(t, &asked, first)
	c.Doubt("alpha", Gap{}) // and it still does
	fleettest.Settled(t, &asked, second)
}

// counting is a way to a cluster that nothing comes through.
type counting func()

func (f counting) RoundTrip(*http.Request) (*http.Response, error) {
	f()
	return nil, errors.New("the way is cut")
}

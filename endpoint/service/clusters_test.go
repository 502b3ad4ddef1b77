package service_test

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

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
)

// answers is a way to a cluster.
type answers func(*http.Request) (*http.Response, error)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var (
	unanswered answers = func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, errors.New("no answer")
	}
	cut answers = func(*http.Request) (*http.Response, error) { return nil, errors.New("the way is cut") }
)

func by(way answers) *rest.Config {
	return &rest.Config{Host: "https://cluster.invalid", Transport: way}
}

// A list may take its time: as long as nothing has gone wrong, a cluster that is followed for the first time only begins to
// be.
func TestAClusterBeginsToBeFollowedUntilSomethingGoesWrong(t *testing.T) {
	starting, off := endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "starting"}, endpoint.Gap{Reason: endpoint.ReasonDisabled, Message: "off"}
	unreachable := endpoint.Gap{Reason: endpoint.ReasonUnreachable, Message: "no answer"}
	follow := func(c *service.Clusters, of endpoint.Cluster) { _ = c.Follow(context.Background(), of) }
	for name, tt := range map[string]struct {
		after func(*service.Clusters, endpoint.Cluster)
		want  bool
	}{
		"it has no connection yet": {func(c *service.Clusters, of endpoint.Cluster) { c.Suspend(of, starting) }, true},
		"its connection does not work": {func(c *service.Clusters, of endpoint.Cluster) {
			c.Suspend(of, starting)
			c.Doubt("alpha", unreachable)
		}, false},
		"its connection works again": {func(c *service.Clusters, of endpoint.Cluster) {
			c.Suspend(of, starting)
			c.Doubt("alpha", unreachable)
			c.Doubt("alpha", endpoint.Gap{})
		}, true},
		"it is disabled":            {func(c *service.Clusters, of endpoint.Cluster) { c.Suspend(of, off) }, false},
		"it may contribute nothing": {func(c *service.Clusters, of endpoint.Cluster) { c.Bar(of, off) }, false},
		"it is followed":            {follow, true},
		"it is followed, and does not answer": {func(c *service.Clusters, of endpoint.Cluster) {
			of.Config = by(cut)
			follow(c, of)
		}, false},
		"it is followed, and a probe failed": {func(c *service.Clusters, of endpoint.Cluster) {
			follow(c, of)
			c.Doubt("alpha", unreachable)
		}, false},
		"it is suspended before it is listed": {func(c *service.Clusters, of endpoint.Cluster) {
			follow(c, of)
			c.Suspend(of, starting)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := service.NewClusters(service.ClustersOptions{})
			defer c.Close()
			tt.after(c, endpoint.Cluster{Name: "alpha", ID: "id", Config: by(unanswered)})
			fleettest.Eventually(t, 30*time.Second, func() error { // it may take a moment until something has gone wrong
				if s, ok := c.State("alpha"); !ok || s.Contact.Beginning != tt.want || !s.Contact.Unheard || s.Contact.StaleSince.IsZero() {
					return fmt.Errorf("it is %+v", s)
				}
				return nil
			})
		})
	}
}

// What has failed is tried at once when a probe says that the cluster answers, whenever its time would have come.
func TestWhatHasFailedIsTriedAtOnceWhenAProbeSaysThatTheClusterAnswers(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)) // which stands still
	c := service.NewClusters(service.ClustersOptions{Clock: clock})
	defer c.Close()
	var asked atomic.Int32
	config := by(func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		return nil, errors.New("the way is cut")
	})
	if err := c.Follow(context.Background(), endpoint.Cluster{Name: "alpha", ID: "id", Config: config}); err != nil {
		t.Fatal(err)
	}
	first := fleettest.Settled(t, &asked, 0)
	c.Doubt("alpha", endpoint.Gap{Reason: endpoint.ReasonUnreachable, Message: "no answer to a probe"})
	if again := fleettest.Settled(t, &asked, first-1); again != first {
		t.Errorf("it was asked when the probe had failed: %d times, and before %d", again, first)
	}
	c.Doubt("alpha", endpoint.Gap{})
	second := fleettest.Settled(t, &asked, first)
	c.Doubt("alpha", endpoint.Gap{}) // and it still does
	fleettest.Settled(t, &asked, second)
}

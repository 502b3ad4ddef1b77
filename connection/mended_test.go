package connection_test

import (
	"context"
	"errors"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
)

// A cluster that was away when its connection began, as one that was taken over meanwhile, is known soon after it is back, however
// long it was away.
func TestAClusterThatWasAwayFromTheBeginningIsKnownSoonAfterItIsBack(t *testing.T) {
	c := fleettest.Use(t, "pods")
	proxy := c.Proxy(t)
	proxy.Cut()
	clock := testingclock.NewFakeClock(time.Now())
	spec := connection.Spec{Name: "pods", Endpoint: credential.Endpoint{Server: proxy.URL, CAData: c.CA()}}
	conn := connection.New(spec, &admin{t: t, c: c}, connection.Options{Clock: clock})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); conn.Run(ctx) }() // ends with ctx
	t.Cleanup(func() { cancel(); <-done })
	pass := func(seconds int) {
		for range seconds {
			clock.Step(time.Second)
			_ = fleettest.Until(deadline(t, 30*time.Millisecond), 10*time.Millisecond, func() error { return errors.New("it takes a moment") })
		}
	}
	pass(100) // it is tried once a minute now
	proxy.Restore()
	pass(10)
	fleettest.Eventually(t, 30*time.Second, func() error {
		if conn.State().Subject == "" {
			return errors.New("it is not known")
		}
		return nil
	})
}

func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

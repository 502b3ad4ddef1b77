package fleettest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	fleetVariable = "HAWSER_FLEET"
	startTimeout  = 3 * time.Minute
	stopTimeout   = 30 * time.Second
)

// shared is the one fleet of a test program: TestMain and the tests have no other way to meet.
var shared struct {
	sync.Mutex
	opts  Options
	fleet *Fleet
}

// Run runs the tests of a package and stops the clusters that they used. Call it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary", "alpha")) }
//
// Nothing starts until a test calls [Use], so that `go test -run X` starts only what X needs.
func Run(m *testing.M, clusters ...string) int { return RunWith(m, Options{Clusters: clusters}) }

// RunWith is Run for a fleet that needs more than names.
func RunWith(m *testing.M, opts Options) (code int) {
	shared.Lock()
	shared.opts = opts
	shared.Unlock()

	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		_ = stopShared() // there is nobody left to tell
		os.Exit(130)
	}()
	defer func() {
		// A panic of a test ends the program at once and does not get here. The clusters notice by themselves.
		if err := stopShared(); err != nil {
			fmt.Fprintln(os.Stderr, "fleettest:", err)
			code = max(code, 1)
		}
	}()
	return m.Run()
}

// Use returns a cluster of the package's fleet and starts it when no test has used it before. It ends the test
// if that is impossible.
func Use(t testing.TB, name string) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	fleet, err := sharedFleet(ctx)
	if err != nil {
		t.Fatalf("fleettest: %v", err)
	}
	c, err := fleet.Cluster(ctx, name)
	if err != nil {
		t.Fatalf("fleettest: %v", err)
	}
	return c
}

func sharedFleet(ctx context.Context) (*Fleet, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.fleet != nil {
		return shared.fleet, nil
	}
	var err error
	switch dir := os.Getenv(fleetVariable); {
	case dir != "":
		shared.fleet, err = attach(dir)
	case len(shared.opts.Clusters) == 0:
		err = errors.New(`no fleet: call fleettest.Run(m, "alpha", …) in TestMain`)
	default:
		shared.fleet, err = Start(ctx, shared.opts)
	}
	return shared.fleet, err
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.fleet == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := shared.fleet.Stop(ctx)
	shared.fleet = nil
	return err
}

package inventorytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// running is an inventory that runs.
type running struct {
	*Recorder
	c    *trial
	stop func()
}

// Start runs an inventory until the test ends, and holds it to what is so in any case: that it is in sync at
// most once, sets no cluster without a name or a Source, returns nil when its context has ended, and leaves
// nothing that runs.
func Start(t *testing.T, inv inventory.Inventory) *Recorder {
	t.Helper()
	r := &Recorder{}
	begin(t, inv, r)
	return r
}

// begin is Start that can be stopped before the test ends.
func begin(t *testing.T, inv inventory.Inventory, r *Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // that of the test ends before its clean-up, which calls stop
	ended := make(chan error, 1)
	label := mark()
	go pprof.Do(ctx, label, func(ctx context.Context) { ended <- inv.Run(ctx, r) })
	stop = sync.OnceFunc(func() {
		select {
		case err := <-ended:
			t.Errorf("Run returned before its context ended: %v", err)
			cancel()
			return
		default:
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run returned an error though its context had ended: %v", err)
			}
		case <-time.After(patience):
			t.Errorf("Run did not return within %s after its context ended", patience)
			return
		}
		told := len(r.Events())
		fleettest.Eventually(t, patience, func() error { return left(label) })
		if events := r.Events(); len(events) != told {
			t.Errorf("it went on after Run had returned: %v", events[told:])
		}
		for _, wrong := range r.wrongs() {
			t.Error(wrong)
		}
		if t.Failed() {
			t.Logf("it told: %v", r.Events())
		}
	})
	t.Cleanup(stop)
	return stop
}

// start runs a new inventory until stop or the end of the test.
func (c *trial) start() *running {
	c.Helper()
	r := &Recorder{}
	return &running{Recorder: r, c: c, stop: begin(c.T, c.s.New(c), r)}
}

// startInSync is start, and waits until the inventory is in sync.
func (c *trial) startInSync() *running {
	c.Helper()
	r := c.start()
	r.eventually(func() error {
		if !r.synced() {
			return fmt.Errorf("it is not in sync; it told %v", r.Events())
		}
		return nil
	})
	return r
}

func (r *running) eventually(check func() error) {
	r.c.Helper()
	fleettest.Eventually(r.c, patience, check)
}

// told waits until a cluster is there, without a fault, and leads to a user.
func (r *running) told(name string, user int) inventory.Cluster {
	r.c.Helper()
	var cluster inventory.Cluster
	r.eventually(func() (err error) {
		if cluster, err = r.sound(r.c.s.Name(name)); err != nil {
			return err
		}
		return r.c.leadsTo(cluster, user)
	})
	return cluster
}

// faulty waits until a cluster is a fault.
func (r *running) faulty(name string) {
	r.c.Helper()
	r.eventually(func() error {
		if r.Faults()[r.c.s.Name(name)] == nil {
			return fmt.Errorf("cluster %q is malformed and no fault; it told %v", r.c.s.Name(name), r.Events())
		}
		return nil
	})
}

// gone waits until a cluster is not there, and has no fault.
func (r *running) gone(name string) {
	r.c.Helper()
	r.eventually(func() error {
		if _, there := r.Clusters()[r.c.s.Name(name)]; there {
			return fmt.Errorf("cluster %q is still there", r.c.s.Name(name))
		}
		if err := r.Faults()[r.c.s.Name(name)]; err != nil {
			return fmt.Errorf("cluster %q is gone, and still at fault: %w", r.c.s.Name(name), err)
		}
		return nil
	})
}

// neverRemoved checks that a cluster has been there since it was told.
func (r *running) neverRemoved(names ...string) {
	r.c.Helper()
	for _, name := range names {
		if n := r.count("Remove", r.c.s.Name(name)); n > 0 {
			r.c.Errorf("cluster %q was removed, and what ran on it with it; it told %v", r.c.s.Name(name), r.Events())
		}
	}
}

// quotesNot checks that no fault gives a secret away.
func (r *running) quotesNot(secrets ...string) {
	r.c.Helper()
	for _, e := range r.Events() {
		for _, secret := range secrets {
			if e.Err != nil && strings.Contains(e.Err.Error(), secret) {
				r.c.Errorf("the fault of %q quotes a token", e.Name)
			}
		}
	}
}

// outliving is a test that is being cleaned up: its context has ended, and its clients still need one.
type outliving struct{ *testing.T }

// Context replaces that of the test.
func (outliving) Context() context.Context { return context.Background() }

const labelKey = "hawser.io/inventorytest"

var marks atomic.Int32

// mark makes a label for goroutines, which those that they start inherit.
func mark() pprof.LabelSet { return pprof.Labels(labelKey, fmt.Sprint(marks.Add(1))) }

// left says which goroutines with a label there are, except for those of HTTP connections, which clients share.
func left(label pprof.LabelSet) error {
	want := ""
	pprof.ForLabels(pprof.WithLabels(context.Background(), label), func(_, value string) bool { want = value; return false })
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return fmt.Errorf("listing goroutines: %w", err)
	}
	var errs []error
	for group := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(group, fmt.Sprintf("%q:%q", labelKey, want)) && !ofConnection(group) {
			errs = append(errs, errors.New("a goroutine is left:\n"+group))
		}
	}
	return errors.Join(errs...)
}

// ofConnection reports whether the stack began in a package that keeps connections open.
func ofConnection(group string) bool {
	lines := strings.Split(strings.TrimSpace(group), "\n")
	fields := strings.Fields(lines[len(lines)-1]) // "#", address, function+offset, file:line
	if len(fields) < 3 {
		return false
	}
	return strings.HasPrefix(fields[2], "net/http.") || strings.HasPrefix(fields[2], "golang.org/x/net/http2.") || strings.HasPrefix(fields[2], "net.")
}

package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/inventory"
)

// away is a fleet whose local cluster is nowhere: enough for who is in it.
func away(t *testing.T, i inventory.Inventory) (f *fleet.Fleet, start func() (ended <-chan error)) {
	t.Helper()
	f, err := fleet.New(&rest.Config{Host: "https://127.0.0.1:1"}, fleet.Options{Inventory: i, Manager: manager.Options{
		Logger: logger(t), Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: new(true)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f, func() <-chan error {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		var wg sync.WaitGroup
		wg.Go(func() { ended <- f.Start(ctx) })
		t.Cleanup(func() {
			cancel()
			wg.Wait()
		})
		return ended
	}
}

func nowhere(name string) inventory.Cluster {
	return inventory.Cluster{Spec: connection.Spec{Name: name, Endpoint: credential.Endpoint{Server: "https://127.0.0.1:1"}}, Source: nothing{}, Version: "1"}
}

func names(f *fleet.Fleet) (all []string) {
	for _, c := range f.Clusters() {
		all = append(all, c.Name())
	}
	return all
}

// diary writes down what a hook is told, by name.
type diary struct {
	mu    sync.Mutex
	lines map[string][]string
}

func (d *diary) write(name, line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lines == nil {
		d.lines = map[string][]string{}
	}
	d.lines[name] = append(d.lines[name], line)
}

func (d *diary) of(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprint(d.lines[name])
}

func (d *diary) hook() fleet.Hook {
	return fleet.Hook{
		Engaged: func(c *fleet.Cluster) { d.write(c.Name(), "engaged "+c.Properties()["v"]) },
		Changed: func(c *fleet.Cluster) { d.write(c.Name(), "changed "+c.Properties()["v"]) },
		Gone:    func(name string) { d.write(name, "gone") },
	}
}

func TestHooksAreToldOfEachNameInOrder(t *testing.T) {
	told := &told{}
	f, start := away(t, told)
	var early, late diary
	f.Watch(early.hook())
	start()
	with := func(v string) inventory.Cluster {
		c := nowhere("a")
		c.Properties = map[string]string{"v": v}
		return c
	}
	told.set(with("1"))
	eventually(t, "engaged", func() bool { return early.of("a") == "[engaged 1]" })
	stop := f.Watch(late.hook())
	eventually(t, "who comes late is told of what is there", func() bool { return late.of("a") == "[engaged 1]" })
	told.set(with("2"))
	eventually(t, "changed", func() bool { return early.of("a") == "[engaged 1 changed 2]" })
	told.set(with("2")) // nothing new
	told.remove("a")
	eventually(t, "gone", func() bool { return early.of("a") == "[engaged 1 changed 2 gone]" })
	eventually(t, "the late one has heard all of it", func() bool { return late.of("a") == "[engaged 1 changed 2 gone]" })
	stop()
	told.set(with("3"))
	eventually(t, "engaged again", func() bool { return early.of("a") == "[engaged 1 changed 2 gone engaged 3]" })
	if got := late.of("a"); got != "[engaged 1 changed 2 gone]" {
		t.Errorf("a stopped hook was told %s", got)
	}
}

func TestAHookThatHangsOverOneClusterHearsOfOthers(t *testing.T) {
	told := &told{}
	f, start := away(t, told)
	start()
	release := make(chan struct{})
	defer close(release)
	var d diary
	f.Watch(fleet.Hook{Engaged: func(c *fleet.Cluster) {
		if c.Name() == "a" {
			<-release
		}
		d.write(c.Name(), "engaged")
	}})
	told.set(nowhere("a"))
	told.set(nowhere("b"))
	eventually(t, "b is told of", func() bool { return d.of("b") == "[engaged]" })
}

func TestWhatTheInventoryTellsMakesTheFleet(t *testing.T) {
	told := &told{}
	f, start := away(t, told)
	told.set(nowhere("b"))
	told.set(nowhere("a"))
	ended := start()
	<-f.Synced()
	if diff := cmp.Diff([]string{"a", "b"}, names(f)); diff != "" {
		t.Fatalf("clusters (-want +got)\n%s", diff)
	}
	a, err := f.Get("a")
	if a == nil || !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("Get of a cluster that was never reached: %v, %v", a, err)
	}
	b, _ := f.Get("b")
	var why *fleet.ClusterError
	if c, err := f.Get("c"); c != nil || !errors.Is(err, fleet.ErrNotFound) || !errors.As(err, &why) || why.Cluster != "c" {
		t.Errorf("Get of an unknown cluster: %v, %v", c, err)
	}

	told.tell(func(to inventory.Sink) {
		to.Fault("a", errors.New("half a file"))
		to.Fault("c", errors.New("no key kubeconfig"))
		to.Set(inventory.Cluster{Spec: connection.Spec{Name: "b"}}) // without a source of credentials
		to.Set(inventory.Cluster{Spec: connection.Spec{Name: "d"}})
	})
	eventually(t, "faults are told", func() bool { return len(f.Faults()) == 4 })
	if again, _ := f.Get("a"); again != a {
		t.Error("a fault has harmed a cluster")
	}
	if again, _ := f.Get("b"); again != b {
		t.Error("an entry that cannot be used has harmed a cluster")
	}
	if _, err := f.Get("c"); !errors.Is(err, fleet.ErrNotFound) || err.Error() != `cluster "c": no such cluster in the fleet: no key kubeconfig` {
		t.Errorf("Get of a faulty entry: %v", err)
	}
	told.tell(func(to inventory.Sink) {
		to.Fault("a", nil)
		to.Remove("c")
		to.Set(nowhere("b"))
		to.Set(nowhere("d"))
	})
	eventually(t, "faults are cleared", func() bool { return len(f.Faults()) == 0 })
	if diff := cmp.Diff([]string{"a", "b", "d"}, names(f)); diff != "" {
		t.Errorf("clusters (-want +got)\n%s", diff)
	}
	select {
	case err := <-ended:
		t.Errorf("the fleet ended: %v", err)
	default:
	}
}

func TestOnlyAnotherClusterBehindANameIsAnotherCluster(t *testing.T) {
	cases := map[string]struct {
		before inventory.Cluster
		then   func(to inventory.Sink, c inventory.Cluster)
		same   bool
	}{
		"the same again": {nowhere("a"), func(to inventory.Sink, c inventory.Cluster) { to.Set(c) }, true},
		"another credential, another address": {nowhere("a"), func(to inventory.Sink, c inventory.Cluster) {
			c.Version, c.Spec.Endpoint.Server = "2", "https://127.0.0.1:2"
			to.Set(c)
		}, true},
		"other properties": {nowhere("a"), func(to inventory.Sink, c inventory.Cluster) {
			c.Properties = map[string]string{"x": "y"}
			to.Set(c)
		}, true},
		"a pin where there was none": {nowhere("a"), func(to inventory.Sink, c inventory.Cluster) {
			c.Spec.ClusterID = "id"
			to.Set(c)
		}, true},
		"removed and told of again": {nowhere("a"), func(to inventory.Sink, c inventory.Cluster) {
			to.Remove("a")
			to.Set(c)
		}, false},
		"another pin": {
			func() inventory.Cluster { c := nowhere("a"); c.Spec.ClusterID = "id"; return c }(),
			func(to inventory.Sink, c inventory.Cluster) {
				c.Spec.ClusterID = "other"
				to.Set(c)
			}, false,
		},
		"another namespace of it": {nowhere("a"), func(to inventory.Sink, c inventory.Cluster) {
			c.Namespace = "ns"
			to.Set(c)
		}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			told := &told{}
			f, start := away(t, told)
			told.set(c.before)
			start()
			<-f.Synced()
			before, _ := f.Get("a")
			told.tell(func(to inventory.Sink) {
				c.then(to, c.before)
				to.Set(nowhere("last"))
			})
			eventually(t, "all is heard", func() bool { return len(f.Clusters()) == 2 })
			after, _ := f.Get("a")
			if same := after == before; same != c.same || after == nil {
				t.Errorf("the same cluster: %v, want %v", same, c.same)
			}
			select {
			case <-before.Done():
				if c.same {
					t.Error("the cluster has ended")
				} else if !errors.Is(before.Err(), fleet.ErrNotFound) {
					t.Errorf("the old one says %v", before.Err())
				}
			default:
				if !c.same {
					t.Error("the old one goes on")
				}
			}
		})
	}
}

// broken is an inventory that no retry can mend.
type broken struct{}

// Run implements inventory.Inventory.
func (broken) Run(context.Context, inventory.Sink) error { return errors.New("no such directory") }

// brief is an inventory that has told all that it will.
type brief struct{}

// Run implements inventory.Inventory.
func (brief) Run(_ context.Context, to inventory.Sink) error {
	to.Set(nowhere("a"))
	to.Synced()
	return nil
}

func TestAFleetEndsWithAnInventoryThatFails(t *testing.T) {
	_, start := away(t, broken{})
	select {
	case err := <-start():
		if err == nil || err.Error() != "reading the inventory of the fleet: no such directory" {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("it goes on")
	}
	f, start := away(t, brief{})
	ended := start()
	<-f.Synced()
	if diff := cmp.Diff([]string{"a"}, names(f)); diff != "" {
		t.Errorf("clusters (-want +got)\n%s", diff)
	}
	select {
	case err := <-ended:
		t.Errorf("it ended with an inventory that had nothing more to tell: %v", err)
	default:
	}
}

func TestNewRefusesWhatCannotRun(t *testing.T) {
	if _, err := fleet.New(&rest.Config{}, fleet.Options{}); err == nil {
		t.Error("a fleet without an inventory was made")
	}
}

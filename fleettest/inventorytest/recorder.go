package inventorytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// Recorder is an inventory.Sink that remembers what it was told, as a fleet would take it: a Source stays until
// the Version changes, and what is removed has no fault any more. The zero value is ready; its methods may be
// called from any goroutine.
type Recorder struct {
	mu       sync.Mutex
	clusters map[string]inventory.Cluster
	faults   map[string]error
	events   []Event
	wrong    []string // what no inventory should do
}

// Event is one call of a Sink.
type Event struct {
	Did  string // Set, Remove, Fault or Synced
	Name string // of the cluster; empty for Synced
	Err  error  // of a Fault
}

// String is for messages.
func (e Event) String() string {
	if e.Did == "Fault" {
		return fmt.Sprintf("Fault(%q, %v)", e.Name, e.Err)
	}
	return fmt.Sprintf("%s(%q)", e.Did, e.Name)
}

// Set implements inventory.Sink.
func (r *Recorder) Set(c inventory.Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := c.Spec.Name
	r.events = append(r.events, Event{Did: "Set", Name: name})
	switch {
	case name == "":
		r.wrong = append(r.wrong, "a cluster without a name was set")
	case c.Source == nil:
		r.wrong = append(r.wrong, fmt.Sprintf("cluster %q was set without a Source", name))
	}
	if r.clusters == nil {
		r.clusters = map[string]inventory.Cluster{}
	}
	if old, ok := r.clusters[name]; ok && old.Version == c.Version {
		c.Source = old.Source
	}
	c.Properties = maps.Clone(c.Properties)
	r.clusters[name] = c
}

// Remove implements inventory.Sink.
func (r *Recorder) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, Event{Did: "Remove", Name: name})
	delete(r.clusters, name)
	delete(r.faults, name)
}

// Fault implements inventory.Sink.
func (r *Recorder) Fault(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, Event{Did: "Fault", Name: name, Err: err})
	if err == nil {
		delete(r.faults, name)
		return
	}
	if r.faults == nil {
		r.faults = map[string]error{}
	}
	r.faults[name] = err
}

// Synced implements inventory.Sink.
func (r *Recorder) Synced() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(r.events, func(e Event) bool { return e.Did == "Synced" }) {
		r.wrong = append(r.wrong, "it was in sync twice")
	}
	r.events = append(r.events, Event{Did: "Synced"})
}

// Clusters are those that are there now, by name.
func (r *Recorder) Clusters() map[string]inventory.Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.clusters)
}

// Faults are those that there are now, by name.
func (r *Recorder) Faults() map[string]error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.faults)
}

// Events are all calls so far, in order.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Told waits until a cluster is there, without a fault.
func (r *Recorder) Told(t testing.TB, name string) inventory.Cluster {
	t.Helper()
	var cluster inventory.Cluster
	fleettest.Eventually(t, patience, func() (err error) {
		cluster, err = r.sound(name)
		return err
	})
	return cluster
}

// sound is a cluster that is there, without a fault.
func (r *Recorder) sound(name string) (inventory.Cluster, error) {
	cluster, ok := r.Clusters()[name]
	if !ok {
		return cluster, fmt.Errorf("cluster %q has not been told; it told %v", name, r.Events())
	}
	if err := r.Faults()[name]; err != nil {
		return cluster, fmt.Errorf("cluster %q is at fault: %w", name, err)
	}
	return cluster, nil
}

// Faulty waits until a cluster has a fault that says something.
func (r *Recorder) Faulty(t testing.TB, name, says string) {
	t.Helper()
	fleettest.Eventually(t, patience, func() error {
		err := r.Faults()[name]
		switch {
		case err == nil:
			return fmt.Errorf("cluster %q has no fault, want one that says %q; it told %v", name, says, r.Events())
		case !strings.Contains(err.Error(), says):
			return fmt.Errorf("the fault of cluster %q is %w; want one that says %q", name, err, says)
		}
		return nil
	})
}

// count counts events of a name.
func (r *Recorder) count(did, name string) int {
	n := 0
	for _, e := range r.Events() {
		if e.Did == did && e.Name == name {
			n++
		}
	}
	return n
}

func (r *Recorder) synced() bool { return r.count("Synced", "") > 0 }

// wrongs are what no inventory should have done.
func (r *Recorder) wrongs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.wrong)
}

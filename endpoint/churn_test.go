package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/selector"
)

// storm is clusters that change all the time, and what is known of them.
type storm struct {
	*land
	live  []*index.Query
	sides []*side
}

// side is one of the clusters, and the way that what is known of it comes by.
type side struct {
	*fleettest.Cluster
	id     string
	way    *switchboard
	config *rest.Config
	churn  *churner
}

// wide is where endpoints may be to begin with; narrow leaves half of the addresses out.
var wide, narrow = []string{"10.0.0.0/8", "fd00::/16"}, []string{"10.0.0.0/9"}

func newStorm(t *testing.T, clusters ...string) (s *storm, stop func()) {
	t.Helper()
	s = &storm{land: newLand(t)}
	for _, text := range mixed() {
		s.live = append(s.live, s.Index().Add(text, nil))
	}
	for i, name := range clusters {
		c := fleettest.Use(t, name)
		of := &side{Cluster: c, id: idOf(t, c), way: switchTo(t, c), churn: newChurner(t, c, i+1)}
		of.config = of.way.config()
		s.live = append(s.live, s.Index().Add(selector.MustParse(fmt.Sprintf("hawser.io/cluster-id != %q", of.id)), nil))
		s.sides = append(s.sides, of)
		s.takes(name, of, wide)
	}
	var running []*fleettest.Running
	for _, of := range s.sides {
		running = append(running, fleettest.Background(t, "churn", of.churn.run))
	}
	return s, func() {
		for _, r := range running {
			r.Stop()
		}
	}
}

// takes follows a cluster under a name.
func (s *storm) takes(name string, of *side, cidrs []string) {
	s.t.Helper()
	s.follow(name, of.id, of.config, within(cidrs...))
}

// pause waits until something has changed in each cluster, or was tried to.
func (s *storm) pause() {
	s.t.Helper()
	for _, of := range s.sides {
		enough := of.churn.done.Load() + 10
		fleettest.Eventually(s.t, 20*time.Second, func() error {
			if done := of.churn.done.Load(); done < enough {
				return fmt.Errorf("%s has done %d changes of %d", of.Name, done, enough)
			}
			return nil
		})
	}
}

// agrees holds what is known under a name against a fresh computation of what a cluster has. It is left in peace
// meanwhile.
func (s *storm) agrees(name string, of *side) {
	s.t.Helper()
	of.churn.quiet.Lock()
	defer of.churn.quiet.Unlock()
	var bounds []netip.Prefix
	for _, text := range wide {
		bounds = append(bounds, netip.MustParsePrefix(text))
	}
	fleettest.Eventually(s.t, 20*time.Second, func() error {
		if err := of.churn.settled(s.t.Context()); err != nil {
			return err
		}
		now, err := fresh(s.t.Context(), of.churn.client, name, of.id, bounds...)
		if err != nil {
			return err
		}
		if diff := compare(s.Index(), name, s.live, now); diff != "" {
			return fmt.Errorf("of %s as cluster %s: %w", of.Name, name, errors.New(diff))
		}
		ours := 0
		for pod := range now {
			if strings.HasPrefix(pod, "pod "+of.churn.namespace+"/") {
				ours++
			}
		}
		if ours == 0 {
			return fmt.Errorf("in %s there is nothing to compare", of.Name)
		}
		return nil
	})
}

// knows is all that is known under a name.
func (s *storm) knows(name string) []string {
	return names(s.Index().Eval(selector.MustParse("all()"), name))
}

// knowsNothing fails if something of a cluster is known under a name.
func (s *storm) knowsNothing(name string, of *side) {
	s.t.Helper()
	for _, pod := range s.knows(name) {
		if strings.HasPrefix(pod, "pod "+of.churn.namespace+"/") {
			s.t.Errorf("cluster %s is another one than %s, of which it has %s", name, of.Name, pod)
		}
	}
}

// kill ends the process of a cluster, as nobody does who wants it to end well.
func kill(t *testing.T, c *fleettest.Cluster) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	var holder struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(text, &holder); err != nil || holder.PID <= 1 {
		t.Fatalf("%s holds no process (%v)", text, err)
	}
	if err := syscall.Kill(holder.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// revive starts a cluster that was killed, once it is dead.
func revive(t *testing.T, c *fleettest.Cluster) {
	t.Helper()
	fleettest.Eventually(t, time.Minute, func() error {
		c.Start(t)
		_, err := c.Client().Discovery().ServerVersion()
		return err
	})
}

func TestAgreesWithAFreshComputationAfterEverything(t *testing.T) {
	s, stop := newStorm(t, "alpha", "beta", "gamma")
	a, b, c := s.sides[0], s.sides[1], s.sides[2]
	s.pause()
	a.way.cut()
	s.pause()
	a.way.turn(a.Cluster)
	b.way.dismiss()
	s.pause()
	for _, of := range s.sides {
		s.agrees(of.Name, of)
	}

	a.way.turn(b.Cluster)     // another cluster under the name, and nobody means it
	s.takes("gamma", b, wide) // another one, and it is meant
	s.knowsNothing("gamma", c)
	s.pause()
	known := s.knows("alpha")
	s.pause()
	if diff := cmp.Diff(known, s.knows("alpha")); diff != "" {
		t.Errorf("while another cluster answers, what is known of alpha changes:\n%s", diff)
	}
	s.agrees("gamma", b)
	a.way.turn(a.Cluster)
	s.takes("beta", b, narrow)
	s.takes("beta", b, wide)
	s.takes("gamma", c, wide)
	s.knowsNothing("gamma", b)
	s.pause()
	for _, of := range s.sides {
		s.agrees(of.Name, of)
	}

	b.Stop(t) // and what was sent to it
	t.Cleanup(func() { b.Start(t) })
	kill(t, c.Cluster)
	t.Cleanup(func() { revive(t, c.Cluster) })
	s.Forget("alpha")
	s.takes("alpha", a, wide) // it vanishes, and is there again
	s.live = append(s.live, s.Index().Add(mixed()[1], nil))
	s.pause()
	s.agrees("alpha", a)
	started := fleettest.Background(t, "the start of beta", func(context.Context) error { b.Start(t); return nil })
	revive(t, c.Cluster)
	<-started.Ended()
	s.pause()
	for _, of := range s.sides {
		s.agrees(of.Name, of)
	}

	a.config = a.way.config()
	s.takes("alpha", a, wide) // over another connection
	s.takes("beta", b, narrow)
	s.Suspend(endpoint.Cluster{Name: "beta", ID: b.id, Bounds: within(narrow...)}, endpoint.Gap{Reason: endpoint.ReasonDisabled, Message: "off"})
	s.pause()
	kept, left := 0, netip.MustParsePrefix(narrow[0])
	for e := range s.Index().Eval(selector.MustParse("all()"), "beta") {
		for _, a := range e.Addresses {
			if kept++; !left.Contains(a.Addr()) {
				t.Errorf("of %v, which may not contribute it, there is %v", e.ID, a)
			}
		}
	}
	if kept == 0 {
		t.Error("of a cluster that is off nothing is left, also of what it may contribute")
	}
	s.takes("beta", b, wide)
	s.pause()
	stop()
	for _, of := range s.sides {
		s.agrees(of.Name, of)
		s.is(of.Name, "current", aside(current))
		if of.churn.done.Load() < 100 {
			t.Errorf("%s has changed only %d times", of.Name, of.churn.done.Load())
		}
	}
	for _, change := range changes {
		n := 0
		for _, of := range s.sides {
			n += of.churn.did[change.what]
		}
		if n == 0 {
			t.Errorf("%s: not once", change.what)
		}
	}
}

// Command blackhole measures what clusters that never answer cost the others:
// 100 connections, of which ten are dead and declared first. Half of the dead
// accept TCP and stay silent; half finish TLS and never answer a request.
package main

import (
	"fmt"
	"runtime"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	living = 90
	dead   = 10
	runs   = 24
	ahead  = 2 * time.Second // by which the dead are declared first
)

func main() {
	names := []string{"alpha", "beta"}
	bench.Main("blackhole", names, func(b *bench.Bench) error {
		var live []bench.Target
		for _, name := range names {
			t, err := b.Target(name)
			if err != nil {
				return err
			}
			live = append(live, t)
		}
		holes, err := holesOf(live[0])
		if err != nil {
			return err
		}
		var with, without []time.Duration
		for i := range runs + 1 {
			free, burdened, err := bench.Pair(i%2 == 1, func(burden bool) (time.Duration, error) {
				if burden {
					return once(b, live, holes)
				}
				return once(b, live, nil)
			})
			if err != nil {
				return err
			}
			b.Say("run %d: %s without dead ones, %s with", i, free, burdened)
			if i > 0 { // the first warms up
				with, without = append(with, burdened), append(without, free)
			}
		}
		b.Add("seconds", bench.Median(with).Seconds(), "s", fmt.Sprintf("until %d of %d are Ready, %d dead declared first; median of %d", living, living+dead, dead, runs))
		b.Add("seconds_none_dead", bench.Median(without).Seconds(), "s", "")
		b.Add("ratio", bench.Median(with).Seconds()/bench.Median(without).Seconds(), "", "")
		return nil
	})
}

// holesOf are targets that swallow everything.
func holesOf(t bench.Target) ([]bench.Target, error) {
	clusters, err := bench.Holes(t.Cluster, dead)
	var holes []bench.Target
	for _, c := range clusters {
		holes = append(holes, bench.Target{Cluster: c, Token: t.Token})
	}
	return holes, err
}

// once declares the dead, then the living, and returns how long it takes from the first of the living until all are Ready.
func once(b *bench.Bench, live, holes []bench.Target) (time.Duration, error) {
	runtime.GC() // what the run before left is not for this one to clear away
	f := fleet.NewLinks(b.Ctx)
	defer f.Close()
	for i, t := range holes {
		if err := add(f, fmt.Sprintf("dead-%d", i), t); err != nil {
			return 0, err
		}
	}
	// As those who measured others did: whoever is dead hangs already when the living are declared.
	declared := time.Now()
	if err := bench.Until(b.Ctx, "the dead to hang", func() bool { return time.Since(declared) > ahead }); err != nil {
		return 0, err
	}
	begin := time.Now()
	for i := range living {
		if err := add(f, fmt.Sprintf("live-%d", i), live[i%len(live)]); err != nil {
			return 0, err
		}
	}
	err := bench.Until(b.Ctx, "the living to be Ready", func() bool {
		ready := 0
		for _, c := range f.All() {
			if c.State().Condition(v1alpha1.Ready).Status == metav1.ConditionTrue {
				ready++
			}
		}
		return ready == living
	})
	return time.Since(begin), err
}

func add(f *fleet.Links, name string, t bench.Target) error {
	_, err := f.Add(t.Spec(name), bench.Still{Token: t.Token}, connection.Options{})
	return err
}

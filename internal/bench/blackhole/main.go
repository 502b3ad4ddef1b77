// Command blackhole measures what clusters that never answer cost the others:
// 100 connections, of which ten are dead and declared first. Half of the dead
// accept TCP and stay silent; half finish TLS and never answer a request.
package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

const (
	living = 90
	dead   = 10
	runs   = 5
	local  = "bench"
)

func main() {
	names := []string{"alpha", "beta"}
	bench.Main("blackhole", names, func(b *bench.Bench) error {
		var live []target
		for _, name := range names {
			t, err := newTarget(b, name)
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
			free, err := once(b, live, nil)
			if err != nil {
				return err
			}
			burdened, err := once(b, live, holes)
			if err != nil {
				return err
			}
			b.Say("run %d: %s without dead ones, %s with", i, free, burdened)
			if i > 0 { // the first warms up
				with, without = append(with, burdened), append(without, free)
			}
		}
		b.Add("seconds", median(with).Seconds(), "s", fmt.Sprintf("until %d of %d are Ready, %d dead declared first; median of %d", living, living+dead, dead, runs))
		b.Add("seconds_none_dead", median(without).Seconds(), "s", "")
		b.Add("ratio", median(with).Seconds()/median(without).Seconds(), "", "")
		return nil
	})
}

// target is a cluster with a credential for it.
type target struct {
	cluster *fleettest.Cluster
	token   credential.Credential
}

func newTarget(b *bench.Bench, name string) (target, error) {
	c, admin, err := b.Cluster(name)
	if err != nil {
		return target{}, err
	}
	if err := b.Member(admin, member.Options{Local: local}); err != nil {
		return target{}, err
	}
	token, err := install.Token(b.Ctx, admin, local, time.Hour)
	return target{c, token}, err
}

// holesOf makes proxies that swallow everything, half on each level.
func holesOf(t target) ([]target, error) {
	var holes []target
	for i := range dead {
		hole := *t.cluster
		if i%2 == 0 {
			p, err := t.cluster.NewProxy()
			if err != nil {
				return nil, err
			}
			p.BlackHoleTCP()
			hole.Server = p.URL
		} else {
			p, err := t.cluster.NewHTTPProxy()
			if err != nil {
				return nil, err
			}
			p.BlackHoleHTTP()
			hole.Server = p.URL
		}
		holes = append(holes, target{&hole, t.token})
	}
	return holes, nil
}

// once declares the dead, then the living, and returns how long it takes from the first of the living until all are Ready.
func once(b *bench.Bench, live, holes []target) (time.Duration, error) {
	f := fleet.New(b.Ctx)
	defer f.Close()
	for i, t := range holes {
		if err := add(f, fmt.Sprintf("dead-%d", i), t); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	for i := range living {
		if err := add(f, fmt.Sprintf("live-%d", i), live[i%len(live)]); err != nil {
			return 0, err
		}
	}
	err := until(b.Ctx, func() bool {
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

func add(f *fleet.Fleet, name string, t target) error {
	_, err := f.Add(connection.Spec{
		Name: name, Local: local,
		Endpoint: credential.Endpoint{Server: t.cluster.Server, CAData: t.cluster.CA()},
		Checks:   member.Checks(local, nil, nil, member.ServiceAccount),
	}, still{t.token}, connection.Options{})
	return err
}

// still is a source with one token.
type still struct{ token credential.Credential }

// Obtain implements credential.Source.
func (s still) Obtain(context.Context) ([]credential.Credential, error) {
	return []credential.Credential{s.token}, nil
}

// Renew implements credential.Source.
func (s still) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	return s.token, nil
}

func until(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d connections to be Ready: %w", living, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

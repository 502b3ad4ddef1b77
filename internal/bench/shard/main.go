// Command shard measures what it costs to divide 1,000 connections among three replicas: how evenly that is done,
// how often Leases are written, and how long it takes until others have the connections of one that is killed, or stopped.
package main

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	connections = 1000
	interval    = 10 * time.Second // of probes
	window      = 30 * time.Second
)

func main() {
	bench.Main("shard", []string{"primary", "alpha", "beta"}, func(b *bench.Bench) error {
		planned(b)
		g := &group{Bench: b, n: bench.Size(connections)}
		defer g.end()
		if err := g.set(); err != nil {
			return err
		}
		return g.measure()
	})
}

// planned measures what is decided, for pods as Kubernetes names them.
func planned(b *bench.Bench) {
	var clusters []string
	for i := range connections {
		clusters = append(clusters, fmt.Sprintf("c-%d", i))
	}
	suffixes := []string{"x7k2p", "x7k2q", "bdc4f", "zz9lm", "4t5vw", "4t5vx", "qhn8s", "gp2jd", "m6rc9", "w8ztb", "7vq5x"}
	imbalance, moves := 0.0, 0.0
	for _, name := range []func(int) string{
		func(i int) string { return fmt.Sprintf("hawser-%d", i) },
		func(i int) string { return "hawser-6d5f7c9b48-" + suffixes[i] },
	} {
		for _, n := range []int{2, 3, 5, 10} {
			var replicas []string
			for i := range n {
				replicas = append(replicas, name(i))
			}
			before := shard.Plan(clusters, replicas, nil)
			imbalance = max(imbalance, uneven(before, n))
			after := shard.Plan(clusters, append(replicas, name(n)), before)
			moves = max(moves, float64(moved(before, after))/float64(connections/(n+1)))
		}
	}
	b.Add("planned_imbalance", imbalance, "", "largest share over the even one; worst of 2, 3, 5, 10 pods of a StatefulSet and of a Deployment, 1,000 clusters")
	b.Add("planned_moved_on_join", moves, "", "clusters that change owner when one joins those, over the least possible; worst")
}

func uneven(owner map[string]string, replicas int) float64 {
	loads := map[string]int{}
	for _, r := range owner {
		loads[r]++
	}
	return float64(slices.Max(slices.Collect(maps.Values(loads)))) * float64(replicas) / float64(len(owner))
}

func moved(before, after map[string]string) (n int) {
	for c, r := range after {
		if before[c] != r {
			n++
		}
	}
	return n
}

func (g *group) measure() error {
	all := []string{"hawser-0", "hawser-1", "hawser-2"}
	for _, r := range all {
		if err := g.Launch(r); err != nil {
			return err
		}
	}
	if err := g.up(all); err != nil {
		return err
	}
	owner, err := g.Owners()
	if err != nil {
		return err
	}
	how := fmt.Sprintf("%d connections, names of 2 API servers, over 3 processes", g.n)
	g.Add("imbalance", uneven(owner, 3), "", "largest share over the even one; "+how)
	writes, err := g.leaseWrites(window)
	if err != nil {
		return err
	}
	g.Add("lease_writes_per_second", writes, "1/s", "of all three, with the leader's own")
	if err := g.kill(all); err != nil {
		return err
	}
	leader, err := g.Leader()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := g.Stop(leader, syscall.SIGTERM); err != nil {
		return err
	}
	if err := g.up(slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == leader })); err != nil {
		return err
	}
	g.Add("takeover_stop_s", time.Since(begin).Seconds(), "s", "the same from SIGTERM")
	return nil
}

// kill measures what happens when the leader is killed, and comes back.
func (g *group) kill(all []string) error {
	leader, err := g.Leader()
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == leader })
	begin, probes := time.Now(), g.probes(others)
	if err := g.Stop(leader, syscall.SIGKILL); err != nil {
		return err
	}
	if err := g.up(others); err != nil {
		return err
	}
	g.Add("takeover_kill_s", time.Since(begin).Seconds(), "s", "from SIGKILL of the leader until every connection is up in another replica")
	if err := bench.Until(g.Ctx, "the window", func() bool { return time.Since(begin) > window }); err != nil {
		return err
	}
	due, made := float64(g.n)*time.Since(begin).Seconds()/interval.Seconds(), g.probes(others)-probes
	g.Add("probes_missed", max(0, due-made), "count", fmt.Sprintf("of %.0f that were due in %s from there on, one each %s", due, window, interval))

	owner, err := g.Owners()
	if err != nil {
		return err
	}
	if err := g.Launch(leader); err != nil {
		return err
	}
	if err := g.up(all); err != nil {
		return err
	}
	joined, err := g.Owners()
	if err != nil {
		return err
	}
	g.Add("moved_on_join", float64(moved(owner, joined))/float64(g.n/3), "", "connections that change owner when the third joins, over the least possible")
	return nil
}

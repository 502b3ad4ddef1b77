// Command rotate-all measures what it costs to rotate the credentials of 100
// clusters at once, under caches of 1,000 pods each with a controller on them, and
// what becomes of those who read meanwhile.
//
// The old credentials are made dead on the servers, and every watch has been forced
// to open again, before anything is counted. A control run in which the credentials
// die and no new ones come must fail, or the measurement would prove nothing.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/hawser-io/hawser/internal/bench"
)

const (
	clusters     = 100
	pods         = 1000
	rotations    = 3
	watchTimeout = 3 * time.Second
)

func main() {
	bench.Main("rotate-all", []string{"alpha", "beta"}, func(b *bench.Bench) error {
		w := &world{Bench: b, names: &bench.Names{}}
		if err := w.set("alpha", "beta"); err != nil {
			return err
		}
		defer w.end()
		before := w.count()
		reads := &reads{fleet: w.fleet.Fleet}
		var swaps []time.Duration
		for i := range rotations {
			took, err := w.rotate(reads)
			if err != nil {
				return fmt.Errorf("rotation %d: %w", i+1, err)
			}
			b.Say("rotation %d: all in use after %s", i+1, took)
			swaps = append(swaps, took)
		}
		after := w.count()
		b.Add("lists", float64(after.lists-before.lists), "count",
			fmt.Sprintf("LISTs, and watches that send initial events, in %d rotations of %d clusters (names of 2 API servers), %d %s each", rotations, clusters, pods, w.size))
		b.Add("reconciles", float64(after.reconciles-before.reconciles), "count", "of pods, none of which changed")
		b.Add("watches_dropped", float64(after.broken-before.broken), "count", fmt.Sprintf("broken before their time, of %d opened", after.watches-before.watches))
		b.Add("swap_seconds", bench.Median(swaps).Seconds(), "s", "until all new credentials are proved and in use, after they were declared at once; median")
		b.Add("read_p99_ms", bench.Milliseconds(bench.Quantile(reads.live, 0.99)), "ms",
			fmt.Sprintf("of %d reads of one pod from the API servers, from before the rotation until all watches were open again", len(reads.live)))
		b.Add("read_p50_ms", bench.Milliseconds(bench.Median(reads.live)), "ms", "")
		b.Add("cached_read_p99_ms", bench.Milliseconds(bench.Quantile(reads.cached, 0.99)), "ms", fmt.Sprintf("of %d from the caches", len(reads.cached)))
		b.Add("read_errors", float64(reads.failed.Load()), "count", "of both")
		return control(b, w)
	})
}

// control lets the credentials die and rotates nothing: the caches must lose their watches.
func control(b *bench.Bench, w *world) error {
	died, err := w.kill(w.tokens)
	if err != nil {
		return err
	}
	err = w.reopened(died, 1)
	b.Add("control_fails", map[bool]float64{true: 1}[err != nil], "bool", "without new credentials not one watch opens again")
	if err == nil {
		return errors.New("the control run passes: the rotation was no rotation")
	}
	return nil
}

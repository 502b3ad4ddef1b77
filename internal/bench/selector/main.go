// Command selector measures reading, printing and matching of the selector that Calico's own benchmark
// reads. Where Calico reads a selector it prints and hashes it too: the last figure does all of this.
package main

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/selector"
)

const (
	text      = `! (a == "b"&&! c != "d") || !(a == "b" && !c != "d")`
	canonical = `(!(a == "b" && !c != "d") || !(a == "b" && !c != "d"))`

	rounds = 31
	times  = 20_000 // in each round
)

// labels are such that every test is asked: the first side of || fails at its last one.
var labels = map[string]string{
	"a": "b", "c": "d", "app": "web", "tier": "front", "version": "v12", "pod-template-hash": "5d4f8c7b9",
	"projectcalico.org/namespace": "shop", "projectcalico.org/orchestrator": "k8s",
	"projectcalico.org/serviceaccount": "web", "hawser.io/cluster": "north",
}

func main() {
	bench.Main("selector", nil, func(b *bench.Bench) error {
		s, err := selector.Parse(text)
		if err != nil {
			return err
		}
		if s.String() != canonical {
			return fmt.Errorf("what is to be measured is wrong: %s", s)
		}
		add := func(name, what string, do func()) {
			ns, allocations := measure(do)
			b.Add(name, ns, "ns", fmt.Sprintf("%s, %.0f allocations; median of %d rounds of %d", what, allocations, rounds, times))
		}
		// What is made in a round is looked at in the end, or the compiler would leave it out.
		var (
			kept        *selector.Selector
			printed, id string
			matched     bool
		)
		add("parse_ns", "Calico's benchmark selector", func() { kept, err = selector.Parse(text) })
		add("print_ns", "its canonical form", func() { printed = s.String() })
		add("match_ns", "all of its four tests, 10 labels in a map", func() { matched = s.MatchMap(labels) })
		add("parse_print_id_ns", "what Calico's parser does at once", func() {
			kept, err = selector.Parse(text)
			printed, id = kept.String(), kept.ID()
		})
		if err == nil && (printed != canonical || matched || id != s.ID()) {
			err = fmt.Errorf("what was measured went wrong: %s, ID %s, match is %t", printed, id, matched)
		}
		return err
	})
}

func measure(do func()) (ns, allocations float64) {
	var took []float64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		begin := time.Now()
		for range times {
			do()
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/times)
	}
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	return took[len(took)/2], float64(after.Mallocs-before.Mallocs) / rounds / times
}

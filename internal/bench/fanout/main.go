// Command fanout measures a question that goes to 100 clusters in one call, one of
// which is dead: how long it takes until each of the living has answered, and how
// long the whole call takes.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	clusters = 100
	pods     = 1000
	answers  = 10 // pods of each cluster, chosen by their labels
	rounds   = 100
	// hanging rounds are asked while the dead cluster hangs and nobody knows it: no probe fails within ten seconds.
	hanging = 12
	within  = time.Second / 2 // for each answer
	mortal  = "cluster-50"
)

func main() {
	bench.Main("fanout", []string{"alpha", "beta"}, func(b *bench.Bench) error {
		s := &scene{Bench: b, names: &bench.Names{}}
		if err := s.set("alpha", "beta"); err != nil {
			return err
		}
		defer s.fleet.End() //nolint:errcheck // it is over
		what := fmt.Sprintf("from the call to the answer of each living cluster: %d of %d pods, of %d clusters (names of 2 API servers)", answers, pods, clusters)
		if err := s.measure("none_dead_", rounds, true, 0, what+", from the API servers"); err != nil {
			return err
		}
		s.proxy.BlackHoleHTTP()
		if err := s.measure("", hanging, true, 1, what+fmt.Sprintf(", from the API servers; one hangs, nobody knows it yet, and it is given %s", within)); err != nil {
			return err
		}
		if s.knowsDeath() {
			return errors.New("this took too long: the death is known already")
		}
		if err := bench.Until(b.Ctx, "the death to be known", s.knowsDeath); err != nil {
			return err
		}
		if err := s.measure("known_", rounds, true, 1, "the same when it is known to be dead"); err != nil {
			return err
		}
		return s.measure("cached_", rounds, false, 0, "the same from the caches; that of the dead one tells its age")
	})
}

// scene is a fleet with filled caches, and a proxy that makes one cluster of it mortal.
type scene struct {
	*bench.Bench
	names *bench.Names
	fleet *bench.Running
	proxy *fleettest.HTTPProxy
}

func (s *scene) set(servers ...string) error {
	var local *fleettest.Cluster
	for first, name := range servers {
		c, err := s.Filled(name, pods)
		if err != nil {
			return err
		}
		local = c.Cluster
		for i := first; i < clusters; i += len(servers) {
			entry := bench.Named(fmt.Sprintf("cluster-%02d", i), c.Cluster, c.Token.Credential)
			if entry.Spec.Name == mortal {
				if s.proxy, err = c.NewHTTPProxy(); err != nil {
					return err
				}
				entry.Spec.Endpoint.Server = s.proxy.URL
			}
			s.names.Set(entry)
		}
	}
	var err error
	if s.fleet, err = s.Start(local, fleet.Options{Inventory: s.names}, nil); err != nil {
		return err
	}
	if err := s.fleet.Connected(s.Ctx, clusters); err != nil {
		return err
	}
	return s.fleet.Cached(s.Ctx, &corev1.Pod{})
}

func (s *scene) knowsDeath() bool {
	c, _ := s.fleet.Get(mortal) // whatever is wrong with it
	return c.State().Condition(v1alpha1.Reachable).Status == metav1.ConditionFalse
}

// measure asks several times and adds figures of the living. gaps is how many answers must be missing.
func (s *scene) measure(prefix string, rounds int, live bool, gaps int, note string) error {
	var living, calls []time.Duration
	for i := range rounds + 1 {
		took, call, err := s.ask(live, gaps)
		if err != nil {
			return err
		}
		if i > 0 { // the first warms up
			living, calls = append(living, took...), append(calls, call)
		}
	}
	s.Add(prefix+"p50_ms", bench.Milliseconds(bench.Median(living)), "ms", note)
	s.Add(prefix+"p99_ms", bench.Milliseconds(bench.Quantile(living, 0.99)), "ms", "")
	s.Add(prefix+"call_ms", bench.Milliseconds(bench.Median(calls)), "ms", "the whole call")
	return nil
}

// ask asks once, as fleet.List does, and returns how long it took until each of the living had answered.
func (s *scene) ask(live bool, gaps int) (took []time.Duration, call time.Duration, err error) {
	var mu sync.Mutex
	begin := time.Now()
	results := fleet.Each(s.Ctx, s.fleet.Fleet, func(ctx context.Context, c *fleet.Cluster) (int, error) {
		var reader client.Reader = c.GetClient()
		if live {
			reader = c.GetAPIReader()
		}
		list := &corev1.PodList{}
		err := reader.List(ctx, list, client.MatchingLabels(bench.PodLabels(7)))
		if c.Name() != mortal {
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begin))
		}
		return len(list.Items), err
	}, fleet.Within(within))
	call = time.Since(begin)
	missing := 0
	for _, r := range results {
		switch {
		case r.Err == nil && r.Value != answers:
			return nil, 0, fmt.Errorf("cluster %q has %d pods for an answer, not %d", r.Cluster, r.Value, answers)
		case r.Err != nil && r.Cluster != mortal:
			return nil, 0, fmt.Errorf("a living cluster does not answer: %w", r.Err)
		case r.Err != nil:
			missing++
		}
	}
	if missing != gaps || len(took) != clusters-1 {
		return nil, 0, fmt.Errorf("%d of the living answered, and %d are missing instead of %d", len(took), missing, gaps)
	}
	return took, call, nil
}

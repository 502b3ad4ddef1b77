package endpointset_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/selector"
)

// TestABurstOfChangesIsWrittenTogetherAndOneChangeBeforeLong: of two hundred real pods, into two objects.
func TestABurstOfChangesIsWrittenTogetherAndOneChangeBeforeLong(t *testing.T) {
	t.Parallel()
	const (
		many    = 200
		objects = 2
		window  = 100 * time.Millisecond // that of a publisher by default
	)
	s := newScene(t)
	f := s.follows()
	a := s.connect(f, "a", 60, nil)
	name := func(i int) string { return fmt.Sprint("p", i) }
	at := func(i, round int) string { return fmt.Sprintf("10.60.%d.%d", i, 1+2*round) } // no two are put together
	all := func(do func(i int) error) {
		t.Helper()
		var working sync.WaitGroup
		failed, next := make([]error, many), make(chan int)
		for range 16 {
			working.Go(func() { // ends with the last of them
				for i := range next {
					failed[i] = do(i)
				}
			})
		}
		for i := range many {
			next <- i
		}
		close(next)
		working.Wait()
		if err := errors.Join(failed...); err != nil {
			t.Fatal(err)
		}
	}
	place := make([]string, many) // of each pod
	addresses := func() (want []string) {
		for _, address := range place {
			want = append(want, address+"/32")
		}
		return want
	}
	move := func(i, round int) error {
		place[i] = at(i, round)
		return runs(t.Context(), f.kube, s.namespace, name(i), place[i])
	}
	s.node(f.kube)
	all(func(i int) error {
		if err := patched(f.kube.CoreV1().Pods(s.namespace).Create(t.Context(), podOn("node", name(i), web), metav1.CreateOptions{})); err != nil {
			return err
		}
		return move(i, 0)
	})
	what := fmt.Sprintf(`app == "web" && projectcalico.org/namespace == %q`, s.namespace)
	s.set(what, []string{a}, s.configMap(), s.networkPolicy())
	written := func() {
		t.Helper()
		want := addresses()
		slices.Sort(want)
		s.has(a, want...)
		eventually(t, func() error {
			if got := s.blocks(true); !slices.Equal(got, want) {
				return fmt.Errorf("the NetworkPolicies have %v, want %v", got, want)
			}
			return nil
		})
	}
	written()
	s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten)

	// known waits until the replica knows where everything is, and rested until nothing is left to be done then.
	by := selector.MustParse(what)
	known := func() {
		t.Helper()
		eventually(t, func() error {
			want, n := map[string]bool{}, 0
			for _, address := range addresses() {
				want[address] = true
			}
			for e := range f.catalog.Index().Eval(by, a) {
				for _, p := range e.Addresses {
					if want[p.String()] {
						n++
					}
				}
			}
			if n != many {
				return fmt.Errorf("of %d pods it knows where they are", n)
			}
			return nil
		})
	}

	rested := func() {
		t.Helper()
		known()
		until := s.clock.Now().Add(3 * window)
		eventually(t, func() error {
			if left := until.Sub(s.clock.Now()); left > 0 {
				return fmt.Errorf("%s are left", left)
			}
			return nil
		})
	}

	// While the clock is slow, a window holds a burst wherever this runs. Once in each window each object may be written,
	// and once more for what was left from before.
	const slow = 50
	rested()
	s.clock.slowness.Store(slow)
	seen, writes, begin := s.watch(), s.writes.Load(), s.clock.Now()
	all(func(i int) error { return move(i, 1) })
	known()
	took := s.clock.Since(begin)
	s.clock.slowness.Store(1)
	written()
	rested()
	n, told := s.writes.Load()-writes, len(seen())-1 // it begins with what there is
	if most := objects * (int64(took/window) + 2); n > most {
		t.Errorf("%d changes within %s took %d requests, want %d at most", many, took, n, most)
	}
	if int64(told) > n || told < 1 {
		t.Errorf("in etcd the ConfigMap was written %d times, by %d requests", told, n)
	}

	now := time.Now()
	writes = s.writes.Load()
	if err := move(7, 2); err != nil {
		t.Fatal(err)
	}
	written()
	if took := time.Since(now); took > 20*time.Second { // about two windows, where the machine has time
		t.Errorf("one change took %s", took)
	}
	rested()
	if n := s.writes.Load() - writes; n != objects {
		t.Errorf("one change took %d requests for %d objects", n, objects)
	}
}

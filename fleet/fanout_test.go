package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// current waits until clusters can be used, and their caches are of today.
func (w *world) current(names ...string) {
	w.t.Helper()
	for _, name := range names {
		c := w.ready(name)
		eventually(w.t, "cluster "+name+" is current", func() bool { return c.Age() == 0 })
	}
}

func newConfigMaps() *corev1.ConfigMapList { return &corev1.ConfigMapList{} }

// makeConfigMaps makes ConfigMaps, and returns what selects them.
func makeConfigMaps(t *testing.T, c *fleettest.Cluster, n int) client.MatchingLabels {
	t.Helper()
	namespace, selected := c.Namespace(t), client.MatchingLabels{"fan": t.Name()}
	for i := range n {
		cm := configMap(namespace, fmt.Sprintf("fan-%02d", i))
		cm.Labels = selected
		makeIn(t, c, cm)
	}
	return selected
}

// summary says of each result how many objects there are, or what kind of error.
func summary[L client.ObjectList](results []fleet.Result[L], count func(L) int) []string {
	var lines []string
	for _, r := range results {
		what := fmt.Sprint(count(r.Value))
		for _, kind := range []error{fleet.ErrNotFound, fleet.ErrNotReady, fleet.ErrUnauthorized, fleet.ErrStale, fleet.ErrUnreachable} {
			if errors.Is(r.Err, kind) {
				what += " " + kind.Error()
			}
		}
		if r.Age > 0 {
			what += ", aged"
		}
		lines = append(lines, r.Cluster+": "+what)
	}
	return lines
}

func configMaps(results []fleet.Result[*corev1.ConfigMapList]) []string {
	return summary(results, func(l *corev1.ConfigMapList) int { return len(l.Items) })
}

func TestAListOfTheFleetNamesTheClusterThatNeverAnswers(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	fanned := makeConfigMaps(t, alpha, 2)
	makeConfigMaps(t, beta, 3)
	hole := alpha.Proxy(t)
	hole.BlackHoleTCP()
	w := newWorld(t)
	w.told.set(clusterAt("c-hole", alpha, hole.URL, token(t, alpha)))
	w.told.set(clusterAt("b-live", beta, beta.Server, token(t, beta)))
	w.told.set(clusterAt("a-live", alpha, alpha.Server, token(t, alpha)))
	w.run().current("a-live", "b-live")
	f := w.Fleet

	for name, opts := range map[string][]client.ListOption{
		"from the caches":      {fanned, fleet.Within(2 * time.Second)},
		"from the API servers": {fanned, fleet.Within(time.Second), fleet.Live()},
	} {
		t.Run(name, func(t *testing.T) {
			results := fleet.List(t.Context(), f, newConfigMaps, opts...)
			want := []string{"a-live: 2", "b-live: 3", "c-hole: 0 not ready yet, aged"}
			if diff := cmp.Diff(want, configMaps(results)); diff != "" {
				t.Errorf("the answer (-want +got)\n%s", diff)
			}
			gaps := fleet.Gaps(results)
			if gaps == nil || !strings.HasPrefix(gaps.Error(), `cluster "c-hole": not ready yet`) || strings.Contains(gaps.Error(), "\n") {
				t.Errorf("the gaps are %v", gaps)
			}
		})
	}

	t.Run("the others do not wait for it", func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		took := map[string]time.Duration{}
		results := fleet.Each(t.Context(), f, func(ctx context.Context, c *fleet.Cluster) (struct{}, error) {
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				took[c.Name()] = time.Since(began)
			}()
			return struct{}{}, c.GetAPIReader().List(ctx, newConfigMaps())
		}, fleet.Within(2*time.Second))
		if took["a-live"] > time.Second || took["b-live"] > time.Second {
			t.Errorf("they took %v", took)
		}
		if err := results[2].Err; !errors.Is(err, fleet.ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 2s") {
			t.Errorf("the error of the dead one is %v", err)
		}
	})
}

func TestAClusterThatIsCutOffAnswersFromItsCacheWithItsAge(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	fanned := makeConfigMaps(t, alpha, 2)
	cut := func(t *testing.T, staleAfter time.Duration) *fleet.Fleet {
		t.Helper()
		proxy := alpha.Proxy(t)
		w := newWorld(t, func(o *fleet.Options) { o.StaleAfter = staleAfter })
		w.told.set(clusterAt("fine", alpha, alpha.Server, token(t, alpha)))
		w.told.set(clusterAt("lost", alpha, proxy.URL, token(t, alpha)))
		w.run().current("fine", "lost")
		f := w.Fleet
		if gaps := fleet.Gaps(fleet.List(t.Context(), f, newConfigMaps, fanned)); gaps != nil {
			t.Fatal(gaps)
		}
		proxy.Cut()
		fleettest.Eventually(t, 30*time.Second, func() error {
			if c, _ := f.Get("lost"); c.Age() <= max(staleAfter, time.Second) {
				return fmt.Errorf("its age is %s", c.Age())
			}
			return nil
		})
		return f
	}

	t.Run("caches may be as old as they like", func(t *testing.T) {
		f := cut(t, 0)
		if diff := cmp.Diff([]string{"fine: 2", "lost: 2, aged"}, configMaps(fleet.List(t.Context(), f, newConfigMaps, fanned))); diff != "" {
			t.Errorf("from the caches (-want +got)\n%s", diff)
		}
		began := time.Now()
		live := fleet.List(t.Context(), f, newConfigMaps, fanned, fleet.Live())
		if diff := cmp.Diff([]string{"fine: 2", "lost: 0 unreachable, aged"}, configMaps(live)); diff != "" {
			t.Errorf("from the API servers (-want +got)\n%s", diff)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s to say what is known", took)
		}
		if err := fleet.Gaps(live); strings.Contains(err.Error(), "https://") {
			t.Errorf("the gap speaks of an address that nobody knows: %v", err)
		}
	})
	t.Run("caches may be a second old", func(t *testing.T) {
		f := cut(t, time.Second)
		results := fleet.List(t.Context(), f, newConfigMaps, fanned)
		if diff := cmp.Diff([]string{"fine: 2", "lost: 0 stale unreachable, aged"}, configMaps(results)); diff != "" {
			t.Errorf("from the caches (-want +got)\n%s", diff)
		}
	})
}

func TestAClusterThatDiesUnnoticedCostsItsTimeAndNothingElse(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	fanned := makeConfigMaps(t, alpha, 1)
	proxy := alpha.Proxy(t)
	w := newWorld(t).run()
	w.join("fine", alpha, alpha.Server)
	w.join("lost", alpha, proxy.URL)
	proxy.BlackHoleTCP()
	began := time.Now()
	results := fleet.List(t.Context(), w.Fleet, newConfigMaps, fanned, fleet.Live(), fleet.Within(time.Second))
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if results[0].Err != nil || len(results[0].Value.Items) != 1 {
		t.Errorf("the other one answers %+v", results[0])
	}
	if err := results[1].Err; !errors.Is(err, fleet.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("the error of the dead one is %v", err)
	}
}

func TestAClusterThatForbidsTheListIsUnauthorised(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	fanned := makeConfigMaps(t, alpha, 1)
	w := newWorld(t)
	w.told.set(clusterAt("allowed", alpha, alpha.Server, token(t, alpha)))
	w.told.set(clusterAt("forbidden", alpha, alpha.Server, tokenOf(t, alpha, "nobody", "")))
	w.run().current("allowed", "forbidden")
	f := w.Fleet
	for name, opts := range map[string][]client.ListOption{"from the caches": {fanned}, "from the API servers": {fanned, fleet.Live()}} {
		t.Run(name, func(t *testing.T) {
			results := fleet.List(t.Context(), f, newConfigMaps, opts...)
			if diff := cmp.Diff([]string{"allowed: 1", "forbidden: 0 unauthorised"}, configMaps(results)); diff != "" {
				t.Errorf("the answer (-want +got)\n%s", diff)
			}
			if err := results[1].Err; !apierrors.IsForbidden(err) {
				t.Errorf("it is no error of the API server any more: %v", err)
			}
		})
	}
}

func TestPagesArePutTogether(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	fanned := makeConfigMaps(t, alpha, 7)
	w := newWorld(t).run()
	w.join("alpha", alpha, alpha.Server)
	f := w.Fleet
	for _, size := range []int64{1, 3, 7, 100} {
		results := fleet.List(t.Context(), f, newConfigMaps, fleet.Pages(size), fanned)
		if err := fleet.Gaps(results); err != nil {
			t.Fatal(err)
		}
		list := results[0].Value
		var names []string
		for _, item := range list.Items {
			names = append(names, item.Name)
		}
		if !slices.IsSorted(names) || len(slices.Compact(names)) != 7 || list.Continue != "" || list.RemainingItemCount != nil || list.ResourceVersion == "" {
			t.Errorf("in pages of %d: %v, %+v", size, names, list.ListMeta)
		}
	}
	unknown := func() *unstructured.UnstructuredList {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMapList"})
		return list
	}
	results := fleet.List(t.Context(), f, unknown, fleet.Pages(2), fanned)
	if err := fleet.Gaps(results); err != nil || len(results[0].Value.Items) != 7 {
		t.Errorf("unstructured: %d items, %v", len(results[0].Value.Items), err)
	}
}

// slow is an inventory that is not in sync before the test says so.
type slow struct{ sink chan inventory.Sink }

// Run implements inventory.Inventory.
func (i slow) Run(ctx context.Context, to inventory.Sink) error {
	i.sink <- to
	<-ctx.Done()
	return nil
}

func TestWhatTheInventoryDoesNotTellIsAGap(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	told := slow{make(chan inventory.Sink, 1)}
	w := newWorld(t, func(o *fleet.Options) { o.Inventory = told })
	fleettest.Background(t, "the fleet", w.Start)
	f, sink := w.Fleet, <-told.sink
	sink.Set(clusterAt("alpha", alpha, alpha.Server, token(t, alpha)))
	sink.Fault("bent", errors.New("reading Secret \"bent\": it is no kubeconfig"))
	sink.Fault("alpha", errors.New("reading Secret \"alpha\": torn")) // and yet it runs on
	w.ready("alpha")
	ask := func() []string {
		results := fleet.Each(t.Context(), f, func(context.Context, *fleet.Cluster) (int, error) { return 1, nil })
		if err := fleet.Gaps(results); err != nil {
			return strings.Split(err.Error(), "\n")
		}
		return nil
	}
	const bent = `cluster "bent": no such cluster in the fleet: reading Secret "bent": it is no kubeconfig`
	for _, step := range []struct {
		name string
		tell func()
		want []string
	}{
		{"not all has been told", func() {}, []string{"inventory: not ready yet: it has not told of every cluster", bent}},
		{"all has been told", sink.Synced, []string{bent}},
		{"the inventory cannot be read", func() { sink.Fault("", errors.New("listing secrets: forbidden")) }, []string{"inventory: not ready yet: clusters may be missing: listing secrets: forbidden", bent}},
		{"it can be read again", func() { sink.Fault("", nil); sink.Remove("bent") }, nil},
	} {
		step.tell()
		fleettest.Eventually(t, 30*time.Second, func() error {
			if diff := cmp.Diff(step.want, ask()); diff != "" {
				return fmt.Errorf("%s: gaps are others (-want +got)\n%s", step.name, diff)
			}
			return nil
		})
	}
}

func TestEachWaitsForNobodyLongerThanItsTime(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	w := newWorld(t)
	const dead = 150 // more than are asked at once
	for i := range dead {
		w.told.set(clusterAt(fmt.Sprintf("dead-%03d", i), alpha, "https://127.0.0.1:1", "none"))
	}
	w.run().join("live", alpha, alpha.Server)
	f := w.Fleet
	forever := make(chan struct{})
	defer close(forever)
	began := time.Now()
	var answered time.Duration
	results := fleet.Each(t.Context(), f, func(_ context.Context, c *fleet.Cluster) (string, error) {
		if c.Name() == "live" {
			answered = time.Since(began)
			return "here", nil
		}
		<-forever // deaf to its context, too
		return "", nil
	}, fleet.Within(3*time.Second))
	if took := time.Since(began); took > 6*time.Second || answered > 2*time.Second {
		t.Errorf("it took %s in all, and %s for the live one", took, answered)
	}
	if len(results) != dead+1 || results[dead].Value != "here" || results[dead].Err != nil {
		t.Fatalf("%d results, the last of them %+v", len(results), results[dead])
	}
	if !errors.Is(results[0].Err, context.DeadlineExceeded) {
		t.Errorf("the first error is %v", results[0].Err)
	}
}

func TestAClusterThatLeavesIsAskedNoMore(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	w := newWorld(t).run()
	w.join("leaving", alpha, alpha.Server)
	results := fleet.Each(t.Context(), w.Fleet, func(ctx context.Context, _ *fleet.Cluster) (int, error) {
		w.told.remove("leaving")
		<-ctx.Done()
		return 0, fmt.Errorf("counting: %w", ctx.Err())
	}, fleet.Within(time.Minute))
	if err := results[0].Err; !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
}

func TestTheCallerEndsAllOfIt(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	w := newWorld(t).run()
	w.join("alpha", alpha, alpha.Server)
	ctx, cancel := context.WithCancel(t.Context())
	results := fleet.Each(ctx, w.Fleet, func(ctx context.Context, _ *fleet.Cluster) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	})
	var known *fleet.ClusterError
	if err := results[0].Err; !errors.Is(err, context.Canceled) || errors.As(err, &known) {
		t.Errorf("the error is %v: it is not the cluster's fault", err)
	}
}

func TestGaps(t *testing.T) {
	known := &fleet.ClusterError{Cluster: "b", Err: fleet.ErrStale, Message: "caches are 2m0s old, and may be 1m0s"}
	tests := map[string]struct {
		results []fleet.Result[int]
		want    string
	}{
		"nothing was asked":      {nil, ""},
		"everything is answered": {[]fleet.Result[int]{{Cluster: "a", Value: 1}}, ""},
		"one is missing":         {[]fleet.Result[int]{{Cluster: "a", Value: 1}, {Cluster: "b", Err: known}}, `cluster "b": stale: caches are 2m0s old, and may be 1m0s`},
		"an error that does not name the cluster, and one that names another": {
			[]fleet.Result[int]{{Cluster: "a", Err: errors.New("no room")}, {Cluster: "x#b", Err: known}},
			"cluster \"a\": no room\ncluster \"x#b\": cluster \"b\": stale: caches are 2m0s old, and may be 1m0s",
		},
		"the inventory itself": {[]fleet.Result[int]{{Err: errors.New("forbidden")}}, "inventory: forbidden"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := fleet.Gaps(test.results); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the text (-want +got)\n%s", diff)
			}
		})
	}
	var gap *fleet.GapError
	if err := fleet.Gaps([]fleet.Result[int]{{Cluster: "b", Err: known}}); !errors.As(err, &gap) || gap.Cluster != "b" || !errors.Is(err, fleet.ErrStale) {
		t.Errorf("the gap is %+v of %v", gap, err)
	}
}

// Command rotation measures what the rotation of a credential costs whatever
// runs over the connection: a cache of 20,000 pods and a controller on them.
//
// After each rotation the old credential is made dead on the server, and every
// watch has been forced to open again, before anything is counted. A control run
// with the swap switched off must fail, or the measurement would prove nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

const (
	pods         = 20_000
	rotations    = 20
	deletions    = 10 // pods deleted during each rotation
	watchTimeout = 3 * time.Second
)

func main() {
	bench.Main("rotation", []string{"alpha"}, func(b *bench.Bench) error {
		alpha, admin, err := b.Cluster("alpha")
		if err != nil {
			return err
		}
		if err := b.Fill(alpha, pods); err != nil {
			return err
		}
		for _, kind := range []kind{
			{"rotation", &tokens{admin: admin, cluster: alpha}},
			{"rotation-cert", &certificates{admin: admin}},
		} {
			if err := measure(b, alpha, kind); err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
		}
		return nil
	})
}

// kind is one kind of credential under its name in the figures.
type kind struct {
	name string
	mint minter
}

// minter makes credentials that can be killed one by one.
type minter interface {
	credential.Source
	prepare(ctx context.Context) error
	// kill makes every credential but the last one dead on the server, and returns when it is.
	kill(ctx context.Context, c *fleettest.Cluster) error
	// reset forgets, for another connection.
	reset()
}

// measure runs one kind of credential through all rotations, and then the control.
func measure(b *bench.Bench, c *fleettest.Cluster, k kind) error {
	if err := k.mint.prepare(b.Ctx); err != nil {
		return err
	}
	w, err := newWorld(b, c, k.mint)
	if err != nil {
		return err
	}
	defer w.end()
	b.Say("%s: %d rotations", k.name, rotations)
	before := w.count()
	var unusable time.Duration
	for i := range rotations {
		lost, err := w.rotate(i)
		if err != nil {
			return fmt.Errorf("rotation %d: %w", i+1, err)
		}
		unusable += lost
	}
	after := w.count()
	add := func(name string, value float64, unit, note string) { b.Add(k.name+"/"+name, value, unit, note) }
	add("rotations", rotations, "count", "")
	add("lists", float64(after.lists-before.lists), "count", "LISTs, and watches that send initial events")
	add("reconciles", float64(after.reconciles-before.reconciles), "count", "of pods that nobody deleted")
	add("watches_dropped", float64(after.broken-before.broken), "count", "broken before their time, of "+fmt.Sprint(after.watches-before.watches)+" opened")
	add("deletions_missed", float64(rotations*deletions-(after.deleted-before.deleted)), "count", fmt.Sprintf("of %d", rotations*deletions))
	add("unusable_ms", float64(unusable.Milliseconds()), "ms", "in all rotations together")
	add("bytes_read", float64(after.bytes-before.bytes)/rotations, "bytes", "for each rotation, with probes, the pings of the measurement and the watch events of 10 deletions")
	add("heap_growth_bytes", float64(after.heap)-float64(before.heap), "bytes", "over all rotations, with what the measurement itself remembers")
	add("goroutine_growth", float64(after.goroutines-before.goroutines), "count", "over all rotations")
	w.end()
	return control(b, c, k)
}

// control rotates with the swap switched off: the cache must lose its watches, or nothing was measured.
func control(b *bench.Bench, c *fleettest.Cluster, k kind) error {
	k.mint.reset()
	w, err := newWorld(b, c, frozen{k.mint})
	if err != nil {
		return err
	}
	defer w.end()
	if _, err := k.mint.Renew(b.Ctx, credential.Credential{}, nil); err != nil {
		return err
	}
	if err := k.mint.kill(b.Ctx, c); err != nil {
		return err
	}
	err = w.reopened(time.Now())
	b.Add(k.name+"/control_fails", map[bool]float64{true: 1}[err != nil], "bool", "with the swap switched off no watch opens again")
	if err == nil {
		return errors.New("the control run passes: the rotation was no rotation")
	}
	return nil
}

// frozen is a source that never renews: what it obtained first stays.
type frozen struct{ minter }

func (f frozen) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

func (f frozen) Obtain(ctx context.Context) ([]credential.Credential, error) {
	list, err := f.minter.Obtain(ctx)
	for i := range list {
		list[i].Watched = true
	}
	return list, err
}

// counts are what is compared before and after.
type counts struct {
	lists, watches, broken, reconciles, deleted, goroutines int
	bytes                                                   int64
	heap                                                    uint64
}

func (w *world) count() counts {
	n := counts{reconciles: int(w.reconciles.Load()), deleted: size(&w.deleted), bytes: w.proxy.Stats().ToClient}
	for _, r := range w.proxy.Requests() {
		if r.Path != bench.PodsPath || r.Method != http.MethodGet {
			continue
		}
		if r.Query.Get("watch") == "" || r.Query.Get("sendInitialEvents") == "true" {
			n.lists++
		}
	}
	for _, watch := range w.proxy.Watches() {
		if watch.Path != bench.PodsPath {
			continue
		}
		n.watches++
		if watch.End == fleettest.WatchBroken || watch.End == fleettest.WatchCancelled {
			n.broken++
		}
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	n.heap, n.goroutines = mem.HeapAlloc, runtime.NumGoroutine()
	return n
}

// rotate swaps the credential, kills the old one, deletes pods meanwhile, and waits until every
// watch was opened again with the new one. It returns for how long requests failed.
func (w *world) rotate(round int) (time.Duration, error) {
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	lost := w.ping(ctx)
	before := w.conn.State().Renewals
	w.conn.Renew()
	if err := w.until("the renewal", func() bool { return w.conn.State().Renewals > before }); err != nil {
		return 0, err
	}
	if err := w.deletePods(round); err != nil {
		return 0, err
	}
	if err := w.mint.kill(w.ctx, w.cluster); err != nil {
		return 0, err
	}
	if err := w.reopened(time.Now()); err != nil {
		return 0, err
	}
	want := (round + 1) * deletions
	_ = w.until("the deletions", func() bool { return size(&w.deleted) >= want }) // what is missed is counted
	stop()
	return <-lost, nil
}

func (w *world) deletePods(round int) error {
	for i := range deletions {
		name := bench.PodName(w.firstPod + round*deletions + i)
		w.doomed.Store(name, true)
		if err := w.admin.CoreV1().Pods(bench.PodNamespace).Delete(w.ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			return fmt.Errorf("deleting pod %s: %w", name, err)
		}
	}
	return nil
}

// ping asks for something small every 20 ms until ctx ends, and then tells for how long that failed.
func (w *world) ping(ctx context.Context) <-chan time.Duration {
	out := make(chan time.Duration, 1)
	go func() {
		var lost time.Duration
		http := w.conn.HTTPClient()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-ctx.Done():
				out <- lost
				return
			case <-tick.C:
			}
			err := get(w.ctx, http, "https://"+w.conn.Name()+"/livez")
			now := time.Now()
			if err != nil {
				lost += now.Sub(last)
			}
			last = now
		}
	}()
	return out
}

func get(ctx context.Context, c *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %d", resp.StatusCode)
	}
	return nil
}

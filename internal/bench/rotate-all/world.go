package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
)

// world is a fleet with a controller, each cluster behind a proxy of its own that counts at the server's side.
type world struct {
	*bench.Bench
	names   *bench.Names
	size    string
	servers []bench.Filled
	proxies []*fleettest.HTTPProxy // of each cluster
	tokens  []bench.BoundToken     // of each cluster, the ones in use
	fleet   *bench.Running

	reconciles atomic.Int64
}

func (w *world) server(cluster int) bench.Filled { return w.servers[cluster%len(w.servers)] }

func (w *world) set(servers ...string) (err error) {
	for _, name := range servers {
		c, err := w.Filled(name, pods)
		if err != nil {
			return err
		}
		w.servers = append(w.servers, c)
	}
	if w.size, err = w.servers[0].PodSize(w.Ctx); err != nil {
		return err
	}
	for i := range clusters {
		p, err := w.server(i).NewHTTPProxy()
		if err != nil {
			return err
		}
		w.proxies = append(w.proxies, p)
	}
	if w.tokens, err = w.mint(); err != nil {
		return err
	}
	w.declare()
	if w.fleet, err = w.Start(w.servers[0].Cluster, fleet.Options{Inventory: w.names}, w.prepare); err != nil {
		return err
	}
	if err := bench.Until(w.Ctx, "every pod to be reconciled", func() bool { return w.reconciles.Load() >= clusters*pods }); err != nil {
		return err
	}
	// The first read of all pods takes longer than the short watches that come now.
	filled := w.count()
	for _, p := range w.proxies {
		p.ForceWatchTimeout(watchTimeout)
		p.DropConnections()
	}
	if err := w.settle(); err != nil {
		return err
	}
	w.Say("all connections cut once, before: %d of %d clusters were read again", w.count().lists-filled.lists, clusters)
	return nil
}

// settle waits until all watches open and end by turns, and nothing else happens.
func (w *world) settle() error {
	for quiet := 0; quiet < 2; quiet++ {
		before := w.count()
		if err := w.reopened(time.Now(), clusters); err != nil {
			return err
		}
		if after := w.count(); after.lists != before.lists || after.reconciles != before.reconciles || after.broken != before.broken {
			quiet = -1
		}
	}
	return nil
}

// prepare adds a controller.
func (w *world) prepare(f *fleet.Fleet) error {
	return fleet.NewControllerManagedBy(f).For(&corev1.Pod{}).
		Complete(reconcile.TypedFunc[fleet.Request](func(context.Context, fleet.Request) (reconcile.Result, error) {
			w.reconciles.Add(1)
			return reconcile.Result{}, nil
		}))
}

// mint makes a token for each cluster.
func (w *world) mint() ([]bench.BoundToken, error) {
	tokens := make([]bench.BoundToken, clusters)
	return tokens, bench.Parallel(8, clusters, func(i int) (err error) {
		tokens[i], err = w.server(i).Account.Token(w.Ctx)
		return err
	})
}

// declare tells the inventory of all clusters with their tokens, at once.
func (w *world) declare() {
	for i, p := range w.proxies {
		entry := bench.Named(fmt.Sprintf("cluster-%02d", i), w.server(i).Cluster, w.tokens[i].Credential)
		entry.Spec.Endpoint.Server = p.URL
		w.names.Set(entry)
	}
}

// rotate declares new credentials, kills the old ones, and waits until every watch was opened again with the
// new one. Meanwhile it reads. It returns how long it took until all were in use.
func (w *world) rotate(reads *reads) (time.Duration, error) {
	old := w.tokens
	var err error
	if w.tokens, err = w.mint(); err != nil {
		return 0, err
	}
	stop := reads.begin(w.Ctx)
	defer stop()
	begin := time.Now()
	w.declare()
	if err := bench.Until(w.Ctx, "the new credentials", func() bool { return w.swapped(begin) }); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	died, err := w.kill(old)
	if err != nil {
		return 0, err
	}
	return took, w.reopened(died, clusters)
}

func (w *world) swapped(since time.Time) bool {
	for _, c := range w.fleet.Clusters() {
		if c.State().RenewedAt.Before(since) {
			return false
		}
	}
	return true
}

// kill makes tokens dead, and returns when they are.
func (w *world) kill(tokens []bench.BoundToken) (died time.Time, err error) {
	for first, server := range w.servers {
		var own []bench.BoundToken
		for i := first; i < clusters; i += len(w.servers) {
			own = append(own, tokens[i])
		}
		if err := server.Account.Kill(w.Ctx, own...); err != nil {
			return time.Time{}, err
		}
	}
	return time.Now(), nil
}

// reopened waits until, of so many clusters, a watch on pods was opened after a moment and answered.
func (w *world) reopened(since time.Time, wanted int) error {
	short, cancel := context.WithTimeout(w.Ctx, 5*watchTimeout)
	defer cancel()
	return bench.Until(short, fmt.Sprintf("the watches of %d clusters to open again", wanted), func() bool {
		open := 0
		for _, p := range w.proxies {
			for _, watch := range p.Watches() {
				if watch.Path == bench.PodsPath && watch.Started.After(since) && watch.Status == http.StatusOK {
					open++
					break
				}
			}
		}
		return open >= wanted
	})
}

// counts are what is compared before and after.
type counts struct{ lists, watches, broken, reconciles int }

func (w *world) count() counts {
	n := counts{reconciles: int(w.reconciles.Load())}
	for _, p := range w.proxies {
		for _, r := range p.Requests() {
			if r.Path == bench.PodsPath && r.Method == http.MethodGet &&
				(r.Query.Get("watch") == "" || r.Query.Get("sendInitialEvents") == "true") {
				n.lists++
			}
		}
		for _, watch := range p.Watches() {
			if watch.Path != bench.PodsPath {
				continue
			}
			n.watches++
			if watch.End == fleettest.WatchBroken || watch.End == fleettest.WatchCancelled {
				n.broken++
			}
		}
	}
	return n
}

func (w *world) end() {
	_ = w.fleet.End() // it is over
	for _, p := range w.proxies {
		p.Close()
	}
}

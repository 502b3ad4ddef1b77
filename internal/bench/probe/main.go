// Command probe measures what it costs to watch over 500 connections: light
// probes, goroutines and memory for each connection, and the writes of status
// when nothing changes.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/manager"
)

const (
	connections = 500
	// busy asks for more probes than can be made, so that what is made is what can be.
	busy   = 50 * time.Millisecond
	window = 15 * time.Second
	rest   = time.Minute
)

func main() {
	bench.Main("probe", []string{"alpha", "beta"}, func(b *bench.Bench) error {
		var targets []bench.Target
		for _, name := range []string{"alpha", "beta"} {
			t, err := b.Target(name)
			if err != nil {
				return err
			}
			targets = append(targets, t)
		}
		if err := atRest(b, targets); err != nil {
			return err
		}
		if err := atFullSpeed(b, targets); err != nil {
			return err
		}
		return writes(b, targets)
	})
}

// atRest measures what a connection holds when it has nothing to do.
func atRest(b *bench.Bench, targets []bench.Target) error {
	goroutines, heap := held()
	f := fleet.NewLinks(b.Ctx)
	defer f.Close()
	var probes atomic.Int64
	if err := fill(b.Ctx, f, targets, time.Hour, func(connection.Probe) { probes.Add(1) }); err != nil {
		return err
	}
	g, h := held()
	b.Add("goroutines_per_connection", float64(g-goroutines)/connections, "count", "with the TCP connection to the API server")
	b.Add("heap_bytes_per_connection", (float64(h)-float64(heap))/connections, "bytes", "with TLS and HTTP/2 buffers")
	return nil
}

func held() (goroutines int, heap uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// atFullSpeed measures light probes, with the API servers on the same two cores.
func atFullSpeed(b *bench.Bench, targets []bench.Target) error {
	f := fleet.NewLinks(b.Ctx)
	defer f.Close()
	var probes, failed atomic.Int64
	count := func(p connection.Probe) {
		if p.Err != nil {
			failed.Add(1)
		} else if !p.Full {
			probes.Add(1)
		}
	}
	if err := fill(b.Ctx, f, targets, busy, count); err != nil {
		return err
	}
	probes.Store(0)
	failed.Store(0)
	begin, cpu := time.Now(), cpuTime()
	if err := pause(b.Ctx, window); err != nil {
		return err
	}
	n, took, used := float64(probes.Load()), time.Since(begin).Seconds(), cpuTime()-cpu
	if failed.Load() > 0 {
		return fmt.Errorf("%d probes failed", failed.Load())
	}
	b.Add("per_second", n/took, "1/s", "light probes, API servers on the same cores")
	b.Add("cpu_us", float64(used.Microseconds())/n, "us", "of our process, for each light probe")
	return nil
}

func fill(ctx context.Context, f *fleet.Links, targets []bench.Target, interval time.Duration, observe func(connection.Probe)) error {
	for i := range connections {
		t := targets[i%len(targets)]
		_, err := f.Add(t.Spec(fmt.Sprintf("c-%d", i)), bench.Still{Token: t.Token}, connection.Options{ProbeInterval: interval, FullEvery: 1 << 30, Observe: observe})
		if err != nil {
			return err
		}
	}
	return bench.Until(ctx, "all to be Ready", func() bool {
		for _, c := range f.All() {
			if c.State().Condition(v1alpha1.Ready).Status != metav1.ConditionTrue {
				return false
			}
		}
		return true
	})
}

// writes runs a whole manager over 500 RemoteClusters, and counts the changes of any of them while nothing happens.
func writes(b *bench.Bench, targets []bench.Target) error {
	hub := targets[0]
	if err := b.Install(hub.Cluster); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.Ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- manager.Run(ctx, manager.Options{ClusterName: bench.Local, ManagementOnly: true, Config: hub.Cluster.AdminConfig(), Log: logr.Discard(), MetricsAddr: "0", ProbeAddr: "0"})
	}()
	b.Say("declaring %d RemoteClusters", connections)
	for i := range connections {
		if err := declare(b.Ctx, hub.Admin, fmt.Sprintf("c-%d", i), targets[i%len(targets)]); err != nil {
			return err
		}
	}
	var all v1alpha1.RemoteClusterList
	if err := bench.Until(b.Ctx, "all to be Ready", func() bool { return hub.Admin.List(b.Ctx, &all) == nil && ready(all) == connections }); err != nil {
		return fmt.Errorf("%d of %d are Ready: %w", ready(all), connections, err)
	}
	b.Say("all Ready; counting writes for %s", rest)
	changes, err := countChanges(b.Ctx, hub, all.ResourceVersion)
	if err != nil {
		return err
	}
	b.Add("status_writes_per_minute", float64(changes), "1/min", fmt.Sprintf("%d RemoteClusters, nothing changes", connections))
	cancel()
	return <-ended
}

func ready(all v1alpha1.RemoteClusterList) (n int) {
	for _, rc := range all.Items {
		for _, c := range rc.Status.Conditions {
			if c.Type == v1alpha1.Ready && c.Status == metav1.ConditionTrue {
				n++
			}
		}
	}
	return n
}

func countChanges(ctx context.Context, hub bench.Target, since string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, rest)
	defer cancel()
	scheme, err := kinds.Scheme()
	if err != nil {
		return 0, err
	}
	watching, err := client.NewWithWatch(hub.Cluster.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		return 0, err
	}
	w, err := watching.Watch(ctx, &v1alpha1.RemoteClusterList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: since}})
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	changes := 0
	for {
		select {
		case <-ctx.Done():
			return changes, nil
		case event, open := <-w.ResultChan():
			if !open {
				return changes, errors.New("the watch ended early")
			}
			if event.Type == watch.Modified {
				changes++
			}
		}
	}
}

func declare(ctx context.Context, admin client.Client, name string, t bench.Target) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(name), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{v1alpha1.BearerTokenKey: t.Token.Token.Reveal()},
	}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.CAData = t.Cluster.Server, base64.StdEncoding.EncodeToString(t.Cluster.CA())
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	return errors.Join(admin.Create(ctx, secret), admin.Create(ctx, rc))
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

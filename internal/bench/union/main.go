// Command union compares, once at size, what three replicas that share a fleet have written of the endpoints of four
// clusters with what is to be written, computed by brute force from what the clusters have then. It is compared before,
// and after a time in which pods, namespaces and accounts change all the time, replicas are killed, and one cluster
// cannot be reached. It fails where anything differs, and names that.
//
// The brute force, which shares no code with what it judges, is that of package fedtest.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/fedtest"
)

const (
	pods   = 50_000 // in all clusters together
	europe = "europe"
)

// fleet is the clusters, the local one first: by their names as RemoteClusters.
var fleet = []struct{ name, region string }{{bench.Local, ""}, {"alpha", europe}, {"beta", europe}, {"gamma", "asia"}}

var replicas = []string{"hawser-0", "hawser-1", "hawser-2"}

func main() {
	bench.MainOn("union", fleettest.Options{
		Clusters: []string{"primary", "alpha", "beta", "gamma"},
		// What is written here in some minutes would not fit into etcd with all its earlier versions.
		APIServerArgs: []string{"*=--etcd-compaction-interval=20s"},
	}, func(b *bench.Bench) (err error) {
		r := &run{Bench: b, perCluster: bench.Size(pods) / len(fleet)}
		defer func() { r.end(err != nil) }()
		ctx, stop := context.WithCancel(b.Ctx)
		defer stop()
		go r.progress(ctx) // ends with stop
		if err := r.prepare(); err != nil {
			return err
		}
		return r.story(ctx)
	})
}

type run struct {
	*bench.Bench
	perCluster int
	clusters   []*cluster
	admin      crclient.Client
	group      *bench.Replicas
	sets       []fedtest.Set
	policies   []fedtest.Policy

	made, changed atomic.Int64 // pods that there are, and changes
	writes        atomic.Pointer[writes]
}

func (r *run) end(failed bool) {
	if r.group != nil {
		if failed {
			r.Say("the logs of the replicas are in %s", r.group.Logs())
		}
		r.group.End(failed)
	}
	for _, c := range r.clusters {
		if c.proxy != nil {
			c.proxy.Close()
		}
	}
}

// progress tells every few seconds how far it is, until ctx ends.
func (r *run) progress(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for begin := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		written := 0
		if w := r.writes.Load(); w != nil {
			written, _ = w.sum()
		}
		r.Say("%4.0f s: %d pods, %d changes, %d writes", time.Since(begin).Seconds(), r.made.Load(), r.changed.Load(), written)
	}
}

// prepare makes the clusters, and what is in them, and asks for everything.
func (r *run) prepare() error {
	apps := max(bench.Size(pods)/perApp, 4)
	for number, f := range fleet {
		c := &cluster{number: number, apps: apps, pool: newPool(2*r.perCluster+100, uint64(number))}
		c.Name, c.Labels, c.CIDRs = f.name, map[string]string{"region": f.region}, cidrs(number)
		name := f.name
		if number == 0 {
			name, c.Local, c.Labels, c.CIDRs = "primary", true, nil, nil
		}
		c.Ever = c.ever()
		var err error
		if c.of, err = r.Fleet.Cluster(r.Ctx, name); err != nil {
			return err
		}
		if c.Kube, err = client(c.of); err != nil {
			return err
		}
		r.clusters = append(r.clusters, c)
	}
	begin := time.Now()
	err := bench.Parallel(len(r.clusters), len(r.clusters), func(i int) error { return r.fill(r.clusters[i]) })
	if err != nil {
		return err
	}
	r.Say("%d pods are there after %.0f s", r.made.Load(), time.Since(begin).Seconds())
	local, admin, err := r.Cluster("primary")
	if err != nil {
		return err
	}
	r.admin = admin
	if r.group, err = r.Replicas(local, admin, "--endpoints", "--query-bind-address", "0"); err != nil {
		return err
	}
	return errors.Join(local.ApplyFiles(r.Ctx, "config/endpoints/*.yaml"), r.declare())
}

// declare makes the RemoteClusters, which are reached through proxies.
func (r *run) declare() error {
	for _, c := range r.clusters[1:] {
		t, err := r.Target(c.Name, v1alpha1.CapabilityEndpoints)
		if err != nil {
			return err
		}
		if c.proxy, err = c.of.NewProxy(); err != nil {
			return err
		}
		err = r.DeclareAs(r.admin, c.Name, t, func(rc *v1alpha1.RemoteCluster) {
			rc.Labels = c.Labels
			rc.Spec.Server, rc.Spec.EndpointCIDRs = c.proxy.URL, c.CIDRs
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ask makes all sets and policies.
func (r *run) ask() error {
	r.sets, r.policies = sets(r.clusters[0].apps), policies(r.clusters[0].apps)
	if err := r.admin.Create(r.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}); err != nil {
		return fmt.Errorf("making namespace %s: %w", space, err)
	}
	for _, s := range r.sets {
		if err := r.admin.Create(r.Ctx, s.Object); err != nil {
			return fmt.Errorf("making EndpointSet %s: %w", s.Object.Name, err)
		}
	}
	for _, p := range r.policies {
		if err := r.admin.Create(r.Ctx, p.Object); err != nil {
			return fmt.Errorf("making FederatedNetworkPolicy %s: %w", p.Object.Name, err)
		}
	}
	return nil
}

// within waits for something that is looked at every so often, and fails where a replica has died meanwhile, or h has failed.
func (r *run) within(d, every time.Duration, what string, h *churn, check func() error) error {
	ctx, cancel := context.WithTimeout(r.Ctx, d)
	defer cancel()
	var fatal error
	err := fleettest.Until(ctx, every, func() error {
		err := r.group.Died()
		if err == nil && h != nil {
			err = h.err()
		}
		if err != nil {
			err = fatalError{err}
		} else {
			err = check()
		}
		var f fatalError
		if errors.As(err, &f) {
			fatal, err = f.error, nil // which ends the waiting
		}
		return err
	})
	if fatal != nil {
		return fatal
	}
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// fatalError is one that no waiting mends.
type fatalError struct{ error }

var errWaiting = errors.New("it is not time yet")

// pass lets some time go by.
func (r *run) pass(d time.Duration, h *churn) error {
	begin := time.Now()
	return r.within(d+time.Minute, 100*time.Millisecond, "time to pass", h, func() error {
		if time.Since(begin) < d {
			return errWaiting
		}
		return nil
	})
}

// ready fails where an EndpointSet or a policy is refused.
func (r *run) ready() error {
	var es v1alpha1.EndpointSetList
	var ps v1alpha1.FederatedNetworkPolicyList
	if err := errors.Join(r.admin.List(r.Ctx, &es), r.admin.List(r.Ctx, &ps)); err != nil {
		return fmt.Errorf("listing what is asked for: %w", err)
	}
	var refused []string
	look := func(name string, conditions []metav1.Condition) {
		for _, c := range conditions {
			if c.Type == v1alpha1.Ready && c.Status == metav1.ConditionFalse {
				refused = append(refused, fmt.Sprintf("%s: %s: %s", name, c.Reason, c.Message))
			}
		}
	}
	for i := range es.Items {
		look("EndpointSet "+es.Items[i].Name, es.Items[i].Status.Conditions)
	}
	for i := range ps.Items {
		look("FederatedNetworkPolicy "+ps.Items[i].Name, ps.Items[i].Status.Conditions)
	}
	if len(refused) > 0 {
		return errors.New(strings.Join(refused, "\n"))
	}
	return nil
}

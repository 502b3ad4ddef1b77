package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/hawser-io/hawser/internal/fedtest"
)

const (
	patience = 8 * time.Minute  // until what is written is what it is to be
	silence  = time.Minute      // in which nothing is written, and nothing is to be expected any more
	alone    = 15 * time.Second // of changes before and after something happens
	idle     = 10 * time.Second
)

// story is what happens.
func (r *run) story(ctx context.Context) error {
	w, err := r.countWrites(ctx)
	if err != nil {
		return err
	}
	r.writes.Store(w)
	if err := r.begin(); err != nil {
		return err
	}
	before, err := w.sum()
	if err != nil {
		return err
	}
	begin, h := time.Now(), r.startChurn()
	err = r.happens(h)
	changed, took := r.changed.Load(), time.Since(begin)
	if err = errors.Join(err, h.end()); err != nil {
		return err
	}
	r.Say("%d changes, %.0f a second; nothing changes any more", changed, float64(changed)/took.Seconds())
	stopped := time.Now()
	now, err := r.look()
	if err != nil {
		return err
	}
	_, v, err := r.settle(now)
	if err != nil {
		return err
	}
	settled := time.Since(stopped)
	total, err := w.sum()
	if err != nil {
		return err
	}
	if err := r.still(now, w); err != nil {
		return err
	}
	most, name, median := w.most()
	r.Add("pods", float64(now.Pods), "count", fmt.Sprintf("in 4 real clusters, one of them the local one, by %d sets and %d policies; 3 processes of hawser manager --shards share the fleet", len(r.sets), len(r.policies)))
	r.Add("differences", float64(v.Count), "count", fmt.Sprintf("between the union of the written objects and a brute-force computation from objects listed anew, after %d changes, %.0f a second, two replicas killed and one cluster cut", changed, float64(changed)/took.Seconds()))
	r.Add("converge_end_s", settled.Seconds(), "s", "from the last change until nothing differed, with the time that it takes to list everything")
	r.Add("objects", float64(v.Objects), "count", "NetworkPolicies and ConfigMaps")
	r.Add("writes", float64(total-before), "count", fmt.Sprintf("of these during the changes, %.2f for each change; the object in the middle %d, the most %d (%s), the first ones included", float64(total-before)/float64(changed), median, most, name))
	return nil
}

// begin lets the replicas find everything for the first time.
func (r *run) begin() error {
	for _, name := range replicas {
		if err := r.group.Launch(name); err != nil {
			return err
		}
	}
	err := r.within(3*time.Minute, 500*time.Millisecond, "every cluster to have an owner", nil, func() error {
		owners, err := r.group.Owners()
		if err == nil && len(owners) < len(r.clusters) {
			err = fmt.Errorf("the owners are %v", owners)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := r.ask(); err != nil {
		return err
	}
	w, err := r.look()
	if err != nil {
		return err
	}
	took, v, err := r.settle(w)
	if err != nil {
		return err
	}
	r.Add("converge_first_s", took.Seconds(), "s", fmt.Sprintf("from the declaration of the sets and policies until %d objects were there, with what %d pods are to be in them", v.Objects, w.Pods))
	return r.ready()
}

// happens is what happens while everything changes.
func (r *run) happens(h *churn) error {
	if err := r.pass(alone, h); err != nil {
		return err
	}
	victim, owned, err := r.victim()
	if err != nil {
		return err
	}
	r.Say("killing %s, which has %v", victim, owned)
	taken, err := r.kill(h, victim, owned...)
	if err != nil {
		return err
	}
	r.Add("converge_kill_s", taken.Seconds(), "s", fmt.Sprintf("from SIGKILL of a replica that had %d of the 4 clusters until a pod that was made in each right then was in every object that it belongs to, while everything changed", len(owned)))
	if err := r.comeBack(h, victim); err != nil {
		return err
	}
	cut, mended, err := r.cut(h, r.clusters[2])
	if err != nil {
		return err
	}
	r.Add("converge_mend_s", mended.Seconds(), "s", fmt.Sprintf("from the end of a cut of %.0f s, in which the owner of the cluster was killed, until a pod that was made there meanwhile was in every object that it belongs to", cut.Seconds()))
	return r.pass(alone, h)
}

// victim is the replica that leads, or, if that has no cluster, another one.
func (r *run) victim() (name string, owned []string, err error) {
	owners, err := r.group.Owners()
	if err != nil {
		return "", nil, err
	}
	of := map[string][]string{}
	for cluster, replica := range owners {
		of[replica] = append(of[replica], cluster)
	}
	if name, err = r.group.Leader(); err != nil {
		return "", nil, err
	}
	for _, other := range replicas {
		if len(of[name]) == 0 {
			name = other
		}
	}
	slices.Sort(of[name])
	return name, of[name], nil
}

// kill kills a replica, and waits until pods that are made in its clusters then are in all objects.
func (r *run) kill(h *churn, victim string, owned ...string) (time.Duration, error) {
	begin := time.Now()
	if err := r.group.Stop(victim, syscall.SIGKILL); err != nil {
		return 0, err
	}
	var markers []*marked
	for _, c := range r.clusters {
		if slices.Contains(owned, c.Name) {
			m, err := r.mark(c)
			if err != nil {
				return 0, err
			}
			markers = append(markers, m)
		}
	}
	if err := r.arrived(h, markers...); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// comeBack starts a replica again. It has its share only when another one has more than its own: four clusters stay
// with two of three.
func (r *run) comeBack(h *churn, name string) error {
	if err := r.group.Launch(name); err != nil {
		return err
	}
	return r.within(2*time.Minute, time.Second, name+" to be one of the replicas", h, func() error {
		if r.group.Metrics(name) == "" {
			return errWaiting
		}
		return nil
	})
}

// settle compares until nothing differs, or nothing is written any more.
func (r *run) settle(w *fedtest.World) (took time.Duration, last *fedtest.Verdict, err error) {
	begin, told, wrote, count := time.Now(), time.Now(), time.Now(), 0
	err = r.within(patience, time.Second, "the written objects to be what they are to be", nil, func() error {
		v, err := r.judge(w)
		if err != nil {
			return err
		}
		last = v
		if v.Count == 0 {
			return nil
		}
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			r.Say("%d differences, such as: %s", v.Count, v.Texts[0])
		}
		differ := fmt.Errorf("there are %d differences", v.Count)
		n, err := r.writes.Load().sum()
		switch {
		case err != nil:
			return err
		case n != count:
			wrote, count = time.Now(), n
		case time.Since(wrote) > silence:
			return fatalError{fmt.Errorf("nothing was written for %s, and %w", silence, differ)}
		}
		return differ
	})
	if err != nil && last != nil && last.Count > 0 {
		fmt.Fprintln(os.Stderr, last)
		err = errors.Join(err, r.ready())
	}
	return time.Since(begin), last, err
}

// still fails where something is written although nothing changes, or differs then.
func (r *run) still(w *fedtest.World, count *writes) error {
	before, err := count.sum()
	if err != nil {
		return err
	}
	if err := r.pass(idle, nil); err != nil {
		return err
	}
	after, err := count.sum()
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("there were %d writes in %s in which nothing had changed", after-before, idle)
	}
	v, err := r.judge(w)
	if err != nil {
		return err
	}
	if v.Count > 0 {
		fmt.Fprintln(os.Stderr, v)
		return fmt.Errorf("there are %d differences after all was right", v.Count)
	}
	return r.ready()
}

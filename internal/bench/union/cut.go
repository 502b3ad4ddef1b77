package main

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/fedtest"
)

const (
	known   = time.Minute      // within which everybody has to know that a cluster is not heard of
	lag     = 3 * time.Second  // that what was on its way then takes
	alive   = 10 * time.Second // for which the owner of a cluster that is cut lives on
	unknown = 15 * time.Second // for which the cluster is then cut in the hands of one that has never seen it
)

// cut takes a cluster away for a while, kills the replica that had it meanwhile, and says how long it was cut, and how
// long it took from the end of that until a pod that was made there meanwhile is in all objects. What was known of the
// cluster stays as it was, also while a replica has it that has never seen it; only what expires is taken away.
func (r *run) cut(h *churn, c *cluster) (cut, mended time.Duration, err error) {
	r.Say("cutting %s", c.Name)
	begin := time.Now()
	c.proxy.Cut()
	marker, err := r.mark(c)
	if err != nil {
		return 0, 0, err
	}
	err = r.within(known, time.Second, "everybody to know that "+c.Name+" is not heard of", h, func() error { return r.stale(c) })
	if err = errors.Join(err, r.pass(lag, h)); err != nil {
		return 0, 0, err
	}
	was, err := r.contents(c)
	if err != nil {
		return 0, 0, err
	}
	r.Say("everybody knows that %s is cut, and %d objects of it are held", c.Name, len(was))
	if err := r.holds(h, c, was, alive, func() error { return nil }); err != nil {
		return 0, 0, err
	}
	owners, err := r.group.Owners()
	if err != nil {
		return 0, 0, err
	}
	victim := owners[c.Name]
	r.Say("killing %s, which has %s", victim, c.Name)
	if err := r.group.Stop(victim, syscall.SIGKILL); err != nil {
		return 0, 0, err
	}
	err = r.holds(h, c, was, 0, func() error {
		owners, err := r.group.Owners()
		if err == nil && (owners[c.Name] == "" || owners[c.Name] == victim) {
			err = fmt.Errorf("the owners are %v", owners)
		}
		return err
	})
	if err = errors.Join(err, r.holds(h, c, was, unknown, func() error { return r.takenAway(c) })); err != nil {
		return 0, 0, err
	}
	r.Say("mending %s", c.Name)
	end := time.Now()
	c.proxy.Restore()
	if err := r.arrived(h, marker); err != nil {
		return 0, 0, err
	}
	return end.Sub(begin), time.Since(end), r.comeBack(h, victim)
}

// stale says whether every set and policy that asks for a cluster tells that it is not heard of.
func (r *run) stale(c *cluster) error {
	var es v1alpha1.EndpointSetList
	var ps v1alpha1.FederatedNetworkPolicyList
	if err := errors.Join(r.admin.List(r.Ctx, &es), r.admin.List(r.Ctx, &ps)); err != nil {
		return fmt.Errorf("listing what is asked for: %w", err)
	}
	look := func(name string, of v1alpha1.ClusterScope, status *v1alpha1.FederationStatus) error {
		i := slices.IndexFunc(status.Clusters, func(e v1alpha1.FederatedCluster) bool { return e.Name == c.Name })
		if fedtest.Takes(of, &c.Cluster) && (i < 0 || status.Clusters[i].StaleSince == nil) {
			return fmt.Errorf("%s does not say so", name)
		}
		return nil
	}
	for i := range es.Items {
		if err := look("EndpointSet "+es.Items[i].Name, es.Items[i].Spec.Clusters, &es.Items[i].Status); err != nil {
			return err
		}
	}
	for i := range ps.Items {
		if err := look("FederatedNetworkPolicy "+ps.Items[i].Name, ps.Items[i].Spec.Clusters, &ps.Items[i].Status); err != nil {
			return err
		}
	}
	return nil
}

// contents are what objects of a cluster say that are to be kept while it is not heard of.
func (r *run) contents(c *cluster) (map[string]string, error) {
	objects, err := r.found(labels.Set{fedtest.ManagedBy: "hawser", fedtest.OfCluster: c.Name}.String())
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, o := range objects {
		if o.Labels[fedtest.OfSet] != expiring {
			all[o.String()] = o.Content()
		}
	}
	return all, nil
}

// holds looks, for a while and until something else is the case, that objects stay as they were.
func (r *run) holds(h *churn, c *cluster, was map[string]string, d time.Duration, also func() error) error {
	begin := time.Now()
	return r.within(d+2*time.Minute, time.Second, "what happens while "+c.Name+" is cut", h, func() error {
		now, err := r.contents(c)
		if err != nil {
			return err
		}
		for name, content := range was {
			if after, there := now[name]; after != content {
				return fatalError{fmt.Errorf("%s is cut, and %s was changed (it is there: %t): it was\n%.500s\nand is\n%.500s", c.Name, name, there, content, after)}
			}
		}
		for name := range now {
			if _, there := was[name]; !there {
				return fatalError{fmt.Errorf("%s is cut, and %s was made", c.Name, name)}
			}
		}
		if time.Since(begin) < d {
			return errWaiting
		}
		return also()
	})
}

// takenAway says whether what expires of a cluster has gone, and says why.
func (r *run) takenAway(c *cluster) error {
	objects, err := r.found(labels.Set{fedtest.ManagedBy: "hawser", fedtest.OfCluster: c.Name, fedtest.OfSet: expiring}.String())
	if err != nil {
		return err
	}
	marked := 0
	for _, o := range objects {
		if o.Annotations[fedtest.Expired] == "true" {
			marked++
		}
		all, err := o.Prefixes()
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("%s has %d ranges, although its staleness has expired", o, len(all))
		}
		if err != nil {
			return err
		}
	}
	if marked == 0 {
		return fmt.Errorf("none of %d objects says that its addresses were taken away", len(objects))
	}
	return nil
}

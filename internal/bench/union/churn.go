package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	rate   = 80 // changes a second, in all clusters together
	atOnce = 32 // requests that are waited for
)

// churn is changes that go on until end. They go to the API servers themselves, whatever becomes of the connections.
type churn struct {
	*run
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	failed error
}

func (r *run) startChurn() *churn {
	ctx, stop := context.WithCancel(r.Ctx)
	h := &churn{run: r, stop: stop}
	slots := make(chan struct{}, atOnce)
	h.running.Go(func() { // ends with stop
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		random := rand.New(rand.NewPCG(seed, 99))
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			c, own := r.clusters[random.IntN(len(r.clusters))], rand.New(rand.NewPCG(random.Uint64(), 1))
			h.running.Go(func() { // ends with its requests
				defer func() { <-slots }()
				if err := r.change(c, own); err != nil {
					h.mu.Lock()
					defer h.mu.Unlock()
					if h.failed == nil {
						h.failed = err
					}
					stop()
				}
				r.changed.Add(1)
			})
		}
	})
	return h
}

// end ends it, when the last change has been answered.
func (h *churn) end() error {
	h.stop()
	h.running.Wait()
	return h.err()
}

func (h *churn) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// change does one thing in a cluster. There are as many new pods as deleted ones.
func (r *run) change(c *cluster, random *rand.Rand) error {
	switch n := random.IntN(1000); {
	case n < 5:
		i := random.IntN(namespaces)
		return r.relabel(c, namespace(i), "", namespaceLabels(i, random.IntN(20)))
	case n < 10:
		return r.relabel(c, namespace(random.IntN(namespaces)), accounts[random.IntN(len(accounts))], accountLabels(0, random.IntN(2)))
	case n < 200:
		return r.create(c, random)
	}
	p := c.borrow(random)
	if p == nil {
		return nil
	}
	kept := true
	defer func() { c.putBack(p, kept) }()
	switch n := random.IntN(1000); {
	case n < 190 || p.ended:
		kept = false
		now := int64(0)
		if err := c.Kube.CoreV1().Pods(p.namespace).Delete(r.Ctx, p.name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			return fmt.Errorf("deleting pod %s/%s of %s: %w", p.namespace, p.name, c.Name, err)
		}
		c.release(p)
		r.made.Add(-1)
	case n < 230: // its address is another pod's from then on, although it is still there
		if err := r.patchStatus(c, p, encoded(map[string]any{"status": map[string]any{"phase": corev1.PodSucceeded}})); err != nil {
			return err
		}
		p.ended = true
		c.release(p)
	case n < 560:
		place := c.pool.take()
		if err := r.patchStatus(c, p, running(c.at(place))); err != nil {
			return err
		}
		c.release(p)
		p.place = place
	default:
		return r.relabelPod(c, p, random)
	}
	return nil
}

func (r *run) relabelPod(c *cluster, p *pod, random *rand.Rand) error {
	labels := map[string]any{"canary": nil, "stable": nil}
	for name, value := range c.podLabels(random) {
		labels[name] = value
	}
	patch := encoded(map[string]any{"metadata": map[string]any{"labels": labels}})
	if _, err := c.Kube.CoreV1().Pods(p.namespace).Patch(r.Ctx, p.name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("relabelling pod %s/%s of %s: %w", p.namespace, p.name, c.Name, err)
	}
	return nil
}

// relabel changes a namespace, or an account in it.
func (r *run) relabel(c *cluster, namespace, account string, labels map[string]string) (err error) {
	patch := encoded(map[string]any{"metadata": map[string]any{"labels": labels}})
	if account == "" {
		_, err = c.Kube.CoreV1().Namespaces().Patch(r.Ctx, namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = c.Kube.CoreV1().ServiceAccounts(namespace).Patch(r.Ctx, account, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("relabelling %s/%s of %s: %w", namespace, account, c.Name, err)
	}
	return nil
}

// borrow takes a pod that nobody changes, nil if there is none.
func (c *cluster) borrow(random *rand.Rand) *pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pods) == 0 {
		return nil
	}
	i, last := random.IntN(len(c.pods)), len(c.pods)-1
	p := c.pods[i]
	c.pods[i] = c.pods[last]
	c.pods = c.pods[:last]
	return p
}

func (c *cluster) putBack(p *pod, kept bool) {
	if !kept {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods = append(c.pods, p)
}

// release gives the address of a pod to others.
func (c *cluster) release(p *pod) {
	c.pool.give(p.place)
	p.place = -1
}

package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/fleettest"
)

// churner changes pods, and what they inherit from, at random. Errors are those of a cluster that is away.
type churner struct {
	*scene
	random *rand.Rand
	pods   map[string]bool
	made   int
	done   atomic.Int64
}

func newChurner(t *testing.T, c *fleettest.Cluster, seed uint64) *churner {
	t.Helper()
	ch := &churner{scene: alone(t, c), random: rand.New(rand.NewPCG(seed, 7)), pods: map[string]bool{}}
	for _, name := range []string{"one", "two"} {
		c.ServiceAccount(t, ch.namespace, name)
	}
	return ch
}

func (c *churner) pick(of ...string) string { return of[c.random.IntN(len(of))] }

// run changes something every few milliseconds until ctx ends.
func (c *churner) run(ctx context.Context) error {
	for ctx.Err() == nil {
		c.step(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (c *churner) step(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c.done.Add(1)
	core := c.client.CoreV1()
	names := slices.Sorted(maps.Keys(c.pods))
	switch n := c.random.IntN(10); {
	case n < 3 && len(names) < 40 || len(names) < 5:
		c.made++
		name := fmt.Sprintf("pod-%d", c.made)
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: c.labels()}, Spec: corev1.PodSpec{
			ServiceAccountName: c.pick("one", "two"), Containers: []corev1.Container{{Name: "c", Image: "i"}},
		}}
		if _, err := core.Pods(c.namespace).Create(ctx, p, metav1.CreateOptions{}); err == nil {
			c.pods[name] = true
		}
	case n < 5:
		name := c.pick(names...)
		if err := core.Pods(c.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err == nil {
			delete(c.pods, name)
		}
	case n < 8:
		_, _ = core.Pods(c.namespace).Patch(ctx, c.pick(names...), types.JSONPatchType, labelPatch(c.labels()), metav1.PatchOptions{})
	case n < 9:
		text, _ := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": c.pick("a", "b")}}})
		_, _ = core.Namespaces().Patch(ctx, c.namespace, types.MergePatchType, text, metav1.PatchOptions{})
	default:
		text, _ := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{"role": []any{"r", nil}[c.random.IntN(2)]}}})
		_, _ = core.ServiceAccounts(c.namespace).Patch(ctx, c.pick("one", "two"), types.MergePatchType, text, metav1.PatchOptions{})
	}
}

func (c *churner) labels() map[string]string {
	all := map[string]string{"app": c.pick("web", "db", "worker")}
	if c.random.IntN(2) == 0 {
		all["tier"] = c.pick("front", "back")
	}
	return all
}

func labelPatch(labels map[string]string) []byte {
	text, _ := json.Marshal([]any{map[string]any{"op": "replace", "path": "/metadata/labels", "value": labels}})
	return text
}

// settled says that what is being made or deleted is made or deleted.
func (c *churner) settled(ctx context.Context) error {
	pods, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || p.Status.PodIP == "" {
			return fmt.Errorf("pod %s is on its way", p.Name)
		}
	}
	return nil
}

func TestAgreesWithAFreshComputationAfterEverything(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	all := netip.MustParsePrefix("10.0.0.0/8")
	bounds, narrow := within("10.0.0.0/8"), within("10.0.0.0/9")
	l := newLand(t)
	var live []*index.Query
	for _, s := range mixed() {
		live = append(live, l.Index().Add(s, nil))
	}
	a, b := switchTo(t, alpha), switchTo(t, beta)
	ids := map[string]string{"alpha": idOf(t, alpha), "beta": idOf(t, beta)}
	configA, configB := a.config(), b.config()
	l.follow("alpha", ids["alpha"], configA, bounds)
	l.follow("beta", ids["beta"], configB, bounds)

	churners := []*churner{newChurner(t, alpha, 1), newChurner(t, beta, 2)}
	var running []*fleettest.Running
	for _, c := range churners {
		running = append(running, fleettest.Background(t, "churn", c.run))
	}
	pause := func() { // until something has changed in both, or was tried to
		t.Helper()
		for i, c := range churners {
			enough := c.done.Load() + 13
			fleettest.Eventually(t, 20*time.Second, func() error {
				if done := c.done.Load(); done < enough {
					return fmt.Errorf("churn %d has done %d changes of %d", i, done, enough)
				}
				return nil
			})
		}
	}
	pause()
	a.cut()
	pause()
	a.turn(alpha)
	b.dismiss()
	pause()
	a.turn(beta) // another cluster under the name
	pause()
	a.turn(alpha)
	l.follow("beta", ids["beta"], configB, narrow)
	l.follow("beta", ids["beta"], configB, bounds)
	pause()
	beta.Stop(t) // and what was sent to it
	t.Cleanup(func() { beta.Start(t) })
	l.Forget("alpha")
	l.follow("alpha", ids["alpha"], configA, bounds) // it vanishes, and is there again
	live = append(live, l.Index().Add(mixed()[1], nil))
	pause()
	beta.Start(t)
	pause()
	l.follow("alpha", ids["alpha"], a.config(), bounds) // over another connection
	l.follow("beta", ids["beta"], configB, narrow)
	l.Suspend(endpoint.Cluster{Name: "beta", ID: ids["beta"], Bounds: narrow}, endpoint.Gap{Reason: endpoint.ReasonDisabled, Message: "off"})
	pause()
	l.follow("beta", ids["beta"], configB, bounds)
	pause()
	for _, r := range running {
		r.Stop()
	}
	for i, name := range []string{"alpha", "beta"} {
		c := churners[i]
		now := map[string]map[string]string{}
		fleettest.Eventually(t, 20*time.Second, func() (err error) {
			if err := c.settled(t.Context()); err != nil {
				return err
			}
			if now, err = fresh(t.Context(), c.client, name, ids[name], all); err != nil {
				return err
			}
			if diff := compare(l.Index(), name, live, now); diff != "" {
				return errors.New(diff)
			}
			return nil
		})
		ours := 0
		for pod := range now {
			if strings.HasPrefix(pod, "pod "+c.namespace+"/") {
				ours++
			}
		}
		if ours < 3 || c.done.Load() < 100 {
			t.Errorf("%s: only %d pods are left after %d changes", name, ours, c.done.Load())
		}
		l.is(name, "current", aside(current))
	}
}

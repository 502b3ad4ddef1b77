package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/fleettest"
)

// churner changes pods, and what they inherit from, at random. Errors are those of a cluster that is away.
type churner struct {
	*scene
	random    *rand.Rand
	addresses []string // that pods move to: fewer than there may be pods, so that they take over each other's
	done      atomic.Int64

	quiet sync.Mutex // held while something is changed, and by whoever wants that nothing is
	pods  map[string]*churned
	did   map[string]int // how often each change was made
}

// churned is what is known of a pod that is there.
type churned struct {
	node  string // empty: whichever it was bound to
	ended bool
}

// changes are what churn is made of, and how often.
var changes = []struct {
	what  string
	often int
	do    func(*churner, context.Context) error
}{
	{"a pod comes", 6, (*churner).come},
	{"a pod goes", 3, (*churner).leave},
	{"a pod is made again under its name", 4, (*churner).remake},
	{"a pod is renamed", 3, (*churner).rename},
	{"a pod is relabelled", 6, (*churner).relabel},
	{"a pod moves to another address", 6, (*churner).move},
	{"a pod ends", 2, (*churner).finish},
	{"a pod restarts", 3, (*churner).restart},
	{"a container restarts", 2, (*churner).restartContainer},
	{"the namespace is relabelled", 2, (*churner).relabelNamespace},
	{"an account is relabelled", 2, (*churner).relabelAccount},
}

// mostPods is how many there are at most, and so how many names they have.
const mostPods = 14

func newChurner(t *testing.T, c *fleettest.Cluster, number int) *churner {
	t.Helper()
	ch := &churner{scene: alone(t, c), random: rand.New(rand.NewPCG(uint64(number), 7)), pods: map[string]*churned{}, did: map[string]int{}}
	for _, name := range []string{"one", "two"} {
		c.ServiceAccount(t, ch.namespace, name)
	}
	for i := range 4 {
		ch.addresses = append(ch.addresses, fmt.Sprintf("10.%d.0.%d", number, i), fmt.Sprintf("10.%d.0.%d", 128+number, i), fmt.Sprintf("fd00::%d:%d", number, i))
	}
	ch.addresses = append(ch.addresses, fmt.Sprintf("192.168.%d.1", number)) // which nobody may contribute
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
	c.quiet.Lock()
	defer c.quiet.Unlock()
	total := 0
	for _, change := range changes {
		total += change.often
	}
	n := c.random.IntN(total)
	for _, change := range changes {
		if n -= change.often; n < 0 || len(c.pods) < 5 {
			if change.do(c, ctx) == nil {
				c.did[change.what]++
			}
			break
		}
	}
	c.done.Add(1)
}

var errNoPod = errors.New("there is no such pod")

// name is that of a pod that is not there.
func (c *churner) name() (string, error) {
	var free []string
	for i := range mostPods {
		if name := fmt.Sprint("pod-", i); c.pods[name] == nil {
			free = append(free, name)
		}
	}
	if len(free) == 0 {
		return "", errNoPod
	}
	return c.pick(free...), nil
}

// one is a pod that is there, and has not ended.
func (c *churner) one() (string, error) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.pods)), func(name string) bool { return c.pods[name].ended })
	if len(names) == 0 {
		return "", errNoPod
	}
	return c.pick(names...), nil
}

func (c *churner) labels() map[string]string {
	all := map[string]string{"app": c.pick("web", "db", "worker")}
	if c.random.IntN(2) == 0 {
		all["tier"] = c.pick("front", "back")
	}
	return all
}

func (c *churner) create(ctx context.Context, name, node string, labels map[string]string) error {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.PodSpec{
		NodeName: node, ServiceAccountName: c.pick("one", "two"), Containers: []corev1.Container{{Name: "c", Image: "i"}},
	}}
	_, err := c.client.CoreV1().Pods(c.namespace).Create(ctx, p, metav1.CreateOptions{})
	if err == nil || apierrors.IsAlreadyExists(err) {
		c.pods[name] = &churned{node: node}
	}
	return err
}

// delete deletes a pod at once, or leaves it to its node.
func (c *churner) delete(ctx context.Context, name string, atOnce bool) error {
	var o metav1.DeleteOptions
	if atOnce {
		o.GracePeriodSeconds = new(int64(0))
	}
	err := c.client.CoreV1().Pods(c.namespace).Delete(ctx, name, o)
	if err == nil || apierrors.IsNotFound(err) {
		delete(c.pods, name)
	}
	return err
}

func (c *churner) apply(ctx context.Context, kind types.PatchType, name string, what any, subresource ...string) error {
	text, err := json.Marshal(what)
	if err == nil {
		_, err = c.client.CoreV1().Pods(c.namespace).Patch(ctx, name, kind, text, metav1.PatchOptions{}, subresource...)
	}
	return err
}

func (c *churner) status(ctx context.Context, name string, status map[string]any) error {
	return c.apply(ctx, types.MergePatchType, name, map[string]any{"status": status}, "status")
}

// at gives a pod that runs some addresses.
func (c *churner) at(ctx context.Context, name string, addresses ...corev1.PodIP) error {
	return c.status(ctx, name, map[string]any{"phase": corev1.PodRunning, "podIP": addresses[0].IP, "podIPs": addresses})
}

func (c *churner) come(ctx context.Context) error {
	name, err := c.name()
	if err != nil {
		return err
	}
	return c.create(ctx, name, c.pick("", "node-0", "node-1"), c.labels())
}

func (c *churner) leave(ctx context.Context) error {
	if len(c.pods) == 0 {
		return errNoPod
	}
	return c.delete(ctx, c.pick(slices.Sorted(maps.Keys(c.pods))...), c.random.IntN(2) == 0)
}

// remake has a pod of the same name come at once, on another node and with another address, as of a StatefulSet.
func (c *churner) remake(ctx context.Context) error {
	if len(c.pods) == 0 {
		return errNoPod
	}
	name, node := c.pick(slices.Sorted(maps.Keys(c.pods))...), "node-0"
	if c.pods[name].node == node {
		node = "node-1"
	}
	if err := c.delete(ctx, name, true); err != nil {
		return err
	}
	return c.create(ctx, name, node, c.labels())
}

// rename has a pod of another name take over everything that a pod has, with its address.
func (c *churner) rename(ctx context.Context) error {
	next, err := c.name()
	if err != nil {
		return err
	}
	name, err := c.one()
	if err != nil {
		return err
	}
	p, err := c.client.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(p.Status.PodIPs) == 0 {
		return errNoPod // it has no address yet
	}
	if err := c.delete(ctx, name, true); err != nil {
		return err
	}
	if err := c.create(ctx, next, p.Spec.NodeName, p.Labels); err != nil {
		return err
	}
	return c.at(ctx, next, p.Status.PodIPs...)
}

func (c *churner) relabel(ctx context.Context) error {
	name, err := c.one()
	if err != nil {
		return err
	}
	return c.apply(ctx, types.JSONPatchType, name, []any{map[string]any{"op": "replace", "path": "/metadata/labels", "value": c.labels()}})
}

// move gives a pod one address, or one of each family.
func (c *churner) move(ctx context.Context) error {
	name, err := c.one()
	if err != nil {
		return err
	}
	i := c.random.IntN(len(c.addresses))
	to := []corev1.PodIP{{IP: c.addresses[i]}}
	if i%3 == 1 { // what follows is of the other family
		to = append(to, corev1.PodIP{IP: c.addresses[i+1]})
	}
	return c.at(ctx, name, to...)
}

func (c *churner) finish(ctx context.Context) error {
	name, err := c.one()
	if err != nil {
		return err
	}
	err = c.status(ctx, name, map[string]any{"phase": c.pick(string(corev1.PodSucceeded), string(corev1.PodFailed))})
	if err == nil {
		c.pods[name].ended = true
	}
	return err
}

// restart takes everything from a pod that its node has given it, which gives it another address then.
func (c *churner) restart(ctx context.Context) error {
	name, err := c.one()
	if err != nil {
		return err
	}
	return c.status(ctx, name, map[string]any{"phase": corev1.PodPending, "podIP": nil, "podIPs": nil, "conditions": nil, "containerStatuses": nil})
}

// restartContainer changes nothing about where a pod is.
func (c *churner) restartContainer(ctx context.Context) error {
	name, err := c.one()
	if err != nil {
		return err
	}
	return c.status(ctx, name, map[string]any{
		"conditions":        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}},
		"containerStatuses": []corev1.ContainerStatus{{Name: "c", Image: "i", RestartCount: int32(c.done.Load())}},
	})
}

func (c *churner) relabelNamespace(ctx context.Context) error {
	text, _ := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": c.pick("a", "b")}}})
	_, err := c.client.CoreV1().Namespaces().Patch(ctx, c.namespace, types.MergePatchType, text, metav1.PatchOptions{})
	return err
}

func (c *churner) relabelAccount(ctx context.Context) error {
	text, _ := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{"role": []any{"r", nil}[c.random.IntN(2)]}}})
	_, err := c.client.CoreV1().ServiceAccounts(c.namespace).Patch(ctx, c.pick("one", "two"), types.MergePatchType, text, metav1.PatchOptions{})
	return err
}

// settled says that what is being made or deleted is made or deleted.
func (c *churner) settled(ctx context.Context) error {
	pods, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if p.DeletionTimestamp != nil || p.Status.PodIP == "" && !ended {
			return fmt.Errorf("pod %s is on its way", p.Name)
		}
	}
	return nil
}

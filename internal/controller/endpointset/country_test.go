package endpointset_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/fedtest"
)

const (
	podsOf  = 12 // in each namespace at most, and so how many names they have
	nodesOf = 2
	// spread is among how many addresses the pods of a cluster move: so few that that of one is soon another's, and that
	// neighbours are put together.
	spread = 40
)

// country is a cluster in which pods, nodes and what pods inherit from change at random. What it is called may change,
// too: see Name.
type country struct {
	fedtest.Cluster
	t      *testing.T
	land   string // the label of all that is its own
	id     string
	number int
	of     *fleettest.Cluster
	way    *fleettest.Proxy // to it; nil: it is the local one
	token  string
	config *rest.Config // the connection to it
	spaces []string

	random *rand.Rand
	free   []int                // places of addresses that nothing has
	pods   map[[2]string]*being // by namespace and name
	did    map[string]int       // how often each change was made
	marks  int                  // pods that nothing changes
}

// being is what is known of a pod that is there.
type being struct {
	place int // negative: it has none
	ended bool
}

func (c *country) address(place int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(100 + c.number), 0, byte(place)})
}

func (c *country) markAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(100 + c.number), 2, byte(2 * i)}) // no two are put together
}

func (c *country) nodeAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(100 + c.number), 1, byte(i)})
}

// at are the addresses of a pod at a place: one in five has two, and one in nine one that a remote cluster may not
// contribute.
func (c *country) at(place int) []netip.Addr {
	switch {
	case place%5 == 1:
		return []netip.Addr{c.address(place), netip.MustParseAddr(fmt.Sprintf("fd00:%d::%x", c.number, place))}
	case place%9 == 4:
		return []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(100 + c.number), byte(place)})}
	}
	return []netip.Addr{c.address(place)}
}

// begin says what the cluster is, and makes what does not come and go.
func (c *country) begin(t *testing.T, land string) {
	t.Helper()
	c.t, c.land, c.Kube = t, land, c.of.Client()
	c.CIDRs = []string{fmt.Sprintf("10.%d.0.0/16", 100+c.number), fmt.Sprintf("fd00:%d::/32", c.number)}
	c.random, c.pods, c.did = rand.New(rand.NewPCG(rand.Uint64(), 1)), map[[2]string]*being{}, map[string]int{}
	c.spaces = []string{land + "-one", land + "-two"}
	c.free = c.random.Perm(spread)
	for place := range spread {
		c.Ever = append(c.Ever, c.at(place)...)
	}
	for i := range 10 * nodesOf {
		c.Ever = append(c.Ever, c.nodeAddress(i), c.markAddress(i))
	}
	core := c.Kube.CoreV1()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	system, err := core.Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
	must(err)
	c.id = string(system.UID)
	for i := range nodesOf {
		name := c.node(i)
		must(patched(core.Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"land": land, "role": "edge"}}}, metav1.CreateOptions{})))
		t.Cleanup(func() { _ = core.Nodes().Delete(context.Background(), name, metav1.DeleteOptions{}) })
		must(c.moveNode(t.Context(), i))
	}
	for _, space := range c.spaces {
		must(patched(core.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space, Labels: map[string]string{"land": land, "team": "a"}}}, metav1.CreateOptions{})))
		t.Cleanup(func() { _ = core.Namespaces().Delete(context.Background(), space, metav1.DeleteOptions{}) })
		for account, trust := range map[string]string{"robot": "high", "person": "low"} {
			must(patched(core.ServiceAccounts(space).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Labels: map[string]string{"trust": trust}}}, metav1.CreateOptions{})))
		}
		for i := range podsOf / 2 {
			must(c.come(t.Context(), [2]string{space, fmt.Sprint("pod-", i)}))
		}
	}
}

// follow lets a catalog follow it, as what it is called now.
func (c *country) follow(catalog *endpoint.Catalog) {
	c.t.Helper()
	bounds := endpoint.Bounds{Local: true}
	if !c.Local {
		var err error
		if bounds, err = endpoint.ParseBounds(c.CIDRs); err != nil {
			c.t.Fatal(err)
		}
	}
	err := catalog.Follow(context.WithoutCancel(c.t.Context()), endpoint.Cluster{Name: c.Name, ID: c.id, Labels: c.Labels, Local: c.Local, Config: c.config, Bounds: bounds})
	if err != nil {
		c.t.Fatal(err)
	}
}

// churn changes something every few milliseconds, so many times.
func (c *country) churn(n int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range n {
		<-tick.C
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		what, err := c.change(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("%s in cluster %s: %w", what, c.of.Name, err)
		}
		c.did[what]++
	}
	return nil
}

func (c *country) pick(of ...string) string { return of[c.random.IntN(len(of))] }

func (c *country) change(ctx context.Context) (what string, err error) {
	core, space := c.Kube.CoreV1(), c.pick(c.spaces...)
	switch n := c.random.IntN(100); {
	case n < 3:
		labels := map[string]any{"team": c.pick("a", "b"), "odd": []any{"yes", nil}[c.random.IntN(2)]}
		return "relabelling a namespace", patched(core.Namespaces().Patch(ctx, space, types.MergePatchType, relabelling(labels), metav1.PatchOptions{}))
	case n < 7:
		labels := map[string]any{"trust": []any{"high", "low", nil}[c.random.IntN(3)]}
		return "relabelling an account", patched(core.ServiceAccounts(space).Patch(ctx, c.pick("robot", "person"), types.MergePatchType, relabelling(labels), metav1.PatchOptions{}))
	case n < 10:
		labels := map[string]any{"role": c.pick("edge", "core")}
		return "relabelling a node", patched(core.Nodes().Patch(ctx, c.node(c.random.IntN(nodesOf)), types.MergePatchType, relabelling(labels), metav1.PatchOptions{}))
	case n < 13:
		return "moving a node", c.moveNode(ctx, c.random.IntN(nodesOf))
	}
	of := [2]string{space, fmt.Sprint("pod-", c.random.IntN(podsOf))}
	p := c.pods[of]
	switch n := c.random.IntN(100); {
	case p == nil:
		return "making a pod", c.come(ctx, of)
	case p.ended, n < 15:
		return "deleting a pod", c.leave(ctx, of)
	case n < 30:
		if err := c.leave(ctx, of); err != nil {
			return "deleting a pod", err
		}
		return "making a pod again at once", c.come(ctx, of)
	case n < 35: // its address is another pod's from then on, although it is still there
		p.ended = true
		c.leaves(p)
		return "ending a pod", patched(core.Pods(space).Patch(ctx, of[1], types.MergePatchType, text(map[string]any{"status": map[string]any{"phase": corev1.PodSucceeded}}), metav1.PatchOptions{}, "status"))
	case n < 45:
		if err := runs(ctx, c.Kube, of[0], of[1]); err != nil {
			return "taking the address of a pod", err
		}
		return "restarting a pod", c.settle(ctx, of, p)
	case n < 70:
		return "moving a pod", c.settle(ctx, of, p)
	}
	return "relabelling a pod", patched(core.Pods(space).Patch(ctx, of[1], types.JSONPatchType, text([]any{map[string]any{"op": "replace", "path": "/metadata/labels", "value": c.labels()}}), metav1.PatchOptions{}))
}

func relabelling(labels map[string]any) []byte {
	return text(map[string]any{"metadata": map[string]any{"labels": labels}})
}

func (c *country) labels() map[string]string {
	all := map[string]string{"app": c.pick("web", "db", "worker"), "uid": fmt.Sprintf("u%d", c.random.IntN(50))}
	if c.random.IntN(2) == 0 {
		all["tier"] = c.pick("front", "back")
	}
	return all
}

// come makes a pod. One in eleven is in the network of its node.
func (c *country) come(ctx context.Context, of [2]string) error {
	p := podOn(c.node(c.random.IntN(nodesOf)), of[1], c.labels())
	p.Spec.ServiceAccountName = c.pick("robot", "person")
	p.Spec.HostNetwork = c.random.IntN(11) == 0
	port := &p.Spec.Containers[0].Ports[0]
	port.ContainerPort += int32(c.random.IntN(3))
	if p.Spec.HostNetwork {
		port.HostPort = port.ContainerPort
	}
	if err := patched(c.Kube.CoreV1().Pods(of[0]).Create(ctx, p, metav1.CreateOptions{})); err != nil {
		return err
	}
	c.pods[of] = &being{place: -1}
	return c.settle(ctx, of, c.pods[of])
}

// mark makes a pod that nothing changes.
func (c *country) mark(ctx context.Context) (netip.Addr, error) {
	c.marks++
	p := podOn(c.node(0), fmt.Sprint("mark-", c.marks), map[string]string{"app": "mark"})
	p.Spec.ServiceAccountName = "robot"
	if err := patched(c.Kube.CoreV1().Pods(c.spaces[0]).Create(ctx, p, metav1.CreateOptions{})); err != nil {
		return netip.Addr{}, err
	}
	return c.markAddress(c.marks), runs(ctx, c.Kube, c.spaces[0], p.Name, c.markAddress(c.marks).String())
}

// settle gives a pod another address, and the one that it had to others.
func (c *country) settle(ctx context.Context, of [2]string, p *being) error {
	i, last := c.random.IntN(len(c.free)), len(c.free)-1
	place := c.free[i]
	c.free[i] = c.free[last]
	c.free = c.free[:last]
	var addresses []string
	for _, a := range c.at(place) {
		addresses = append(addresses, a.String())
	}
	if err := runs(ctx, c.Kube, of[0], of[1], addresses...); err != nil {
		return err
	}
	c.leaves(p)
	p.place = place
	return nil
}

// leaves gives the address of a pod to others.
func (c *country) leaves(p *being) {
	if p.place >= 0 {
		c.free = append(c.free, p.place)
	}
	p.place = -1
}

func (c *country) leave(ctx context.Context, of [2]string) error {
	if err := c.Kube.CoreV1().Pods(of[0]).Delete(ctx, of[1], metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		return err
	}
	c.leaves(c.pods[of])
	delete(c.pods, of)
	return nil
}

func (c *country) node(i int) string { return fmt.Sprintf("%s-node-%d", c.land, i) }

func (c *country) moveNode(ctx context.Context, i int) error {
	addresses := []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: c.node(i)},
		{Type: corev1.NodeInternalIP, Address: c.nodeAddress(10*i + c.random.IntN(4)).String()},
	}
	return patched(c.Kube.CoreV1().Nodes().Patch(ctx, c.node(i), types.MergePatchType, text(map[string]any{"status": map[string]any{"addresses": addresses}}), metav1.PatchOptions{}, "status"))
}

// changes are the kinds of changes that were made, with how often.
func (c *country) changes() string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(c.did)) {
		all = append(all, fmt.Sprintf("%s %d", what, c.did[what]))
	}
	return fmt.Sprint(all)
}

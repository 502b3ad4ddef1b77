package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/fedtest"
)

const (
	nodes      = 50 // in each cluster
	namespaces = 10
	teams      = 5
	perApp     = 50
)

var accounts = []string{"default", "robot", "person"}

// cluster is one of the fleet.
type cluster struct {
	fedtest.Cluster
	number int // 0 is the local one
	of     *fleettest.Cluster
	proxy  *fleettest.Proxy // that the replicas go through; nil for the local one
	apps   int              // that pods are of
	pool   *pool

	mu   sync.Mutex
	pods []*pod // that nobody changes now
	made int
}

// pod is what is remembered of one, to change it.
type pod struct {
	namespace, name string
	place           int // of its address in the pool; negative: it has none of that
	ended           bool
}

func namespace(i int) string { return fmt.Sprintf("ns-%d", i) }

// namespaceLabels change with the version.
func namespaceLabels(i, version int) map[string]string {
	return map[string]string{"team": fmt.Sprintf("team-%d", (i+version)%teams), "stage": fmt.Sprintf("stage-%d", (i+version)%4)}
}

func accountLabels(i, version int) map[string]string {
	return map[string]string{"trust": []string{"high", "low"}[(i+version)%2]}
}

// podLabels draws the labels of a pod: an app of fifty pods; labels that have 333, 40, 10, 4, 3 and 2 values; one that
// each has for itself, one that all have in common, and one that half of them lack.
func (c *cluster) podLabels(random *rand.Rand) map[string]string {
	of := func(label string, values int) string { return fmt.Sprintf("%s-%d", label, random.IntN(values)) }
	labels := map[string]string{
		"app": of("app", c.apps), "release": of("release", 333), "component": of("component", 40), "tier": of("tier", 10),
		"zone": of("zone", 4), "track": of("track", 3), "side": of("side", 2),
		"uid": fmt.Sprintf("u%08x", random.Uint32()), "managed-by": "operator",
	}
	labels[[]string{"canary", "stable"}[random.IntN(2)]] = "true"
	return labels
}

// newPod draws a pod that is not there yet, and its addresses. One in 200 is in its node's network, and one in 500 has
// an address that a remote cluster may not contribute.
func (c *cluster) newPod(random *rand.Rand) (*pod, *corev1.Pod, []netip.Addr) {
	c.mu.Lock()
	i := c.made
	c.made++
	c.mu.Unlock()
	p := &pod{namespace: namespace(random.IntN(namespaces)), name: fmt.Sprintf("pod-%06d", i), place: -1}
	node := random.IntN(nodes)
	object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name, Labels: c.podLabels(random)}}
	bench.OnNode(object, node)
	object.Spec.ServiceAccountName = accounts[random.IntN(len(accounts))]
	object.Spec.AutomountServiceAccountToken = new(bool)
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: int32(8080 + random.IntN(3)), Protocol: corev1.ProtocolTCP}}
	if random.IntN(2) == 0 {
		ports = append(ports, corev1.ContainerPort{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP})
	}
	object.Spec.Containers = []corev1.Container{{Name: "c", Image: "registry.example.com/team/app:v1.2.3", Ports: ports}}
	switch {
	case i%200 == 13:
		object.Spec.HostNetwork = true
		return p, object, []netip.Addr{c.v4(nodesFrom + node)}
	case i%500 == 77:
		return p, object, []netip.Addr{c.outside(i / 500 % 256)}
	}
	p.place = c.pool.take()
	return p, object, c.at(p.place)
}

// running is a patch of the status of a pod that runs at some addresses.
func running(addresses []netip.Addr) []byte {
	var status struct {
		Status struct {
			Phase corev1.PodPhase `json:"phase"`
			IP    string          `json:"podIP"`
			IPs   []corev1.PodIP  `json:"podIPs"`
		} `json:"status"`
	}
	status.Status.Phase, status.Status.IP = corev1.PodRunning, addresses[0].String()
	for _, a := range addresses {
		status.Status.IPs = append(status.Status.IPs, corev1.PodIP{IP: a.String()})
	}
	return encoded(status)
}

// encoded is what only fails for what is not written here.
func encoded(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

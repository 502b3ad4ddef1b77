// Command propagate measures how long an address of a pod in a remote cluster takes into a NetworkPolicy of the local one.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/wire"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/manager"
)

const (
	pods   = 1000 // in each remote cluster
	sets   = 10
	nodes  = 10
	rate   = 200 // changes a second
	during = 30 * time.Second
	space  = "policies"
)

func main() {
	bench.Main("propagate", []string{"primary", "alpha", "beta"}, func(b *bench.Bench) error {
		r := &run{Bench: b, pods: bench.Size(pods), pending: map[netip.Addr]change{}, busy: map[int]bool{}}
		if err := r.fill("alpha", "beta"); err != nil {
			return err
		}
		end, err := r.federate()
		if err != nil {
			return err
		}
		defer end()
		return r.measure()
	})
}

type run struct {
	*bench.Bench
	pods    int
	local   *fleettest.Cluster
	admin   client.Client
	remotes []kubernetes.Interface
	configs []*rest.Config // of these

	mu      sync.Mutex
	next    uint32                // address
	pod     int                   // that was changed last
	pending map[netip.Addr]change // that were not seen yet
	busy    map[int]bool          // pods that these are of
	took    []time.Duration       // since the address was in the remote API server
	asked   []time.Duration       // since it was asked for
}

// change is an address that a pod is given.
type change struct {
	pod   int       // counted over all clusters
	asked time.Time // when the request was sent
	there time.Time // when the remote API server had it: as its answer said, or a watch, whichever came first; zero: not yet
}

// fill makes the pods of the remote clusters, and lets the local one enter these.
func (r *run) fill(names ...string) (err error) {
	if r.local, r.admin, err = r.Cluster("primary"); err != nil {
		return err
	}
	if err := errors.Join(r.Install(r.local), r.local.ApplyFiles(r.Ctx, "config/endpoints/*.yaml")); err != nil {
		return err
	}
	for i, name := range names {
		t, err := r.Target(name, v1alpha1.CapabilityEndpoints)
		if err != nil {
			return err
		}
		r.remotes, r.configs = append(r.remotes, t.Cluster.Client()), append(r.configs, t.Cluster.AdminConfig())
		if err := r.Nodes(t.Cluster, nodes); err != nil {
			return err
		}
		err = r.FillWith(t.Cluster, r.pods, func(i int, p *corev1.Pod) {
			bench.OnNode(p, i%nodes)
			// One container without variables: the API servers share the cores with what is measured, and a change of a pod
			// costs them the more the more fields it has, which is before the time that is measured begins.
			p.Spec.Containers = p.Spec.Containers[:1]
			p.Spec.Containers[0].Env = nil
			p.Labels["app"] = fmt.Sprintf("app-%d", i%sets)
			p.Annotations = map[string]string{wire.CNIPodIP: r.address().String()}
		})
		if err != nil {
			return err
		}
		err = r.DeclareAs(r.admin, fmt.Sprintf("c-%d", i), t, func(rc *v1alpha1.RemoteCluster) { rc.Spec.EndpointCIDRs = []string{"10.0.0.0/8"} })
		if err != nil {
			return err
		}
	}
	return nil
}

// address returns one that no pod has had. No two of them make one range.
func (r *run) address() netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next += 2
	return netip.AddrFrom4([4]byte{10, byte(r.next >> 16), byte(r.next >> 8), byte(r.next)})
}

// federate runs a manager, under the roles that are shipped, and waits until what is asked of it is there.
func (r *run) federate() (end func(), err error) {
	if err := r.admin.Create(r.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: space}}); err != nil {
		return nil, fmt.Errorf("making namespace %s: %w", space, err)
	}
	for i := range sets {
		set := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("set-%d", i)}, Spec: v1alpha1.EndpointSetSpec{
			Selector: fmt.Sprintf("app == 'app-%d'", i), Clusters: v1alpha1.ClusterScope{All: true},
			Outputs: []v1alpha1.EndpointOutput{{Name: "in", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{Namespace: space, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress}}}},
		}}
		if err := r.admin.Create(r.Ctx, set); err != nil {
			return nil, fmt.Errorf("making EndpointSet %s: %w", set.Name, err)
		}
	}
	ctx, stop := context.WithCancel(r.Ctx)
	ended := make(chan struct{})
	config := r.local.TokenConfig(bench.AccountToken(r.Ctx, r.admin, v1alpha1.Namespace, "hawser"))
	go func() { // ends with ctx
		defer close(ended)
		err := manager.Run(ctx, manager.Options{
			ClusterName: bench.Local, ManagementOnly: true, Config: config, Log: logr.Discard(), MetricsAddr: "0", ProbeAddr: "0", Endpoints: true,
		})
		if err != nil {
			r.Say("the manager ended: %s", err)
		}
	}()
	end = func() { stop(); <-ended }
	err = bench.Until(r.Ctx, "the addresses of all pods in NetworkPolicies", func() bool {
		var all networkingv1.NetworkPolicyList
		n := 0
		if r.admin.List(r.Ctx, &all, client.InNamespace(space)) == nil {
			for i := range all.Items {
				n += len(addresses(&all.Items[i]))
			}
		}
		return n == len(r.remotes)*r.pods
	})
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// addresses are those of a policy.
func addresses(p *networkingv1.NetworkPolicy) (all []netip.Addr) {
	for _, rule := range p.Spec.Ingress {
		for _, peer := range rule.From {
			if prefix, err := netip.ParsePrefix(peer.IPBlock.CIDR); err == nil {
				all = append(all, prefix.Addr())
			}
		}
	}
	return all
}

func (r *run) measure() error {
	w, err := r.local.Client().NetworkingV1().NetworkPolicies(space).Watch(r.Ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watching NetworkPolicies: %w", err)
	}
	var seeing sync.WaitGroup
	seeing.Go(func() { r.see(w) }) // ends with the watch
	defer seeing.Wait()
	defer w.Stop()
	for _, config := range r.configs {
		client, err := metadata.NewForConfig(config)
		if err != nil {
			return fmt.Errorf("making a client of a remote cluster: %w", err)
		}
		w, err := client.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(bench.PodNamespace).Watch(r.Ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("watching pods: %w", err)
		}
		seeing.Go(func() { r.witness(w) }) // ends with the watch
		defer w.Stop()
	}

	begin, n := time.Now(), 0
	var changing sync.WaitGroup
	failed := make(chan error, 1)
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for ; time.Since(begin) < during && len(failed) == 0; n++ {
		if time.Since(begin) < time.Duration(n)*time.Second/rate { // a tick that was missed is made up for
			<-tick.C
		}
		changing.Go(func() { // ends with its request, which has a deadline
			if err := r.change(); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	changing.Wait()
	achieved := float64(n) / time.Since(begin).Seconds()
	if len(failed) > 0 {
		return <-failed
	}
	err = bench.Until(r.Ctx, "the last changes", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.pending) == 0
	})
	if err != nil {
		return err
	}
	size, err := bench.PodSize(r.Ctx, r.remotes[0])
	if err != nil {
		return fmt.Errorf("reading how large a pod is: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	how := fmt.Sprintf("to the watch event of the NetworkPolicy; %d changes, %.0f a second, over %d pods of 2 remote clusters in %d sets; three API servers share the cores; %s", n, achieved, 2*r.pods, sets, size)
	r.figures("", r.asked, "from sending the request that gives a pod another address in a remote cluster "+how)
	r.figures("known_", r.took, "the same from when that API server has answered the request, or told another watch of it; 0 where the policy was there first")
	return nil
}

func (r *run) figures(of string, took []time.Duration, note string) {
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		r.Add(fmt.Sprintf("%sp%d_ms", of, percent), float64(took[(len(took)-1)*percent/100].Microseconds())/1000, "ms", note)
	}
}

// change gives a pod another address: in turn each that has none that was not seen yet.
func (r *run) change() error {
	address := r.address()
	r.mu.Lock()
	all := len(r.remotes) * r.pods
	for range all {
		r.pod = (r.pod + 1) % all
		if !r.busy[r.pod] {
			break
		}
	}
	pod := r.pod
	if r.busy[pod] {
		r.mu.Unlock()
		return errors.New("every pod has a change that was not seen yet")
	}
	r.busy[pod], r.pending[address] = true, change{pod: pod, asked: time.Now()}
	r.mu.Unlock()
	name, remote := bench.PodName(pod/len(r.remotes)+1), r.remotes[pod%len(r.remotes)]
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, wire.CNIPodIP, address)
	if _, err := remote.CoreV1().Pods(bench.PodNamespace).Patch(r.Ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("changing %s: %w", name, err)
	}
	r.there(address)
	return nil
}

// there notes that a remote API server has an address.
func (r *run) there(address netip.Addr) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.pending[address]; ok && c.there.IsZero() {
		c.there = now
		r.pending[address] = c
	}
}

// witness notes what a watch of the pods of a remote cluster tells, as any other watch of them would.
func (r *run) witness(w watch.Interface) {
	for event := range w.ResultChan() {
		if pod, ok := event.Object.(*metav1.PartialObjectMetadata); ok {
			if address, err := netip.ParseAddr(pod.Annotations[wire.CNIPodIP]); err == nil {
				r.there(address)
			}
		}
	}
}

// see notes when a change is first in a policy.
func (r *run) see(w watch.Interface) {
	for event := range w.ResultChan() {
		policy, ok := event.Object.(*networkingv1.NetworkPolicy)
		if !ok {
			continue
		}
		now := time.Now()
		r.mu.Lock()
		for _, a := range addresses(policy) {
			if c, ok := r.pending[a]; ok {
				r.asked = append(r.asked, now.Sub(c.asked))
				if c.there.IsZero() { // the policy was faster than whoever else looks
					c.there = now
				}
				r.took = append(r.took, now.Sub(c.there))
				delete(r.pending, a)
				delete(r.busy, c.pod)
			}
		}
		r.mu.Unlock()
	}
}

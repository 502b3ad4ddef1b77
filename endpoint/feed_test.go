package endpoint_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/selector"
)

func TestMain(m *testing.M) {
	os.Exit(fleettest.RunWith(m, fleettest.Options{Clusters: []string{"alpha", "beta", "gamma"}, Nodes: 2}))
}

// scene is a cluster with a feed of it.
type scene struct {
	client    kubernetes.Interface
	namespace string
	index     *index.Index
	feed      *endpoint.Feed
}

func follow(t *testing.T, cluster *fleettest.Cluster, config *rest.Config, cidrs ...string) *scene {
	t.Helper()
	s := &scene{client: cluster.Client(), namespace: cluster.Namespace(t), index: index.New()}
	part, err := s.index.Cluster("alpha", "id")
	if err != nil {
		t.Fatal(err)
	}
	bounds, err := endpoint.ParseBounds(cidrs)
	if err != nil {
		t.Fatal(err)
	}
	if s.feed, err = endpoint.NewFeed(endpoint.Options{Config: config, Part: part, Bounds: bounds}); err != nil {
		t.Fatal(err)
	}
	fleettest.Background(t, "the feed", func(ctx context.Context) error { s.feed.Run(ctx); return nil })
	return s
}

// run makes a pod that runs, as far as the API server knows: nothing here runs pods.
func (s *scene) run(t *testing.T, name string, labels map[string]string, edit func(*corev1.Pod), ips ...string) {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{
			Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {ContainerPort: 9090}},
		}}},
	}
	status := corev1.PodStatus{Phase: corev1.PodRunning}
	if edit != nil {
		edit(p)
	}
	if p.Status.Phase != "" {
		status.Phase = p.Status.Phase
	}
	if _, err := s.client.CoreV1().Pods(s.namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, ip := range ips {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(ips) > 0 {
		status.PodIP = ips[0]
	}
	s.patch(t, name, "status", map[string]any{"status": status})
}

func (s *scene) patch(t *testing.T, name, subresource string, what any) {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	var into []string
	if subresource != "" {
		into = append(into, subresource)
	}
	if _, err := s.client.CoreV1().Pods(s.namespace).Patch(t.Context(), name, types.MergePatchType, text, metav1.PatchOptions{}, into...); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) remove(t *testing.T, name string) {
	t.Helper()
	if err := s.client.CoreV1().Pods(s.namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
}

// matches lists what a selector matches of the scene's namespace.
func (s *scene) matches(text string) (found []string) {
	for e := range s.index.Eval(selector.MustParse(text), "alpha") {
		if e.Namespace == s.namespace {
			found = append(found, fmt.Sprint(e.Name, e.Addresses))
		}
	}
	slices.Sort(found)
	return found
}

func (s *scene) expect(t *testing.T, text string, want ...string) {
	t.Helper()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if got := s.matches(text); !slices.Equal(got, want) {
			return fmt.Errorf("%s matches %q, want %q", text, got, want)
		}
		return nil
	})
}

func TestFollowsPodsWithWhatTheyInherit(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	s := follow(t, alpha, alpha.AdminConfig(), "10.4.0.0/16", "fd00::/64")
	alpha.ServiceAccount(t, s.namespace, "web")
	in := fmt.Sprintf("projectcalico.org/namespace == %q && ", s.namespace)

	s.run(t, "web", map[string]string{"app": "web"}, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "web" }, "10.4.0.1", "fd00::1")
	s.run(t, "liar", map[string]string{"app": "db", "hawser.io/cluster": "beta", "projectcalico.org/namespace": "kube-system", "pcns.team": "payments"}, nil, "10.4.0.2")
	s.run(t, "on-the-host", map[string]string{"app": "web"}, func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "10.4.0.3")
	s.run(t, "finished", map[string]string{"app": "web"}, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "10.4.0.4")
	s.run(t, "without-address", map[string]string{"app": "web"}, nil)
	s.run(t, "two-of-a-family", map[string]string{"app": "odd"}, nil, "10.4.0.5")

	s.expect(t, in+`app == "web"`, "web[10.4.0.1/32 fd00::1/128]")
	s.expect(t, in+`hawser.io/cluster == "alpha" && has(app)`, "liar[10.4.0.2/32]", "two-of-a-family[10.4.0.5/32]", "web[10.4.0.1/32 fd00::1/128]")
	s.expect(t, in+`hawser.io/cluster == "beta" || pcns.team == "payments"`)
	s.expect(t, in+`projectcalico.org/serviceaccount == "web" && projectcalico.org/orchestrator == "k8s" && pcns.kubernetes.io/metadata.name == "`+s.namespace+`"`, "web[10.4.0.1/32 fd00::1/128]")

	label := func(labels map[string]string) []byte {
		text, _ := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
		return text
	}
	if _, err := s.client.CoreV1().Namespaces().Patch(t.Context(), s.namespace, types.MergePatchType, label(map[string]string{"team": "shop"}), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CoreV1().ServiceAccounts(s.namespace).Patch(t.Context(), "web", types.MergePatchType, label(map[string]string{"tier": "front"}), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.expect(t, in+`pcns.team == "shop" && app == "web"`, "web[10.4.0.1/32 fd00::1/128]")
	s.expect(t, in+`pcsa.tier == "front"`, "web[10.4.0.1/32 fd00::1/128]")

	s.patch(t, "web", "", map[string]any{"metadata": map[string]any{"labels": map[string]string{"app": "shop"}}})
	s.expect(t, in+`app == "shop"`, "web[10.4.0.1/32 fd00::1/128]")
	s.remove(t, "web")
	s.expect(t, in+`app == "shop"`)
}

func TestTakesOnlyAddressesThatTheClusterMayContribute(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	s := follow(t, alpha, alpha.AdminConfig(), "10.4.0.0/16")
	in := fmt.Sprintf("projectcalico.org/namespace == %q", s.namespace)
	s.run(t, "inside", nil, nil, "10.4.7.1")
	s.run(t, "outside", nil, nil, "10.5.0.1", "fd00::5")
	s.run(t, "half", nil, nil, "10.4.7.2", "fd00::6")
	s.expect(t, in, "half[10.4.7.2/32]", "inside[10.4.7.1/32]")

	fleettest.Eventually(t, 30*time.Second, func() error {
		if r := s.feed.State().Refused[endpoint.ReasonOutside]; r.Count < 3 {
			return fmt.Errorf("%d addresses were refused, want three: %v", r.Count, s.feed.State().Refused)
		}
		return nil
	})

	wider, err := endpoint.ParseBounds([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	wider.Never = endpoint.Prefixes(netip.MustParseAddr("10.4.7.1"))
	s.feed.SetBounds(wider)
	s.expect(t, in, "half[10.4.7.2/32]", "outside[10.5.0.1/32]")
	if r := s.feed.State().Refused[endpoint.ReasonOwn]; r.Count != 1 || r.Of.Name != "inside" || r.Address != "10.4.7.1" {
		t.Errorf("the address of our own that was refused is told as %v", r)
	}

	s.feed.SetBounds(endpoint.Bounds{})
	s.expect(t, in)
}

// While a cluster is away its endpoints stay, and when it is back nothing goes before it has said what it has.
func TestKeepsWhatItHasUntilAListHasEnded(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	proxy := alpha.Proxy(t)
	s := follow(t, alpha, proxy.AdminConfig(), "10.4.0.0/16")
	in := fmt.Sprintf("projectcalico.org/namespace == %q", s.namespace)
	s.run(t, "stays", nil, nil, "10.4.8.1")
	s.run(t, "goes", nil, nil, "10.4.8.2")
	s.expect(t, in, "goes[10.4.8.2/32]", "stays[10.4.8.1/32]")

	went := make(chan struct{}, 100)
	query := s.index.Add(selector.MustParse(fmt.Sprintf("%s && !has(never)", in)), func(string) { went <- struct{}{} })
	defer query.Close()
	<-went // it has its first answer

	proxy.Cut()
	s.remove(t, "goes")
	s.run(t, "comes", nil, nil, "10.4.8.3")
	fleettest.Eventually(t, 30*time.Second, func() error {
		if len(s.feed.State().Faults) < 4 {
			return fmt.Errorf("the feed says that only these fail: %v", s.feed.State().Faults)
		}
		return nil
	})
	if got := s.matches(in); !slices.Equal(got, []string{"goes[10.4.8.2/32]", "stays[10.4.8.1/32]"}) {
		t.Errorf("while the cluster is away its endpoints are %q", got)
	}
	proxy.Restore()
	s.expect(t, in, "comes[10.4.8.3/32]", "stays[10.4.8.1/32]")
	fleettest.Eventually(t, 30*time.Second, func() error {
		if faults := s.feed.State().Faults; len(faults) > 0 {
			return fmt.Errorf("the feed still says %v", faults)
		}
		return nil
	})
	if n := query.Len("alpha"); n != 2 {
		t.Errorf("the live selector has %d members", n)
	}
}

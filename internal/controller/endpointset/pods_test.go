package endpointset_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential/incluster"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/controller/endpoints"
)

// follower is a replica that follows what clusters really have: RemoteClusters of the scene, joined with connections to
// the local cluster, of which each contributes the pods that are within its endpointCIDRs.
type follower struct {
	*replica
	catalog *endpoint.Catalog
	links   *fleet.Links
	kube    kubernetes.Interface
}

// follows runs one.
func (s *scene) follows() *follower {
	s.t.Helper()
	f := &follower{catalog: endpoint.NewCatalog(endpoint.CatalogOptions{Log: logr.Discard()}), links: fleet.NewLinks(context.WithoutCancel(s.t.Context())), kube: s.Client()}
	s.t.Cleanup(f.links.Close)
	s.t.Cleanup(f.catalog.Close)
	f.replica = s.publishes(f.catalog, nil, func(mgr ctrl.Manager) error {
		r := &endpoints.Reconciler{
			Client: mgr.GetClient(), Fleet: f.links, Catalogs: []endpoints.Catalog{f.catalog}, Own: endpoints.Fixed(), Life: context.WithoutCancel(s.t.Context()),
			Shards: shards(func(cluster string) bool { _, err := f.links.Get(cluster); return err == nil }), // those of the scene
		}
		return r.SetupWithManager(mgr)
	})
	return f
}

// connect makes a RemoteCluster that contributes what is within 10.<net>.0.0/16, and the connection to it.
func (s *scene) connect(f *follower, name string, net int, labels map[string]string) string {
	s.t.Helper()
	config := s.TokenConfig(s.Token(s.t, v1alpha1.Namespace, "hawser", time.Hour))
	conn, err := f.links.Add(connection.Spec{Name: s.name + name, AuthType: string(v1alpha1.AuthInCluster)}, &incluster.Source{Config: config}, connection.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, func() error {
		if conn.State().ClusterID == "" {
			return errors.New("the connection does not know its cluster")
		}
		return nil
	})
	return s.cluster(name, func(rc *v1alpha1.RemoteCluster) {
		rc.Labels = labels
		rc.Spec.Capabilities, rc.Spec.EndpointCIDRs = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, []string{fmt.Sprintf("10.%d.0.0/16", net)}
	})
}

// node makes the node that pods are on: Kubernetes deletes those of one that is not there.
func (s *scene) node(kube kubernetes.Interface) {
	s.t.Helper()
	_, err := kube.CoreV1().Nodes().Create(s.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		s.t.Fatal(err)
	}
}

// run makes a pod of the scene's namespace that runs, as far as an API server sees.
func (s *scene) run(kube kubernetes.Interface, name string, labels map[string]string, address string) {
	s.t.Helper()
	s.node(kube)
	if _, err := kube.CoreV1().Pods(s.namespace).Create(s.t.Context(), podOn("node", name, labels), metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if err := runs(s.t.Context(), kube, s.namespace, name, address); err != nil {
		s.t.Fatal(err)
	}
}

func podOn(node, name string, labels map[string]string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	p.Spec.NodeName, p.Spec.AutomountServiceAccountToken = node, new(bool)
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} // nobody plays the node
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}
	return p
}

// runs lets a pod run at some addresses; at none, it waits.
func runs(ctx context.Context, kube kubernetes.Interface, namespace, name string, addresses ...string) error {
	status := map[string]any{"phase": corev1.PodPending, "podIP": nil, "podIPs": nil}
	if len(addresses) > 0 {
		var ips []corev1.PodIP
		for _, a := range addresses {
			ips = append(ips, corev1.PodIP{IP: a})
		}
		status = map[string]any{"phase": corev1.PodRunning, "podIP": addresses[0], "podIPs": ips}
	}
	return patched(kube.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, text(map[string]any{"status": status}), metav1.PatchOptions{}, "status"))
}

func patched[T any](_ T, err error) error { return err }

// text is what only fails for what is not written here.
func text(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// everything is in which version there is what was made of clusters.
func (s *scene) everything(clusters ...string) string {
	s.t.Helper()
	var cms corev1.ConfigMapList
	var nps networkingv1.NetworkPolicyList
	for _, list := range []client.ObjectList{&cms, &nps} {
		if err := s.admin.List(s.t.Context(), list, client.InNamespace(s.namespace), client.HasLabels{publish.ClusterLabel}); err != nil {
			s.t.Fatal(err)
		}
	}
	var all []string
	add := func(kind string, o metav1.ObjectMeta) {
		if slices.Contains(clusters, o.Labels[publish.ClusterLabel]) {
			all = append(all, kind+" "+o.Name+"@"+o.ResourceVersion)
		}
	}
	for i := range cms.Items {
		add("ConfigMap", cms.Items[i].ObjectMeta)
	}
	for i := range nps.Items {
		add("NetworkPolicy", nps.Items[i].ObjectMeta)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// TestClustersThatAreChosenByLabelComeAndGoWithIt: what is made of the others is not touched.
func TestClustersThatAreChosenByLabelComeAndGoWithIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.follows()
	gold := map[string]string{"tier": "gold"}
	a, b, c := s.connect(f, "a", 50, gold), s.connect(f, "b", 51, gold), s.connect(f, "c", 52, nil)
	for net, name := range map[int]string{50: "in-a", 51: "in-b", 52: "in-c"} {
		s.run(f.kube, name, web, fmt.Sprintf("10.%d.0.1", net))
	}
	es := &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: s.name}}
	es.Spec.Selector, es.Spec.Outputs = fmt.Sprintf(`app == "web" && projectcalico.org/namespace == %q`, s.namespace), []v1alpha1.EndpointOutput{s.configMap(), s.networkPolicy()}
	es.Spec.Clusters.Selector = &metav1.LabelSelector{MatchLabels: gold, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "retired", Operator: metav1.LabelSelectorOpDoesNotExist}}}
	if err := s.admin.Create(t.Context(), es); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Delete(context.Background(), es) })
	made := func(want ...string) {
		t.Helper()
		var addresses []string
		for _, cluster := range want {
			addresses = append(addresses, map[string]string{a: "10.50.0.1/32", b: "10.51.0.1/32", c: "10.52.0.1/32"}[cluster])
		}
		s.has("", addresses...)
		eventually(t, func() error {
			if got := s.blocks(true); fmt.Sprint(got) != fmt.Sprint(addresses) {
				return fmt.Errorf("the NetworkPolicies have %v, want %v", got, addresses)
			}
			var entries []string
			for _, e := range s.says(v1alpha1.Ready, metav1.ConditionTrue, v1alpha1.ReasonWritten).Status.Clusters {
				entries = append(entries, e.Name)
			}
			slices.Sort(entries)
			if fmt.Sprint(entries) != fmt.Sprint(want) {
				return fmt.Errorf("the status has entries of %v, want %v", entries, want)
			}
			return nil
		})
	}
	relabel := func(cluster string, labels map[string]string) {
		t.Helper()
		rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: cluster}}
		s.edit(rc, func() { rc.Labels = labels })
	}
	untouched := func(what string, change func(), others ...string) {
		t.Helper()
		before := s.everything(others...)
		change()
		if after := s.everything(others...); before != after {
			t.Errorf("%s: what was made of others was written: %s, then %s", what, before, after)
		}
	}
	made(a, b)
	untouched("one comes in", func() { relabel(c, gold); made(a, b, c) }, a, b)
	untouched("one loses the label", func() { relabel(a, map[string]string{"tier": "silver"}); made(b, c) }, b, c)
	untouched("one gets a label that keeps it out", func() { relabel(c, map[string]string{"tier": "gold", "retired": ""}); made(b) }, b)
	untouched("one comes again", func() { relabel(a, gold); made(a, b) }, b)

	// One that is not heard of goes as well, and nothing of it is left.
	rb := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: b}}
	s.edit(rb, func() { rb.Spec.Disabled = true })
	s.says(v1alpha1.Complete, metav1.ConditionFalse, v1alpha1.ReasonClustersMissing, b+": not heard of since")
	s.has(b, "10.51.0.1/32")
	untouched("one that is not heard of loses it", func() { relabel(b, nil); made(a) }, a)
}

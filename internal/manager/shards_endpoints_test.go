package manager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
)

// federated is a set and a policy of all clusters of a division.
type federated struct {
	*division
	namespace string // of what is made, and the app of the pods
	set       *v1alpha1.EndpointSet
	policy    *v1alpha1.FederatedNetworkPolicy
	admins    map[*fleettest.Cluster]client.Client
	pods      map[*fleettest.Cluster]string // their namespace
	changes   int
}

// rangeOf is where the endpoints of a cluster are: the names are of two API servers, of which each has the pods of several.
func rangeOf(cluster int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(40 + cluster), 0, 0}), 16)
}

// address is the n-th of a cluster. No two are neighbours, which would be written as one range.
func address(cluster, n int) string {
	return netip.AddrFrom4([4]byte{10, byte(40 + cluster), byte(n), 1}).String()
}

// federate asks for a set and a policy, and waits until they are made of what there is. From then on what is there all
// the time may never be missing.
func (d *division) federate() *federated {
	d.t.Helper()
	f := &federated{division: d, namespace: d.cluster.Namespace(d.t), admins: map[*fleettest.Cluster]client.Client{}, pods: map[*fleettest.Cluster]string{}}
	for _, c := range d.of {
		if f.admins[c] == nil {
			f.admins[c], f.pods[c] = adminOf(d.t, c), c.Namespace(d.t)
			f.node(f.admins[c])
		}
	}
	for replica, proxy := range d.local {
		proxy.OnRequest(func(r *http.Request) { f.note(replica, r) })
	}
	for i, cluster := range d.clusters {
		for n, name := range []string{"stays", "moves", "turns", "goes"} {
			f.runs(cluster, name, address(i, n))
		}
	}
	app := fmt.Sprintf("app == %q", f.namespace)
	f.set = &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Spec: v1alpha1.EndpointSetSpec{
		Selector: app, Clusters: v1alpha1.ClusterScope{All: true},
		Outputs: []v1alpha1.EndpointOutput{{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: f.namespace}}},
	}}
	f.policy = &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "shop"}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Selector: "role == 'shop'", Clusters: v1alpha1.ClusterScope{All: true},
		Ingress: []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{NamespaceSelector: new("all()"), Selector: &app}}},
	}}
	for _, o := range []client.Object{f.set, f.policy} {
		if err := d.admin.Create(d.t.Context(), o); err != nil {
			d.t.Fatal(err)
		}
		d.t.Cleanup(func() { _ = d.admin.Delete(context.Background(), o) })
	}
	f.agrees()
	f.keeps()
	return f
}

// node makes the node that pods run on: those of one that is not there are deleted after a while.
func (f *federated) node(admin client.Client) {
	f.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	if err := admin.Create(f.t.Context(), n); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = admin.Delete(context.Background(), n) })
}

// runs makes a pod of a cluster.
func (f *federated) runs(cluster, name, ip string) {
	f.t.Helper()
	c := f.of[cluster]
	runs(f.t, f.admins[c], f.pods[c], cluster+"-"+name, f.namespace, ip)
}

// change has pods of each cluster come, go, move, be made again under their name, and match or not.
func (f *federated) change() {
	f.t.Helper()
	f.changes++
	n := 10 * f.changes
	for i, cluster := range f.clusters {
		admin, namespace := f.admins[f.of[cluster]], f.pods[f.of[cluster]]
		pod := func(name string) *corev1.Pod {
			return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: cluster + "-" + name}}
		}
		f.runs(cluster, fmt.Sprintf("new-%d", n), address(i, n))
		move(f.t, admin, namespace, cluster+"-moves", address(i, n+1))
		if err := admin.Delete(f.t.Context(), pod("goes"), client.GracePeriodSeconds(0)); err != nil {
			f.t.Fatal(err)
		}
		f.runs(cluster, "goes", address(i, n+2))
		app := []string{f.namespace, "another"}[f.changes%2]
		if err := admin.Patch(f.t.Context(), pod("turns"), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"app":%q}}}`, app))); err != nil {
			f.t.Fatal(err)
		}
	}
}

// fresh computes from the pods that there are what is to be written of each cluster.
func (f *federated) fresh() (all map[string][]string, err error) {
	all = map[string][]string{}
	for i, cluster := range f.clusters {
		var pods corev1.PodList
		if err := f.admins[f.of[cluster]].List(f.t.Context(), &pods, client.InNamespace(f.pods[f.of[cluster]]), client.MatchingLabels{"app": f.namespace}); err != nil {
			return nil, err
		}
		for _, p := range pods.Items {
			if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && rangeOf(i).Contains(a) {
				all[cluster] = append(all[cluster], p.Status.PodIP+"/32")
			}
		}
		slices.Sort(all[cluster])
	}
	return all, nil
}

// content is what an object has, and of which cluster.
func content(o runtime.Object) (cluster string, addresses []string) {
	switch o := o.(type) {
	case *corev1.ConfigMap:
		return o.Labels[publish.ClusterLabel], strings.Fields(o.Data["addresses"])
	case *networkingv1.NetworkPolicy:
		for _, rule := range o.Spec.Ingress {
			for _, from := range rule.From {
				if from.IPBlock != nil {
					addresses = append(addresses, from.IPBlock.CIDR)
				}
			}
		}
		return o.Labels[publish.ClusterLabel], addresses
	}
	return "", nil
}

// agrees waits until what is written of each cluster, by whomever, is what a fresh computation says.
func (f *federated) agrees() {
	f.t.Helper()
	eventually(f.t, "the set and the policy to be what a fresh computation says", func() error {
		want, err := f.fresh()
		if err != nil {
			return err
		}
		var maps corev1.ConfigMapList
		var policies networkingv1.NetworkPolicyList
		err = errors.Join(
			f.admin.List(f.t.Context(), &maps, client.InNamespace(f.namespace), client.MatchingLabels{publish.SetLabel: f.set.Name}),
			f.admin.List(f.t.Context(), &policies, client.InNamespace(f.namespace), client.MatchingLabels{publish.PolicyLabel: f.policy.Name}),
		)
		if err != nil {
			return err
		}
		ofSet, ofPolicy := map[string][]string{}, map[string][]string{}
		add := func(to map[string][]string, o runtime.Object) {
			if cluster, addresses := content(o); len(addresses) > 0 {
				to[cluster] = append(to[cluster], addresses...)
				slices.Sort(to[cluster])
			}
		}
		for i := range maps.Items {
			add(ofSet, &maps.Items[i])
		}
		for i := range policies.Items {
			add(ofPolicy, &policies.Items[i])
		}
		if diff := cmp.Diff(want, ofSet) + cmp.Diff(want, ofPolicy); diff != "" {
			return fmt.Errorf("(-fresh +written)\n%s", diff)
		}
		return nil
	})
}

// keeps fails the test when an address that was there all the time is missing in what is written, for however short.
func (f *federated) keeps() {
	f.t.Helper()
	maps, err := f.kube.CoreV1().ConfigMaps(f.namespace).List(f.t.Context(), metav1.ListOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	o := metav1.ListOptions{ResourceVersion: maps.ResourceVersion, LabelSelector: publish.ClusterLabel}
	f.keepsOf("ConfigMaps", func(ctx context.Context) (watch.Interface, error) {
		return f.kube.CoreV1().ConfigMaps(f.namespace).Watch(ctx, o)
	})
	f.keepsOf("NetworkPolicies", func(ctx context.Context) (watch.Interface, error) {
		return f.kube.NetworkingV1().NetworkPolicies(f.namespace).Watch(ctx, o)
	})
}

func (f *federated) keepsOf(what string, open func(context.Context) (watch.Interface, error)) {
	fleettest.Background(f.t, "the watch of "+what, func(ctx context.Context) error {
		w, err := open(ctx)
		if err != nil {
			return err
		}
		defer w.Stop()
		for e := range w.ResultChan() {
			if e.Type == watch.Error {
				break
			}
			cluster, addresses := content(e.Object)
			stays := address(slices.Index(f.clusters, cluster), 0) + "/32"
			if e.Type == watch.Deleted || !slices.Contains(addresses, stays) {
				f.t.Errorf("%s: %s of %s: it has %v, without %s", what, e.Type, cluster, addresses, stays)
			}
		}
		if ctx.Err() == nil {
			return errors.New("it has ended by itself")
		}
		return nil
	})
}

// isToldOf waits until the leader says that all of it is written.
func (f *federated) isToldOf() {
	f.t.Helper()
	want, err := f.fresh()
	if err != nil {
		f.t.Fatal(err)
	}
	n := len(slices.Concat(slices.Collect(maps.Values(want))...))
	check := func(o client.Object, status *v1alpha1.FederationStatus) {
		f.t.Helper()
		eventually(f.t, fmt.Sprintf("%T to be written, with %d addresses of %d clusters", o, n, len(f.clusters)), func() error {
			if err := f.admin.Get(f.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.Ready) || status.Addresses != int64(n) || len(status.Clusters) != len(f.clusters) {
				return fmt.Errorf("it is %+v", *status)
			}
			return nil
		})
	}
	check(f.set, &f.set.Status)
	check(f.policy, &f.policy.Status)
}

// made is a write of what is made of a cluster's endpoints.
type made struct {
	at                     time.Time
	replica, cluster, what string
}

// note keeps what a replica writes in the local cluster of what is made of a cluster's endpoints.
func (f *federated) note(replica string, r *http.Request) {
	at := r.URL.Path
	if r.Method == http.MethodGet || !strings.Contains(at, "/namespaces/"+f.namespace+"/configmaps") && !strings.Contains(at, "/namespaces/"+f.namespace+"/networkpolicies") {
		return
	}
	name := path.Base(at)
	if r.Method == http.MethodPost { // the name is in the body, which goes on as it came
		text, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text), broken{err}))
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(text, &o); err != nil {
			f.t.Errorf("%s creates something that cannot be read: %v", replica, err)
		}
		name = o.Name
	}
	for _, cluster := range f.clusters {
		if strings.HasSuffix(name, "-"+cluster) {
			f.mu.Lock()
			f.made = append(f.made, made{time.Now(), replica, cluster, r.Method + " " + name})
			f.mu.Unlock()
		}
	}
}

// broken ends what is read as it ended before.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

func (d *division) whatWasMade() []made {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.made)
}

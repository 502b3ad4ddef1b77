package endpointset_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/fedtest"
	"github.com/hawser-io/hawser/member"
)

// land is three clusters in which everything changes, the local one among them, under the roles that are shipped; a
// replica that follows them, and a leader.
type land struct {
	*scene
	here, alpha, beta *country
	catalog           *endpoint.Catalog
	writer            *replica
	sets              []fedtest.Set
	asked             []fedtest.Policy
}

func newLand(t *testing.T) *land {
	t.Helper()
	l := &land{scene: newScene(t, func(s *scene) { s.local, s.policies = s.name+"here", true })}
	l.Install(t, "../../../endpoint/calico/testdata/ciliumcidrgroups.cilium.io.yaml")
	l.here = &country{number: 0, of: l.Cluster, token: l.Token(t, v1alpha1.Namespace, "hawser", time.Hour)}
	l.here.Local = true
	l.alpha, l.beta = l.remote("alpha", 1, "europe"), l.remote("beta", 2, "asia")
	for suffix, c := range map[string]*country{"here": l.here, "alpha": l.alpha, "beta": l.beta} {
		c.Name = l.cluster(suffix, func(rc *v1alpha1.RemoteCluster) {
			rc.Labels = c.Labels
			if c.Local {
				rc.Spec.Server, rc.Spec.Auth.Type = "", v1alpha1.AuthInCluster
			}
		})
		c.begin(t, l.name)
	}
	l.start()
	return l
}

// remote makes a cluster ready to be connected to, by way of a proxy.
func (l *land) remote(name string, number int, region string) *country {
	l.t.Helper()
	c := &country{number: number, of: fleettest.Use(l.t, name)}
	c.Labels, c.way = map[string]string{"region": region}, c.of.Proxy(l.t)
	install, err := member.YAML(member.Objects(member.Options{Local: "here", Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}}))
	if err == nil {
		err = c.of.Apply(l.t.Context(), install)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	c.token = c.of.Token(l.t, v1alpha1.MemberNamespace("here"), v1alpha1.MemberServiceAccount, time.Hour)
	return c
}

func (l *land) all() []*country { return []*country{l.here, l.alpha, l.beta} }

// connect makes another connection to a cluster.
func (c *country) connect() {
	c.config = c.of.TokenConfig(c.token)
	if c.way != nil {
		c.config = c.way.Through(c.config)
	}
}

// start starts a replica that knows nothing of the clusters yet.
func (l *land) start() {
	l.t.Helper()
	l.catalog = endpoint.NewCatalog(endpoint.CatalogOptions{Log: logr.Discard()})
	l.t.Cleanup(l.catalog.Close)
	for _, c := range l.all() {
		c.connect()
		c.follow(l.catalog)
	}
	l.writer = l.publishes(l.catalog, nil)
}

// restart ends the replica, and starts another.
func (l *land) restart() {
	l.t.Helper()
	l.writer.Stop()
	l.catalog.Close()
	l.start()
}

// replace makes of two clusters each other: each is from now on what the other one was called.
func (l *land) replace(a, b *country) {
	l.t.Helper()
	a.Name, b.Name, a.Labels, b.Labels = b.Name, a.Name, b.Labels, a.Labels
	for _, c := range []*country{a, b} {
		c.connect()
		c.follow(l.catalog)
	}
}

// while changes so many things in each of some clusters, and does something meanwhile.
func (l *land) while(n int, do func(), of ...*country) {
	l.t.Helper()
	var changing sync.WaitGroup
	failed := make([]error, len(of))
	for i, c := range of {
		changing.Go(func() { failed[i] = c.churn(n) }) // ends when it has done so
	}
	if do != nil {
		do()
	}
	changing.Wait()
	if err := errors.Join(failed...); err != nil {
		l.t.Fatal(err)
	}
}

// silent waits until the replica knows that a cluster is not heard of, and has written what it knew of it before.
func (l *land) silent(c *country) {
	l.t.Helper()
	before, since := "", time.Now()
	eventually(l.t, func() error {
		if state, _ := l.catalog.State(c.Name); state.StaleSince.IsZero() {
			return errors.New("it is heard of")
		}
		if now := l.made(c); now != before {
			before, since = now, time.Now()
		}
		if quiet := time.Since(since); quiet < 5*100*time.Millisecond { // windows
			return fmt.Errorf("its objects have not changed for %s", quiet)
		}
		return nil
	})
}

// made is what stands in the objects of a cluster.
func (l *land) made(c *country) string {
	l.t.Helper()
	objects, err := l.written()
	if err != nil {
		l.t.Fatal(err)
	}
	var all []string
	for _, o := range objects {
		if o.Labels[fedtest.OfCluster] == c.Name {
			all = append(all, o.String()+": "+o.Content())
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// stands is in which version there is what was made of clusters.
func (l *land) stands(of ...*country) string {
	l.t.Helper()
	objects, err := l.written()
	if err != nil {
		l.t.Fatal(err)
	}
	var all []string
	for _, o := range objects {
		if slices.ContainsFunc(of, func(c *country) bool { return o.Labels[fedtest.OfCluster] == c.Name }) {
			all = append(all, o.String()+"@"+o.ResourceVersion)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// reaches waits until a pod that is made in a cluster now, and that nothing changes, stands in what is made of it.
func (l *land) reaches(c *country) {
	l.t.Helper()
	address, err := c.mark(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	eventually(l.t, func() error {
		objects, err := l.written()
		if err != nil {
			return err
		}
		for _, o := range objects {
			if o.Kind == "ConfigMap" && o.Labels[fedtest.OfSet] == l.name+"-all" && o.Labels[fedtest.OfCluster] == c.Name && slices.Contains(strings.Fields(o.Content()), address.String()+"/32") {
				return nil
			}
		}
		return fmt.Errorf("a new pod of %s, at %s, is not written", c.of.Name, address)
	})
}

// written are all objects that there are of the land's sets and policies, and whatever else stands where only these are.
func (l *land) written() (ours []*fedtest.Written, err error) {
	spaces := append([]string{l.namespace}, l.here.spaces...)
	all, err := fedtest.Found(context.Background(), l.here.Kube, "", spaces...)
	if err != nil {
		return nil, err
	}
	for _, k := range [][3]string{{"projectcalico.org/v3", "NetworkSet", "nets"}, {"projectcalico.org/v3", "GlobalNetworkSet", "nets"}, {"cilium.io/v2", "CiliumCIDRGroup", "externalCIDRs"}} {
		var list unstructured.UnstructuredList
		list.SetAPIVersion(k[0])
		list.SetKind(k[1] + "List")
		if err := l.admin.List(context.Background(), &list, client.HasLabels{fedtest.OfSet}); err != nil {
			return nil, err
		}
		for i := range list.Items {
			o := &list.Items[i]
			nets, _, err := unstructured.NestedStringSlice(o.Object, "spec", k[2])
			if err != nil {
				return nil, err
			}
			meta := metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(), ResourceVersion: o.GetResourceVersion()}
			all = append(all, fedtest.NewWritten(k[1], meta, nets))
		}
	}
	for _, o := range all {
		if strings.HasPrefix(o.Labels[fedtest.OfSet], l.name+"-") || slices.Contains(spaces, o.Labels[fedtest.OfNamespace]) || slices.Contains(spaces, o.Namespace) {
			ours = append(ours, o)
		}
	}
	return ours, nil
}

// judged compares what is written with what there is, both read anew.
func (l *land) judged() (*fedtest.World, error) {
	var clusters []*fedtest.Cluster
	for _, c := range l.all() {
		clusters = append(clusters, &c.Cluster)
	}
	w, err := fedtest.Look(context.Background(), clusters)
	if err != nil {
		return nil, err
	}
	objects, err := l.written()
	if err != nil {
		return nil, err
	}
	if v := fedtest.Judge(w, objects, l.sets, l.asked); v.Count > 0 {
		return nil, fmt.Errorf("there are %d differences:\n%s", v.Count, v)
	}
	return w, nil
}

// agrees waits until what is written is what it is to be.
func (l *land) agrees() (w *fedtest.World) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	err := fleettest.Until(ctx, 200*time.Millisecond, func() (err error) { w, err = l.judged(); return err })
	if err != nil {
		l.t.Fatal(err)
	}
	return w
}

package endpointset_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/fedtest"
)

// TestAfterChurnWhatIsWrittenIsWhatThereIs: while real pods, nodes, namespaces and accounts of three clusters change, one
// is cut, the replica is replaced by one that has never seen that, another one's API server goes down, and then each has
// the other's name. What stands in etcd in the end is what a computation from objects that are listed anew has, and in
// between nothing that was made of a cluster that is not heard of has changed.
func TestAfterChurnWhatIsWrittenIsWhatThereIs(t *testing.T) {
	t.Parallel()
	l := newLand(t)
	l.ask()
	l.agrees()

	l.while(30, l.alpha.way.Cut, l.all()...)
	l.silent(l.alpha)
	held := l.made(l.alpha)
	holds := func(when string) {
		t.Helper()
		if now := l.made(l.alpha); now != held {
			t.Errorf("%s, what was made of a cluster that is cut has changed: it was\n%s\nand is\n%s", when, held, now)
		}
	}
	l.while(30, l.restart, l.all()...)
	l.reaches(l.here)
	l.reaches(l.beta)
	holds("after a restart")

	l.while(30, func() {
		l.beta.of.Stop(t)
		t.Cleanup(func() { l.beta.of.Start(t) })
		holds("until the cut ends")
		l.alpha.way.Restore()
		l.beta.of.Start(t)
	}, l.here, l.alpha)
	l.while(30, func() { l.replace(l.alpha, l.beta) }, l.all()...)
	l.while(20, l.beta.way.DropConnections, l.all()...)

	w := l.agrees()
	for _, c := range l.all() {
		t.Logf("%s: %s", c.of.Name, c.changes())
		if n := w.Members(&c.Cluster, fedtest.And(l.ours(), fedtest.Has("app"))); n < 5 {
			t.Errorf("only %d pods of %s are left", n, c.of.Name)
		}
		if len(c.did) < 10 {
			t.Errorf("in %s there were changes of %d kinds only: %s", c.of.Name, len(c.did), c.changes())
		}
	}
	l.refusedNothing()

	// Where nothing changes, nothing is written.
	before := l.stands(l.here, l.beta)
	l.reaches(l.alpha)
	l.agrees()
	if after := l.stands(l.here, l.beta); before != after {
		t.Errorf("what was made of clusters in which nothing has changed was written:\n%s\nand then\n%s", before, after)
	}
}

// ours are the endpoints of the land, but for nodes.
func (l *land) ours() fedtest.Term { return fedtest.Is("pcns.land", l.name) }

// ask makes sets and policies: of every kind of output, of most that selectors and rules can say, and of every way to
// choose clusters.
func (l *land) ask() {
	l.t.Helper()
	l.sets = l.everySet()
	l.asked = l.everyPolicy()
	for _, s := range l.sets {
		l.make(s.Object)
	}
	for _, p := range l.asked {
		l.make(p.Object)
	}
}

func (l *land) make(o client.Object) {
	l.t.Helper()
	if err := l.admin.Create(l.t.Context(), o); err != nil {
		l.t.Fatalf("making %T %s: %v", o, o.GetName(), err)
	}
	l.t.Cleanup(func() { _ = l.admin.Delete(context.Background(), o) })
}

func (l *land) everySet() []fedtest.Set {
	var (
		anywhere = v1alpha1.ClusterScope{Local: true, All: true}
		remote   = v1alpha1.ClusterScope{All: true}
		europe   = v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchLabels: l.alpha.Labels}}
		labels   = map[string]string{"role": "web"}
		list     = l.configMap()
		both     = l.networkPolicy()
		ingress  = v1alpha1.EndpointOutput{Name: "in", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{
			Namespace: l.namespace, PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"for": "in"}}, Types: []v1alpha1.PolicyType{v1alpha1.PolicyTypeIngress},
		}}
		namespaced = v1alpha1.EndpointOutput{Name: "ns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Namespace: l.namespace, Labels: labels}}
		global     = v1alpha1.EndpointOutput{Name: "gns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Labels: labels}}
		group      = v1alpha1.EndpointOutput{Name: "cg", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{Labels: labels}}
	)
	set := func(name string, selector fedtest.Term, of v1alpha1.ClusterScope, outputs ...v1alpha1.EndpointOutput) fedtest.Set {
		return fedtest.NewSet(l.name+"-"+name, selector, of, outputs...)
	}
	ours := func(also ...fedtest.Term) fedtest.Term { return fedtest.And(append(also, l.ours())...) }
	return []fedtest.Set{
		set("all", l.ours(), anywhere, list, ingress, global),
		set("web", ours(fedtest.Is("app", "web")), remote, both, global),
		set("team", ours(fedtest.Is("pcns.team", "a"), fedtest.NotIn("tier", "back")), v1alpha1.ClusterScope{Names: []string{l.alpha.Name}}, namespaced, list),
		set("trust", ours(fedtest.Is("pcsa.trust", "high"), fedtest.Is("projectcalico.org/serviceaccount", "robot")), europe, group, list),
		set("hosts", fedtest.And(fedtest.Is("land", l.name), fedtest.Not(fedtest.Has("projectcalico.org/orchestrator")), fedtest.Is("role", "edge")), anywhere, list, ingress, group),
		set("by-name", ours(fedtest.Is("hawser.io/cluster", l.alpha.Name), fedtest.Has("app")), anywhere, list, namespaced),
		set("neither", ours(fedtest.Not(fedtest.Has("tier")), fedtest.IsNot("app", "web"), fedtest.Not(fedtest.Has("pcns.odd"))), anywhere, both),
		set("part", ours(fedtest.Or(fedtest.Starts("uid", "u1"), fedtest.Ends("uid", "7"), fedtest.Contains("app", "ork"))), remote, list),
		set("here", ours(fedtest.In("app", "db", "worker")), v1alpha1.ClusterScope{Local: true}, list, ingress),
		set("nobody", ours(fedtest.Is("app", "nobody")), anywhere, list, ingress, group),
	}
}

func (l *land) everyPolicy() []fedtest.Policy {
	const (
		in, out   = v1alpha1.PolicyTypeIngress, v1alpha1.PolicyTypeEgress
		byLabel   = v1alpha1.LocalPeersSelectors
		byAddress = v1alpha1.LocalPeersAddresses
	)
	var (
		anywhere = v1alpha1.ClusterScope{Local: true, All: true}
		remote   = v1alpha1.ClusterScope{All: true}
		one, two = l.here.spaces[0], l.here.spaces[1]
		web, db  = fedtest.Is("app", "web"), fedtest.Is("app", "db")
		front    = fedtest.Is("tier", "front")
		back     = fedtest.Is("tier", "back")
		spaces   = fedtest.Is("land", l.name) // those of the land
		has      = fedtest.Has("app")
	)
	return []fedtest.Policy{
		fedtest.NewPolicy(one, "front", front, anywhere, byLabel,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Selector: &web}, Ports: fedtest.Ports(80, "8000:8080")}),
		fedtest.NewPolicy(one, "named", fedtest.Has("tier"), anywhere, byLabel,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Selector: &db, Namespace: new(fedtest.And(spaces, fedtest.Is("team", "a")))}, Ports: fedtest.Ports("http")}),
		fedtest.NewPolicy(two, "out", has, remote, byLabel,
			fedtest.Rule{Direction: out, Protocol: "TCP", Peer: fedtest.Side{Selector: new(fedtest.In("app", "web", "db")), Namespace: &spaces}, Ports: fedtest.Ports("http", 443)},
			fedtest.Rule{Direction: out, Protocol: "UDP", Ports: fedtest.Ports(53)}),
		fedtest.NewPolicy(two, "minus", fedtest.Is("app", "worker"), anywhere, byLabel,
			fedtest.Rule{Direction: in, Peer: fedtest.Side{Selector: &has, Not: &back, Namespace: &spaces}},
			fedtest.Rule{Direction: in, Own: &front, Peer: fedtest.Side{Selector: &web}}),
		fedtest.NewPolicy(one, "accounts", db, anywhere, byAddress,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Accounts: []string{"robot"}, Account: new(fedtest.Is("trust", "high")), Selector: &has, Namespace: &spaces}, Ports: fedtest.Ports(8080)}),
		fedtest.NewPolicy(two, "hosts", web, anywhere, byLabel,
			fedtest.Rule{Direction: out, Protocol: "TCP", Peer: fedtest.Side{Global: true, Selector: &spaces}, Ports: fedtest.Ports(10250)},
			fedtest.Rule{Direction: in, Peer: fedtest.Side{Global: true, Selector: new(fedtest.And(spaces, fedtest.Is("role", "edge")))}}),
		fedtest.NewPolicy(one, "one-cluster", fedtest.And(has, fedtest.NotIn("tier", "back")), v1alpha1.ClusterScope{Names: []string{l.beta.Name}}, byAddress,
			fedtest.Rule{Direction: out, Protocol: "TCP", Peer: fedtest.Side{Selector: new(fedtest.Starts("uid", "u1")), Namespace: &spaces, OutsideOf: []string{"10.102.0.0/29"}}, NotPorts: fedtest.Ports(22, "6000:6010")}),
		fedtest.NewPolicy(two, "closed", back, anywhere, byLabel),
	}
}

// refusedNothing fails where a set or policy is not done as it is asked.
func (l *land) refusedNothing() {
	l.t.Helper()
	var es v1alpha1.EndpointSetList
	var ps v1alpha1.FederatedNetworkPolicyList
	for _, list := range []client.ObjectList{&es, &ps} {
		if err := l.admin.List(l.t.Context(), list); err != nil {
			l.t.Fatal(err)
		}
	}
	look := func(name string, conditions []metav1.Condition) {
		for _, c := range conditions {
			if c.Type == v1alpha1.Ready && c.Status == metav1.ConditionFalse {
				l.t.Errorf("%s: %s: %s", name, c.Reason, c.Message)
			}
		}
	}
	for i := range es.Items {
		if strings.HasPrefix(es.Items[i].Name, l.name+"-") {
			look("EndpointSet "+es.Items[i].Name, es.Items[i].Status.Conditions)
		}
	}
	for i := range ps.Items {
		if slices.Contains(l.here.spaces, ps.Items[i].Namespace) {
			look(fmt.Sprintf("FederatedNetworkPolicy %s/%s", ps.Items[i].Namespace, ps.Items[i].Name), ps.Items[i].Status.Conditions)
		}
	}
}

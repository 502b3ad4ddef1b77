package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/internal/policytest"
)

// shops are pod "web" of the local cluster, and three databases in cluster a, of which each has the port db at another
// number, and the last none.
func shops(t failer) *world {
	w := policytest.NewWorld()
	for _, name := range []string{home, "a"} {
		w.Cluster(t, name)
		w.Namespaces[[2]string{name, "shop"}] = map[string]string{"kubernetes.io/metadata.name": "shop"}
		w.Parts[name].SetNamespace("shop", policytest.LabelList(w.Namespaces[[2]string{name, "shop"}]))
	}
	pod := func(cluster, name string, own map[string]string, ports []index.Port, addresses ...string) {
		e := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: name}, Ports: ports}
		for _, a := range addresses {
			e.Addresses = append(e.Addresses, netip.PrefixFrom(netip.MustParseAddr(a), netip.MustParseAddr(a).BitLen()))
		}
		w.Add(w.Parts[cluster], cluster, e, own)
	}
	at := func(number uint16) []index.Port { return []index.Port{{Name: "db", Protocol: "TCP", Number: number}} }
	pod(home, "web", map[string]string{"app": "web"}, nil, "10.0.0.1", "fd00::1")
	pod("a", "db-1", map[string]string{"app": "db"}, at(80), "10.1.0.1", "fd00:1::1")
	pod("a", "db-2", map[string]string{"app": "db", "tier": "x"}, at(8080), "10.1.0.2")
	pod("a", "db-3", map[string]string{"app": "db", "tier": "y"}, nil, "10.1.0.3")
	return w
}

func TestWhatCalicoLetsThrough(t *testing.T) {
	db := peer{Selector: new("app == 'db'")}
	with := func(p peer, change func(*peer)) peer {
		change(&p)
		return p
	}
	tests := []struct {
		name string
		spec spec
		want []string // peers with ports, of 80, 81 and 8080, by TCP
	}{
		{
			"addresses of both versions, without some",
			spec{Ingress: from(peer{Nets: []string{"10.1.0.0/30", "fd00:1::/64"}, NotNets: []string{"10.1.0.2/32"}})},
			[]string{"10.1.0.1 80 81 8080", "10.1.0.3 80 81 8080", "fd00:1::1 80 81 8080"},
		},
		{
			"all but addresses of one version",
			spec{Ingress: from(peer{NotNets: []string{"10.0.0.0/8"}})},
			[]string{"192.0.2.1 80 81 8080", "2001:db8::1 80 81 8080", "fd00:1::1 80 81 8080", "fd00::1 80 81 8080"},
		},
		{
			"pods elsewhere",
			spec{Egress: to(db)},
			[]string{"10.1.0.1 80 81 8080", "10.1.0.2 80 81 8080", "10.1.0.3 80 81 8080", "fd00:1::1 80 81 8080"},
		},
		{
			"pods elsewhere, within nets",
			spec{Egress: to(with(db, func(p *peer) { p.Nets, p.NotNets = []string{"10.1.0.0/31", "10.1.0.2/31"}, []string{"10.1.0.2/32"} }))},
			[]string{"10.1.0.1 80 81 8080", "10.1.0.3 80 81 8080"},
		},
		{
			"a name of a port that has other numbers elsewhere",
			spec{Egress: tcp(to(with(db, func(p *peer) { p.Ports = port("db") })))},
			[]string{"10.1.0.1 80", "10.1.0.2 8080", "fd00:1::1 80"},
		},
		{
			"a name of a port, and one of the numbers",
			spec{Egress: tcp(to(with(db, func(p *peer) { p.Ports = port("db", 80) })))},
			[]string{"10.1.0.1 80", "10.1.0.2 80 8080", "10.1.0.3 80", "fd00:1::1 80"},
		},
		{
			"rules that tell apart what they take away",
			spec{Egress: slices.Concat(
				tcp(to(with(db, func(p *peer) { p.NotSelector, p.Ports = new("tier == 'x'"), port(80) }))),
				tcp(to(with(db, func(p *peer) { p.NotSelector, p.Ports = new("tier == 'y'"), port(81) }))),
			)},
			[]string{"10.1.0.1 80 81", "10.1.0.2 81", "10.1.0.3 80", "fd00:1::1 80 81"},
		},
		{
			"what asks for another cluster",
			spec{Egress: to(peer{NotSelector: new("hawser.io/cluster == 'home'")})},
			[]string{"10.1.0.1 80 81 8080", "10.1.0.2 80 81 8080", "10.1.0.3 80 81 8080", "fd00:1::1 80 81 8080"},
		},
		{
			"what takes another cluster away",
			spec{Egress: to(peer{NotSelector: new("hawser.io/cluster == 'a'")})},
			[]string{"10.0.0.1 80 81 8080", "fd00::1 80 81 8080"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := shops(t)
			tt.spec.Types, tt.spec.Clusters = []v1alpha1.PolicyType{"Ingress", "Egress"}, everywhere
			out, ok := makeFor(t, w, policyOf(tt.spec), (*policy.Plan).Calico)
			if !ok || len(out.left) > 0 || len(out.refused) > 0 {
				t.Fatalf("refused: %v %v", out.left, out.refused)
			}
			c := calicoOf(t, w, out.objects)
			for _, p := range c.policies {
				checkCalico(t, p)
			}
			if diff := cmp.Diff(tt.want, passing(w, len(tt.spec.Ingress) > 0, func(f flow) bool { return c.allows(w, f) })); diff != "" {
				t.Errorf("what is let through (-want +got):\n%s\n%s", diff, describeUnstructured(out.objects))
			}
		})
	}
}

// passing are the peers that pod web may talk with, and the ports.
func passing(w *world, ingress bool, allows func(flow) bool) (all []string) {
	for _, peer := range slices.SortedFunc(slices.Values(w.Addresses()), func(a, b netip.Addr) int { return strings.Compare(a.String(), b.String()) }) {
		text := peer.String()
		for _, port := range []uint16{80, 81, 8080} {
			if allows(flow{Ingress: ingress, Pod: &w.Things[0], Peer: peer, Protocol: "TCP", Port: port}) {
				text += fmt.Sprintf(" %d", port)
			}
		}
		if strings.Contains(text, " ") && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// TestSetsOfCalico holds on to what makes a set a policy's own.
func TestSetsOfCalico(t *testing.T) {
	sets := func(s spec) (values []string) {
		w := shops(t)
		s.Clusters = everywhere
		out, _ := makeFor(t, w, policyOf(s), (*policy.Plan).Calico)
		for _, o := range out.objects {
			if o.GetObjectKind().GroupVersionKind().Kind == "GlobalNetworkSet" {
				if o.GetNamespace() != "" || !strings.HasPrefix(o.GetName(), "shop.rules."+o.GetLabels()[policy.MembersLabel]) {
					t.Errorf("it is called %s/%s", o.GetNamespace(), o.GetName())
				}
				values = append(values, o.GetLabels()[policy.MembersLabel])
			}
		}
		return values
	}
	db, other := peer{Selector: new("app == 'db'")}, peer{Selector: new("app == 'db' && tier == 'x'")}
	one := sets(spec{Egress: to(db)})
	if len(one) != 1 {
		t.Fatalf("got %v, want one", one)
	}
	if two := sets(spec{Egress: slices.Concat(tcp(to(db)), to(db))}); !slices.Equal(one, two) {
		t.Errorf("two rules with one peer have %v, want %v", two, one)
	}
	if two := sets(spec{Egress: slices.Concat(to(other), to(db))}); len(two) != 2 || !slices.Contains(two, one[0]) {
		t.Errorf("with a rule before it, it has %v, and %v among them", two, one)
	}
	if edited := sets(spec{Egress: to(other)}); slices.Contains(edited, one[0]) {
		t.Error("a rule that is edited finds the set of what it was before")
	}
}

// TestNobodyInTheNamespaceGetsInByTheLabelOfSets has a pod and a set of the namespace carry the label that the policy
// selects sets by, and a host that Calico made of a node.
func TestNobodyInTheNamespaceGetsInByTheLabelOfSets(t *testing.T) {
	w, said := shops(t), policyOf(spec{Clusters: remote, Egress: to(peer{Selector: new("app == 'db'")})})
	out, _ := makeFor(t, w, said, (*policy.Plan).Calico)
	value := ""
	for _, o := range out.objects {
		value += o.GetLabels()[policy.MembersLabel]
	}
	liar := map[string]string{policy.MembersLabel: value}
	w.Add(w.Parts[home], home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "liar"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.66/32")}}, liar)
	w.Add(w.Parts[home], home, index.Endpoint{ID: index.ID{Kind: index.NetworkSet, Namespace: "shop", Name: "liar"}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, liar)
	automatic := map[string]string{policy.MembersLabel: value, "projectcalico.org/created-by": "calico-kube-controllers"}
	w.Add(w.Parts[home], home, index.Endpoint{ID: index.ID{Kind: index.HostEndpoint, Name: "liar"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.67/32")}}, automatic)
	c := calicoOf(t, w, out.objects)
	want := []string{"10.1.0.1 80 81 8080", "10.1.0.2 80 81 8080", "10.1.0.3 80 81 8080", "fd00:1::1 80 81 8080"}
	if diff := cmp.Diff(want, passing(w, false, func(f flow) bool { return c.allows(w, f) })); value == "" || diff != "" {
		t.Errorf("what is let through by the label %q (-want +got):\n%s", value, diff)
	}
}

// TestSetsThatAreMadeOfEndpointsTakeNothingAway: a policy that says local peers by their addresses has their addresses in a
// set, which another one's notSelector matches.
func TestSetsThatAreMadeOfEndpointsTakeNothingAway(t *testing.T) {
	w := shops(t)
	w.Add(w.Parts[home], home, index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: "db"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")}}, map[string]string{"app": "db"})
	here := v1alpha1.ClusterScope{Local: true}
	byAddress := policyOf(spec{Clusters: here, LocalPeers: v1alpha1.LocalPeersAddresses, Ingress: from(peer{Selector: new("app == 'db'")})})
	byAddress.Name = "other"
	others, _ := makeFor(t, w, byAddress, (*policy.Plan).Calico)
	out, _ := makeFor(t, w, policyOf(spec{Clusters: here, Egress: to(peer{Selector: new("has(app)"), NotSelector: new("app != 'db'")})}), (*policy.Plan).Calico)
	c := calicoOf(t, w, append(others.objects, out.objects...))
	if diff := cmp.Diff([]string{"10.0.0.7 80 81 8080"}, passing(w, false, func(f flow) bool { return c.allows(w, f) })); diff != "" {
		t.Errorf("what is let through (-want +got):\n%s", diff)
	}
}

// TestASetWithTheAddressOfAPodMakesItNoOther: the policy's own pods are told apart by their labels alone.
func TestASetWithTheAddressOfAPodMakesItNoOther(t *testing.T) {
	w := shops(t)
	nets := index.Endpoint{ID: index.ID{Kind: index.NetworkSet, Namespace: "shop", Name: "nets"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}}
	w.Add(w.Parts[home], home, nets, map[string]string{"app": "db"}) // whose address is that of pod web
	for _, tt := range []struct {
		own  peer
		want []string
	}{
		{peer{Selector: new("app == 'db'")}, nil},
		{peer{NotSelector: new("app == 'db'")}, []string{"192.0.2.1 80 81 8080"}},
	} {
		all := to(peer{Nets: []string{"192.0.2.0/24"}})
		all[0].Source = &tt.own
		out, _ := makeFor(t, w, policyOf(spec{Clusters: remote, Types: []v1alpha1.PolicyType{"Egress"}, Egress: all}), (*policy.Plan).Calico)
		c := calicoOf(t, w, out.objects)
		if diff := cmp.Diff(tt.want, passing(w, false, func(f flow) bool { return c.allows(w, f) })); diff != "" {
			t.Errorf("what is let through (-want +got):\n%s\n%s", diff, describeUnstructured(out.objects))
		}
	}
}

// TestPortsThatTrafficComesFrom are known to Calico, and by name also in the other clusters.
func TestPortsThatTrafficComesFrom(t *testing.T) {
	w := shops(t)
	said := spec{Clusters: remote, Ingress: tcp(from(peer{Selector: new("app == 'db'"), Ports: port(53, "1000:2000", "db")}))}
	said.Ingress[0].Destination = &peer{Ports: port("http")}
	out, _ := makeFor(t, w, policyOf(said), (*policy.Plan).Calico)
	var got []string
	for _, p := range calicoOf(t, w, out.objects).policies {
		for _, r := range p.Spec.Ingress {
			got = append(got, fmt.Sprintf("%s %v: %s %v to %v", p.Name, p.Spec.Types, r.Protocol, r.Source.Ports, r.Destination.Ports))
		}
	}
	want := []string{
		"rules [Ingress]: TCP [{0 53 } {1 0 1000:2000}] to [{1 0 http}]",
		"rules-ports-a [Ingress]: TCP [{0 80 }] to [{1 0 http}]", "rules-ports-a [Ingress]: TCP [{0 8080 }] to [{1 0 http}]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestWhatCalicoCannotExpress(t *testing.T) {
	long := "app in {'" + strings.Repeat("x", 1000) + "'}"
	for name, c := range map[string]struct {
		spec  spec
		local policy.Local
		want  string
	}{
		"a value that Calico takes for a function": {
			spec{Ingress: from(peer{NamespaceSelector: new(`env == "all()"`)})}, local, "spec.ingress[0].source.namespaceSelector: it has a value with \"all(\"",
		},
		"a name of a port at any address": {
			spec{Egress: tcp(to(peer{Ports: port("db")}))}, local, "spec.egress[0].destination.ports: the port \"db\" has a number for endpoints alone",
		},
		"a local cluster that is not known": {
			spec{Ingress: from(peer{Selector: new("hawser.io/cluster == 'home'")})}, policy.Local{}, "spec.ingress[0].source.selector: the comparison of hawser.io/cluster with \"home\" cannot be decided: the name of the local cluster is not known",
		},
		"a long selector of local peers": {
			spec{Ingress: from(peer{Selector: &long, NotSelector: new("has(a)")})}, local, "spec.ingress[0].source.selector: it is too long for Calico",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Clusters = everywhere
			plan, err := policy.Compile(policyOf(c.spec), c.local)
			if err != nil {
				t.Fatal(err)
			}
			made, err := plan.Calico()
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			base, err := calico.Read[calico.NetworkPolicySpec](unstructuredOf(made.Base()[0]))
			if err != nil || len(base.Spec.Ingress)+len(base.Spec.Egress) > 0 || len(base.Spec.Types) == 0 {
				t.Errorf("the pods are not closed: %+v, %v", base, err)
			}
		})
	}
}

// TestManyPorts are more than Calico takes in one rule.
func TestManyPorts(t *testing.T) {
	p := peer{Selector: new("app == 'db'")}
	for i := range 64 {
		p.Ports = append(p.Ports, port(1000+2*i)...)
	}
	out, _ := makeFor(t, shops(t), policyOf(spec{Clusters: remote, Egress: tcp(to(p))}), (*policy.Plan).Calico)
	base, err := calico.Read[calico.NetworkPolicySpec](unstructuredOf(out.objects[0]))
	if err != nil || len(base.Spec.Egress) != 2 || len(base.Spec.Egress[0].Destination.Ports) != calico.MaxPorts || len(base.Spec.Egress[1].Destination.Ports) != 14 {
		t.Errorf("got %+v, %v, want 50 ports and 14", base, err)
	}
}

func kindsOf(all []client.Object) (kinds []string) {
	for _, o := range all {
		kinds = append(kinds, o.GetObjectKind().GroupVersionKind().Kind)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

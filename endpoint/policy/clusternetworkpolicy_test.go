package policy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/internal/policytest"
)

// accepts is what ClusterNetworkPolicies of tier Admin mean, written from the API reference of policy.networking.k8s.io,
// for rules that accept egress to networks: they come before every NetworkPolicy, and are the last word.
func accepts(k *kubernetes, all []*calico.ClusterNetworkPolicy, f flow) bool {
	return !f.Ingress && slices.ContainsFunc(all, func(p *calico.ClusterNetworkPolicy) bool {
		of := p.Spec.Subject.Pods
		if !k.selects(&of.NamespaceSelector, k.namespaces[f.Pod.Namespace]) || !k.selects(&of.PodSelector, f.Pod.Own) {
			return false
		}
		return slices.ContainsFunc(p.Spec.Egress, func(r calico.ClusterEgressRule) bool {
			to := slices.ContainsFunc(r.To, func(peer calico.ClusterPeer) bool {
				return slices.ContainsFunc(peer.Networks, func(n string) bool { return netip.MustParsePrefix(n).Contains(f.Peer) })
			})
			return to && (len(r.Protocols) == 0 || slices.ContainsFunc(r.Protocols, func(p calico.ClusterProtocol) bool {
				ports := map[string]*calico.ClusterPorts{"TCP": p.TCP, "UDP": p.UDP, "SCTP": p.SCTP}[f.Protocol]
				if ports == nil || ports.DestinationPort == nil {
					return ports != nil
				}
				if span := ports.DestinationPort.Range; span != nil {
					return span.Start <= int32(f.Port) && int32(f.Port) <= span.End
				}
				return ports.DestinationPort.Number == int32(f.Port)
			}))
		})
	})
}

func TestClusterNetworkPoliciesMeanWhatThePolicySays(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		for range 3 { // what there is costs more to make than a policy
			compareAccepted(t, w, policytest.DrawPolicy(t), reached)
		}
	})
	for _, what := range []string{"allowed true", "allowed false", "refused spec.in", "refused spec.eg"} {
		if reached[what] == 0 {
			t.Errorf("never reached: %s (%v)", what, reached)
		}
	}
}

func compareAccepted(t *rapid.T, w *world, d *drawn, reached map[string]int) {
	out, ok := makeFor(t, w, d.Object, func(p *policy.Plan) (*policy.ClusterPolicies, error) { return p.ClusterNetworkPolicies(10) })
	if !ok {
		reached["the policy's own selector cannot be expressed"]++
		return
	}
	k, admin := kubernetesOf(t, w, out.objects)
	d.Withhold(t, w, out.refused)
	for field := range out.left {
		reached["refused "+field[:len("spec.in")]]++
	}
	flows(w, func(f flow) {
		want := d.Allows(w, f, func(field string) bool { return out.left[field] })
		opened := accepts(k, admin, f)
		if opened && !d.IsFor(w, f.Pod) {
			t.Fatalf("pod %s/%s, which the policy is not for, may talk to %s whatever other policies say\n%s", f.Pod.Namespace, f.Pod.Name, f.Peer, describeUnstructured(out.objects))
		}
		got := opened || k.allows(f)
		reached[fmt.Sprint("allowed ", want)]++
		if want == got {
			return
		}
		t.Fatalf("ingress %t, pod %s/%s, peer %s, %s %d: the policy says %t, what was made of it %t\n%s\n%s",
			f.Ingress, f.Pod.Namespace, f.Pod.Name, f.Peer, f.Protocol, f.Port, want, got, describePolicy(d), describeUnstructured(out.objects))
	})
}

// kubernetesOf is the local cluster with what was rendered.
func kubernetesOf(t failer, w *world, objects []client.Object) (*kubernetes, []*calico.ClusterNetworkPolicy) {
	t.Helper()
	k := &kubernetes{namespaces: map[string]map[string]string{}}
	for i := range w.Things {
		if e := &w.Things[i]; e.Cluster == home && e.Kind == index.Pod {
			k.pods = append(k.pods, e)
			k.namespaces[e.Namespace] = w.Namespaces[[2]string{home, e.Namespace}]
		}
	}
	var admin []*calico.ClusterNetworkPolicy
	for _, o := range objects {
		switch o := o.(type) {
		case *networkingv1.NetworkPolicy:
			k.policies = append(k.policies, o)
		case *unstructured.Unstructured:
			p, err := calico.Read[calico.ClusterNetworkPolicySpec](o)
			if err != nil {
				t.Fatal(err)
			}
			admin = append(admin, p)
		}
	}
	return k, admin
}

func TestWhatClusterNetworkPoliciesLetThrough(t *testing.T) {
	db := peer{Selector: new("app == 'db'")}
	numbers, within := db, db
	numbers.Ports = port(80, "8000:9000")
	within.Nets, within.NotNets = []string{"10.1.0.0/30"}, []string{"10.1.0.2/32"}
	narrowed := to(db)
	narrowed[0].Source = &peer{Selector: new("app == 'db'")}
	for name, c := range map[string]struct {
		egress rules
		want   []string
	}{
		"pods elsewhere":                {to(db), []string{"10.1.0.1 80 81 8080", "10.1.0.2 80 81 8080", "10.1.0.3 80 81 8080", "fd00:1::1 80 81 8080"}},
		"ports of a protocol":           {tcp(to(numbers)), []string{"10.1.0.1 80 8080", "10.1.0.2 80 8080", "10.1.0.3 80 8080", "fd00:1::1 80 8080"}},
		"all ports of a protocol":       {tcp(to(within)), []string{"10.1.0.1 80 81 8080", "10.1.0.3 80 81 8080"}},
		"another protocol":              {rules{{Action: "Allow", Protocol: "UDP", Destination: &db}}, nil},
		"a rule for other pods":         {narrowed, nil},
		"any address, and pods by them": {slices.Concat(tcp(to(numbers)), to(peer{Nets: []string{"192.0.2.0/24"}})), []string{"10.1.0.1 80 8080", "10.1.0.2 80 8080", "10.1.0.3 80 8080", "192.0.2.1 80 81 8080", "fd00:1::1 80 8080"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := shops(t)
			said := policyOf(spec{Clusters: everywhere, LocalPeers: v1alpha1.LocalPeersAddresses, Types: []v1alpha1.PolicyType{"Egress"}, Egress: c.egress})
			out, ok := makeFor(t, w, said, func(p *policy.Plan) (*policy.ClusterPolicies, error) { return p.ClusterNetworkPolicies(10) })
			if !ok || len(out.left)+len(out.refused) > 0 {
				t.Fatal(out.left, out.refused)
			}
			k, admin := kubernetesOf(t, w, out.objects)
			if diff := cmp.Diff(c.want, passing(w, false, func(f flow) bool { return accepts(k, admin, f) || k.allows(f) })); diff != "" {
				t.Errorf("what is let through (-want +got):\n%s\n%s", diff, describeUnstructured(out.objects))
			}
		})
	}
}

func TestWhatClusterNetworkPoliciesCannotExpress(t *testing.T) {
	for name, c := range map[string]struct {
		spec spec
		want string
	}{
		"a source elsewhere": {
			spec{Ingress: from(peer{NamespaceSelector: new("all()"), Selector: new("app == 'db'")}), Clusters: remote}, "spec.ingress[0].source.selector: ClusterNetworkPolicy knows addresses of destinations alone",
		},
		"a source of namespaces elsewhere": {
			spec{Ingress: from(peer{NamespaceSelector: new("all()")}), Clusters: remote}, "spec.ingress[0].source.namespaceSelector: ClusterNetworkPolicy knows",
		},
		"a name of a port": {
			spec{Egress: tcp(to(peer{Selector: new("app == 'db'"), Ports: port("db")})), Clusters: remote}, "spec.egress[0].destination.ports: ClusterNetworkPolicy has no name of ports at addresses",
		},
		"a port that traffic comes from": {
			spec{Egress: tcp(rules{{Action: "Allow", Source: &peer{Ports: port(53)}, Destination: &peer{Selector: new("app == 'db'")}}}), Clusters: remote}, "spec.egress[0].source.ports: NetworkPolicy does not know",
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := policy.Compile(policyOf(c.spec), local)
			if err != nil {
				t.Fatal(err)
			}
			made, err := plan.ClusterNetworkPolicies(10)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if kinds := kindsOf(made.Base()); len(made.Base()) != 1 || kinds[0] != "NetworkPolicy" {
				t.Errorf("the pods are not closed, or opened: %v", kinds)
			}
		})
	}
	local := spec{Ingress: from(peer{Selector: new("app == 'db'")}), Clusters: v1alpha1.ClusterScope{Local: true}}
	plan, err := policy.Compile(policyOf(local), policy.Local{Name: home, ID: "id-home"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plan.ClusterNetworkPolicies(10); err != nil {
		t.Errorf("a source in the local cluster: %v", err)
	}
}

// TestClusterNetworkPoliciesAreWithinTheirBounds has more rules, ports and addresses than one object may have.
func TestClusterNetworkPoliciesAreWithinTheirBounds(t *testing.T) {
	w := shops(t)
	for i := range 3000 {
		e := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint("many-", i)}}
		e.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(16 + i/128), byte(2 * (i % 128))}), 32)}
		w.Add(w.Parts["a"], "a", e, map[string]string{"app": "many"})
	}
	said := spec{Clusters: remote}
	for i := range 30 {
		p := peer{Selector: new("app == 'db'")}
		switch i {
		case 7:
			p.Selector = new("app == 'many'")
		case 8:
			for j := range 64 {
				p.Ports = append(p.Ports, port(1000+2*j)...)
			}
		}
		said.Egress = append(said.Egress, tcp(to(p))...)
	}
	out, _ := makeFor(t, w, policyOf(said), func(p *policy.Plan) (*policy.ClusterPolicies, error) { return p.ClusterNetworkPolicies(10) })
	if len(out.left)+len(out.refused) > 0 {
		t.Fatal(out.left, out.refused)
	}
	rules, networks := 0, map[string]bool{}
	for _, o := range out.objects {
		if o.GetObjectKind().GroupVersionKind().Kind != "ClusterNetworkPolicy" {
			continue
		}
		p, err := calico.Read[calico.ClusterNetworkPolicySpec](unstructuredOf(o))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(p.Spec.Egress); n == 0 || n > 25 || p.Spec.Priority != 10 || p.Spec.Tier != "Admin" {
			t.Errorf("%s has %d rules, tier %s, priority %d", p.Name, n, p.Spec.Tier, p.Spec.Priority)
		}
		for _, r := range p.Spec.Egress {
			rules++
			if len(r.To) == 0 || len(r.To) > 25 || len(r.Protocols) == 0 || len(r.Protocols) > 25 || r.Action != "Accept" {
				t.Errorf("%s has a rule of %d peers and %d protocols", p.Name, len(r.To), len(r.Protocols))
			}
			for _, peer := range r.To {
				if len(peer.Networks) == 0 || len(peer.Networks) > 25 {
					t.Errorf("%s has a peer of %d networks", p.Name, len(peer.Networks))
				}
				for _, n := range peer.Networks {
					networks[n] = true
				}
			}
		}
	}
	if rules < 29+2+3000/625 || len(networks) < 3000 {
		t.Errorf("got %d rules with %d networks", rules, len(networks))
	}
}

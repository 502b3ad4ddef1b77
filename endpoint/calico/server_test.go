package calico_test

import (
	"errors"
	"iter"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// TestOnARealAPIServer finds each kind as it comes, and has the API server judge every field under the schemas: one that
// these do not know is an error.
func TestOnARealAPIServer(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	found := calico.NewDiscovery(cluster.Client().Discovery().(discovery.DiscoveryInterfaceWithContext), clock.RealClock{})
	found.Look(t.Context())
	if _, err := found.Served().ToRead(calico.HostEndpoints); !errors.Is(err, calico.ErrNotServed) {
		t.Errorf("it is said to be there: %v", err)
	}
	cluster.Install(t, "testdata/hostendpoints.crd.projectcalico.org.yaml")
	found.Look(t.Context())
	gvk, err := found.Served().ToRead(calico.HostEndpoints)
	if err != nil || gvk.GroupVersion() != calico.Storage {
		t.Errorf("got %v, %v, want the storage", gvk, err)
	}
	cluster.Install(t, "testdata/*.yaml")
	found.Look(t.Context())

	admin, err := client.New(cluster.AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	admin = client.WithFieldValidation(admin, metav1.FieldValidationStrict)
	ns := cluster.Namespace(t)
	for k, obj := range objects(t, ns) {
		t.Run(k.String(), func(t *testing.T) {
			gvk, err := found.Served().ToWrite(k)
			if err != nil || gvk != obj.GroupVersionKind() {
				t.Fatalf("got %v, %v, want %v", gvk, err, obj.GroupVersionKind())
			}
			if k.Namespaced() != (obj.GetNamespace() != "") {
				t.Errorf("it is in namespace %q", obj.GetNamespace())
			}
			want, _, _ := unstructured.NestedMap(obj.Object, "spec")
			if err := admin.Create(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			got, _, _ := unstructured.NestedMap(obj.Object, "spec")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what is stored is another (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatPoliciesBecomeIsAccepted has the API server judge what the targets of package policy make, under the schemas
// and their bounds.
func TestWhatPoliciesBecomeIsAccepted(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	cluster.Install(t, "testdata/*.yaml")
	admin, err := client.New(cluster.AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	admin = client.WithFieldValidation(admin, metav1.FieldValidationStrict)
	for _, target := range []v1alpha1.PolicyTarget{v1alpha1.TargetCalico, v1alpha1.TargetClusterNetworkPolicy} {
		t.Run(string(target), func(t *testing.T) {
			p := federated(cluster.Namespace(t), target)
			plan, err := policy.Compile(p, policy.Local{Name: "home", ID: "id-home"})
			if err != nil {
				t.Fatal(err)
			}
			made, err := plan.For(&p.Spec)
			if err != nil {
				t.Fatal(err)
			}
			objects := made.Base()
			for _, c := range []endpoint.ClusterState{{Name: "home", Local: true}, {Name: "west"}} {
				out, err := made.Render(publish.Request{Cluster: c, Members: members, Addresses: addresses, Pieces: func(string) int { return 0 }})
				if err != nil || len(out.Refused) > 0 {
					t.Fatal(err, out.Refused)
				}
				objects = append(objects, out.Objects...)
			}
			kinds := map[string]int{}
			for _, o := range objects {
				kinds[o.GetObjectKind().GroupVersionKind().GroupKind().String()]++
				if err := admin.Create(t.Context(), o); err != nil {
					t.Errorf("%s: %v", o.GetName(), err)
				}
			}
			want := map[v1alpha1.PolicyTarget]map[string]int{
				v1alpha1.TargetCalico:               {"NetworkPolicy.projectcalico.org": 3, "GlobalNetworkSet.projectcalico.org": 6},
				v1alpha1.TargetClusterNetworkPolicy: {"NetworkPolicy.networking.k8s.io": 8, "ClusterNetworkPolicy.policy.networking.k8s.io": 4},
			}[target]
			if diff := cmp.Diff(want, kinds); diff != "" {
				t.Errorf("kinds (-want +got):\n%s", diff)
			}
		})
	}
}

// federated says much of what a policy can say in each of the targets.
func federated(ns string, target v1alpha1.PolicyTarget) *v1alpha1.FederatedNetworkPolicy {
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "much"}}
	db := v1alpha1.FederatedPeer{
		Selector: new("app == 'db' || hawser.io/cluster == 'west'"), NotSelector: new("tier == 'old'"), NamespaceSelector: new("env in {'test', 'prod'}"),
	}
	p.Spec.Selector, p.Spec.Target = "app in {'web', 'api'} || tier == 'x'", target
	p.Spec.Types = []v1alpha1.PolicyType{"Ingress", "Egress"}
	p.Spec.Clusters = v1alpha1.ClusterScope{Local: true, All: true}
	http := &v1alpha1.FederatedPeer{Ports: []intstr.IntOrString{intstr.FromString("http"), intstr.FromInt32(80), intstr.FromString("8000:8080")}}
	numbers := db
	numbers.Ports = http.Ports[1:]
	nets := &v1alpha1.FederatedPeer{Nets: []string{"10.0.0.0/8", "fd00::/8"}, NotNets: []string{"10.9.0.0/16"}}
	p.Spec.Ingress = []v1alpha1.FederatedRule{{Action: "Allow", Protocol: "TCP", Source: nets, Destination: http}}
	p.Spec.Egress = []v1alpha1.FederatedRule{
		{Action: "Allow", Destination: &db}, {Action: "Allow", Protocol: "TCP", Destination: &numbers}, {Action: "Allow", Protocol: "SCTP", Destination: &db},
	}
	if target == v1alpha1.TargetClusterNetworkPolicy {
		p.Spec.ClusterNetworkPolicy = &v1alpha1.ClusterNetworkPolicyTarget{Priority: 7}
		return p
	}
	named, accounts := db, numbers
	named.Ports = http.Ports[:1]
	accounts.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: []string{"robot"}, Selector: new("has(a)")}
	p.Spec.Ingress = append(p.Spec.Ingress, v1alpha1.FederatedRule{Action: "Allow", Protocol: "TCP", Source: &accounts, Destination: http})
	p.Spec.Egress = append(p.Spec.Egress, v1alpha1.FederatedRule{Action: "Allow", Protocol: "TCP", Destination: &named})
	return p
}

// members are the same for each selector but notSelector's: endpoints of both versions of IP, with a port each.
func members(i int) iter.Seq[index.Endpoint] {
	return func(yield func(index.Endpoint) bool) {
		for j := range 700 {
			e := index.Endpoint{ID: index.ID{Kind: index.Node, Name: strconv.Itoa(j)}, Ports: []index.Port{{Name: "http", Protocol: "TCP", Number: 8081}}}
			e.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j / 100), byte(2 * (j % 100))}), 32)}
			if !yield(e) {
				return
			}
		}
	}
}

func addresses(int) iter.Seq[netip.Prefix] { return func(func(netip.Prefix) bool) {} }

// objects are one of each kind, with all that can be said.
func objects(t *testing.T, ns string) map[calico.Kind]*unstructured.Unstructured {
	t.Helper()
	in, whole := metav1.ObjectMeta{Namespace: ns, Name: "a"}, metav1.ObjectMeta{Name: "a"}
	made := func(u *unstructured.Unstructured, err error) *unstructured.Unstructured {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	ports := []intstr.IntOrString{intstr.FromInt32(80), intstr.FromString("8000:8080"), intstr.FromString("http")}
	side := calico.EntityRule{
		Selector: `role == "db"`, NotSelector: "has(x)", NamespaceSelector: "global()",
		ServiceAccounts: &calico.ServiceAccountMatch{Names: []string{"a"}, Selector: "has(b)"},
		Nets:            []string{"10.0.0.0/8"}, NotNets: []string{"10.1.0.0/16"}, Ports: ports, NotPorts: ports[:2],
	}
	rules := []calico.Rule{{Action: "Allow", IPVersion: 4, Protocol: "TCP", Source: side, Destination: side}, {Action: "Allow"}}
	labels := metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}, MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "c", Operator: "In", Values: []string{"d"}}}}
	return map[calico.Kind]*unstructured.Unstructured{
		calico.NetworkPolicies: made(calico.Write(calico.NetworkPolicies, in, calico.NetworkPolicySpec{
			Tier: "default", Order: new(int64(1000)), Selector: `role == "web"`, Types: []string{"Ingress", "Egress"}, Ingress: rules, Egress: rules,
		})),
		calico.NetworkSets:       made(calico.Write(calico.NetworkSets, in, calico.NetworkSetSpec{Nets: []string{"10.0.0.1/32", "fd00::1/128"}})),
		calico.GlobalNetworkSets: made(calico.Write(calico.GlobalNetworkSets, whole, calico.NetworkSetSpec{Nets: []string{"10.0.0.1/32"}})),
		calico.HostEndpoints: made(calico.Write(calico.HostEndpoints, whole, calico.HostEndpointSpec{
			Node: "n", InterfaceName: "eth0", ExpectedIPs: []string{"10.0.0.1"}, Profiles: []string{"p"},
			Ports: []calico.EndpointPort{{Name: "http", Protocol: intstr.FromString("TCP"), Port: 80}},
		})),
		calico.IPPools: made(calico.Write(calico.IPPools, whole, calico.IPPoolSpec{
			CIDR: "10.9.0.0/16", Disabled: true, NATOutgoing: true, AssignmentMode: "Manual", AllowedUses: []string{"Workload"},
			IPIPMode: "Never", VXLANMode: "Never", BlockSize: 26, NodeSelector: "all()", DisableBGPExport: true,
		})),
		calico.CIDRGroups: made(calico.Write(calico.CIDRGroups, whole, calico.CIDRGroupSpec{ExternalCIDRs: []string{}})),
		calico.ClusterNetworkPolicies: made(calico.Write(calico.ClusterNetworkPolicies, whole, calico.ClusterNetworkPolicySpec{
			Tier: "Admin", Priority: 0, Subject: calico.ClusterSubject{Pods: &calico.NamespacedPods{NamespaceSelector: labels, PodSelector: metav1.LabelSelector{}}},
			Egress: []calico.ClusterEgressRule{{Name: "one", Action: "Accept", To: []calico.ClusterPeer{{Networks: []string{"10.0.0.0/24"}}}, Protocols: []calico.ClusterProtocol{
				{TCP: &calico.ClusterPorts{DestinationPort: &calico.ClusterPort{Number: 80}}},
				{UDP: &calico.ClusterPorts{DestinationPort: &calico.ClusterPort{Range: &calico.ClusterPortRange{Start: 1, End: 65535}}}},
			}}},
		})),
	}
}

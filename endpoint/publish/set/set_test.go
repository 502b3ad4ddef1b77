package set_test

import (
	"encoding/json"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/publish/set"
)

func shop(outputs ...v1alpha1.EndpointOutput) *v1alpha1.EndpointSet {
	return &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "u", Generation: 3}, Spec: v1alpha1.EndpointSetSpec{
		Selector: `app=='web'`, Clusters: v1alpha1.ClusterScope{All: true}, Outputs: outputs}}
}

func networkPolicy(types ...v1alpha1.PolicyType) v1alpha1.EndpointOutput {
	return v1alpha1.EndpointOutput{Name: "np", NetworkPolicy: &v1alpha1.NetworkPolicyOutput{Namespace: "front", Types: types}}
}

func request(have int, addresses ...netip.Prefix) publish.Request {
	return publish.Request{
		Key: set.KeyOf("shop"), Cluster: endpoint.ClusterState{Name: "prod"},
		Addresses: func(int) iter.Seq[netip.Prefix] { return slices.Values(addresses) },
		Count:     func(int) int { return len(addresses) },
		Pieces:    func(string) int { return have },
	}
}

func TestOutputs(t *testing.T) {
	es := shop(networkPolicy(v1alpha1.PolicyTypeEgress, v1alpha1.PolicyTypeIngress),
		v1alpha1.EndpointOutput{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: "back"}},
		v1alpha1.EndpointOutput{Name: "ns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{Namespace: "front", Labels: map[string]string{"role": "web", "hawser.io/cluster": "lie", "x.hawser.io/y": "z"}}},
		v1alpha1.EndpointOutput{Name: "gns", CalicoNetworkSet: &v1alpha1.CalicoNetworkSetOutput{}},
		v1alpha1.EndpointOutput{Name: "cg", CiliumCIDRGroup: &v1alpha1.CiliumCIDRGroupOutput{}},
	)
	s := set.Read(es, "")
	if s.Item == nil || s.Item.Owner.UID != "u" || s.Item.Generation != 3 {
		t.Fatalf("read as %+v", s)
	}
	for name, addresses := range map[string][]netip.Prefix{
		"two neighbours and one twice": {netip.MustParsePrefix("10.0.0.3/32"), netip.MustParsePrefix("10.0.0.2/32"), netip.MustParsePrefix("10.0.0.3/32")},
		"none":                         nil,
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := s.Item.Render(request(0, addresses...))
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			lines := ""
			if addresses != nil {
				texts, lines = []string{"10.0.0.2/31"}, "10.0.0.2/31\n"
			}
			if rendered.Addresses != 2*len(texts) {
				t.Errorf("there are %d addresses", rendered.Addresses)
			}
			var names []string
			for _, o := range rendered.Objects {
				if o.GetLabels()[publish.ClusterLabel] != "prod" || o.GetLabels()[publish.SetLabel] != "shop" || o.GetAnnotations()[publish.SelectorAnnotation] != `app == "web"` {
					t.Errorf("%s has labels %v and annotations %v", o.GetName(), o.GetLabels(), o.GetAnnotations())
				}
				if _, ok := o.GetLabels()["x.hawser.io/y"]; ok {
					t.Errorf("%s has a label that is kept for Hawser", o.GetName())
				}
				kind := "NetworkPolicy"
				switch o := o.(type) {
				case *networkingv1.NetworkPolicy:
					open := len(o.Spec.Ingress) == 1 && len(o.Spec.Ingress[0].From) == 1 && len(o.Spec.Egress) == 1 && len(o.Spec.Egress[0].To) == 1
					shut := len(o.Spec.Ingress) == 0 && len(o.Spec.Egress) == 0
					if len(o.Spec.PolicyTypes) != 2 || open != (texts != nil) || shut != (texts == nil) {
						t.Errorf("the policy is %+v", o.Spec)
					}
				case *corev1.ConfigMap:
					kind = "ConfigMap"
					if o.Data[set.AddressesKey] != lines {
						t.Errorf("the ConfigMap has %q", o.Data)
					}
				case *unstructured.Unstructured:
					kind = o.GetKind()
					field := "nets"
					if kind == "CiliumCIDRGroup" {
						field = "externalCIDRs"
					}
					if got, _, _ := unstructured.NestedStringSlice(o.Object, "spec", field); !slices.Equal(got, texts) {
						t.Errorf("%s has %v", kind, got)
					}
				}
				names = append(names, kind+" "+o.GetNamespace()+"/"+o.GetName())
			}
			want := []string{"NetworkPolicy front/shop-np-prod", "ConfigMap back/shop-cm-prod", "NetworkSet front/shop-ns-prod", "GlobalNetworkSet /shop-gns-prod", "CiliumCIDRGroup /shop-cg-prod"}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Error(diff)
			}
		})
	}
	if len(s.Base) != 1 || s.Base[0].GetName() != "shop-np" || s.Base[0].GetLabels()[publish.ClusterLabel] != "" {
		t.Errorf("of no cluster is %v", s.Base)
	}
}

// TestTheLargestPiecesAreFarBelowWhatAnObjectMayHave: the longest addresses, in both directions.
func TestTheLargestPiecesAreFarBelowWhatAnObjectMayHave(t *testing.T) {
	var addresses []netip.Prefix
	for i := range 30_000 {
		address := [16]byte{0xfd, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, byte(i>>16) | 0x10, byte(i>>8) | 0x10, byte(i), 0x11}
		address[11] = byte(i * 7)
		addresses = append(addresses, netip.PrefixFrom(netip.AddrFrom16(address), 128))
	}
	rendered, err := set.Read(shop(networkPolicy(v1alpha1.PolicyTypeEgress, v1alpha1.PolicyTypeIngress)), "").Item.Render(request(0, addresses...))
	if err != nil || len(rendered.Objects) < 8 {
		t.Fatalf("there are %d objects (%v)", len(rendered.Objects), err)
	}
	for _, o := range rendered.Objects {
		text, err := json.Marshal(o)
		if err != nil || len(text) > 300<<10 {
			t.Errorf("%s has %d bytes (%v)", o.GetName(), len(text), err)
		}
	}
}

// TestASetOfWhichNobodyKnowsWhatItSelectsLetsNothingIn, and keeps its objects.
func TestASetOfWhichNobodyKnowsWhatItSelectsLetsNothingIn(t *testing.T) {
	es := shop(v1alpha1.EndpointOutput{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: "back"}})
	es.Spec.Selector = "has("
	rendered, err := set.Read(es, "").Item.Render(request(0, netip.MustParsePrefix("10.0.0.1/32")))
	if err != nil || len(rendered.Objects) != 1 || rendered.Addresses != 0 || rendered.Endpoints != 0 {
		t.Fatalf("got %+v (%v)", rendered, err)
	}
	cm := rendered.Objects[0].(*corev1.ConfigMap)
	if _, ok := cm.Annotations[publish.SelectorAnnotation]; ok || cm.Data[set.AddressesKey] != "" {
		t.Errorf("got %+v", cm)
	}
}

// TestThereIsAMostOfAddressesOfACluster, whatever it tells: the lowest stay.
func TestThereIsAMostOfAddressesOfACluster(t *testing.T) {
	var addresses []netip.Prefix
	for i := range publish.MaxAddresses + 5 {
		n := i * 2 // no two of them are neighbours
		addresses = append(addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32))
	}
	slices.Reverse(addresses)
	s := set.Read(shop(v1alpha1.EndpointOutput{Name: "cm", ConfigMap: &v1alpha1.ConfigMapOutput{Namespace: "back"}}), "")
	for more, want := range map[int]int{0: 0, 5: 1} {
		rendered, err := s.Item.Render(request(0, slices.Clone(addresses[5-more:])...))
		if err != nil || len(rendered.Refused) != want || rendered.Addresses != publish.MaxAddresses {
			t.Fatalf("with %d more, %d addresses are rendered, and refused is %q (%v)", more, rendered.Addresses, rendered.Refused, err)
		}
		lines, last := 0, netip.Addr{}
		for _, o := range rendered.Objects {
			for text := range strings.FieldsSeq(o.(*corev1.ConfigMap).Data[set.AddressesKey]) {
				lines++
				if a := netip.MustParsePrefix(text).Addr(); last.Less(a) {
					last = a
				}
			}
		}
		if lines != publish.MaxAddresses || last != addresses[5].Addr() {
			t.Errorf("with %d more, there are %d addresses up to %s", more, lines, last)
		}
	}
}

func TestWhatIsSaidOfASelector(t *testing.T) {
	cases := map[string]struct{ text, last, follows, reason, says string }{
		"one that can be read":        {`has(a)`, "", "has(a)", "", ""},
		"one that never could be":     {`has(a`, "", "", v1alpha1.ReasonSelectorInvalid, "it matches nothing\nhas(a\n     ^"},
		"one that could be before":    {`has(a`, "has(b)", "has(b)", v1alpha1.ReasonSelectorInvalid, "read last: has(b)\nhas(a\n     ^"},
		"global()":                    {`global()`, "", "", v1alpha1.ReasonSelectorInvalid, "global() is allowed in the namespaceSelector of a policy only"},
		"global() within":             {`has(a) && global()`, "", "", v1alpha1.ReasonSelectorInvalid, "global()"},
		"all()":                       {`all()`, "", "all()", "", ""},
		"one that matches all":        {`a != "x" || a != "y"`, "", `(a != "x" || a != "y")`, v1alpha1.ReasonSelectsEverything, "if that is meant, write all()"},
		"one that matches nothing":    {`a == "x" && a == "y"`, "", `(a == "x" && a == "y")`, v1alpha1.ReasonSelectsNothing, "matches nothing"},
		"a last one that is not read": {`has(a`, "has(", "", v1alpha1.ReasonSelectorInvalid, "spec.selector"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			es := shop()
			es.Spec.Selector = c.text
			s := set.Read(es, c.last)
			follows := ""
			if len(s.Item.Selectors) > 0 {
				follows = s.Item.Selectors[0].String()
			}
			if follows != c.follows {
				t.Errorf("it follows %q, want %q", follows, c.follows)
			}
			said := append(s.Refused, s.Warned...)
			if c.reason == "" != (len(said) == 0) || len(said) > 0 && (said[0].Reason != c.reason || !strings.Contains(said[0].Message, c.says)) {
				t.Errorf("it says %q, want %s %q", said, c.reason, c.says)
			}
		})
	}
}

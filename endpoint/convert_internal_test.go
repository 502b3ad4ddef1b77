package endpoint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
	"github.com/hawser-io/hawser/selector"
)

// saidOf are the addresses that were taken, and those that were refused, in words.
func saidOf(t taken, ok bool) (all []string) {
	if !ok && len(t.refused) == 0 {
		return nil
	}
	for _, p := range t.endpoint.Addresses {
		all = append(all, p.String())
	}
	for _, r := range t.refused {
		all = append(all, fmt.Sprintf("%s %d %s", r.reason, r.count, r.address))
	}
	if ok != (len(t.endpoint.Addresses) > 0) {
		all = append(all, fmt.Sprintf("and is one: %t", ok))
	}
	return all
}

func TestWhichPodsAreEndpointsAndWithWhichAddresses(t *testing.T) {
	deleted := &metav1.Time{}
	annotated := func(o *wire.Object, pairs ...string) {
		o.Annotations = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			o.Annotations[pairs[i]] = pairs[i+1]
		}
	}
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprintf("10.4.0.%d", i+1)
	}
	var first []string
	for _, a := range many[:16] {
		first = append(first, a+"/32")
	}
	for _, tt := range []struct {
		name string
		edit func(*wire.Object)
		want []string
	}{
		{"one that runs", func(o *wire.Object) { o.IPs = []string{"10.4.0.1", "fd00::1"}; o.IP = "10.4.0.1" }, []string{"10.4.0.1/32", "fd00::1/128"}},
		{"one with two addresses of a family", func(o *wire.Object) { o.IPs = []string{"10.4.0.1", "10.4.0.2"} }, []string{"10.4.0.1/32", "10.4.0.2/32"}},
		{"one with an address twice, once as one of IPv6", func(o *wire.Object) { o.IPs = []string{"10.4.0.1", "::ffff:10.4.0.1", "10.4.0.1/32"} }, []string{"10.4.0.1/32"}},
		{"one with an address outside", func(o *wire.Object) { o.IPs = []string{"10.4.0.1", "10.5.0.1", "10.5.0.2"} }, []string{"10.4.0.1/32", "OutsideCIDRs 2 10.5.0.1"}},
		{"one with nothing but what cannot be read", func(o *wire.Object) { o.IPs = []string{"web", "fd00::1%eth0"} }, []string{`AddressUnreadable 2 "web"`}},
		{"one that is being deleted", func(o *wire.Object) { o.IPs, o.DeletionTimestamp = []string{"10.4.0.1"}, deleted }, []string{"10.4.0.1/32"}},
		{"one that waits", func(o *wire.Object) { o.IPs, o.Phase = []string{"10.4.0.1"}, "Pending" }, []string{"10.4.0.1/32"}},

		{"one in the network of its host", func(o *wire.Object) { o.IPs, o.HostNetwork = []string{"10.4.0.1"}, true }, nil},
		{"one that no node has", func(o *wire.Object) { o.IPs, o.Node = []string{"10.4.0.1"}, "" }, nil},
		{"one that no node has, and that claims an address", func(o *wire.Object) { o.Node = ""; annotated(o, wire.CNIPodIP, "10.4.0.1/32") }, nil},
		{"one that succeeded", func(o *wire.Object) { o.IPs, o.Phase = []string{"10.4.0.1"}, "Succeeded" }, nil},
		{"one that failed", func(o *wire.Object) { o.IPs, o.Phase = []string{"10.4.0.1"}, "Failed" }, nil},
		{"one without an address", func(*wire.Object) {}, nil},

		{"podIPs count before podIP", func(o *wire.Object) { o.IPs, o.IP = []string{"10.4.0.1"}, "10.4.0.2" }, []string{"10.4.0.1/32"}},
		{"podIP where there is nothing else", func(o *wire.Object) { o.IP = "10.4.0.2" }, []string{"10.4.0.2/32"}},
		{"the status counts before annotations", func(o *wire.Object) { o.IP = "10.4.0.2"; annotated(o, wire.CNIPodIPs, "10.4.0.3/32") }, []string{"10.4.0.2/32"}},
		{"also where what it says is refused", func(o *wire.Object) { o.IP = "10.5.0.1"; annotated(o, wire.CNIPodIPs, "10.4.0.3/32") }, []string{"OutsideCIDRs 1 10.5.0.1"}},
		{"the annotation with all addresses", func(o *wire.Object) {
			annotated(o, wire.CNIPodIPs, "10.4.0.3/32, fd00::3/128", wire.CNIPodIP, "10.4.0.4/32", wire.AWSPodIPs, "10.4.0.5")
		}, []string{"10.4.0.3/32", "fd00::3/128"}},
		{"that with one", func(o *wire.Object) { annotated(o, wire.CNIPodIP, "10.4.0.4/32", wire.AWSPodIPs, "10.4.0.5") }, []string{"10.4.0.4/32"}},
		{"that of AWS", func(o *wire.Object) { annotated(o, wire.AWSPodIPs, "10.4.0.5,10.4.0.6") }, []string{"10.4.0.5/32", "10.4.0.6/32"}},
		{"an empty one counts for nothing where nobody deletes the pod", func(o *wire.Object) { annotated(o, wire.CNIPodIPs, "", wire.CNIPodIP, "10.4.0.4/32") }, []string{"10.4.0.4/32"}},

		{"one whose address was given back", func(o *wire.Object) {
			o.IPs, o.DeletionTimestamp = []string{"10.4.0.1"}, deleted
			annotated(o, wire.CNIPodIPs, "", wire.CNIPodIP, "")
		}, nil},
		{"one whose only address was given back", func(o *wire.Object) {
			o.IPs, o.DeletionTimestamp = []string{"10.4.0.1"}, deleted
			annotated(o, wire.CNIPodIP, "")
		}, nil},
		{"one that says so, and that nobody deletes", func(o *wire.Object) { o.IPs = []string{"10.4.0.1"}; annotated(o, wire.CNIPodIP, "") }, []string{"10.4.0.1/32"}},

		{"sixteen addresses, and what is more of them", func(o *wire.Object) { annotated(o, wire.CNIPodIPs, strings.Join(many, ",")) }, append(slices.Clone(first), `TooManyAddresses 4 "10.4.0.17"`)},
		{"an annotation of commas", func(o *wire.Object) { annotated(o, wire.CNIPodIPs, strings.Repeat(",", 999)) }, []string{`AddressUnreadable 16 ""`, `TooManyAddresses 984 ""`}},
		{"one that is long", func(o *wire.Object) { annotated(o, wire.CNIPodIPs, strings.Repeat("x", 999)) }, []string{`AddressUnreadable 1 "` + strings.Repeat("x", 64) + `"…`}},
		{"one that is no text", func(o *wire.Object) { annotated(o, wire.CNIPodIPs, "\x00\xff\n") }, []string{`AddressUnreadable 1 "\x00\xff\n"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &wire.Object{Node: "node-1", Phase: "Running", ServiceAccount: "web", Own: []index.Label{{Name: "app", Value: "web"}}}
			o.Namespace, o.Name = "shop", "web"
			tt.edit(o)
			got, ok := pod(o, bounds("10.4.0.0/16", "fd00::/64"))
			if diff := cmp.Diff(tt.want, saidOf(got, ok)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if id := got.endpoint.ID; ok && (id != index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"} || got.endpoint.Node != "node-1" || got.endpoint.ServiceAccount != "web" || len(got.endpoint.Labels) != 1) {
				t.Errorf("it is %+v", got.endpoint)
			}
		})
	}
}

func TestWhichAddressesOfNodesAreEndpoints(t *testing.T) {
	for _, tt := range []struct {
		name      string
		addresses []corev1.NodeAddress
		want      []string
	}{
		{"its own and what it has outside", []corev1.NodeAddress{{Type: "InternalIP", Address: "10.4.0.1"}, {Type: "ExternalIP", Address: "10.4.1.1"}, {Type: "InternalIP", Address: "fd00::1"}},
			[]string{"10.4.0.1/32", "10.4.1.1/32", "fd00::1/128"}},
		{"no name, also where that is an address", []corev1.NodeAddress{{Type: "Hostname", Address: "10.4.0.1"}, {Type: "InternalDNS", Address: "10.4.0.2"}, {Type: "ExternalDNS", Address: "node-1"}, {Type: "", Address: "10.4.0.3"}}, nil},
		{"none outside", []corev1.NodeAddress{{Type: "InternalIP", Address: "10.5.0.1"}, {Type: "ExternalIP", Address: "10.4.1.1"}}, []string{"10.4.1.1/32", "OutsideCIDRs 1 10.5.0.1"}},
		{"no loopback", []corev1.NodeAddress{{Type: "InternalIP", Address: "127.0.0.1"}}, []string{"NotAnEndpoint 1 127.0.0.1"}},
		{"none", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := decoded("nodes", raw(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: map[string]string{"role": "edge"}}, Status: corev1.NodeStatus{Addresses: tt.addresses}}))
			got, ok := node(o, bounds("10.4.0.0/16", "fd00::/64"))
			if diff := cmp.Diff(tt.want, saidOf(got, ok)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			f, x := still(t, bounds("10.4.0.0/16", "fd00::/64"))
			if err := f.table("nodes").Add(o); err != nil {
				t.Fatal(err)
			}
			found := slices.Collect(x.Eval(selector.MustParse(`role == "edge" && hawser.io/cluster == "alpha" && !has(projectcalico.org/orchestrator)`), "alpha"))
			switch {
			case !ok && len(found) > 0:
				t.Errorf("it is found as %+v", found)
			case ok && (len(found) != 1 || found[0].ID != index.ID{Kind: index.Node, Name: "node-1"} || found[0].Node != "node-1"):
				t.Errorf("it is found as %+v", found)
			}
		})
	}
}

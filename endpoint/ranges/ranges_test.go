package ranges_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/ranges"
	"github.com/hawser-io/hawser/selector"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// primary is a local cluster that nothing is wrong with, and remote one that is apart from it by its number.
func primary() ranges.Cluster {
	return ranges.Cluster{Name: "primary", Local: true, Pods: prefixes("10.1.0.0/16"), Services: prefixes("10.96.0.0/16"), Nodes: prefixes("192.0.2.1/32")}
}

func remote(name string, n int) ranges.Cluster {
	return ranges.Cluster{Name: name, Pods: prefixes(fmt.Sprintf("10.%d.0.0/16", n)), Services: prefixes(fmt.Sprintf("10.%d.0.0/16", 96+n)),
		Nodes: prefixes(fmt.Sprintf("198.51.100.%d/32", n)), Within: prefixes(fmt.Sprintf("10.%d.0.0/16", n), fmt.Sprintf("198.51.100.%d/32", n))}
}

func pool(name, cidr string, edit func(*calico.IPPoolSpec)) ranges.Pool {
	p := ranges.Pool{Name: name, CIDR: netip.MustParsePrefix(cidr), IPPoolSpec: calico.IPPoolSpec{CIDR: cidr}}
	if edit != nil {
		edit(&p.IPPoolSpec)
	}
	return p
}

func TestExamine(t *testing.T) {
	natted := func(s *calico.IPPoolSpec) { s.NATOutgoing = true }
	disabled := func(s *calico.IPPoolSpec) { s.Disabled = true }
	tests := []struct {
		name  string
		edit  func(home, alpha, beta *ranges.Cluster)
		uses  []ranges.Use
		want  []string // check severity clusters: message
		fixes []string // parts of repairs
	}{
		{"clusters that are apart", func(_, _, _ *ranges.Cluster) {}, nil, nil, nil},
		{"pods of two clusters in one range", func(_, alpha, beta *ranges.Cluster) {
			beta.Pods, beta.Within = prefixes("10.4.128.0/24", "10.4.129.0/24"), prefixes("10.4.128.0/17", "198.51.100.5/32")
		}, nil, []string{
			"overlap error alpha,beta: pods of alpha and pods of beta have the same addresses: 10.4.128.0/23",
			"endpointCIDRs warning alpha,beta: endpointCIDRs of alpha let it contribute addresses of the pods of beta: 10.4.128.0/23",
			"endpointCIDRs warning alpha,beta: endpointCIDRs of alpha and beta overlap: each may contribute addresses of the other: 10.4.128.0/17",
			"endpointCIDRs warning beta,alpha: endpointCIDRs of beta let it contribute addresses of the pods of alpha: 10.4.128.0/17",
		}, []string{"other addresses"}},
		{"Services of one cluster where another has pods", func(home, _, _ *ranges.Cluster) { home.Services = prefixes("10.4.0.0/20") }, nil, []string{
			"overlap error primary,alpha: Services of primary and pods of alpha have the same addresses: 10.4.0.0/20",
			"endpointCIDRs error alpha,primary: endpointCIDRs of alpha let it contribute addresses of the Services of primary: 10.4.0.0/20",
		}, []string{"for a Service of its own", "kubectl edit remotecluster alpha"}},
		{"the same Services everywhere", func(home, alpha, beta *ranges.Cluster) { alpha.Services = home.Services }, nil, []string{
			"overlap warning primary,alpha: Services of primary and Services of alpha have the same addresses: 10.96.0.0/16. That does no harm as long as no cluster reaches the cluster IPs of another",
		}, nil},
		{"one node address twice", func(_, alpha, beta *ranges.Cluster) {
			beta.Nodes, beta.Within = alpha.Nodes, prefixes("10.5.0.0/16")
		}, nil, []string{
			"overlap error alpha,beta: nodes of alpha and nodes of beta have the same addresses: 198.51.100.4/32",
			"endpointCIDRs warning beta: nodes of beta are outside of its endpointCIDRs, and are no endpoints: 198.51.100.4/32",
			"endpointCIDRs warning alpha,beta: endpointCIDRs of alpha let it contribute addresses of the nodes of beta: 198.51.100.4/32",
		}, nil},
		{"pods outside of endpointCIDRs", func(_, alpha, _ *ranges.Cluster) { alpha.Pods = prefixes("10.4.0.0/16", "172.16.0.0/16") }, nil, []string{
			"endpointCIDRs error alpha: ranges of pods of alpha are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: 172.16.0.0/16",
		}, []string{`kubectl patch remotecluster alpha --type merge -p '{"spec":{"endpointCIDRs":["10.4.0.0/16","198.51.100.4/32","172.16.0.0/16"]}}'`}},
		{"a range of pods that is wider than endpointCIDRs", func(_, alpha, _ *ranges.Cluster) { alpha.Within = prefixes("10.4.0.0/17", "198.51.100.4/32") }, nil, []string{
			"endpointCIDRs warning alpha: ranges of pods of alpha are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: 10.4.0.0/16",
		}, nil},
		{"pools that leave addresses as they are", func(home, _, _ *ranges.Cluster) { home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil)} }, nil, nil, nil},
		{"pools that translate", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", natted), pool("to-beta", "10.5.0.0/16", disabled)}
		}, nil, []string{
			"ippools error primary,alpha: Calico in primary translates what its pods send to alpha, whose policies then do not see who it is: no IPPool holds 10.4.0.0/16",
		}, []string{"--manifests primary"}},
		{"a pool for another family translates nothing of this one", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("six", "fd00::/64", natted)}
		}, nil, nil, nil},
		{"a pool that assigns what is another cluster's", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil), pool("wide", "10.4.0.0/15", nil), pool("balancers", "10.4.0.0/24", func(s *calico.IPPoolSpec) { s.AllowedUses = []string{"LoadBalancer"} })}
		}, nil, []string{
			"ippools error primary,alpha: IPPool wide of primary is not disabled, and assigns addresses of alpha: 10.4.0.0/16",
			"ippools error primary,beta: IPPool wide of primary is not disabled, and assigns addresses of beta: 10.5.0.0/16",
		}, []string{`kubectl patch ippools.projectcalico.org wide --type merge -p '{"spec":{"disabled":true}}'`}},
		{"something that could not be read", func(_, alpha, _ *ranges.Cluster) {
			alpha.Unread = []ranges.Unread{{"IPPools", "forbidden"}}
		}, nil, []string{"reading skipped alpha: IPPools of cluster alpha could not be read, and nothing is said of them: forbidden"}, nil},
		{"words that a cluster lacks", func(home, alpha, beta *ranges.Cluster) {
			yes := func(names ...string) map[string]bool {
				all := map[string]bool{}
				for _, n := range names {
					all[n] = true
				}
				return all
			}
			alpha.Words = ranges.Words{Namespaces: yes("shop"), NamespaceKeys: yes("team"), Accounts: yes("web"), AccountKeys: yes(), Keys: yes("app")}
			beta.Words = ranges.Words{Namespaces: yes(), NamespaceKeys: yes(), Accounts: yes(), AccountKeys: nil, Keys: yes("app")}
		}, []ranges.Use{
			{By: `EndpointSet "web"`, Clusters: []string{"alpha", "beta"}, Selector: selector.MustParse(`projectcalico.org/namespace == "shop" && has(app) && !has(canary) && pcns.team == "a" && !(has(old) || pcsa.gone == "x") && pcsa.tier == "x"`)},
			{By: `EndpointSet "other"`, Clusters: []string{"alpha"}, Selector: selector.MustParse(`hawser.io/cluster in {"alpha", "gamma"} && v != "2" && pcsa.projectcalico.org/name == "api" || !!has(zone)`)},
		}, []string{
			`selectors warning beta: EndpointSet "web" selects namespace "shop", which there is none of in beta`,
			`selectors warning beta: EndpointSet "web" selects a namespace with the label "team", which there is none of in beta`,
			`selectors warning alpha: EndpointSet "web" selects a service account with the label "tier", which there is none of in alpha`,
			`selectors warning : EndpointSet "other" selects cluster "gamma", which there is none of`,
			`selectors warning alpha: EndpointSet "other" selects service account "api", which there is none of in alpha`,
			`selectors warning alpha: EndpointSet "other" selects an endpoint with the label "zone", which there is none of in alpha`,
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			home, alpha, beta := primary(), remote("alpha", 4), remote("beta", 5)
			test.edit(&home, &alpha, &beta)
			var got []string
			repairs := ""
			for _, f := range ranges.Examine([]ranges.Cluster{beta, alpha, home}, test.uses) {
				if f.Severity == ranges.OK {
					continue
				}
				if f.Severity != ranges.Skipped && f.Repair == "" {
					t.Errorf("nothing is said that repairs %q", f.Message)
				}
				got = append(got, fmt.Sprintf("%s %s %s: %s", f.Check, f.Severity, strings.Join(f.Clusters, ","), f.Message))
				repairs += f.Repair + "\n"
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			for _, fix := range test.fixes {
				if !strings.Contains(repairs, fix) {
					t.Errorf("no repair has %q in it:\n%s", fix, repairs)
				}
			}
		})
	}
}

func TestThePoolsThatAreMissing(t *testing.T) {
	home, alpha := primary(), remote("alpha", 4)
	home.Pools = []ranges.Pool{pool("four", "10.1.0.0/16", func(s *calico.IPPoolSpec) { s.NATOutgoing = true }), pool("six", "fd01::/64", func(s *calico.IPPoolSpec) { s.NATOutgoing = true })}
	alpha.Pods = prefixes("10.4.0.0/16", "10.9.9.32/27", "fd04::/64")
	alpha.Within = alpha.Pods
	var got []string
	for _, f := range ranges.Examine([]ranges.Cluster{home, alpha}, nil) {
		for _, m := range f.Manifests {
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, f.Clusters[0]+" "+string(text))
		}
	}
	want := []string{
		`primary {"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"remote-alpha-10-4-0-0-16"},"spec":{"cidr":"10.4.0.0/16","disabled":true}}`,
		`primary {"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"remote-alpha-10-9-9-32-27"},"spec":{"cidr":"10.9.9.32/27","disabled":true,"blockSize":27}}`,
		`primary {"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"remote-alpha-fd04-0000-0000-0000-0000-0000-0000-0000-64"},"spec":{"cidr":"fd04::/64","disabled":true}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

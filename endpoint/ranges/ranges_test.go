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
		{"pods of two clusters in two ranges, which is told at once", func(_, alpha, beta *ranges.Cluster) {
			alpha.Pods, alpha.Within = prefixes("10.4.0.0/16", "10.8.0.0/16"), prefixes("10.4.0.0/16", "10.8.0.0/16", "198.51.100.4/32")
			beta.Pods, beta.Within = prefixes("10.4.1.0/24", "10.8.0.0/16"), prefixes("10.4.1.0/24", "10.8.0.0/16", "198.51.100.5/32")
		}, nil, []string{
			"overlap error alpha,beta: pods of alpha and pods of beta have the same addresses: 10.4.1.0/24, 10.8.0.0/16",
			"endpointCIDRs warning alpha,beta: endpointCIDRs of alpha, beta let each contribute addresses of the pods of the others: 10.8.0.0/16",
			"endpointCIDRs warning alpha,beta: endpointCIDRs of alpha let it contribute addresses of the pods of beta: 10.4.1.0/24",
			"endpointCIDRs warning alpha,beta: endpointCIDRs of alpha and beta overlap: each may contribute addresses of the other: 10.4.1.0/24, 10.8.0.0/16",
			"endpointCIDRs warning beta,alpha: endpointCIDRs of beta let it contribute addresses of the pods of alpha: 10.4.1.0/24",
		}, nil},
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
		{"pods and nodes outside of endpointCIDRs, which either repair lets in", func(_, alpha, _ *ranges.Cluster) {
			alpha.Pods, alpha.Nodes = prefixes("172.16.0.0/16"), prefixes("203.0.113.1/32")
		}, nil, []string{
			"endpointCIDRs error alpha: ranges of pods of alpha are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: 172.16.0.0/16",
			"endpointCIDRs warning alpha: nodes of alpha are outside of its endpointCIDRs, and are no endpoints: 203.0.113.1/32",
		}, []string{strings.Repeat(`kubectl patch remotecluster alpha --type merge -p '{"spec":{"endpointCIDRs":["10.4.0.0/16","198.51.100.4/32","172.16.0.0/16","203.0.113.1/32"]}}'`+"\n", 2)}},
		{"a range of pods that is wider than endpointCIDRs", func(_, alpha, _ *ranges.Cluster) { alpha.Within = prefixes("10.4.0.0/17", "198.51.100.4/32") }, nil, []string{
			"endpointCIDRs warning alpha: ranges of pods of alpha are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: 10.4.0.0/16",
		}, nil},
		{"pools that leave addresses as they are", func(home, _, _ *ranges.Cluster) { home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil)} }, nil, nil, nil},
		{"pools that translate", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", natted), pool("to-beta", "10.5.0.0/16", disabled)}
		}, nil, []string{
			"ippools error primary,alpha: Calico in primary translates what its pods send to pods of alpha, whose policies then do not see who it is: no IPPool holds 10.4.0.0/16",
			"ippools warning primary,alpha,beta: Calico in primary translates what its pods send to nodes of alpha, beta: policies for these, and for pods in their networks, do not see who it is: no IPPool holds 198.51.100.4/32, 198.51.100.5/32",
		}, []string{"--manifests primary"}},
		{"a pool for another family translates nothing of this one", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("six", "fd00::/64", natted)}
		}, nil, nil, nil},
		{"a pool that assigns what is another cluster's", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil), pool("wide", "10.4.0.0/15", nil), pool("balancers", "10.4.0.0/24", func(s *calico.IPPoolSpec) { s.AllowedUses = []string{"LoadBalancer"} })}
		}, nil, []string{
			"ippools error primary,alpha,beta: IPPool wide of primary is not disabled, and assigns addresses of alpha, beta: 10.4.0.0/15",
		}, []string{`kubectl patch ippools.projectcalico.org wide --type merge -p '{"spec":{"disabled":true}}'`}},
		{"a pool that assigns what nodes of another cluster have", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil), pool("hosts", "198.51.100.0/30", nil), pool("alphas", "198.51.100.4/32", nil)}
		}, nil, []string{
			"ippools error primary,alpha: IPPool alphas of primary is not disabled, and assigns addresses of alpha: 198.51.100.4/32",
		}, nil},
		{"Calico's default range in two clusters, which is the only one of each", func(_, alpha, beta *ranges.Cluster) {
			alpha.Pools, beta.Pools = []ranges.Pool{pool("default", "192.168.0.0/16", nil), pool("six", "fd04::/64", nil)}, []ranges.Pool{pool("default", "192.168.0.0/16", nil)}
			alpha.Pods, beta.Pods = prefixes("192.168.0.0/16", "fd04::/64"), prefixes("192.168.0.0/16")
			alpha.NoEndpoints, beta.NoEndpoints = true, true
		}, nil, []string{
			"overlap error alpha,beta: pods of alpha and pods of beta have the same addresses: 192.168.0.0/16",
			"ippools error alpha,beta: IPPool default of alpha is not disabled, and assigns addresses of beta: 192.168.0.0/16",
			"ippools error beta,alpha: IPPool default of beta is not disabled, and assigns addresses of alpha: 192.168.0.0/16",
		}, []string{`
do not disable it, as no other pool is left that new pods of alpha get addresses of its family from: give one of the clusters another range, or correct spec.endpointCIDRs where these say what is not so
do not disable it, as no other pool is left that new pods of beta get`}},
		{"pools of which none is left if all that assign what is another cluster's are disabled", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("a", "10.4.0.0/24", nil), pool("b", "10.5.0.0/24", nil), pool("off", "10.1.0.0/16", disabled),
				pool("balancers", "10.2.0.0/24", func(s *calico.IPPoolSpec) { s.AllowedUses = []string{"LoadBalancer"} }),
				pool("by-hand", "10.3.0.0/24", func(s *calico.IPPoolSpec) { s.AssignmentMode = "Manual" }),
				pool("rack", "10.6.0.0/24", func(s *calico.IPPoolSpec) { s.NodeSelector = "rack == '1'" })}
		}, nil, []string{
			"ippools error primary,alpha: IPPool a of primary is not disabled, and assigns addresses of alpha: 10.4.0.0/24",
			"ippools error primary,beta: IPPool b of primary is not disabled, and assigns addresses of beta: 10.5.0.0/24",
		}, []string{"do not disable it, as no other pool is left that new pods of primary get addresses of its family from: give one of the clusters another range, or correct spec.endpointCIDRs where these say what is not so\n" +
			"do not disable it"}},
		{"a pool of one rack, where another one is for all nodes, or for those of the rack", func(home, alpha, _ *ranges.Cluster) {
			rack := func(s *calico.IPPoolSpec) { s.NodeSelector = "rack == '1'" }
			home.Pools = []ranges.Pool{pool("a", "10.4.0.0/24", rack), pool("default", "10.1.0.0/16", func(s *calico.IPPoolSpec) { s.NodeSelector = "all()" })}
			alpha.Pools = []ranges.Pool{pool("b", "10.5.0.0/24", rack), pool("c", "10.4.0.0/16", rack)}
		}, nil, []string{
			"ippools error primary,alpha: IPPool a of primary is not disabled, and assigns addresses of alpha: 10.4.0.0/24",
			"ippools error alpha,beta: IPPool b of alpha is not disabled, and assigns addresses of beta: 10.5.0.0/24",
		}, []string{"kubectl patch ippools.projectcalico.org a --type", "kubectl --context CONTEXT patch ippools.projectcalico.org b --type"}},
		{"a pool that pods are moved out of, which is disabled and translates", func(home, _, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("new", "10.1.0.0/16", nil), pool("old", "10.200.0.0/16", func(s *calico.IPPoolSpec) { s.NATOutgoing, s.Disabled = true, true }),
				pool("to-beta", "10.5.0.0/16", disabled), pool("to-beta-s", "198.51.100.5/32", disabled)}
		}, nil, []string{
			"ippools error primary,alpha: Calico in primary translates what its pods send to pods of alpha, whose policies then do not see who it is: no IPPool holds 10.4.0.0/16",
			"ippools warning primary,alpha: Calico in primary translates what its pods send to nodes of alpha: policies for these, and for pods in their networks, do not see who it is: no IPPool holds 198.51.100.4/32",
		}, []string{"--manifests primary"}},
		{"such a pool in the cluster's own endpointCIDRs, among its nodes", func(_, alpha, beta *ranges.Cluster) {
			alpha.Pools = []ranges.Pool{pool("new", "10.4.0.0/16", nil), pool("old", "10.8.0.0/16", func(s *calico.IPPoolSpec) { s.NATOutgoing, s.Disabled = true, true }), pool("to-primary", "10.1.0.0/16", disabled)}
			alpha.Nodes, alpha.Within = prefixes("10.9.0.1/32"), prefixes("10.4.0.0/16", "10.8.0.0/15")
			beta.NoEndpoints, beta.Nodes = true, nil
		}, nil, []string{
			"ippools error alpha,beta: Calico in alpha translates what its pods send to pods of beta, whose policies then do not see who it is: no IPPool holds 10.5.0.0/16",
			"ippools warning alpha,primary: Calico in alpha translates what its pods send to nodes of primary: policies for these, and for pods in their networks, do not see who it is: no IPPool holds 192.0.2.1/32",
		}, nil},
		{"pools for ranges of others, made by hand, with natOutgoing, which no pod is in", func(home, alpha, beta *ranges.Cluster) {
			mirror := func(s *calico.IPPoolSpec) { s.NATOutgoing, s.Disabled = true, true }
			alpha.Nodes, alpha.Within = prefixes("198.51.100.1/32"), prefixes("10.4.0.0/16", "198.51.100.0/30")
			beta.Pods, beta.Within = prefixes("10.0.0.0/16"), prefixes("10.0.0.0/16", "198.51.100.5/32")
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil), pool("alphas", "10.4.0.0/17", mirror), pool("alpha-s", "198.51.100.0/30", mirror)}
			alpha.Pools = []ranges.Pool{pool("default", "10.4.0.0/16", nil), pool("both", "10.0.0.0/15", mirror), pool("primary-s", "192.0.2.1/32", mirror)}
		}, nil, nil, nil},
		{"pools that only calicoctl may write, of a cluster that lies about their names", func(_, alpha, _ *ranges.Cluster) {
			alpha.Calicoctl, alpha.Pools = true, []ranges.Pool{pool("x'; rm -rf ~", "10.5.0.0/24", natted), pool("default", "10.4.0.0/16", natted), pool("six", "fd04::/64", nil)}
			alpha.Pools[0].NATOutgoing = false
		}, nil, []string{
			"ippools error alpha,beta: IPPool x'; rm -rf ~ of alpha is not disabled, and assigns addresses of beta: 10.5.0.0/24",
			"ippools error alpha,primary,beta: Calico in alpha translates what its pods send to pods of primary, beta, whose policies then do not see who it is: no IPPool holds 10.1.0.0/16, 10.5.1.0/24, 10.5.2.0/23, 10.5.4.0/22, 10.5.8.0/21 and 4 more",
			"ippools warning alpha,primary,beta: Calico in alpha translates what its pods send to nodes of primary, beta: policies for these, and for pods in their networks, do not see who it is: no IPPool holds 192.0.2.1/32, 198.51.100.5/32",
		}, []string{`calicoctl patch ippool 'x'\''; rm -rf ~' --patch`, "hawser check addresses --manifests alpha | calicoctl apply -f -"}},
		{"clusters of which nothing is known but their endpointCIDRs, and that need none", func(home, alpha, beta *ranges.Cluster) {
			*alpha = ranges.Cluster{Name: "alpha", Unasked: true, Within: prefixes("10.1.0.0/17")}
			*beta = ranges.Cluster{Name: "beta", NoEndpoints: true, Pods: prefixes("10.5.0.0/16")}
		}, []ranges.Use{{By: `EndpointSet "web"`, Clusters: []string{"alpha"}, Selector: selector.MustParse(`hawser.io/cluster == "alpha" && has(app)`)}}, []string{
			"endpointCIDRs error alpha,primary: endpointCIDRs of alpha let it contribute addresses of the pods of primary: 10.1.0.0/17",
		}, nil},
		{"a cluster that is to contribute nothing, whatever its endpointCIDRs let in", func(home, alpha, beta *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", natted), pool("betas", "10.5.0.0/16", disabled), pool("beta-s", "198.51.100.5/32", disabled)}
			alpha.NoEndpoints, alpha.Pods, alpha.Within = true, nil, prefixes("10.1.0.0/17", "10.4.0.0/16", "10.5.0.0/16", "198.51.100.4/32")
		}, nil, []string{
			"ippools error primary,alpha: IPPool default of primary is not disabled, and assigns addresses of alpha: 10.1.0.0/17",
			"ippools error primary,alpha: Calico in primary translates what its pods send to pods of alpha, whose policies then do not see who it is: no IPPool holds 10.4.0.0/16",
		}, nil},
		{"nodes within endpointCIDRs of a cluster that does not say where its pods are", func(home, alpha, _ *ranges.Cluster) {
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", natted), pool("betas", "10.5.0.0/16", disabled), pool("beta-s", "198.51.100.5/32", disabled), pool("alphas", "10.4.0.0/16", disabled)}
			alpha.Pods = nil
		}, nil, []string{
			"ippools warning primary,alpha: Calico in primary translates what its pods send to nodes of alpha: policies for these, and for pods in their networks, do not see who it is: no IPPool holds 198.51.100.4/32",
		}, nil},
		{"what can be no endpoint, which is in no finding and no repair", func(home, alpha, beta *ranges.Cluster) {
			home.Nodes = append(home.Nodes, prefixes("127.0.0.1/32", "169.254.1.1/32", "fe80::1/128", "0.0.0.0/32")...)
			alpha.Nodes = append(alpha.Nodes, prefixes("127.0.0.1/32", "203.0.113.1/32", "169.254.1.1/32", "fe80::1/128", "::/128")...)
			beta.Nodes, beta.Within = append(beta.Nodes, prefixes("127.0.0.1/32")...), append(beta.Within, prefixes("127.0.0.0/8")...)
			alpha.Within = append(alpha.Within, prefixes("127.0.0.1/32")...)
		}, nil, []string{
			"endpointCIDRs warning alpha: nodes of alpha are outside of its endpointCIDRs, and are no endpoints: 203.0.113.1/32",
		}, []string{`'{"spec":{"endpointCIDRs":["10.4.0.0/16","198.51.100.4/32","203.0.113.1/32"]}}'`}},
		{"pods in one range whole and in another not at all within endpointCIDRs", func(_, alpha, _ *ranges.Cluster) {
			alpha.Pods, alpha.Within = prefixes("10.4.0.0/16", "172.16.0.0/16"), prefixes("10.4.0.0/17", "198.51.100.4/32")
		}, nil, []string{
			"endpointCIDRs error alpha: ranges of pods of alpha are not, or not whole, within its endpointCIDRs: pods with other addresses are left out of every answer: 10.4.0.0/16, 172.16.0.0/16",
		}, nil},
		{"more nodes than a command has room for", func(_, alpha, _ *ranges.Cluster) {
			alpha.Nodes = nil
			for i := range 40 {
				alpha.Nodes = append(alpha.Nodes, netip.MustParsePrefix(fmt.Sprintf("203.0.113.%d/32", 2*i)))
			}
		}, nil, []string{
			"endpointCIDRs warning alpha: nodes of alpha are outside of its endpointCIDRs, and are no endpoints: 203.0.113.0/32, 203.0.113.2/32, 203.0.113.4/32, 203.0.113.6/32, 203.0.113.8/32 and 35 more",
		}, []string{"put ranges that hold these into spec.endpointCIDRs: kubectl edit remotecluster alpha"}},
		{"Services of three clusters in one range, one of them narrower", func(home, alpha, beta *ranges.Cluster) {
			alpha.Services, beta.Services = home.Services, prefixes("10.96.4.0/24")
		}, nil, []string{
			"overlap warning primary,alpha: Services of primary and Services of alpha have the same addresses: 10.96.0.0/16. That does no harm as long as no cluster reaches the cluster IPs of another",
			"overlap warning primary,beta: Services of primary and Services of beta have the same addresses: 10.96.4.0/24. That does no harm as long as no cluster reaches the cluster IPs of another",
			"overlap warning alpha,beta: Services of alpha and Services of beta have the same addresses: 10.96.4.0/24. That does no harm as long as no cluster reaches the cluster IPs of another",
		}, nil},
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
		{"words of what is taken away, and of Services", func(home, alpha, beta *ranges.Cluster) {
			alpha.Words = ranges.Words{Namespaces: map[string]bool{"shop": true}, Keys: map[string]bool{}, NamespaceKeys: map[string]bool{},
				ServiceKeys: map[string]map[string]bool{"shop": {"app": true}, "other": {"tier": true}}}
			beta.Words = ranges.Words{Namespaces: map[string]bool{}, ServiceKeys: map[string]map[string]bool{}}
		}, []ranges.Use{
			{By: "it", Not: true, Clusters: []string{"alpha"}, Selector: selector.MustParse(`has(canary)`)},
			{By: `Service "shop/db"`, ServicesOf: "shop", Clusters: []string{"primary", "alpha", "beta"},
				Selector: selector.MustParse(`projectcalico.org/namespace == "shop" && (app == "db" || tier == "x" || pcns.team == "y") && federation.tigera.io/remoteClusterName in {"beta", "gone"}`)},
		}, []string{
			`selectors warning alpha: it takes away an endpoint with the label "canary", which there is none of in alpha`,
			`selectors warning beta: Service "shop/db" selects namespace "shop", which there is none of in beta`,
			`selectors warning alpha: Service "shop/db" selects a Service in namespace "shop" with the label "tier", which there is none of in alpha`,
			`selectors warning alpha: Service "shop/db" selects a Service in namespace "shop" with the label "pcns.team", which there is none of in alpha`,
			`selectors warning : Service "shop/db" selects cluster "gone", which there is none of`,
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			home, alpha, beta := primary(), remote("alpha", 4), remote("beta", 5)
			test.edit(&home, &alpha, &beta)
			var got []string
			repairs := ""
			for _, f := range ranges.Examine([]ranges.Cluster{beta, alpha, home}, test.uses) {
				if f.Severity == ranges.OK || f.Check == ranges.CheckNetwork {
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

// Nothing is said to be right of a cluster whose addresses, or words, could not be read.
func TestWhatIsRightIsSaidOfWhatIsKnown(t *testing.T) {
	const (
		overlap = "overlap primary,alpha: no ranges of pods, Services or nodes overlap"
		bounds  = "endpointCIDRs primary,alpha: endpointCIDRs hold all pods and nodes of their clusters, and nothing of others"
		pools   = "ippools primary: Calico in primary neither translates what goes to other clusters, nor assigns addresses of theirs"
		words   = "selectors primary,alpha: each cluster has what live selectors ask for"
	)
	alone := func(said string) string {
		return strings.Replace(said, "primary,alpha", "primary", 1) + " (known of primary alone)"
	}
	for _, test := range []struct {
		name string
		edit func(home, alpha *ranges.Cluster)
		want []string
	}{
		{"all of both", func(_, _ *ranges.Cluster) {}, []string{overlap, bounds, pools, words}},
		{"all but the words of one", func(_, alpha *ranges.Cluster) { alpha.Unread = []ranges.Unread{{ranges.NamespacesOf, "forbidden"}} },
			[]string{overlap, bounds, pools, alone(words)}},
		{"all but the nodes of one", func(_, alpha *ranges.Cluster) {
			alpha.Nodes, alpha.Unread = nil, []ranges.Unread{{ranges.NodesOf, "forbidden"}}
		}, []string{alone(overlap), alone(bounds), words}},
		{"nothing of one", func(_, alpha *ranges.Cluster) {
			*alpha = ranges.Cluster{Name: "alpha", Unasked: true, Within: alpha.Within}
		}, []string{alone(overlap), alone(bounds), alone(words)}},
		{"no addresses of either", func(home, alpha *ranges.Cluster) {
			home.Unread, alpha.Unread = []ranges.Unread{{ranges.PodRangesOf, "none"}}, []ranges.Unread{{ranges.ServicesOf, "forbidden"}}
		}, []string{words}},
	} {
		t.Run(test.name, func(t *testing.T) {
			home, alpha := primary(), remote("alpha", 4)
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", nil)}
			test.edit(&home, &alpha)
			var got []string
			for _, f := range ranges.Examine([]ranges.Cluster{home, alpha}, []ranges.Use{{By: "it", Selector: selector.MustParse("has(app)")}}) {
				if f.Severity == ranges.OK {
					got = append(got, fmt.Sprintf("%s %s: %s", f.Check, strings.Join(f.Clusters, ","), f.Message))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// manifests are those that are asked for, as JSON, each after the cluster that it is for.
func manifests(t *testing.T, found []ranges.Finding) (got []string) {
	t.Helper()
	for _, f := range found {
		for _, m := range f.Manifests {
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, f.Clusters[0]+" "+string(text))
		}
	}
	return got
}

func TestThePoolsThatAreMissing(t *testing.T) {
	home, alpha := primary(), remote("alpha", 4)
	home.Pools = []ranges.Pool{pool("four", "10.1.0.0/16", func(s *calico.IPPoolSpec) { s.NATOutgoing = true }), pool("six", "fd01::/64", func(s *calico.IPPoolSpec) { s.NATOutgoing = true })}
	alpha.Pods = prefixes("10.4.0.0/16", "10.9.9.32/27", "fd04::/64")
	alpha.Within = alpha.Pods
	got := manifests(t, ranges.Examine([]ranges.Cluster{home, alpha}, nil))
	want := []string{
		`primary {"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"remote-alpha-10-4-0-0-16"},"spec":{"cidr":"10.4.0.0/16","disabled":true}}`,
		`primary {"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"remote-alpha-10-9-9-32-27"},"spec":{"cidr":"10.9.9.32/27","disabled":true,"blockSize":27}}`,
		`primary {"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":"remote-alpha-fd04-0000-0000-0000-0000-0000-0000-0000-64"},"spec":{"cidr":"fd04::/64","disabled":true}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Calico takes no two pools that overlap, and nodes come and go.
func TestThePoolsThatAreMissingOverlapNone(t *testing.T) {
	natted := func(s *calico.IPPoolSpec) { s.NATOutgoing = true }
	for _, test := range []struct {
		name string
		edit func(home, alpha, beta *ranges.Cluster)
		want string // names and CIDRs
	}{
		{"two pools that hold a range together", func(home, _, _ *ranges.Cluster) {
			home.Pools = append(home.Pools, pool("a", "10.4.0.0/17", nil), pool("b", "10.4.128.0/17", nil))
		}, "remote-beta-10-5-0-0-16 10.5.0.0/16"},
		{"a pool that is there for a part of a range", func(home, _, _ *ranges.Cluster) {
			home.Pools = append(home.Pools, pool("a", "10.4.64.0/18", nil), pool("b", "10.5.0.0/16", nil))
		}, "remote-alpha-10-4-0-0-18 10.4.0.0/18, remote-alpha-10-4-128-0-17 10.4.128.0/17"},
		{"two clusters with the same range", func(home, alpha, beta *ranges.Cluster) { beta.Pods = prefixes("10.4.7.0/24") },
			"remote-alpha-10-4-0-0-16 10.4.0.0/16"},
		{"nodes among another cluster's pods", func(home, _, beta *ranges.Cluster) {
			beta.Nodes, beta.Within = prefixes("10.4.3.1/32"), append(beta.Pods, prefixes("10.4.3.0/24")...)
		}, "remote-alpha-10-4-0-0-16 10.4.0.0/16, remote-beta-10-5-0-0-16 10.5.0.0/16"},
		{"nodes in a range of their own", func(home, alpha, _ *ranges.Cluster) {
			alpha.Nodes, alpha.Within = prefixes("198.51.100.9/32", "198.51.100.12/32", "203.0.113.9/32"), append(alpha.Pods, prefixes("198.51.100.0/28")...)
		}, "remote-alpha-10-4-0-0-16 10.4.0.0/16, remote-beta-10-5-0-0-16 10.5.0.0/16, remote-alpha-198-51-100-0-28 198.51.100.0/28"},
		{"nodes in a range where the cluster's own nodes are", func(home, alpha, _ *ranges.Cluster) {
			home.Nodes = prefixes("198.51.100.1/32")
			alpha.Nodes, alpha.Within = prefixes("198.51.100.9/32", "198.51.100.12/32"), append(alpha.Pods, prefixes("198.51.100.0/28")...)
		}, "remote-alpha-10-4-0-0-16 10.4.0.0/16, remote-beta-10-5-0-0-16 10.5.0.0/16, remote-alpha-198-51-100-9-32 198.51.100.9/32, remote-alpha-198-51-100-12-32 198.51.100.12/32"},
		{"nodes in a range where pods are, and one where the cluster itself has pods", func(home, alpha, beta *ranges.Cluster) {
			alpha.Nodes, alpha.Within = prefixes("10.9.0.4/32"), prefixes("10.4.0.0/16", "10.9.0.0/16")
			alpha.Pods = prefixes("10.4.0.0/16", "10.9.128.0/17")
			beta.Nodes, beta.Within = prefixes("10.2.0.5/32"), prefixes("10.5.0.0/16", "10.2.0.0/15")
			home.Pods = prefixes("10.1.0.0/16", "10.3.0.0/16")
		}, "remote-alpha-10-4-0-0-16 10.4.0.0/16, remote-beta-10-5-0-0-16 10.5.0.0/16, remote-alpha-10-9-128-0-17 10.9.128.0/17, " +
			"remote-beta-10-2-0-5-32 10.2.0.5/32, remote-alpha-10-9-0-4-32 10.9.0.4/32"},
	} {
		t.Run(test.name, func(t *testing.T) {
			home, alpha, beta := primary(), remote("alpha", 4), remote("beta", 5)
			home.Pools = []ranges.Pool{pool("default", "10.1.0.0/16", natted)}
			for _, c := range []*ranges.Cluster{&alpha, &beta} {
				c.Nodes = nil
			}
			test.edit(&home, &alpha, &beta)
			var got []string
			for _, f := range ranges.Examine([]ranges.Cluster{home, alpha, beta}, nil) {
				for _, m := range f.Manifests {
					got = append(got, m.Name+" "+m.Spec.CIDR)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is found, it is said once that all stands on the network.
func TestWhatTheNetworkHasToDoIsSaid(t *testing.T) {
	for name, clusters := range map[string][]ranges.Cluster{"without Calico": {primary(), remote("alpha", 4)}, "with Calico": {
		{Name: "primary", Local: true, Pods: prefixes("10.1.0.0/16"), Pools: []ranges.Pool{pool("default", "10.1.0.0/16", nil)}}, remote("alpha", 4)}} {
		var said []ranges.Finding
		for _, f := range ranges.Examine(clusters, nil) {
			if f.Check == ranges.CheckNetwork {
				said = append(said, f)
			}
		}
		if len(said) != 1 || said[0].Severity != ranges.Skipped || !strings.Contains(said[0].Message, "unchanged (routable, no SNAT)") || !strings.Contains(said[0].Message, "cannot see whether it does") || said[0].Repair == "" {
			t.Errorf("%s it says %+v", name, said)
		}
	}
	for _, f := range ranges.Examine([]ranges.Cluster{primary()}, nil) {
		if f.Check == ranges.CheckNetwork {
			t.Errorf("with one cluster it says %+v", f)
		}
	}
}

// Fleets are made by one hand: what is wrong with one cluster often is with all, and is not to be told of each pair.
func TestWhatIsWrongWithManyClustersIsToldOnce(t *testing.T) {
	const many = 3000
	all := []ranges.Cluster{primary()}
	yes := map[string]bool{}
	for i := range many {
		c := ranges.Cluster{Name: fmt.Sprintf("c-%04d", i), Services: prefixes("10.96.0.0/12"), Within: prefixes("10.0.0.0/8"),
			Pods: prefixes("10.244.0.0/16"), Nodes: prefixes(fmt.Sprintf("10.%d.%d.1/32", i/250, i%250)), Words: ranges.Words{Keys: yes}}
		all = append(all, c)
	}
	names := make([]string, many)
	for i := range names {
		names[i] = all[i+1].Name
	}
	found := ranges.Examine(all, []ranges.Use{{By: "it", Selector: selector.MustParse(`a == "b" && has(c)`), Clusters: names}})
	said := map[string]int{}
	for _, f := range found {
		said[f.Check]++
		if len(f.Message) > 500 {
			t.Errorf("too long to read: %s", f.Message)
		}
	}
	if len(found) > 30 || said[ranges.CheckOverlap] == 0 || said[ranges.CheckBounds] == 0 || said[ranges.CheckSelector] != 2 {
		t.Errorf("%d findings: %v", len(found), said)
	}
}

// A fleet with Calico everywhere, where each cluster lacks a pool for each other one.
func TestThePoolsOfManyClusters(t *testing.T) {
	const many = 400
	var all []ranges.Cluster
	for i := range many {
		own := fmt.Sprintf("10.%d.%d.0/26", i/250, i%250)
		c := ranges.Cluster{Name: fmt.Sprintf("c-%04d", i), Pods: prefixes(own), Within: prefixes(own)}
		c.Pools = []ranges.Pool{pool("default", own, func(s *calico.IPPoolSpec) { s.NATOutgoing = true })}
		all = append(all, c)
	}
	found := 0
	for _, f := range ranges.Examine(all, nil) {
		if f.Check != ranges.CheckPools {
			continue
		}
		if found++; len(f.Clusters) != many || len(f.Manifests) != 100 {
			t.Fatalf("a finding is of %d clusters, and has %d manifests", len(f.Clusters), len(f.Manifests))
		}
	}
	if missing := ranges.Missing(all, "c-0007"); found != many || len(missing) != many-1 {
		t.Errorf("%d findings, and %d pools of one cluster", found, len(missing))
	}
	if missing := ranges.Missing(all, "nobody"); missing != nil {
		t.Errorf("nobody lacks %d pools", len(missing))
	}
}

// Whether what is missing of a cluster leaves open which pools another one lacks.
func TestWhatConcernsPools(t *testing.T) {
	within := prefixes("10.5.0.0/16")
	for name, test := range map[string]struct {
		of   ranges.Cluster
		want bool
	}{
		"the cluster itself":                              {ranges.Cluster{Name: "alpha", Unasked: true, Within: within}, true},
		"one that was not asked":                          {ranges.Cluster{Name: "beta", Unasked: true, Within: within}, false},
		"one that was not asked, without endpointCIDRs":   {ranges.Cluster{Name: "beta", Unasked: true}, true},
		"one whose words are not known":                   {ranges.Cluster{Name: "beta", Unread: []ranges.Unread{{What: ranges.LabelsOf}}}, false},
		"one whose Services are not known":                {ranges.Cluster{Name: "beta", Unread: []ranges.Unread{{What: ranges.ServicesOf}}}, false},
		"one whose nodes are not known":                   {ranges.Cluster{Name: "beta", Within: within, Unread: []ranges.Unread{{What: ranges.NodesOf}}}, true},
		"one whose pods are not known":                    {ranges.Cluster{Name: "beta", Unread: []ranges.Unread{{What: ranges.PodRangesOf}}}, true},
		"one whose pods are known by their endpointCIDRs": {ranges.Cluster{Name: "beta", Within: within, Unread: []ranges.Unread{{What: ranges.PodRangesOf}}}, false},
	} {
		if got := test.of.Concerns("alpha"); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

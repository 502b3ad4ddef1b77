package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"
)

// outputs are n of a set, each of one kind.
func outputs(n int, kind string) string {
	var b strings.Builder
	b.WriteString("outputs:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: o%d, %s}\n", i, kind)
	}
	return b.String()
}

func TestValidationOfEndpointSets(t *testing.T) {
	c := withCRD(t, "endpointsets")
	const selector, everywhere = "selector: app == 'db'\n", "clusters: {local: true, all: true}\n"
	const least = selector + everywhere
	policy := func(more string) string {
		return least + outputs(1, "networkPolicy: {namespace: shop, podSelector: {}, types: [Ingress]"+more+"}")
	}
	cases := map[string]struct{ spec, want string }{
		"the least":                       {least, ""},
		"the local cluster alone":         {selector + "clusters: {local: true}\n", ""},
		"remote clusters by name":         {selector + "clusters: {local: false, names: [a, b]}\n", ""},
		"remote clusters by label":        {selector + "clusters: {local: false, selector: {matchLabels: {stage: live}}}\n", ""},
		"no selector":                     {everywhere, "spec.selector: Required value"},
		"an empty selector":               {"selector: ''\n" + everywhere, "spec.selector"},
		"a selector longer than a page":   {"selector: '" + strings.Repeat("x", 1025) + "'\n" + everywhere, "spec.selector"},
		"no word on the local cluster":    {selector + "clusters: {all: true}\n", "spec.clusters.local: Required value"},
		"no cluster":                      {selector + "clusters: {local: false}\n", "clusters selects nothing"},
		"no cluster, said twice":          {selector + "clusters: {local: false, all: false}\n", "clusters selects nothing"},
		"all clusters and some":           {selector + "clusters: {local: false, all: true, names: [a]}\n", "one of all, names and selector"},
		"names and labels":                {selector + "clusters: {local: false, names: [a], selector: {matchLabels: {a: b}}}\n", "one of all, names and selector"},
		"no names":                        {selector + "clusters: {local: false, names: []}\n", "spec.clusters.names"},
		"an empty selector of clusters":   {selector + "clusters: {local: false, selector: {}}\n", "an empty selector is refused"},
		"what expires":                    {least + "staleness: {policy: Expire, expireAfter: 10m, settle: 1m}\n", ""},
		"what is kept":                    {least + "staleness: {policy: Keep}\n", ""},
		"what expires at no time":         {least + "staleness: {policy: Expire}\n", "policy Expire and expireAfter need each other"},
		"what is kept for a time":         {least + "staleness: {policy: Keep, expireAfter: 10m}\n", "policy Expire and expireAfter need each other"},
		"what expires at once":            {least + "staleness: {policy: Expire, expireAfter: 9s}\n", "expireAfter must be between 10s and 168h"},
		"settling what is kept":           {least + "staleness: {policy: Keep, settle: 1m}\n", "settle is only for policy Expire"},
		"every kind of output":            {least + "outputs:\n- {name: a, networkPolicy: {namespace: shop, podSelector: {}, types: [Ingress, Egress], ports: [{port: 80, endPort: 90}, {protocol: UDP}]}}\n- {name: b, calicoNetworkSet: {labels: {a: b}}}\n- {name: c, ciliumCIDRGroup: {}}\n- {name: d, configMap: {namespace: shop}}\n", ""},
		"as many outputs as there may be": {least + outputs(12, "configMap: {namespace: shop}"), ""},
		"one output too many":             {least + outputs(13, "configMap: {namespace: shop}"), "spec.outputs"},
		"an output of no kind":            {least + "outputs: [{name: a}]\n", "an output is exactly one of"},
		"an output of two kinds":          {least + "outputs: [{name: a, ciliumCIDRGroup: {}, configMap: {namespace: shop}}]\n", "an output is exactly one of"},
		"an output that is no label":      {least + "outputs: [{name: A_B, ciliumCIDRGroup: {}}]\n", "an output's name must be a DNS label"},
		"a range of ports":                {policy(", ports: [{port: 80, endPort: 90}]"), ""},
		"a range that ends first":         {policy(", ports: [{port: 80, endPort: 79}]"), "endPort needs a port that is not above it"},
		"a range without a beginning":     {policy(", ports: [{endPort: 79}]"), "endPort needs a port that is not above it"},
		"a port above all":                {policy(", ports: [{port: 65536}]"), "port"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "EndpointSet", "set", tc.spec, tc.want) })
	}
	for name, want := range map[string]string{"has.dots": "must be a DNS label", strings.Repeat("x", 51): "must be a DNS label", strings.Repeat("x", 50): ""} {
		t.Run("the name "+name, func(t *testing.T) { try(t, c, "EndpointSet", name, least, want) })
	}
}

func TestValidationOfFederatedNetworkPolicies(t *testing.T) {
	c := withCRD(t, "federatednetworkpolicies")
	const least = "clusters: {local: true, all: true}\n"
	rule := func(text string) string { return least + "ingress: [{action: Allow, " + text + "}]\n" }
	cases := map[string]struct{ spec, want string }{
		"the least":                     {least, ""},
		"everything":                    {least + "selector: app == 'web'\ntypes: [Ingress, Egress]\nlocalPeers: Addresses\nstaleness: {policy: Expire, expireAfter: 1h}\ntarget: Calico\ningress: [{action: Allow, protocol: TCP, source: {selector: all(), notSelector: a == 'b', namespaceSelector: global(), serviceAccounts: {names: [x], selector: all()}, nets: [10.0.0.0/8], notNets: ['fd00::/8']}, destination: {ports: [80, '90:100', http], notPorts: [95]}}]\n", ""},
		"no clusters":                   {"selector: all()\n", "spec.clusters: Required value"},
		"another action":                {least + "ingress: [{action: Deny}]\n", "spec.ingress[0].action"},
		"no action":                     {least + "ingress: [{protocol: TCP}]\n", "action: Required value"},
		"rules for what is left open":   {rule("protocol: TCP") + "types: [Egress]\n", "types leaves Ingress out"},
		"egress that is left open":      {least + "egress: [{action: Allow}]\ntypes: [Ingress]\n", "types leaves Egress out"},
		"ports without a protocol":      {rule("destination: {ports: [80]}"), "ports need a protocol"},
		"a peer that is no range":       {rule("source: {nets: [10.0.0.1]}"), "nets must be CIDRs"},
		"an exception that is no range": {rule("source: {notNets: [x]}"), "notNets must be CIDRs"},
		"ClusterNetworkPolicy":          {least + "target: ClusterNetworkPolicy\nclusterNetworkPolicy: {priority: 0}\n", ""},
		"a target without its block":    {least + "target: ClusterNetworkPolicy\n", "need each other"},
		"a block without its target":    {least + "clusterNetworkPolicy: {priority: 0}\n", "need each other"},
		"a priority out of range":       {least + "target: ClusterNetworkPolicy\nclusterNetworkPolicy: {priority: 1001}\n", "priority"},
		"another target":                {least + "target: Cilium\n", "spec.target"},
		"too many rules":                {least + "egress: [" + strings.Repeat("{action: Allow},", 65) + "]\n", "spec.egress"},
	}
	for at, say := range map[string]string{
		"spec.selector":                                        least + "selector: TEXT\n",
		"spec.ingress[0].source.selector":                      rule("source: {selector: TEXT}"),
		"spec.ingress[0].source.notSelector":                   rule("source: {notSelector: TEXT}"),
		"spec.ingress[0].source.namespaceSelector":             rule("source: {namespaceSelector: TEXT}"),
		"spec.ingress[0].destination.serviceAccounts.selector": rule("destination: {serviceAccounts: {selector: TEXT}}"),
		"spec.egress[0].source.selector":                       least + "egress: [{action: Allow, source: {selector: TEXT}}]\n",
		"spec.egress[0].destination.notSelector":               least + "egress: [{action: Allow, destination: {notSelector: TEXT}}]\n",
	} {
		for length, want := range map[int]string{1024: "", 1025: at + ": Too long"} {
			cases[fmt.Sprintf("%s of %d bytes", at, length)] = struct{ spec, want string }{strings.Replace(say, "TEXT", strings.Repeat("x", length), 1), want}
		}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "FederatedNetworkPolicy", "default/policy", tc.spec, tc.want) })
	}
}

package main

import (
	"fmt"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/fedtest"
)

// policies are those of the run: of everything that a rule can say and that NetworkPolicies can express.
func policies(apps int) []fedtest.Policy {
	const (
		in, out   = v1alpha1.PolicyTypeIngress, v1alpha1.PolicyTypeEgress
		byLabel   = v1alpha1.LocalPeersSelectors
		byAddress = v1alpha1.LocalPeersAddresses
	)
	app := func(i int) *fedtest.Term { return new(fedtest.Is("app", fmt.Sprintf("app-%d", i%apps))) }
	label := func(name, value string) *fedtest.Term { return new(fedtest.Is(name, name+"-"+value)) }
	anySpace := new(fedtest.Everything())
	return []fedtest.Policy{
		fedtest.NewPolicy(namespace(0), "front", fedtest.Is("tier", "tier-1"), anywhere(), byLabel,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Selector: label("tier", "2")}, Ports: fedtest.Ports(80, "8000:8080")}),
		fedtest.NewPolicy(namespace(0), "named", fedtest.Has("canary"), anywhere(), byLabel,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Selector: label("zone", "1"), Namespace: new(fedtest.Is("team", "team-2"))}, Ports: fedtest.Ports("http")}),
		fedtest.NewPolicy(namespace(1), "out", fedtest.Everything(), remote(), byLabel,
			fedtest.Rule{Direction: out, Protocol: "TCP", Peer: fedtest.Side{Namespace: new(fedtest.Is("team", "team-1")), Selector: label("tier", "3")}, Ports: fedtest.Ports("http", 443)},
			fedtest.Rule{Direction: out, Protocol: "UDP", Ports: fedtest.Ports(53)}),
		fedtest.NewPolicy(namespace(1), "ports-here", fedtest.Is("side", "side-1"), anywhere(), byLabel,
			fedtest.Rule{Direction: out, Protocol: "UDP", Peer: fedtest.Side{Namespace: anySpace, Selector: label("component", "7")}, Ports: fedtest.Ports("dns")}),
		fedtest.NewPolicy(namespace(2), "minus", fedtest.Is("zone", "zone-3"), anywhere(), byLabel,
			fedtest.Rule{Direction: in, Peer: fedtest.Side{Namespace: anySpace, Selector: label("track", "1"), Not: label("zone", "1")}},
			fedtest.Rule{Direction: in, Own: label("tier", "4"), Peer: fedtest.Side{Selector: app(3)}}),
		fedtest.NewPolicy(namespace(2), "accounts", fedtest.Is("tier", "tier-5"), anywhere(), byAddress,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Accounts: []string{"robot", "person"}, Account: new(fedtest.Is("trust", "high")), Namespace: anySpace, Selector: label("component", "9")}, Ports: fedtest.Ports(8080)}),
		fedtest.NewPolicy(namespace(3), "hosts", fedtest.Or(fedtest.Is("tier", "tier-1"), fedtest.Has("canary")), anywhere(), byLabel,
			fedtest.Rule{Direction: out, Protocol: "TCP", Peer: fedtest.Side{Global: true}, Ports: fedtest.Ports(10250)},
			fedtest.Rule{Direction: in, Peer: fedtest.Side{Global: true, Selector: new(fedtest.Is("region", "north"))}}),
		fedtest.NewPolicy(namespace(3), "nets", fedtest.Everything(), named("alpha"), byLabel,
			fedtest.Rule{Direction: out, Peer: fedtest.Side{Namespace: anySpace, Selector: label("release", "3"), Nets: []string{"10.32.0.0/23", "10.32.4.0/22", "10.32.32.0/19"}, OutsideOf: []string{"10.32.1.0/25", "10.32.40.0/22"}}},
			fedtest.Rule{Direction: out, Protocol: "TCP", Peer: fedtest.Side{Nets: []string{"192.0.2.0/24"}, OutsideOf: []string{"192.0.2.128/25"}}, Ports: fedtest.Ports(443)}),
		fedtest.NewPolicy(namespace(4), "everybody", fedtest.Is("track", "track-0"), named("gamma"), byLabel,
			fedtest.Rule{Direction: in, Peer: fedtest.Side{Namespace: anySpace}}),
		fedtest.NewPolicy(namespace(4), "both-ways", fedtest.Is("side", "side-0"), inEurope(), byAddress,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Namespace: new(fedtest.In("team", "team-0", "team-3")), Selector: new(fedtest.Starts("uid", "u1"))}, Ports: fedtest.Ports(80, 443)},
			fedtest.Rule{Direction: in, Protocol: "SCTP", Peer: fedtest.Side{Selector: app(5), Namespace: anySpace}},
			fedtest.Rule{Direction: out, Own: label("zone", "0"), Protocol: "TCP", Peer: fedtest.Side{Selector: app(6), Namespace: anySpace}, NotPorts: fedtest.Ports(22, "6000:6010")}),
		fedtest.NewPolicy(namespace(5), "own-space", fedtest.And(fedtest.Has("app"), fedtest.NotIn("tier", "tier-0", "tier-9")), remote(), byLabel,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Not: label("side", "1")}, Ports: fedtest.Ports(5432)}),
		fedtest.NewPolicy(namespace(5), "closed", fedtest.Is("tier", "tier-9"), anywhere(), byLabel),
		fedtest.NewPolicy(namespace(6), "rare", fedtest.Is("app", "nobody"), anywhere(), byLabel,
			fedtest.Rule{Direction: in, Protocol: "TCP", Peer: fedtest.Side{Selector: app(1)}, Ports: fedtest.Ports(80)}),
	}
}

package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/selector"
)

type (
	spec  = v1alpha1.FederatedNetworkPolicySpec
	peer  = v1alpha1.FederatedPeer
	rules = []v1alpha1.FederatedRule
)

var (
	local      = policy.Local{Name: home, ID: "id-home"}
	everywhere = v1alpha1.ClusterScope{Local: true, All: true}
	remote     = v1alpha1.ClusterScope{All: true}
)

func policyOf(s spec) *v1alpha1.FederatedNetworkPolicy {
	p := &v1alpha1.FederatedNetworkPolicy{Spec: s}
	p.Namespace, p.Name = "shop", "rules"
	return p
}

// made compiles a policy as far as it goes.
func made(s spec, local policy.Local) (*policy.Networks, error) {
	plan, err := policy.Compile(policyOf(s), local)
	if plan == nil {
		return nil, err
	}
	networks, failed := plan.NetworkPolicies()
	return networks, errors.Join(err, failed)
}

func from(p peer) rules { return rules{{Action: "Allow", Source: &p}} }
func to(p peer) rules   { return rules{{Action: "Allow", Source: nil, Destination: &p}} }

func named(names ...string) *v1alpha1.ServiceAccountMatch {
	return &v1alpha1.ServiceAccountMatch{Names: names}
}

func port(said ...any) (all []intstr.IntOrString) {
	for _, one := range said {
		switch one := one.(type) {
		case int:
			all = append(all, intstr.FromInt32(int32(one)))
		case string:
			all = append(all, intstr.FromString(one))
		}
	}
	return all
}

func tcp(all rules) rules {
	for i := range all {
		all[i].Protocol = "TCP"
	}
	return all
}

func TestWhatCannotBeReadOrExpressedIsRefusedByItsField(t *testing.T) {
	many := "a == 'x'"
	for _, l := range "bcdefg" {
		many += " || " + string(l) + " == 'x'"
	}
	tests := []struct {
		name string
		spec spec
		want string // how the error begins
		says string // and what else is in it
	}{
		{"a selector that cannot be read", spec{Selector: "app = 'x'"}, "spec.selector: parsing the selector at column 5", "=="},
		{"global() as the policy's selector", spec{Selector: "global()"}, "spec.selector: ", "namespaceSelector only"},
		{"a part of a value", spec{Selector: "app contains 'x'"}, `spec.selector: app contains "x"`, "whole values"},
		{"a label of the policy's own namespace", spec{Selector: "pcns.env == 'x'"}, "spec.selector: ", "pcns.env"},
		{"a service account", spec{Selector: "pcsa.team == 'x'"}, "spec.selector: ", "service account"},
		{"the name of a service account", spec{Selector: "projectcalico.org/serviceaccount == 'x'"}, "spec.selector: ", "service account"},
		{"a selector of too many disjuncts", spec{Selector: "(" + many + ") && (" + strings.ReplaceAll(many, "x", "y") + ") && (" + strings.ReplaceAll(many, "x", "z") + ")"}, "spec.selector: it cannot be expressed by 64", ""},
		{"a peer that cannot be read", spec{Clusters: remote, Ingress: from(peer{Selector: new("a ==")})}, "spec.ingress[0].source.selector: parsing", ""},
		{"a notSelector that cannot be read", spec{Clusters: remote, Egress: to(peer{NotSelector: new("a")})}, "spec.egress[0].destination.notSelector: parsing", ""},
		{"global() that does not stand alone", spec{Clusters: remote, Ingress: from(peer{NamespaceSelector: new("global() || a == 'x'")})}, "spec.ingress[0].source.namespaceSelector: ", "alone"},
		{"global() in the selector of a peer", spec{Clusters: remote, Ingress: from(peer{Selector: new("global()")})}, "spec.ingress[0].source.selector: ", "namespaceSelector only"},
		{"service accounts that cannot be read", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Selector: new("(")}})}, "spec.ingress[0].source.serviceAccounts.selector: parsing", ""},
		{"the name of a service account that is too long for a label", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Names: []string{strings.Repeat("a", 63)}}})}, "spec.ingress[0].source.serviceAccounts.names: ", "pcsa.projectcalico.org/name"},
		{"a name with a quote, which Calico could not read in its own selector", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: named("web", "a'b")})}, "spec.ingress[0].source.serviceAccounts.names: ", `"a'b" is no name that a service account can have`},
		{"a name that would be two", spec{Clusters: remote, Egress: to(peer{ServiceAccounts: named("a', 'b")})}, "spec.egress[0].destination.serviceAccounts.names: ", `"a', 'b" is no name`},
		{"a name of a service account that is empty", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: named("")})}, "spec.ingress[0].source.serviceAccounts.names: ", `"" is no name`},
		{"a name with capitals", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: named("Web")})}, "spec.ingress[0].source.serviceAccounts.names: ", `"Web" is no name`},
		{"a name with both kinds of quotes, which no selector can have", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: named("a\"'")})}, "spec.ingress[0].source.serviceAccounts.names: ", "is no name"},
		{"service accounts of which nothing is said", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{}})}, "spec.ingress[0].source.serviceAccounts: ", "neither names nor selector"},
		{"service accounts of an empty list", spec{Clusters: remote, Egress: to(peer{ServiceAccounts: named([]string{}...)})}, "spec.egress[0].destination.serviceAccounts: ", "neither names nor selector"},
		{"an empty list beside a selector", spec{Clusters: remote, Ingress: from(peer{Selector: new("app == 'x'"), ServiceAccounts: named([]string{}...)})}, "spec.ingress[0].source.serviceAccounts: ", "neither names nor selector"},
		{"a range that is none", spec{Ingress: from(peer{Nets: []string{"10.0.0.0/8", "10.0.0.0/33"}})}, "spec.ingress[0].source.nets[1]: ", ""},
		{"an IPv4 range in the clothes of IPv6", spec{Ingress: from(peer{NotNets: []string{"::ffff:10.0.0.0/104"}})}, "spec.ingress[0].source.notNets[0]: ", "IPv4"},
		{"ports without a protocol", spec{Egress: to(peer{Ports: port(80)})}, "spec.egress[0].destination.ports: ", "protocol"},
		{"port 0", spec{Egress: tcp(to(peer{Ports: port(80, 0)}))}, "spec.egress[0].destination.ports[1]: ", ""},
		{"a port below 0", spec{Egress: tcp(to(peer{Ports: port(-80)}))}, "spec.egress[0].destination.ports[0]: ", ""},
		{"a port above the last", spec{Egress: tcp(to(peer{Ports: port(65536)}))}, "spec.egress[0].destination.ports[0]: ", ""},
		{"a range that ends before it begins", spec{Egress: tcp(to(peer{Ports: port("90:80")}))}, "spec.egress[0].destination.ports[0]: ", "ends before it begins"},
		{"a range of three", spec{Egress: tcp(to(peer{Ports: port("80:90:100")}))}, "spec.egress[0].destination.ports[0]: ", ""},
		{"a range with a hyphen", spec{Egress: tcp(to(peer{Ports: port("80-90")}))}, "spec.egress[0].destination.ports[0]: ", "8000:8080"},
		{"a name that no port can have", spec{Clusters: remote, Ingress: tcp(to(peer{Ports: port("no_name")}))}, "spec.ingress[0].destination.ports[0]: ", ""},
		{"a name among notPorts", spec{Clusters: remote, Ingress: tcp(to(peer{NotPorts: port("web")}))}, "spec.ingress[0].destination.notPorts: ", "web"},
		{"numbers that are taken from a name", spec{Clusters: remote, Ingress: tcp(to(peer{Ports: port("web"), NotPorts: port(80)}))}, "spec.ingress[0].destination.notPorts: ", "web"},
		{"ports of the source", spec{Clusters: remote, Ingress: tcp(from(peer{Ports: port(80)}))}, "spec.ingress[0].source.ports: ", ""},
		{"notPorts of the source", spec{Clusters: remote, Egress: tcp(from(peer{NotPorts: port(80)}))}, "spec.egress[0].source.ports: ", ""},
		{"a name of ports of any address", spec{Egress: tcp(to(peer{Ports: port("web"), Nets: []string{"10.0.0.0/8"}}))}, "spec.egress[0].destination.ports: ", "selector"},
		{"addresses of the policy's own pods", spec{Ingress: to(peer{Nets: []string{"10.0.0.0/8"}})}, "spec.ingress[0].destination.nets: ", ""},
		{"addresses that own pods must not have", spec{Egress: from(peer{NotNets: []string{"10.0.0.0/8"}})}, "spec.egress[0].source.notNets: ", ""},
		{"own pods by service account", spec{Ingress: to(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Names: []string{"a"}}})}, "spec.ingress[0].destination.serviceAccounts.names: ", ""},
		{"own pods by labels of the namespace", spec{Egress: from(peer{NamespaceSelector: new("env == 'x'")})}, "spec.egress[0].source.namespaceSelector: ", "env"},
		{"own pods by a part of a value", spec{Egress: from(peer{NotSelector: new("app ends with 'x'")})}, "spec.egress[0].source.notSelector: ", ""},
		{"local peers by service account", spec{Clusters: everywhere, Ingress: from(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Selector: new("team == 'x'")}})}, "spec.ingress[0].source.serviceAccounts.selector: ", "spec.localPeers: Addresses"},
		{"local peers by a part of a value", spec{Clusters: everywhere, Ingress: from(peer{Selector: new("app starts with 'x'")})}, "spec.ingress[0].source.selector: ", "spec.localPeers: Addresses"},
		{"local peers by label and address", spec{Clusters: everywhere, Ingress: from(peer{Selector: new("app == 'x'"), Nets: []string{"10.0.0.0/8"}})}, "spec.ingress[0].source.nets: ", "spec.localPeers: Addresses"},
		{"local peers by label and without addresses", spec{Clusters: everywhere, Ingress: from(peer{Selector: new("app == 'x'"), NotNets: []string{"10.0.0.0/8"}})}, "spec.ingress[0].source.notNets: ", "spec.localPeers: Addresses"},
		{"another action", spec{Ingress: rules{{Action: "Deny"}}}, "spec.ingress[0].action: ", "Deny"},
		{"another protocol", spec{Ingress: rules{{Action: "Allow", Protocol: "ICMP"}}}, "spec.ingress[0].protocol: ", "ICMP"},
		{"rules of a direction that is left out", spec{Types: []v1alpha1.PolicyType{"Egress"}, Ingress: rules{{Action: "Allow"}}}, "spec.types: ", "Ingress"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			networks, err := made(tt.spec, local)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("want %s…%s, got %v", tt.want, tt.says, err)
			}
			if own := strings.HasPrefix(tt.want, "spec.selector"); own != (networks == nil) {
				t.Fatalf("is there nothing to render? want %t", own)
			}
			if networks == nil {
				return
			}
			for _, o := range objects(networks.Base()) {
				if len(o.Spec.Ingress)+len(o.Spec.Egress) > 0 {
					t.Errorf("the rule allows something nevertheless: %s", describe(o.Spec))
				}
			}
		})
	}
}

func TestWhatIsDecidedBeforehandIsNotRefused(t *testing.T) {
	sa := &v1alpha1.ServiceAccountMatch{Names: []string{"robot"}}
	tests := []struct {
		name string
		spec spec
	}{
		{"a service account of another cluster", spec{Clusters: everywhere, Ingress: from(peer{Selector: new("hawser.io/cluster == 'a'"), ServiceAccounts: sa})}},
		{"a part of a value in another cluster", spec{Clusters: everywhere, Ingress: from(peer{Selector: new("hawser.io/cluster != 'home' && app contains 'x'")})}},
		{"what no label can be", spec{Selector: "-x contains 'x' || app == 'no value!'"}},
		{"another namespace", spec{Selector: "projectcalico.org/namespace == 'web' && pcns.env == 'x'"}},
		{"a part that every value has", spec{Selector: "app contains ''"}},
		{"no local peers", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: sa, Nets: []string{"10.0.0.0/8"}})}},
		{"service accounts of any labels, without names", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Selector: new("")}})}},
		{"a service account with a dot in its name", spec{Clusters: remote, Ingress: from(peer{ServiceAccounts: named("web.v1")})}},
		{"local peers by address", spec{Clusters: everywhere, LocalPeers: "Addresses", Ingress: from(peer{ServiceAccounts: sa, Nets: []string{"10.0.0.0/8"}})}},
		{"own pods in any namespace", spec{Ingress: to(peer{NamespaceSelector: new("all()")})}},
		{"own pods that have no namespace", spec{Ingress: to(peer{NamespaceSelector: new("global()")})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := made(tt.spec, local); err != nil {
				t.Error(err)
			}
		})
	}
}

// Calico puts the names between quotes itself, and takes a match that says nothing for any address.
func TestServiceAccountsThatNobodyCanMeanAllowNothingByAnyTarget(t *testing.T) {
	for _, target := range []v1alpha1.PolicyTarget{v1alpha1.TargetNetworkPolicy, v1alpha1.TargetCalico, v1alpha1.TargetClusterNetworkPolicy} {
		for _, accounts := range []*v1alpha1.ServiceAccountMatch{named("a', 'b"), named()} {
			s := spec{Target: target, Clusters: everywhere, Types: []v1alpha1.PolicyType{"Egress"}, ClusterNetworkPolicy: &v1alpha1.ClusterNetworkPolicyTarget{}}
			closes := policy.Read(policyOf(s), local, policy.Last{})
			s.Egress = to(peer{ServiceAccounts: accounts})
			read := policy.Read(policyOf(s), local, policy.Last{})
			if len(read.Refused) != 1 || !strings.HasPrefix(read.Refused[0].Message, "spec.egress[0].destination.serviceAccounts") {
				t.Errorf("%s, names %q: want the field refused, got %+v", target, accounts.Names, read.Refused)
			}
			if diff := cmp.Diff(closes.Base, read.Base); diff != "" || len(read.Base) == 0 || len(read.Item.Selectors) > 0 {
				t.Errorf("%s, names %q: want only what closes:\n%s", target, accounts.Names, diff)
			}
		}
	}
}

func TestALocalClusterThatIsNotKnownCannotBeAskedFor(t *testing.T) {
	for _, label := range []string{"hawser.io/cluster", "hawser.io/cluster-id"} {
		if _, err := made(spec{Selector: label + " == 'x'"}, policy.Local{}); err == nil || !strings.Contains(err.Error(), "RemoteCluster") {
			t.Errorf("%s: got %v", label, err)
		}
	}
}

func TestOneBadRuleLeavesTheOthers(t *testing.T) {
	networks, err := made(spec{
		Clusters: everywhere, Ingress: append(from(peer{Nets: []string{"10.0.0.0/8"}}), from(peer{Selector: new("a = b")})...),
	}, local)
	var problems policy.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Field != "spec.ingress[1].source.selector" {
		t.Fatalf("got %v", err)
	}
	all := objects(networks.Base())
	if len(all) != 2 || !strings.HasPrefix(all[0].Name, "rules.closed-") || all[1].Name != "rules.rules" || len(all[1].Spec.Ingress) != 1 {
		t.Errorf("got %s", describeObjects(all))
	}
	var syntax *selector.SyntaxError
	if !errors.As(err, &syntax) || !strings.Contains(problems.Describe(), "a = b\n  ^") {
		t.Errorf("want the place in the selector, got\n%s", problems.Describe())
	}
}

func TestWarningsNameFieldsThatAreHardlyMeantSo(t *testing.T) {
	plan, err := policy.Compile(policyOf(spec{
		Selector: "app == 'x' && app == 'y'", Clusters: remote,
		Ingress: from(peer{Selector: new("app != 'x' || app != 'y'")}),
		Egress:  tcp(to(peer{NotPorts: port("1:65535"), NamespaceSelector: new("all()")})),
	}), local)
	if err != nil {
		t.Fatal(err)
	}
	want := "spec.selector: it matches nothing, whatever the labels are; " +
		"spec.ingress[0].source.selector: it matches everything, whatever the labels are: if that is meant, write all(); " +
		"spec.egress[0].destination.notPorts: no port is left, and the rule allows nothing"
	if got := plan.Warnings.Error(); got != want {
		t.Errorf("want %s\ngot  %s", want, got)
	}
}

func TestRulesForTooManySelectionsOfPodsAreRefused(t *testing.T) {
	var s spec
	for i := range 70 {
		s.Ingress = append(s.Ingress, v1alpha1.FederatedRule{Action: "Allow", Destination: &peer{Selector: new(fmt.Sprintf("app == 'x%d'", i%69))}})
	}
	networks, err := made(s, local)
	var problems policy.Problems
	if !errors.As(err, &problems) || len(problems) != 6 || problems[0].Field != "spec.ingress[63].destination" {
		t.Fatalf("got %v", err)
	}
	closed, allowed := 0, 0
	for _, o := range objects(networks.Base()) {
		if len(o.Spec.Ingress) == 0 {
			closed++
		}
		allowed += len(o.Spec.Ingress)
	}
	if closed != 1 || allowed != 64 {
		t.Errorf("%d objects close pods, and %d rules allow: want 1 and 64", closed, allowed)
	}
}

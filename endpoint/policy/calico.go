package policy

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/publish"
)

const (
	// MembersLabel is the label of the GlobalNetworkSets that hold what a rule's peer stands for. Its value is a hash
	// of the policy and of the peer, so that a rule that is edited finds no set of what it was before.
	//
	// They are global ones because whoever may label a pod, or write a NetworkSet, in the namespace of the policy could
	// otherwise let it in. What is in no namespace is written by those who may write in the whole cluster.
	MembersLabel = "hawser.io/federated-peer"
	// calicoOrder is that of Kubernetes' own NetworkPolicies among Calico's.
	calicoOrder = int64(1000)
	calicoTier  = "default"
)

// What the objects are, as it stands in their names: <policy>, <policy>-ports-<cluster>, and GlobalNetworkSets
// <namespace>.<policy>.<hash>-<cluster>. A policy of Calico can have no dot in its name, which is what stands between
// the name of a tier and the rest.
const partNamedPorts = "ports"

// CalicoPolicies is a plan made for Calico: a NetworkPolicy that says all of it, in which what clusters have stands as
// a label, and GlobalNetworkSets of that label for each cluster. The names of ports of what clusters have, which sets
// do not know, take a NetworkPolicy for each cluster.
type CalicoPolicies struct {
	plan  *Plan
	rules []calicoRule
	spec  calico.NetworkPolicySpec // without rules
	base  []client.Object
}

// calicoRule is a rule that can be expressed.
type calicoRule struct {
	networkRule                   // without what is native: that is in native
	own         calico.EntityRule // the pods' side, without nets and ports
	native      *calico.EntityRule
}

// Calico makes a plan into policies and sets of Calico. Its errors are Problems: a rule that cannot be expressed is left
// out of what comes with the error, which is nil where the policy's own pods cannot be selected.
func (p *Plan) Calico() (*CalicoPolicies, error) {
	c := &CalicoPolicies{plan: p}
	own, found := p.ofCalico(&p.Pods)
	if len(found) > 0 {
		return nil, found
	}
	c.spec = calico.NetworkPolicySpec{Tier: calicoTier, Order: new(calicoOrder)}
	c.spec.Selector = nothing
	if own != nil {
		c.spec.Selector = own.Selector
	}
	base := c.spec
	for _, direction := range p.Types {
		base.Types = append(base.Types, string(direction))
	}
	var problems Problems
	for i := range p.Rules {
		r, found := c.rule(&p.Rules[i])
		if len(found) == 0 && r != nil {
			rules := r.base(p)
			to := &base.Ingress
			if r.Direction == v1alpha1.PolicyTypeEgress {
				to = &base.Egress
			}
			if len(*to)+len(rules) > calico.MaxRules {
				found.add(r.Field, fmt.Errorf("with it, there are more than %d rules: Calico takes no more", calico.MaxRules))
			} else {
				*to, c.rules = append(*to, rules...), append(c.rules, *r)
			}
		}
		problems = append(problems, found...)
	}
	policy, err := calico.Write(calico.NetworkPolicies, publish.Meta(c.key(), "", p.Namespace, p.Name, 1, 1, nil), base)
	if err != nil {
		problems.add("spec", err)
		return nil, problems
	}
	c.base = []client.Object{policy}
	return c, problems.orNil()
}

// Base returns the objects that belong to no cluster.
func (c *CalicoPolicies) Base() []client.Object { return c.base }

func (c *CalicoPolicies) key() publish.Key {
	return publish.Key{Kind: publish.FederatedNetworkPolicy, Namespace: c.plan.Namespace, Name: c.plan.Name}
}

// rule reads what a rule says in Calico's words. It is nil where the rule allows nothing.
func (c *CalicoPolicies) rule(r *Rule) (*calicoRule, Problems) {
	made := &calicoRule{networkRule: networkRule{Rule: r}}
	own, problems := c.plan.ofCalico(&r.Pods)
	if own != nil {
		problems = append(problems, r.Pods.narrow(".selector", &own.Selector, pods)...)
		problems = append(problems, r.Pods.narrow(".notSelector", &own.NotSelector, pods)...)
		made.own = *own
	}
	if r.Peer.Endpoints == nil && len(r.Peer.Ports.Names) > 0 {
		problems.add(r.Peer.Field+".ports", fmt.Errorf("the port %q has a number for endpoints alone: add a selector, or name the number", r.Peer.Ports.Names[0]))
	}
	if r.Peer.Endpoints != nil && c.plan.Clusters.Local && c.plan.LocalPeers == v1alpha1.LocalPeersSelectors {
		native, found := c.plan.ofCalico(&r.Peer)
		if native != nil {
			found = append(found, r.Peer.narrow(".selector", &native.Selector, pods)...)
			found = append(found, r.Peer.narrow(".notSelector", &native.NotSelector, notOurs)...)
		}
		for i := range found {
			found[i].Cause = fmt.Errorf("%w; spec.localPeers: Addresses can", found[i].Cause)
		}
		made.native, problems = native, append(problems, found...)
	}
	if own == nil || r.Source().Ports.Empty() || r.Destination().Ports.Empty() {
		return nil, problems
	}
	return made, problems
}

// By a selector, Calico means the addresses of all that matches, of sets as of pods. What is allowed by one is narrowed to
// pods: of peers, everything else stands in the sets that are made here, and the policy's own pods are what they are by
// their labels, not by a set that has their address. What is taken away is not, but for what Hawser has made, which is no
// endpoint: other sets of addresses would stand for the pods that they were made of.
const (
	pods    = `projectcalico.org/orchestrator == "k8s"`
	notOurs = `(` + pods + ` || ` + v1alpha1.ManagedByLabel + ` != "` + v1alpha1.ManagedBy + `")`
)

// narrow joins a selector of a side, if it is there, with another one.
func (s *Side) narrow(field string, said *string, by string) (problems Problems) {
	switch *said {
	case "":
		return nil
	case everything:
		*said = by
	default:
		*said = "(" + *said + ") && " + by
	}
	if len(*said) > calico.MaxSelector {
		problems.add(s.Field+field, fmt.Errorf("it is too long for Calico, which takes %d bytes, and has to be told besides: %s", calico.MaxSelector, by))
	}
	return problems
}

// base are the rules that depend on no cluster: those of a peer that is any address, of local pods, and of the sets.
func (r *calicoRule) base(p *Plan) (all []calico.Rule) {
	if r.Peer.Endpoints == nil {
		return r.with(calico.EntityRule{}, &r.Peer, r.Peer.Ports)
	}
	if r.native != nil {
		all = r.with(*r.native, &r.Peer, r.Peer.Ports)
	}
	numbers := r.Peer.Ports
	if numbers.Names = nil; !numbers.Empty() {
		all = append(all, r.with(membersOf(r.set(p, "")), nil, numbers)...)
	}
	return all
}

// membersOf is the side of the sets that have a value of MembersLabel. HostEndpoints that Calico makes of nodes are in no
// namespace, either, and take over labels of their nodes, which a kubelet may set for its own.
func membersOf(value string) calico.EntityRule {
	return calico.EntityRule{Selector: fmt.Sprintf("%s == %q && !has(projectcalico.org/created-by)", MembersLabel, value), NamespaceSelector: "global()"}
}

// set is the value of MembersLabel for what the peer stands for, or for what of it has one of the rule's names at one
// number. Peers of a policy that say the same share their sets.
func (r *calicoRule) set(p *Plan, port string) string {
	h := sha256.New()
	for _, text := range []string{p.Namespace, p.Name, r.Peer.Endpoints.String(), r.Peer.Not.String(), fmt.Sprint(r.Peer.Not == nil, r.Peer.Nets, r.Peer.NotNets)} {
		fmt.Fprintf(h, "%d:%s", len(text), text)
	}
	if port != "" {
		fmt.Fprint(h, r.Protocol, r.Peer.Ports.Names, port)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:15]))
}

// with are the rules for one kind of peer: Calico takes only so many ports in one, and nets of one version. Nets are
// those of a peer that does not stand in sets.
func (r *calicoRule) with(peer calico.EntityRule, nets *Side, ports Ports) (all []calico.Rule) {
	for _, version := range versionsOf(&r.Pods, nets) {
		mine, its := r.own, peer
		if !netsOf(&mine, &r.Pods, version) || nets != nil && !netsOf(&its, nets, version) {
			continue
		}
		for _, own := range portsOf(r.Pods.Ports) {
			for _, others := range portsOf(ports) {
				mine.Ports, its.Ports = own, others
				rule := calico.Rule{Action: "Allow", IPVersion: version, Protocol: r.Protocol, Source: its, Destination: mine}
				if r.Direction == v1alpha1.PolicyTypeEgress {
					rule.Source, rule.Destination = mine, its
				}
				all = append(all, rule)
			}
		}
	}
	return all
}

// versionsOf are those of IP that rules are made for: 0, which is any, where nothing is said of addresses.
func versionsOf(sides ...*Side) []int {
	for _, s := range sides {
		if s != nil && (s.Nets != nil || len(s.NotNets) > 0) {
			return []int{4, 6}
		}
	}
	return []int{0}
}

// netsOf says of a side what is said of addresses of one version. It is false if no address is left.
func netsOf(to *calico.EntityRule, side *Side, version int) bool {
	for _, n := range side.Nets {
		if (version == 4) == n.Addr().Is4() {
			to.Nets = append(to.Nets[:len(to.Nets):len(to.Nets)], n.String())
		}
	}
	for _, n := range side.NotNets {
		if (version == 4) == n.Addr().Is4() {
			to.NotNets = append(to.NotNets[:len(to.NotNets):len(to.NotNets)], n.String())
		}
	}
	return side.Nets == nil || len(to.Nets) > 0
}

// portsOf writes ports, as many lists as it takes: one that is nil for all of them, and none for no port.
func portsOf(ports Ports) (lists [][]intstr.IntOrString) {
	if ports.All {
		return [][]intstr.IntOrString{nil}
	}
	var all []intstr.IntOrString
	for _, span := range ports.Ranges {
		if span.First == span.Last {
			all = append(all, intstr.FromInt32(int32(span.First)))
		} else {
			all = append(all, intstr.FromString(fmt.Sprintf("%d:%d", span.First, span.Last)))
		}
	}
	for _, name := range ports.Names {
		all = append(all, intstr.FromString(name))
	}
	for len(all) > 0 {
		n := min(len(all), calico.MaxPorts)
		lists, all = append(lists, all[:n:n]), all[n:]
	}
	return lists
}

// errRewritten is the cause where Calico would read a selector otherwise than it was written.
var errRewritten = errors.New(`it has a value with "all(" or "global(" in it, which Calico takes for the function: it cannot be expressed`)

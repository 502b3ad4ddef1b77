package policy_test

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// expression is a selector: as it is written, and what it means. all is what all() means, and all == false && global
// is not asked for.
type expression struct {
	text  string
	holds func(labels map[string]string, all bool) bool
}

// drawExpression draws a selector of labels. Depth is how many && and || may be within each other.
func drawExpression(t *rapid.T, labels []string, depth int) expression {
	kind := number(t, 9+3*depth+1, "kind")
	label := oneOf(t, "label", labels)
	value := oneOf(t, "value", labelValues)
	switch { // a name, mostly, where one stands
	case label == "app", label == "tier", label == "env", label == "team":
	case !oneIn(t, 8, "a value of a label"):
		value = oneOf(t, "name", []string{"shop", "web", home, "id-" + home, "a", "k8s", "no value!", "robot"})
	}
	test := func(text string, does func(v string, has bool) bool) expression {
		return expression{text, func(labels map[string]string, _ bool) bool {
			v, has := labels[label]
			return does(v, has)
		}}
	}
	switch kind {
	case 0, 1:
		return test(fmt.Sprintf("%s == %q", label, value), func(v string, has bool) bool { return has && v == value })
	case 2:
		return test(fmt.Sprintf("%s != %q", label, value), func(v string, has bool) bool { return !has || v != value })
	case 3:
		return test(fmt.Sprintf("has(%s)", label), func(_ string, has bool) bool { return has })
	case 4, 5:
		set := someOf(t, "set", 0, 3, []string{"x", "y", "z", "shop", "web", home, "a", "no value!"})
		text := "{" + strings.Join(quoted(set), ", ") + "}"
		if kind == 4 {
			return test(label+" in "+text, func(v string, has bool) bool { return has && slices.Contains(set, v) })
		}
		return test(label+" not in "+text, func(v string, has bool) bool { return !has || !slices.Contains(set, v) })
	case 6:
		if oneIn(t, 2, "of nothing") {
			return test(label+` starts with ""`, func(_ string, has bool) bool { return has })
		}
		if number(t, 4, "a part") > 0 {
			return drawExpression(t, labels, 0)
		}
		return test(fmt.Sprintf("%s starts with %q", label, value), func(v string, has bool) bool { return has && strings.HasPrefix(v, value) })
	case 7:
		return expression{"all()", func(_ map[string]string, all bool) bool { return all }}
	case 8, 9:
		e := drawExpression(t, labels, max(0, depth-1))
		return expression{"!(" + e.text + ")", func(labels map[string]string, all bool) bool { return !e.holds(labels, all) }}
	}
	one, two := drawExpression(t, labels, depth-1), drawExpression(t, labels, depth-1)
	if kind%2 == 0 {
		return expression{"(" + one.text + " && " + two.text + ")", func(labels map[string]string, all bool) bool {
			return one.holds(labels, all) && two.holds(labels, all)
		}}
	}
	return expression{"(" + one.text + " || " + two.text + ")", func(labels map[string]string, all bool) bool {
		return one.holds(labels, all) || two.holds(labels, all)
	}}
}

func quoted(values []string) (all []string) {
	for _, v := range values {
		all = append(all, fmt.Sprintf("%q", v))
	}
	return all
}

// side is what one side of a rule says, with what its selectors mean.
type side struct {
	said                                      *v1alpha1.FederatedPeer
	selector, notSelector, namespace, account *expression
	global                                    bool
}

// rule is one with its sides, said as it stands in the object.
type rule struct {
	said                v1alpha1.FederatedRule
	source, destination side
}

var (
	ownVocabulary = []string{"app", "app", "app", "tier", "tier", "-x", "projectcalico.org/namespace", "hawser.io/cluster", "hawser.io/cluster-id", "projectcalico.org/orchestrator", "pcns.projectcalico.org/name"}
	allVocabulary = append(slices.Clone(ownVocabulary), "pcns.env", "pcns.team", "pcns.kubernetes.io/metadata.name")
	ofAccounts    = []string{"pcsa.env", "projectcalico.org/serviceaccount"}
	ofNamespaces  = []string{"env", "team", "projectcalico.org/name", "kubernetes.io/metadata.name"}
	someNets      = []string{"10.0.0.0/8", "10.1.0.0/29", "10.1.0.4/30", "10.2.0.0/16", "10.0.0.2/32", "192.0.2.0/24", "fd00::/8", "fd00:1::2/128", "0.0.0.0/0", "10.1.0.3/31"}
)

// number draws one of n, each as often as the others: rapid's own draws are mostly of the first few.
func number(t *rapid.T, n int, what string) int {
	v := rapid.Uint64().Draw(t, what) + 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return int((v ^ v>>31) % uint64(n))
}

// oneIn draws whether something that is rare is so.
func oneIn(t *rapid.T, n int, what string) bool { return number(t, n, what) == 0 }

// oneOf draws one of several.
func oneOf[T any](t *rapid.T, what string, all []T) T { return all[number(t, len(all), what)] }

// someOf draws a few of several, each once.
func someOf[T any](t *rapid.T, what string, least, most int, all []T) (some []T) {
	left := slices.Clone(all)
	for range least + number(t, most-least+1, what) {
		at := number(t, len(left), what)
		some, left = append(some, left[at]), slices.Delete(left, at, at+1)
	}
	return some
}

// drawPeer draws the other side of a rule.
func drawPeer(t *rapid.T) (s side) {
	if oneIn(t, 6, "nothing said") {
		return s
	}
	s.said = &v1alpha1.FederatedPeer{}
	vocabulary := allVocabulary
	if oneIn(t, 6, "by labels of accounts") {
		vocabulary = append(slices.Clone(vocabulary), ofAccounts...)
	}
	if !oneIn(t, 3, "without selector") {
		e := drawExpression(t, vocabulary, 2)
		s.selector, s.said.Selector = &e, &e.text
	}
	if oneIn(t, 3, "not") {
		e := drawExpression(t, vocabulary, 1)
		if oneIn(t, 2, "what is no pod") { // and may have the address of one
			e = expression{"!has(projectcalico.org/orchestrator)", func(labels map[string]string, _ bool) bool {
				_, has := labels["projectcalico.org/orchestrator"]
				return !has
			}}
		}
		s.notSelector, s.said.NotSelector = &e, &e.text
	}
	switch {
	case oneIn(t, 10, "global"):
		s.global, s.said.NamespaceSelector = true, new("global()")
	case oneIn(t, 2, "namespaces"):
		e := drawExpression(t, ofNamespaces, 1)
		s.namespace, s.said.NamespaceSelector = &e, &e.text
	}
	if oneIn(t, 8, "accounts") {
		s.said.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: someOf(t, "names", 0, 2, accountNames[1:])}
		if oneIn(t, 2, "labels of accounts") {
			e := drawExpression(t, namespaceKeys, 0)
			s.account, s.said.ServiceAccounts.Selector = &e, &e.text
		}
	}
	rare := 2
	if s.selects() {
		rare = 6
	}
	if oneIn(t, rare, "nets") {
		s.said.Nets = someOf(t, "nets", 1, 3, someNets)
	}
	if oneIn(t, rare, "not nets") {
		s.said.NotNets = someOf(t, "not nets", 1, 3, someNets)
	}
	return s
}

// drawOwn draws the side of the policy's own pods.
func drawOwn(t *rapid.T) (s side) {
	if !oneIn(t, 3, "narrowed") {
		return s
	}
	s.said = &v1alpha1.FederatedPeer{}
	if !oneIn(t, 4, "without selector") {
		e := drawExpression(t, ownVocabulary, 1)
		s.selector, s.said.Selector = &e, &e.text
	}
	if oneIn(t, 4, "not") {
		e := drawExpression(t, ownVocabulary, 1)
		s.notSelector, s.said.NotSelector = &e, &e.text
	}
	if oneIn(t, 5, "namespaces") {
		e := drawExpression(t, []string{"projectcalico.org/name", "kubernetes.io/metadata.name"}, 1)
		s.namespace, s.said.NamespaceSelector = &e, &e.text
	}
	switch number(t, 16, "what cannot be") {
	case 0:
		s.said.Nets = []string{"10.0.0.0/24"}
	case 1:
		s.said.ServiceAccounts = &v1alpha1.ServiceAccountMatch{Names: []string{"robot"}}
	}
	return s
}

func drawPorts(t *rapid.T) (all []intstr.IntOrString) {
	for range 1 + number(t, 3, "ports") {
		all = append(all, oneOf(t, "port", []intstr.IntOrString{
			intstr.FromInt32(80), intstr.FromInt32(53), intstr.FromString("80:81"), intstr.FromString("8000:9000"), intstr.FromString("1:65535"),
		}))
	}
	return all
}

func drawNames(t *rapid.T) (all []intstr.IntOrString) {
	for _, name := range someOf(t, "names of ports", 1, 2, portNames) {
		all = append(all, intstr.FromString(name))
	}
	return all
}

func drawRule(t *rapid.T, ingress bool) (r rule) {
	r.said.Action = "Allow"
	r.source, r.destination = drawOwn(t), drawPeer(t)
	if ingress {
		r.source, r.destination = drawPeer(t), drawOwn(t)
	}
	r.said.Protocol = oneOf(t, "protocol", []string{"", "TCP", "TCP", "TCP", "UDP", "SCTP"})
	if r.said.Protocol != "" && oneIn(t, 2, "with ports") {
		if r.destination.said == nil {
			r.destination.said = &v1alpha1.FederatedPeer{}
		}
		d := r.destination.said
		switch number(t, 8, "kind of ports") {
		case 0, 1:
			d.Ports = drawPorts(t)
		case 2, 3:
			d.Ports = drawNames(t)
		case 4:
			d.Ports = append(drawPorts(t), drawNames(t)...)
		case 5:
			d.NotPorts = drawPorts(t)
		case 6:
			d.Ports, d.NotPorts = drawPorts(t), drawPorts(t)
		default:
			d.Ports = drawPorts(t)
			if r.source.said == nil {
				r.source.said = &v1alpha1.FederatedPeer{}
			}
			r.source.said.NotPorts = drawNames(t)
		}
	}
	r.said.Source, r.said.Destination = r.source.said, r.destination.said
	return r
}

// drawn is a policy of namespace shop, with what its selectors mean.
type drawn struct {
	object          *v1alpha1.FederatedNetworkPolicy
	selector        expression
	ingress, egress []rule
	withheld        map[string]bool // fields of rules that were told to allow no local pod
}

func drawPolicy(t *rapid.T) *drawn {
	d := &drawn{object: &v1alpha1.FederatedNetworkPolicy{}, selector: drawExpression(t, ownVocabulary, 2)}
	switch number(t, 5, "shape of the selector") {
	case 0: // several disjuncts
		one, two := drawExpression(t, []string{"app"}, 0), drawExpression(t, []string{"tier"}, 0)
		d.selector = expression{one.text + " || " + two.text, func(labels map[string]string, all bool) bool {
			return one.holds(labels, all) || two.holds(labels, all)
		}}
	case 1, 2:
		d.selector = expression{"", func(map[string]string, bool) bool { return true }}
	}
	if oneIn(t, 20, "a part of a value") {
		d.selector = expression{`app ends with "x"`, func(labels map[string]string, _ bool) bool { return strings.HasSuffix(labels["app"], "x") }}
	}
	d.object.Namespace, d.object.Name = "shop", "rules"
	spec := &d.object.Spec
	spec.Selector = d.selector.text
	spec.Types = oneOf(t, "types", [][]v1alpha1.PolicyType{nil, {"Ingress"}, {"Egress"}, {"Egress", "Ingress"}})
	if len(spec.Types) != 1 || spec.Types[0] == "Ingress" {
		for range number(t, 5, "ingress rules") {
			d.ingress = append(d.ingress, drawRule(t, true))
			spec.Ingress = append(spec.Ingress, d.ingress[len(d.ingress)-1].said)
		}
	}
	if len(spec.Types) != 1 || spec.Types[0] == "Egress" {
		for range number(t, 5, "egress rules") {
			d.egress = append(d.egress, drawRule(t, false))
			spec.Egress = append(spec.Egress, d.egress[len(d.egress)-1].said)
		}
	}
	spec.Clusters = v1alpha1.ClusterScope{Local: !oneIn(t, 4, "local"), Names: []string{"a", "b"}}
	spec.LocalPeers = oneOf(t, "local peers", []v1alpha1.LocalPeers{"", "Selectors", "Selectors", "Addresses"})
	return d
}

package policytest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

// T is a test, of whatever kind.
type T interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Rendered is what became of a policy.
type Rendered struct {
	Policies []*networkingv1.NetworkPolicy
	Left     map[string]bool // rules that cannot be expressed, which are left out
}

// Render makes NetworkPolicies of a policy, or says why none can be made. The policy knows then which of its rules were
// told to allow no local pod.
func Render(t T, w *World, d *Policy) (*Rendered, error) {
	t.Helper()
	plan, err := policy.Compile(d.Object, policy.Local{Name: Home, ID: "id-" + Home})
	if plan == nil {
		return nil, err
	}
	r := &Rendered{Left: map[string]bool{}}
	r.leave(t, err)
	networks, err := plan.NetworkPolicies()
	if networks == nil {
		return nil, err
	}
	r.leave(t, err)
	for _, o := range networks.Base() {
		r.Policies = append(r.Policies, o.(*networkingv1.NetworkPolicy))
	}
	var refused []string
	for _, c := range w.Clusters {
		if !publish.Selects(plan.Clusters, c.Name, c.Labels, c.Local) {
			continue
		}
		out, err := networks.Render(w.Request(c, plan.Selectors))
		if err != nil {
			t.Fatal(err)
		}
		refused = append(refused, out.Refused...)
		for _, o := range out.Objects {
			r.Policies = append(r.Policies, o.(*networkingv1.NetworkPolicy))
		}
	}
	d.Withhold(t, w, refused)
	return r, nil
}

// leave notes the rules that an error is about.
func (r *Rendered) leave(t T, err error) {
	t.Helper()
	var problems policy.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("%v is no list of problems", err)
	}
	for _, p := range problems {
		field := RuleOf(p.Field)
		if field == "" {
			t.Fatalf("want a field of a rule named: %v", p)
		}
		r.Left[field] = true
	}
}

var fieldOfRule = regexp.MustCompile(`^spec\.(?:ingress|egress)\[\d+\]`)

// RuleOf is the rule that a field stands in; "" for none.
func RuleOf(field string) string { return fieldOfRule.FindString(field) }

// Withhold notes the rules that were told to allow no local pod, each of them with reason.
func (d *Policy) Withhold(t T, w *World, refused []string) {
	t.Helper()
	d.Withheld = map[string]bool{}
	for _, text := range refused {
		field, _, _ := strings.Cut(text, ": ")
		found := false
		for i := range d.Ingress {
			found = found || field == fmt.Sprintf("spec.ingress[%d].source.notSelector", i) && d.Ingress[i].Source.TakenByAddress(w, d.Object.Namespace)
		}
		for i := range d.Egress {
			found = found || field == fmt.Sprintf("spec.egress[%d].destination.notSelector", i) && d.Egress[i].Destination.TakenByAddress(w, d.Object.Namespace)
		}
		if !found {
			t.Fatalf("it is refused for no reason: %s\n%s", text, Describe(d.Object.Spec))
		}
		d.Withheld[RuleOf(field)] = true
	}
}

// Describe writes something for people.
func Describe(spec any) string {
	text, err := yaml.Marshal(spec)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// DescribeAll writes objects for people.
func DescribeAll(all []*networkingv1.NetworkPolicy) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, "# "+p.Name+"\n"+Describe(p.Spec))
	}
	return strings.Join(texts, "")
}

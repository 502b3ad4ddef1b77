package policy_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

func TestPodsStayClosedWhileTheSelectorCannotBeUsed(t *testing.T) {
	good := spec{Selector: "app == 'x'", Clusters: remote, Ingress: from(peer{Selector: new("app == 'y'")}), Egress: to(peer{Nets: []string{"10.0.0.0/8"}})}
	before := policy.Read(policyOf(good), local, "")
	last := before.Base[0].GetAnnotations()[publish.SelectorAnnotation]
	if len(before.Refused) > 0 || len(before.Base) != 2 || len(before.Item.Selectors) != 1 || last != `app == "x"` {
		t.Fatalf("%d objects, %d selectors, made for %q: %v", len(before.Base), len(before.Item.Selectors), last, before.Refused)
	}
	tests := []struct{ name, selector, last, reason, says string }{
		{"it cannot be read", "app =", last, v1alpha1.ReasonSelectorInvalid, "stay closed"},
		{"it cannot be expressed", "app contains 'x'", last, v1alpha1.ReasonNotExpressible, "stay closed"},
		{"there was none before", "app =", "", v1alpha1.ReasonSelectorInvalid, "nothing is closed"},
		{"what was there cannot be expressed either", "app =", "app contains 'x'", v1alpha1.ReasonSelectorInvalid, "nothing is closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			broken := good
			broken.Selector = tt.selector
			r := policy.Read(policyOf(broken), local, tt.last)
			if len(r.Refused) != 2 || r.Refused[0].Reason != tt.reason || !strings.Contains(r.Refused[1].Message, tt.says) {
				t.Errorf("want %s and that %s, got %v", tt.reason, tt.says, r.Refused)
			}
			rendered, err := r.Item.Render(publish.Request{Cluster: endpoint.ClusterState{Name: "a"}})
			if err != nil || len(rendered.Objects) > 0 || len(r.Item.Selectors) > 0 {
				t.Errorf("something is still allowed: %v (%v)", rendered.Objects, err)
			}
			all := objects(r.Base)
			if tt.says == "nothing is closed" {
				if len(all) > 0 {
					t.Errorf("got %s", describeObjects(all))
				}
				return
			}
			if len(all) != 1 || all[0].Annotations[publish.SelectorAnnotation] != last || describe(all[0].Spec) != describe(objects(before.Base)[0].Spec) {
				t.Errorf("want what closed the pods as it was, got %s", describeObjects(all))
			}
		})
	}
}

func TestARuleThatIsRefusedIsToldOf(t *testing.T) {
	r := policy.Read(policyOf(spec{Clusters: remote, Ingress: append(from(peer{Selector: new("a ==")}), from(peer{Selector: new("b == 'x'")})...)}), local, "")
	if len(r.Item.Selectors) != 1 || len(r.Base) != 1 || len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Message, "spec.ingress[0].source.selector") {
		t.Errorf("%d selectors, %d objects: %v", len(r.Item.Selectors), len(r.Base), r.Refused)
	}
}

func TestAClusterScopeThatCannotBeReadIsToldOf(t *testing.T) {
	s := spec{Clusters: v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"no label!": ""}}}}
	if r := policy.Read(policyOf(s), local, ""); len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Message, "spec.clusters.selector") {
		t.Errorf("got %v", r.Refused)
	}
}

func TestWarningsHaveTheReasonOfTheFirst(t *testing.T) {
	for text, reason := range map[string]string{"a == 'x' && a == 'y'": v1alpha1.ReasonSelectsNothing, "has(a) || !has(a)": v1alpha1.ReasonSelectsEverything} {
		r := policy.Read(policyOf(spec{Clusters: remote, Ingress: from(peer{Selector: &text})}), local, "")
		if len(r.Refused) > 0 || len(r.Warned) != 1 || r.Warned[0].Reason != reason || !strings.Contains(r.Warned[0].Message, "spec.ingress[0].source.selector: ") {
			t.Errorf("%s: got %v, %v", text, r.Refused, r.Warned)
		}
	}
}

func TestWhichPeersShouldNotMatchEverything(t *testing.T) {
	all, x := new("all()"), new("app == 'x'")
	for _, tt := range []struct {
		name string
		peer peer
		want string // field
	}{
		{"a selector in any namespace", peer{NamespaceSelector: all, Selector: x}, ".selector"},
		{"in some namespaces", peer{NamespaceSelector: x}, ".namespaceSelector"},
		{"by both", peer{NamespaceSelector: x, Selector: x}, ".selector"},
		{"by accounts", peer{NamespaceSelector: all, ServiceAccounts: &v1alpha1.ServiceAccountMatch{Names: []string{"robot"}}}, ".serviceAccounts"},
		{"what says all()", peer{NamespaceSelector: all, Selector: new("")}, ""},
		{"in the policy's namespace", peer{Selector: x}, ""},
		{"in no namespace", peer{NamespaceSelector: new("global()"), Selector: x}, ""},
		{"what is warned of", peer{NamespaceSelector: all, Selector: new("has(a) || !has(a)")}, ""},
		{"any address", peer{Nets: []string{"10.0.0.0/8"}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, n := range policy.Read(policyOf(spec{Clusters: remote, Ingress: from(tt.peer)}), local, "").Narrow {
				got += strings.TrimPrefix(n.Field, "spec.ingress[0].source")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

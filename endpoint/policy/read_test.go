package policy_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/publish"
)

func TestPodsStayClosedWhileTheSelectorCannotBeUsed(t *testing.T) {
	good := spec{Selector: "app == 'x'", Clusters: remote, Ingress: from(peer{Selector: new("app == 'y'")}), Egress: to(peer{Nets: []string{"10.0.0.0/8"}})}
	before := policy.Read(policyOf(good), local, policy.Last{})
	last := before.Base[0].GetAnnotations()[publish.SelectorAnnotation]
	if len(before.Refused) > 0 || len(before.Base) != 2 || len(before.Item.Selectors) != 1 || last != `app == "x"` {
		t.Fatalf("%d objects, %d selectors, made for %q: %v", len(before.Base), len(before.Item.Selectors), last, before.Refused)
	}
	ofNetworks := func(last string) policy.Last {
		return policy.Last{Selector: last, Target: v1alpha1.TargetNetworkPolicy, Local: local}
	}
	if want := ofNetworks(last); before.Last != want {
		t.Errorf("it is known as %+v, want %+v", before.Last, want)
	}
	tests := []struct {
		name, selector string
		last           policy.Last
		reason, says   string
	}{
		{"it cannot be read", "app =", ofNetworks(last), v1alpha1.ReasonSelectorInvalid, "stay closed"},
		{"it cannot be expressed", "app contains 'x'", ofNetworks(last), v1alpha1.ReasonNotExpressible, "stay closed"},
		{"there was none before", "app =", policy.Last{Local: local}, v1alpha1.ReasonSelectorInvalid, "nothing is closed"},
		{"nobody can say what was there", "app =", ofNetworks(""), v1alpha1.ReasonSelectorInvalid, "closes pods stays as it is"},
		{"what was there cannot be expressed either", "app =", ofNetworks("app contains 'x'"), v1alpha1.ReasonSelectorInvalid, "closes pods stays as it is"},
		{"what was there asks for a cluster that is not known any more", "app =", policy.Last{Selector: "hawser.io/cluster == 'home'", Target: v1alpha1.TargetNetworkPolicy}, v1alpha1.ReasonSelectorInvalid, "closes pods stays as it is"},
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
			if r.Last.Selector != "" || r.Stays != (tt.says != "stay closed") {
				t.Errorf("what is there stays: %t, and it is known as %+v", r.Stays, r.Last)
			}
			if r.Stays {
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

// TestPodsStayClosedByWhatClosedThem where another target, or what was known of the local cluster, is not there any more.
func TestPodsStayClosedByWhatClosedThem(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before spec
		local  policy.Local // when the selector could be used last, and what is known then
		now    policy.Local
		edit   func(*spec)
		kind   string
	}{
		{"another target, that cannot express it", spec{Selector: "app contains 'x'", Target: v1alpha1.TargetCalico, Clusters: remote, Ingress: from(peer{Nets: []string{"10.0.0.0/8"}})}, local, local,
			func(s *spec) { s.Target = v1alpha1.TargetNetworkPolicy }, "Calico"},
		{"the local cluster is not known any more", spec{Selector: "hawser.io/cluster == 'home'", Clusters: remote}, local, policy.Local{}, func(*spec) {}, "Kubernetes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.before
			last := policy.Read(policyOf(p), tt.local, policy.Last{}).Last
			tt.edit(&p)
			r := policy.Read(policyOf(p), tt.now, last)
			if len(r.Base) != 1 || r.Stays || len(r.Refused) != 2 {
				t.Fatalf("%d objects, and what is there stays: %t: %v", len(r.Base), r.Stays, r.Refused)
			}
			kind := "Kubernetes"
			if o, ok := r.Base[0].(*unstructured.Unstructured); ok {
				kind = "Calico"
				if selector, _, _ := unstructured.NestedString(o.Object, "spec", "selector"); selector != `app contains "x"` || o.Object["spec"].(map[string]any)["ingress"] != nil {
					t.Errorf("got %v", o.Object)
				}
			}
			if kind != tt.kind {
				t.Errorf("got one of %s", kind)
			}
		})
	}
}

func TestARuleThatIsRefusedIsToldOf(t *testing.T) {
	r := policy.Read(policyOf(spec{Clusters: remote, Ingress: append(from(peer{Selector: new("a ==")}), from(peer{Selector: new("b == 'x'")})...)}), local, policy.Last{})
	if len(r.Item.Selectors) != 1 || len(r.Base) != 1 || len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Message, "spec.ingress[0].source.selector") {
		t.Errorf("%d selectors, %d objects: %v", len(r.Item.Selectors), len(r.Base), r.Refused)
	}
}

func TestAClusterScopeThatCannotBeReadIsToldOf(t *testing.T) {
	s := spec{Clusters: v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"no label!": ""}}}}
	if r := policy.Read(policyOf(s), local, policy.Last{}); len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Message, "spec.clusters.selector") {
		t.Errorf("got %v", r.Refused)
	}
}

func TestWarningsHaveTheReasonOfTheFirst(t *testing.T) {
	for text, reason := range map[string]string{"a == 'x' && a == 'y'": v1alpha1.ReasonSelectsNothing, "has(a) || !has(a)": v1alpha1.ReasonSelectsEverything} {
		r := policy.Read(policyOf(spec{Clusters: remote, Ingress: from(peer{Selector: &text})}), local, policy.Last{})
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
			for _, n := range policy.Read(policyOf(spec{Clusters: remote, Ingress: from(tt.peer)}), local, policy.Last{}).Narrow {
				got += strings.TrimPrefix(n.Field, "spec.ingress[0].source")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhichSelectorsAreMeantToMatchSomething(t *testing.T) {
	x, sql := new("app == 'x'"), port("sql")
	for _, tt := range []struct {
		name  string
		spec  spec
		local policy.Local
		want  string
	}{
		{"the policy's own", spec{Selector: *x}, local, `spec.selector in home: (projectcalico.org/namespace == "shop" && app == "x")`},
		{"but where the local cluster is not known", spec{Selector: *x}, policy.Local{}, ""},
		{"nor all pods", spec{}, local, ""},
		{"nor all pods, said", spec{Selector: "all()"}, local, ""},
		{"nor what can match nothing", spec{Selector: "app == 'x' && app == 'y'"}, local, ""},
		{"peers", spec{Ingress: from(peer{Selector: x}), Egress: append(to(peer{Nets: []string{"10.0.0.0/8"}}), to(peer{NamespaceSelector: x})...)}, local,
			`spec.ingress[0].source.selector: (projectcalico.org/namespace == "shop" && app == "x"); spec.egress[1].destination.namespaceSelector: pcns.app == "x"`},
		{"by accounts", spec{Ingress: from(peer{ServiceAccounts: &v1alpha1.ServiceAccountMatch{Names: []string{"robot"}}})}, local,
			`spec.ingress[0].source.serviceAccounts: (projectcalico.org/namespace == "shop" && projectcalico.org/serviceaccount in {"robot"})`},
		{"what is left by notSelector", spec{Ingress: from(peer{NotSelector: x})}, local, `spec.ingress[0].source: projectcalico.org/namespace == "shop"`},
		{"a peer that can match nothing", spec{Ingress: from(peer{Selector: new("app == 'x' && app == 'y'")})}, local, ""},
		{"no rules", spec{Types: []v1alpha1.PolicyType{"Ingress"}}, local, ""},
		{"a peer's port by name", spec{Egress: tcp(to(peer{Selector: x, Ports: port("sql", 80, "web")}))}, local,
			`spec.egress[0].destination.ports TCP/sql: (projectcalico.org/namespace == "shop" && app == "x"); ` +
				`spec.egress[0].destination.ports TCP/web: (projectcalico.org/namespace == "shop" && app == "x"); ` +
				`spec.egress[0].destination.selector: (projectcalico.org/namespace == "shop" && app == "x")`},
		{"a port of the policy's own pods", spec{Ingress: tcp(rules{{Action: "Allow", Destination: &peer{Ports: sql}}})}, local,
			`spec.ingress[0].destination.ports TCP/sql in home: (projectcalico.org/namespace == "shop" && all())`},
		{"of some of them", spec{Ingress: tcp(rules{{Action: "Allow", Destination: &peer{Selector: x, Ports: sql}}})}, local,
			`spec.ingress[0].destination.ports TCP/sql in home: ((projectcalico.org/namespace == "shop" && all()) && (projectcalico.org/namespace == "shop" && app == "x"))`},
		{"where the local cluster is not known", spec{Ingress: tcp(rules{{Action: "Allow", Destination: &peer{Ports: sql}}})}, policy.Local{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Clusters = remote
			var all []string
			for _, s := range policy.Read(policyOf(tt.spec), tt.local, policy.Last{}).Sought {
				in := ""
				if s.Local != "" {
					in = " in " + s.Local
				}
				if s.Port.Name != "" {
					in = " " + s.Port.Protocol + "/" + s.Port.Name + in
				}
				all = append(all, s.Field+in+": "+s.Selector.String())
			}
			if got := strings.Join(all, "; "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

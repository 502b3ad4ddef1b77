package publish

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/endpoint/calico"
)

var (
	shopPolicy = Key{Kind: FederatedNetworkPolicy, Namespace: "n1", Name: "web"}
	ofNone     = owner{shopPolicy, ""}
)

// closing is a NetworkPolicy of no cluster: for pods, with what it allows.
func closing(name, app, selector string, from ...string) client.Object {
	p := &networkingv1.NetworkPolicy{ObjectMeta: Meta(shopPolicy, "", "n1", name, 1, 1, nil)}
	p.Annotations = map[string]string{SelectorAnnotation: selector}
	p.Spec.PodSelector.MatchLabels, p.Spec.PolicyTypes = map[string]string{"app": app}, []networkingv1.PolicyType{"Ingress"}
	for _, net := range from {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: net}}}})
	}
	return p
}

// closes are the NetworkPolicies that there are: for whom, and whether they let anything through.
func (a *api) closes() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]string{}
	for path, o := range a.objects {
		app, _, _ := unstructured.NestedString(o.Object, "spec", "podSelector", "matchLabels", "app")
		if rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "ingress"); len(rules) > 0 {
			app += " open"
		}
		all[path[strings.LastIndexByte(path, '/')+1:]] = app
	}
	return all
}

func netpolPath(name string) string {
	return "/apis/networking.k8s.io/v1/namespaces/n1/networkpolicies/" + name
}

// TestWhatIsNotWantedAnyMoreLetsNothingThrough while it has to stay, as something that is to close pods is not there, or
// nobody can say what is.
func TestWhatIsNotWantedAnyMoreLetsNothingThrough(t *testing.T) {
	const net = "192.0.2.0/24"
	edited := func(p *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(p.Object, "other", "spec", "podSelector", "matchLabels", "app")
	}
	for name, c := range map[string]struct {
		before, now []client.Object
		by          manner
		edited      string // which of those before
		refused     string // which of those now
		want        map[string]string
		then        map[string]string // when nothing stands in its way any more
	}{
		"somebody has edited what closes": {
			before: []client.Object{closing("web.closed", "web", "a"), closing("web.rules", "web", "a", net)},
			now:    []client.Object{closing("web.closed", "web", "b")}, edited: "web.closed",
			want: map[string]string{"web.closed": "other", "web.rules": "web"},
		},
		"what is to close cannot be made": {
			before: []client.Object{closing("web.closed", "web", "a"), closing("web.rules", "web", "a", net)},
			now:    []client.Object{closing("web.closed-1", "web", "b"), closing("web.rules-1", "web", "b", net)}, refused: "web.closed-1",
			want: map[string]string{"web.closed": "web", "web.rules": "web", "web.rules-1": "web open"},
			then: map[string]string{"web.closed-1": "web", "web.rules-1": "web open"},
		},
		"nobody can say whom it is to close": {
			before: []client.Object{closing("web.closed", "web", "a"), closing("web.rules", "web", "a", net)},
			by:     manner{stays: true},
			want:   map[string]string{"web.closed": "web", "web.rules": "web"},
		},
		"nor whom it closed": {
			before: []client.Object{closing("web.closed", "web", "a", net)}, edited: "web.closed",
			by:   manner{stays: true},
			want: map[string]string{"web.closed": "other"},
		},
		"all is there": {
			before: []client.Object{closing("web.closed", "web", "a"), closing("web.rules", "web", "a", net)},
			now:    []client.Object{closing("web.closed", "web", "b")},
			want:   map[string]string{"web.closed": "web"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			s := a.following(t)
			if _, err := s.write(t.Context(), ofNone, wantsOf(t, ofNone, c.before...), manner{}); err != nil {
				t.Fatal(err)
			}
			if c.edited != "" {
				a.edit(netpolPath(c.edited), s, edited)
			}
			if c.refused != "" { // it is somebody else's
				theirs := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}}
				theirs.SetName(c.refused)
				a.mu.Lock()
				a.objects[netpolPath(c.refused)] = theirs
				a.mu.Unlock()
				c.want[c.refused] = ""
			}
			now := wantsOf(t, ofNone, c.now...)
			for range 2 {
				before := a.requests()
				out, err := s.write(t.Context(), ofNone, now, c.by)
				if err != nil || (len(out.refused) > 0) != (c.refused != "" || c.edited != "" && len(now) > 0) {
					t.Errorf("refused: %q (%v)", out.refused, err)
				}
				if diff := cmp.Diff(c.want, a.closes()); diff != "" {
					t.Errorf("there is (-want +got):\n%s", diff)
				}
				if asked := a.requests() - before; asked > 6 {
					t.Errorf("%d requests are made", asked)
				}
			}
			for _, r := range s.records.of(ofNone) {
				if r.editor != "" && len(now) == 0 {
					t.Errorf("%s was edited by %s", r.ref, r.editor)
				}
			}
			if c.then == nil {
				return
			}
			a.mu.Lock()
			delete(a.objects, netpolPath(c.refused))
			a.mu.Unlock()
			if _, err := s.write(t.Context(), ofNone, now, c.by); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(c.then, a.closes()); diff != "" {
				t.Errorf("in the end there is (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAPolicyOfCalicoIsShutToo, and what cannot be reached is told.
func TestAPolicyOfCalicoIsShutToo(t *testing.T) {
	a := newAPI(t)
	s := a.following(t)
	rule := calico.Rule{Action: "Allow", Source: calico.EntityRule{Nets: []string{"192.0.2.0/24"}}}
	o, err := calico.Write(calico.NetworkPolicies, Meta(shopPolicy, "", "n1", "web", 1, 1, nil), calico.NetworkPolicySpec{Selector: "all()", Types: []string{"Ingress"}, Ingress: []calico.Rule{rule}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write(t.Context(), ofNone, wantsOf(t, ofNone, o), manner{}); err != nil {
		t.Fatal(err)
	}
	path := "/apis/projectcalico.org/v3/namespaces/n1/networkpolicies/web"
	a.failing(http.StatusForbidden, http.MethodPut, path)
	if out, err := s.write(t.Context(), ofNone, nil, manner{stays: true}); err != nil || len(out.refused) != 1 {
		t.Errorf("refused: %q (%v)", out.refused, err)
	}
	a.failing(0, "", "")
	if out, err := s.write(t.Context(), ofNone, nil, manner{stays: true}); err != nil || len(out.told()) > 0 {
		t.Errorf("refused: %q (%v)", out.told(), err)
	}
	if got := a.objects[path].Object["spec"].(map[string]any); got["ingress"] != nil || got["selector"] != "all()" || got["types"] == nil {
		t.Errorf("it is %v", got)
	}
}

// TestTheSelectorThatPodsWereClosedBy is that of all that was not edited, if it is one.
func TestTheSelectorThatPodsWereClosedBy(t *testing.T) {
	for name, c := range map[string]struct {
		objects []client.Object
		edited  []string
		want    string
		kinds   int
	}{
		"nothing is there":           {},
		"there is one":               {objects: []client.Object{closing("web.closed", "web", "a"), closing("web.rules", "web", "a")}, want: "a", kinds: 2},
		"it was edited in part":      {objects: []client.Object{closing("web.closed", "web", "a"), closing("web.rules", "web", "a")}, edited: []string{"web.rules"}, want: "a", kinds: 2},
		"all was edited":             {objects: []client.Object{closing("web.closed", "web", "a")}, edited: []string{"web.closed"}, kinds: 1},
		"there are two":              {objects: []client.Object{closing("web.closed", "web", "a"), closing("web.closed-1", "web", "b")}, kinds: 2},
		"it is not where it belongs": {objects: []client.Object{func() client.Object { o := closing("web.closed", "web", "a"); o.SetNamespace("n2"); return o }()}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			s := a.following(t)
			all := wantsOf(t, ofNone, c.objects...)
			for _, w := range all {
				w.object.SetOwnerReferences([]metav1.OwnerReference{{Kind: FederatedNetworkPolicy, Name: "web", UID: "u"}})
			}
			if _, err := s.write(t.Context(), ofNone, all, manner{}); err != nil {
				t.Fatal(err)
			}
			for _, name := range c.edited {
				a.edit(netpolPath(name), s, func(o *unstructured.Unstructured) {
					o.SetAnnotations(merged(o.GetAnnotations(), nil, map[string]string{SelectorAnnotation: "theirs"}))
				})
			}
			if got, kinds := s.Closing(shopPolicy, "u"); got != c.want || len(kinds) != c.kinds {
				t.Errorf("got %q of %v", got, kinds)
			}
			if got, kinds := s.Closing(shopPolicy, "another"); got != "" || len(kinds) > 0 {
				t.Errorf("of another policy of the name it is %q of %v", got, kinds)
			}
		})
	}
}

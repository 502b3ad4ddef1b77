package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/internal/kinds"
)

// runAlone runs a command where the API server has some objects, and no cluster answers.
func runAlone(t *testing.T, objects []client.Object, args ...string) outcome {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	var held []runtime.Object
	for _, o := range objects {
		if lease, ok := o.(*coordinationv1.Lease); ok {
			held = append(held, lease)
		}
	}
	var out, stderr bytes.Buffer
	d := &deps{
		out: &out, err: &stderr, in: strings.NewReader(""), clock: clocktesting.NewFakeClock(now),
		connect: func(string, string) (*cluster, error) {
			return &cluster{Client: c, Config: &rest.Config{}, Kube: kubefake.NewClientset(held...)}, nil
		},
	}
	code := d.run(t.Context(), args)
	return outcome{out.String(), stderr.String(), code}
}

// A manager with --management-only leaves the local cluster out of the fleet, and makes rules for its pods all the same.
func TestThatNobodyKnowsWhichPodsAPolicyIsForIsAGap(t *testing.T) {
	p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: v1alpha1.FederatedNetworkPolicySpec{
		Selector: "app == 'web'", Target: v1alpha1.TargetCalico, Clusters: v1alpha1.ClusterScope{Local: true},
		Ingress: []v1alpha1.FederatedRule{{Action: "Allow"}},
	}}
	got := runAlone(t, []client.Object{p}, "hawser", "policy", "explain", "shop/web", "--from", "self", "-o", "json")
	var x PolicyExplained
	if err := json.Unmarshal([]byte(got.Out), &x); err != nil {
		t.Fatalf("%v\n%s", err, got.Err)
	}
	want := "The following problems were encountered\nwhich may have resulted in incomplete data:\n" +
		"-  the local cluster: it is not in the fleet, and so has no endpoints: which pods the policy is for cannot be told\n"
	if diff := cmp.Diff(want, got.Err); diff != "" || got.Code != exitFailed {
		t.Errorf("exit code %d (-want +got)\n%s", got.Code, diff)
	}
	if len(x.Gaps) != 1 || x.Gaps[0].Object != "the local cluster" || x.Gaps[0].Reason != endpoint.ReasonNotConnected {
		t.Errorf("for programs it says %+v", x.Gaps)
	}
}

// Partial is never silent: what Complete says of the object is said to whoever asks, too.
func TestClustersThatAreNamedAndAreNotThereAreGaps(t *testing.T) {
	scope := v1alpha1.ClusterScope{Names: []string{"nosuch"}}
	objects := []client.Object{
		&v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.EndpointSetSpec{Selector: "app == 'web'", Clusters: scope}},
		&v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: v1alpha1.FederatedNetworkPolicySpec{Selector: "app == 'web'", Clusters: scope}},
	}
	for _, args := range [][]string{{"endpoints", "set", "web"}, {"policy", "explain", "shop/web"}} {
		got := runAlone(t, objects, append(append([]string{"hawser"}, args...), "--from", "self", "-o", "json")...)
		wantText(t, "stderr", got.Err, "-  RemoteCluster(nosuch): there is no RemoteCluster of this name\n")
		var a Answered
		if err := json.Unmarshal([]byte(got.Out), &a); err != nil {
			t.Fatal(err)
		}
		if got.Code != exitFailed || len(a.Gaps) == 0 || a.Gaps[len(a.Gaps)-1].Cluster != "nosuch" || a.Gaps[len(a.Gaps)-1].Reason != v1alpha1.ReasonClustersMissing {
			t.Errorf("%s: exit code %d, and for programs %+v", args, got.Code, a.Gaps)
		}
	}
}

func TestClustersThatAreAbsent(t *testing.T) {
	home := v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "home"}, Spec: v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{Type: v1alpha1.AuthInCluster}}}
	fleet := contributors{clusters: append(named("alpha"), home), leaving: named("beta"), local: policy.Local{Name: "home"}}
	for name, test := range map[string]struct {
		fleet contributors
		scope v1alpha1.ClusterScope
		want  []string
	}{
		"none":                        {fleet, v1alpha1.ClusterScope{Local: true, Names: []string{"alpha", "home"}}, nil},
		"one that is being deleted":   {fleet, v1alpha1.ClusterScope{Names: []string{"alpha", "beta"}}, []string{"beta: it is being deleted"}},
		"all, and one leaves":         {fleet, v1alpha1.ClusterScope{All: true}, []string{"beta: it is being deleted"}},
		"one that nobody knows":       {fleet, v1alpha1.ClusterScope{Names: []string{"alpha", "gone"}}, []string{"gone: there is no RemoteCluster of this name"}},
		"the local one by its name":   {fleet, v1alpha1.ClusterScope{Names: []string{"alpha", "home"}}, []string{"home: it is the local cluster, which is taken by clusters.local: true alone"}},
		"the local one is not there":  {contributors{clusters: named("alpha")}, v1alpha1.ClusterScope{Local: true, All: true}, []string{"the local cluster: the local cluster is not in the fleet, so that nobody follows it: the manager runs with --management-only"}},
		"nothing is selected":         {fleet, v1alpha1.ClusterScope{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}}, []string{"It: no cluster is selected by spec.clusters"}},
		"nothing is there to be seen": {contributors{}, v1alpha1.ClusterScope{All: true}, []string{"It: no cluster is selected by spec.clusters"}},
	} {
		var got []string
		for _, g := range test.fleet.absent("It", test.scope) {
			got = append(got, g.Cluster+g.Object+": "+g.Message)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// What only rendering can refuse is in the status alone, and no rule is said to match as if nothing were.
func TestWhatTheManagerCouldNotMakeOfAPolicyIsAGap(t *testing.T) {
	const title = "FederatedNetworkPolicy(shop/web)"
	const why = "spec.ingress[0].source.notSelector: it takes pod shop/front away by the address alone"
	said := "home: " + why
	gap := query.Gap{Object: title, Reason: v1alpha1.ReasonOutputsRefused, Message: "home: spec.ingress[0].source.notSelector (inbound rule 1): it takes pod shop/front away by the address alone"}
	ready := func(status metav1.ConditionStatus, reason, message string, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.Ready, Status: status, Reason: reason, Message: message, ObservedGeneration: generation}}
	}
	refused := func(generation int64) []v1alpha1.FederatedCluster {
		return []v1alpha1.FederatedCluster{{Name: "home", ObservedGeneration: generation, Refused: []string{why}}}
	}
	for name, test := range map[string]struct {
		source string // the selector of the rule
		status v1alpha1.FederationStatus
		want   []query.Gap
	}{
		"a rule that allows no local pod":            {"app == 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonOutputsRefused, said, 2), Clusters: refused(2)}, []query.Gap{gap}},
		"the same of another generation":             {"app == 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonOutputsRefused, said, 1), Clusters: refused(1)}, nil},
		"nothing is refused":                         {"app == 'web'", v1alpha1.FederationStatus{Conditions: ready("True", v1alpha1.ReasonWritten, "3 objects of 1 clusters are written", 2)}, nil},
		"nobody knows yet":                           {"app == 'web'", v1alpha1.FederationStatus{Conditions: ready("Unknown", v1alpha1.ReasonPending, "waiting for home", 2)}, nil},
		"no manager has seen it":                     {"app == 'web'", v1alpha1.FederationStatus{}, nil},
		"what reading it tells":                      {"app = 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonSelectorInvalid, "spec.ingress[0].source.selector: parsing", 2)}, nil},
		"what reading it tells, and what it cannot":  {"app = 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonSelectorInvalid, "spec.ingress[0].source.selector: parsing\n"+said, 2), Clusters: refused(2)}, []query.Gap{gap}},
		"what reading it tells, and what was before": {"app = 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonSelectorInvalid, "spec.ingress[0].source.selector: parsing\n"+said, 2), Clusters: refused(1)}, nil},
		"what only the manager could read":           {"app == 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonSpecInvalid, "reading spec.clusters:\nno cluster", 2)}, []query.Gap{{Object: title, Reason: v1alpha1.ReasonSpecInvalid, Message: "reading spec.clusters: no cluster"}}},
		"nobody asked its author":                    {"app == 'web'", v1alpha1.FederationStatus{Conditions: ready("False", v1alpha1.ReasonAuthorUnasked, "nothing new is made", 2), Clusters: refused(2)}, []query.Gap{gap}},
	} {
		p := &v1alpha1.FederatedNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 2}, Status: test.status}
		p.Spec.Clusters, p.Spec.Ingress = v1alpha1.ClusterScope{Local: true}, []v1alpha1.FederatedRule{{Action: "Allow", Source: &v1alpha1.FederatedPeer{Selector: &test.source}}}
		read, _ := readPolicy(p, policy.Local{Name: "home"})
		if diff := cmp.Diff(test.want, read.Withheld); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

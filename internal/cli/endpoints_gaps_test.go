package cli

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/policy"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

func TestWhatIsMissingIsToldByWhoDecidedIt(t *testing.T) {
	then := &metav1.Time{Time: time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)}
	const said = "The following problems were encountered connecting to the remote clusters\nwhich may have resulted in incomplete data:\n"
	off := []query.Gap{
		{Cluster: "alpha", Reason: endpoint.ReasonDisabled, Message: "spec.disabled of its RemoteCluster is true"},
		{Cluster: "alpha", Reason: query.ReasonStale, Message: "it is not followed since then", Since: then},
	}
	mute := query.Gap{Cluster: "beta", Reason: endpoint.ReasonNoCapability, Message: "it lacks endpoints"}
	stale := query.Gap{Cluster: "gamma", Reason: query.ReasonStale, Message: "it is not followed since then", Since: then}
	var many []query.Gap
	for i := range 30 {
		many = append(many, query.Gap{Cluster: fmt.Sprintf("c-%02d", i), Reason: endpoint.ReasonNoCapability})
	}
	for _, test := range []struct {
		name  string
		gaps  []query.Gap
		named []string
		want  string
		fails bool
	}{
		{"nothing", nil, nil, "", false},
		{"what was decided", append(slices.Clone(off), mute), []string{""},
			"Note: disabled, and so not asked: alpha (known until 2026-11-21T15:00:00Z)\nNote: without the capability endpoints, and so not asked: beta\n", false},
		{"the same, asked for by name", append(slices.Clone(off), mute), []string{"alpha", "beta"}, said +
			"-  RemoteCluster(alpha): it is not followed since then\n-  RemoteCluster(alpha): spec.disabled of its RemoteCluster is true\n-  RemoteCluster(beta): it lacks endpoints\n", true},
		{"what was decided beside what was not", append(slices.Clone(off), stale, query.Gap{Replica: "hawser-0", Message: "it does not answer"}, query.Gap{Message: "of nobody", Count: 2}), nil,
			"Note: disabled, and so not asked: alpha (known until 2026-11-21T15:00:00Z)\n" + said +
				"-  Manager(hawser-0): it does not answer\n-  RemoteCluster(gamma): it is not followed since then\n-  of nobody (2)\n", true},
		{"what is the matter with an object alone", []query.Gap{{Object: "Service(shop/db)", Message: "it cannot be read"}}, nil,
			"The following problems were encountered\nwhich may have resulted in incomplete data:\n-  Service(shop/db): it cannot be read\n", true},
		{"something else of a cluster that is disabled", append(slices.Clone(off), query.Gap{Cluster: "alpha", Reason: endpoint.ReasonDuplicate, Message: "twice"}), nil,
			"Note: disabled, and so not asked: alpha (known until 2026-11-21T15:00:00Z)\n" + said + "-  RemoteCluster(alpha): twice\n", true},
		{"words of a cluster that lies", []query.Gap{{Cluster: "alpha", Message: "pod a\x1b[2J\nb\u202e"}}, nil, said + "-  RemoteCluster(alpha): pod a?[2J b?\n", true},
		{"many", many, nil, "Note: without the capability endpoints, and so not asked: " +
			"c-00, c-01, c-02, c-03, c-04, c-05, c-06, c-07, c-08, c-09, c-10, c-11, c-12, c-13, c-14, c-15, c-16, c-17, c-18, c-19, and 10 more\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			d := &deps{err: &stderr}
			err := d.tellGaps(test.gaps, test.named...)
			if diff := cmp.Diff(test.want, stderr.String()); diff != "" || (err != nil) != test.fails {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

// With --shards nobody follows what is disabled.
func TestClustersThatNobodyAnswersFor(t *testing.T) {
	cluster := func(name string, edit func(*v1alpha1.RemoteClusterSpec)) v1alpha1.RemoteCluster {
		rc := v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		rc.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
		edit(&rc.Spec)
		return rc
	}
	got := map[string]string{}
	for _, g := range unheard(query.Answer{Clusters: []query.Cluster{{Name: "heard"}}}, []v1alpha1.RemoteCluster{
		cluster("heard", func(*v1alpha1.RemoteClusterSpec) {}), cluster("lost", func(*v1alpha1.RemoteClusterSpec) {}),
		cluster("off", func(s *v1alpha1.RemoteClusterSpec) { s.Disabled = true }),
		cluster("mute", func(s *v1alpha1.RemoteClusterSpec) { s.Capabilities = nil }),
		cluster("home", func(s *v1alpha1.RemoteClusterSpec) { s.Capabilities, s.Auth.Type = nil, v1alpha1.AuthInCluster }),
	}) {
		got[g.Cluster] = g.Reason
	}
	want := map[string]string{"lost": query.ReasonNotAnswered, "off": endpoint.ReasonDisabled, "mute": endpoint.ReasonNoCapability, "home": query.ReasonNotAnswered}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A network set may have the name of a pod.
func TestPodsAreAskedForAlone(t *testing.T) {
	pods, err := podsOf("shop")
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]string{selector.NamespaceLabel: "shop"}
	if pods.MatchMap(in) {
		t.Error("it asks for network sets, too")
	}
	in["projectcalico.org/orchestrator"] = "k8s"
	if !pods.MatchMap(in) {
		t.Error("it does not ask for pods")
	}
	if _, err := podsOf(`a"b'c`); err == nil {
		t.Error("it takes what cannot be written in a selector")
	}
}

// Who checks before the manager runs compares with the local cluster, too.
func TestTheLocalClusterIsCheckedWhereItIsNotInTheFleet(t *testing.T) {
	for name, test := range map[string]struct {
		fleet contributors
		want  []string
	}{
		"it is":           {contributors{local: policy.Local{Name: "home"}, clusters: named("alpha", "home")}, []string{"alpha", "home"}},
		"it is not":       {contributors{name: "home", clusters: named("alpha")}, []string{"alpha", "home*"}},
		"without a name":  {contributors{clusters: named("alpha")}, []string{"alpha", "local*"}},
		"a name is taken": {contributors{name: "alpha", clusters: named("alpha")}, []string{"alpha", "alpha-local*"}},
	} {
		test.fleet.addLocal()
		var got []string
		for _, rc := range test.fleet.clusters {
			if rc.IsLocal() {
				rc.Name += "*"
			}
			got = append(got, rc.Name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func named(names ...string) (all []v1alpha1.RemoteCluster) {
	for _, name := range names {
		all = append(all, v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return all
}

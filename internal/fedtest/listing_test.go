package fedtest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// A false oracle finds false differences: labels are as docs/endpoints.md has them.
func TestTheLabelsThatSelectorsSee(t *testing.T) {
	own := map[string]string{
		"app": "web", "pcns.team": "lies", "pcsa.trust": "lies", "projectcalico.org/namespace": "lies", "projectcalico.org/orchestrator": "lies",
		"hawser.io/cluster": "lies", "hawser.io/cluster-id": "lies", "projectcalico.org/foo": "own", "hawser.io/bar": "own",
	}
	c := &Cluster{Name: "alpha", CIDRs: []string{"10.0.0.0/8"}, Kube: fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "id"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"team": "a", "projectcalico.org/name": "lies"}}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot", Labels: map[string]string{"trust": "high"}}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Labels: own}, Spec: corev1.PodSpec{NodeName: "n", ServiceAccountName: "robot"},
			Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"zone": "z"}},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.9"}}}},
	)}
	w, err := Look(t.Context(), []*Cluster{c}, netip.MustParseAddr("10.0.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, one := range w.things[c] {
		got[one.name] = one.all
	}
	want := map[string]map[string]string{
		"web": {
			"app": "web", "projectcalico.org/foo": "own", "hawser.io/bar": "own", "hawser.io/cluster": "alpha", "hawser.io/cluster-id": "id", "projectcalico.org/orchestrator": "k8s",
			"projectcalico.org/namespace": "shop", "pcns.team": "a", "pcns.projectcalico.org/name": "shop",
			"projectcalico.org/serviceaccount": "robot", "pcsa.trust": "high", "pcsa.projectcalico.org/name": "robot",
		},
		"n": {"zone": "z", "hawser.io/cluster": "alpha", "hawser.io/cluster-id": "id"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, test := range []struct {
		side Side
		want []string
	}{
		{Side{Namespace: new(Everything())}, []string{"web"}},
		{Side{Namespace: new(Is("projectcalico.org/name", "shop"))}, []string{"web"}},
		{Side{Namespace: new(Not(Has("team")))}, []string{"n"}},
		{Side{Namespace: new(Not(Has("gone"))), Account: new(Everything())}, []string{"n", "web"}},
		{Side{Global: true}, []string{"n"}},
	} {
		var got []string
		for _, one := range w.things[c] {
			if test.side.matches(one, "elsewhere") {
				got = append(got, one.name)
			}
		}
		if diff := cmp.Diff(test.want, got, cmp.Transformer("sorted", func(all []string) map[string]bool {
			set := map[string]bool{}
			for _, name := range all {
				set[name] = true
			}
			return set
		})); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", *test.side.peer(), diff)
		}
	}
}

// What is told of a text that is no range is told in words.
func TestWhatIsNoRangeIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		"nonsense":    `which is no range: netip.ParsePrefix("nonsense")`,
		"10.0.0.1/24": "which is the range 10.0.0.0/24 with an address of it",
	} {
		_, err := NewWritten("ConfigMap", metav1.ObjectMeta{Namespace: "shop", Name: "web"}, []string{text}).Prefixes()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%!") {
			t.Errorf("of %q it says %v, want %q", text, err, want)
		}
	}
}

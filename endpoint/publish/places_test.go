package publish

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/endpoint/calico"
)

// TestWhatAnObjectSaysOfItselfIsBelievedWhereTheItemHasObjectsAlone: anybody who may write in some namespace may give one
// there the labels of any item.
func TestWhatAnObjectSaysOfItselfIsBelievedWhereTheItemHasObjectsAlone(t *testing.T) {
	configMap := corev1.SchemeGroupVersion.WithKind("ConfigMap").GroupKind()
	policy, set := Key{Kind: FederatedNetworkPolicy, Namespace: "shop", Name: "web"}, Key{Kind: EndpointSet, Name: "web"}
	outputs := []Place{{configMap, "data"}, {calico.GlobalNetworkSets.GVK().GroupKind(), ""}}
	for name, c := range map[string]struct {
		of        Key
		kind      schema.GroupKind
		namespace string
		want      bool
	}{
		"a NetworkPolicy of a policy":                {policy, aPolicy, "shop", true},
		"one in another namespace":                   {policy, aPolicy, "dev", false},
		"a ConfigMap beside a policy":                {policy, configMap, "shop", false},
		"a GlobalNetworkSet of a policy":             {policy, calico.GlobalNetworkSets.GVK().GroupKind(), "", true},
		"a ClusterNetworkPolicy of a policy":         {policy, calico.ClusterNetworkPolicies.GVK().GroupKind(), "", true},
		"a CIDR group of a policy":                   {policy, calico.CIDRGroups.GVK().GroupKind(), "", false},
		"an output of a set":                         {set, configMap, "data", true},
		"the kind of an output, somewhere else":      {set, configMap, "dev", false},
		"another kind where a set has an output":     {set, aPolicy, "data", false},
		"a GlobalNetworkSet, which is an output":     {set, calico.GlobalNetworkSets.GVK().GroupKind(), "", true},
		"a CIDR group, which is none of the outputs": {set, calico.CIDRGroups.GVK().GroupKind(), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, newClock(), nil)
			at := owner{c.of, p.at.cluster}
			item := &live{Item: Item{Key: c.of, Places: outputs}}
			item.Owner.UID = "u"
			r := &record{ref: ref{c.kind, c.namespace, "web-a"}, key: c.of, cluster: "a", owners: []metav1.OwnerReference{{UID: "u"}}, annotations: map[string]string{
				PiecesAnnotation: "8", SelectorAnnotation: "all()", ExpiredAnnotation: "true", StaleSinceAnnotation: "1970-01-01T00:00:00Z"}}
			p.objects.records.hold(r)
			pieces := p.request(item, at, p.state, false).Pieces("web")
			left := p.restore(at, item)
			last := p.objects.LastSelector(c.of, "u", nil, outputs...)
			if got := pieces == 8; got != c.want {
				t.Errorf("there are %d pieces", pieces)
			}
			if got := left.Expired && !left.Since.IsZero(); got != c.want {
				t.Errorf("it was left as %+v", left)
			}
			if got := last == "all()"; got != c.want {
				t.Errorf("the last selector is %q", last)
			}
			if _, swept := p.objects.records.of(at)[r.ref]; !swept {
				t.Error("it is not swept")
			}
		})
	}
}

func TestANumberOfPiecesThatNobodyCanHaveWrittenCountsForNothing(t *testing.T) {
	for text, want := range map[string]int{"": 1, "x": 1, "-3": 1, "0": 1, "4": 4, "4096": 4096, "4097": 1, "9223372036854775807": 1, "9223372036854775808": 1} {
		p := begin(t, newClock(), nil, &record{ref: ref{aPolicy, "shop", "web.peers-a"}, annotations: map[string]string{PiecesAnnotation: text}})
		if got := p.request(p.items[p.at.key], p.at, p.state, false).Pieces("web.peers"); got != want {
			t.Errorf("%q are %d", text, got)
		}
	}
}

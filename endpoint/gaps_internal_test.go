package endpoint

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/index"
)

// What a cluster that lies says stands in the status of every object that selects it, and is bounded there.
func TestGapsAreShortWhateverAClusterSays(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	s := State{
		Synced: true,
		Faults: map[string]Fault{"pods": {Err: &apierrors.StatusError{ErrStatus: metav1.Status{Code: 500, Reason: metav1.StatusReason(long), Message: long}}}},
		Refused: map[string]Refused{
			ReasonOutside:    {Count: 1, Address: "10.5.0.1", Of: index.ID{Kind: index.Pod, Namespace: long, Name: long}},
			ReasonUnreadable: {Count: 1, Address: quoted(long), Of: index.ID{Kind: index.Node, Name: "node-1"}},
		},
	}
	for _, g := range append(s.gaps(), DuplicateGaps([]Duplicate{{Of: []Owner{
		{Cluster: "a", ID: index.ID{Name: long}}, {Cluster: "b", ID: index.ID{Name: long}},
	}}})["a"]) {
		if len(g.Message) > 1024 {
			t.Errorf("%s is told in %d bytes", g.Reason, len(g.Message))
		}
		if g.Reason == ReasonUnreadable && g.Message != `addresses that cannot be read, as "`+long[:64]+`"… of node node-1` {
			t.Errorf("it is told as %s", g.Message)
		}
	}
	if name := strings.Repeat("n", 253); !strings.HasSuffix(State{Synced: true, Refused: map[string]Refused{ReasonOutside: {Address: "10.5.0.1", Of: index.ID{Kind: index.Pod, Namespace: "shop", Name: name}}}}.gaps()[0].Message, " of pod shop/"+name) {
		t.Error("a name that Kubernetes allows is not told whole")
	}
}

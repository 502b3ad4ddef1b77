package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/query"
)

func TestAClusterIsNamedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"of a pod":          {[]string{"explain", "alpha/shop/web", "--cluster", "alpha"}, `hawser: "alpha/shop/web" names its cluster: without --cluster` + "\nSee `hawser endpoints explain --help`.\n"},
		"of a host":         {[]string{"host", "alpha/node-1", "--cluster", "beta"}, `hawser: "alpha/node-1" names its cluster: without --cluster` + "\nSee `hawser endpoints host --help`.\n"},
		"of what is no pod": {[]string{"explain", "alpha/shop/web/x", "--cluster", "alpha"}, `hawser: "alpha/shop/web/x" is no pod: write NAMESPACE/POD, or CLUSTER/NAMESPACE/POD` + "\nSee `hawser endpoints explain --help`.\n"},
	} {
		got := runWith(t, nil, append([]string{"hawser", "endpoints"}, test.args...)...)
		if diff := cmp.Diff(outcome{Err: test.want, Code: exitUsage}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// Of a cluster that could not be asked nobody knows what there is.
func TestWhatIsNotKnownIsNotSaidToBeMissing(t *testing.T) {
	dead := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "dead"}, Spec: v1alpha1.RemoteClusterSpec{
		Server: "https://127.0.0.1:1", Auth: v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}, Capabilities: []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}, EndpointCIDRs: []string{"10.6.0.0/16"},
	}}
	for what, args := range map[string][]string{
		"endpoint dead/shop/web":       {"endpoints", "explain", "dead/shop/web"},
		"endpoint on host dead/node-1": {"endpoints", "host", "dead/node-1"},
	} {
		got := runAlone(t, []client.Object{dead}, append(append([]string{"hawser"}, args...), "--from", "self")...)
		wantText(t, "stderr", got.Err, "-  RemoteCluster(dead): connection to remote cluster failed: ", "\nwhether there is an "+what+` in cluster "dead" is not known: the cluster could not be asked`+"\n")
		if got.Code != exitFailed || strings.Contains(got.Err, "there is no endpoint") {
			t.Errorf("exit code %d: %s", got.Code, got.Err)
		}
	}
	a := query.Answer{Clusters: []query.Cluster{{Name: "well", Synced: true}, {Name: "old", Synced: true, StaleSince: &metav1.Time{Time: time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)}}, {Name: "young"}}}
	pod := wanted{"shop/web", "endpoint shop/web", "a pod counts"}
	for cluster, want := range map[string]string{
		"well":  `there is no endpoint shop/web in cluster "well": a pod counts`,
		"old":   `whether there is an endpoint shop/web in cluster "old" is not known: there was none when it was heard of last, at 2026-11-21T15:00:00Z`,
		"young": `whether there is an endpoint shop/web in cluster "young" is not known: the cluster could not be asked`,
		"gone":  `whether there is an endpoint shop/web in cluster "gone" is not known: the cluster could not be asked`,
	} {
		if diff := cmp.Diff(want, pod.missing(cluster, a)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestASelectorThatIsHardlyMeantIsWarnedOf(t *testing.T) {
	for text, want := range map[string]string{
		"app == 'web' && app == 'x'": "Warning: (app == \"web\" && app == \"x\") matches nothing, whatever the labels are\n",
		"!all()":                     "Warning: !all() matches nothing, whatever the labels are\n",
		"a != 'x' || a != 'y'":       "Warning: (a != \"x\" || a != \"y\") matches everything, whatever the labels are: if that is meant, write all()\n",
		"all()":                      "",
		"app == 'web'":               "",
	} {
		got := runAlone(t, nil, "hawser", "endpoints", "eval", text, "--from", "self")
		if diff := cmp.Diff(want, got.Err); diff != "" || got.Code != exitOK {
			t.Errorf("%s: exit code %d (-want +got)\n%s", text, got.Code, diff)
		}
	}
}

func TestWhatReplicasSayIsToldApart(t *testing.T) {
	long := errors.New("asking pod hawser-0:\n" + strings.Repeat("x", 1000))
	got := together([]error{long, errors.New("asking pod hawser-1: no"), errors.New("asking pod hawser-2: no"), errors.New("asking pod hawser-3: no")}).Error()
	if len(got) > 450 || !strings.HasPrefix(got, "asking pod hawser-0: xxx") || !strings.HasSuffix(got, "; asking pod hawser-1: no; asking pod hawser-2: no; and 1 more") {
		t.Error(got)
	}
}

package clusterprofile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

var (
	day   = metav1.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	early = "2026-01-01T00:00:00Z"
	now   = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	late  = "2026-01-02T00:00:00Z"
)

func remoteCluster(change ...func(*v1alpha1.RemoteCluster)) *v1alpha1.RemoteCluster {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha", CreationTimestamp: day}}
	rc.Spec.Server, rc.Spec.CAData, rc.Spec.Auth.Type = "https://alpha:6443", "UEVN", v1alpha1.AuthBearerToken
	rc.Status.ClusterID, rc.Status.ClusterProperty, rc.Status.KubernetesVersion = "uid", "alpha.example.com", "v1.36.3"
	rc.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.Reachable, Status: metav1.ConditionTrue, Reason: "Answering", Message: "it answers", LastTransitionTime: day},
		{Type: v1alpha1.Ready, Status: metav1.ConditionFalse, Reason: "MissingVerbs", Message: "it may not", LastTransitionTime: day},
	}
	for _, f := range change {
		f(rc)
	}
	return rc
}

// published is the status for remoteCluster(), all of it observed at a time.
func published(at string) object {
	return object{
		"conditions": []any{
			object{"type": "ControlPlaneHealthy", "status": "True", "reason": "Answering", "message": "it answers", "lastTransitionTime": early},
			object{"type": "Joined", "status": "False", "reason": "MissingVerbs", "message": "it may not", "lastTransitionTime": early},
		},
		"version": object{"kubernetes": "v1.36.3"},
		"properties": []any{
			object{"name": "cluster.clusterset.k8s.io", "value": "alpha.example.com", "lastObservedTime": at},
			object{"name": "hawser.io/cluster-id", "value": "uid", "lastObservedTime": at},
		},
		"accessProviders": []any{object{"name": "hawser", "cluster": object{
			"server": "https://alpha:6443", "certificate-authority-data": "UEVN",
			"extensions": []any{object{"name": "client.authentication.k8s.io/exec", "extension": object{"clusterName": "alpha"}}},
		}}},
	}
}

func with(status object, change func(object)) object {
	change(status)
	return status
}

func TestTheStatusThatIsPublished(t *testing.T) {
	list := func(status object, field string) []any { return status[field].([]any) }
	long := strings.Repeat("ä", 1025)
	cases := []struct {
		name string
		rc   *v1alpha1.RemoteCluster
		have object
		want object
		left string
	}{
		{name: "a new one gets all of it", rc: remoteCluster(), want: published(late)},
		{name: "the same again is nothing to write", rc: remoteCluster(), have: published(early), want: published(early)},
		{name: "with a change all of it is observed anew", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Status.KubernetesVersion = "v1.37.0" }), have: published(early),
			want: with(published(late), func(s object) { s["version"] = object{"kubernetes": "v1.37.0"} })},
		{name: "of one that was never probed not much is known", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Status = v1alpha1.RemoteClusterStatus{} }),
			want: with(published(late), func(s object) {
				delete(s, "version")
				delete(s, "properties")
				for _, c := range list(s, "conditions") {
					c.(object)["status"], c.(object)["reason"], c.(object)["message"] = "Unknown", "NotProbed", "not probed yet"
				}
			})},
		{name: "what others added stays", rc: remoteCluster(), have: object{
			"conditions":      []any{object{"type": "AllNodesHealthy", "status": "True"}, object{"type": "Joined", "status": "True"}},
			"properties":      []any{object{"name": "topology.kubernetes.io/region", "value": "north"}},
			"accessProviders": []any{object{"name": "cloud", "cluster": object{"server": "https://cloud"}}},
			"another":         "field",
		}, want: with(published(late), func(s object) {
			c := list(s, "conditions")
			s["conditions"] = []any{object{"type": "AllNodesHealthy", "status": "True"}, c[1], c[0]}
			s["properties"] = append([]any{object{"name": "topology.kubernetes.io/region", "value": "north"}}, list(s, "properties")...)
			s["accessProviders"] = append([]any{object{"name": "cloud", "cluster": object{"server": "https://cloud"}}}, list(s, "accessProviders")...)
			s["another"] = "field"
		})},
		{name: "what was ours and is no more goes", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) {
			rc.Status.ClusterProperty = ""
			rc.Spec.Server, rc.Spec.CAData, rc.Spec.Auth.Type = "", "", v1alpha1.AuthKubeconfig
		}), have: published(early), want: with(published(late), func(s object) {
			s["properties"] = list(s, "properties")[1:]
			delete(s, "accessProviders")
		}), left: "accessProviders: auth.type kubeconfig keeps the address of the cluster to itself"},
		{name: "a member of a ClusterSet says so", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Status.ClusterSet = "prod" }), have: published(early),
			want: with(published(late), func(s object) {
				s["properties"] = append(list(s, "properties"), object{"name": "clusterset.k8s.io", "value": "prod", "lastObservedTime": late})
			})},
		{name: "one that has left says so no more", rc: remoteCluster(), have: with(published(early), func(s object) {
			s["properties"] = append(list(s, "properties"), object{"name": "clusterset.k8s.io", "value": "prod", "lastObservedTime": early})
		}), want: published(late)},
		{name: "a value that is too long is left out, and said", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Status.ClusterProperty = long }),
			want: with(published(late), func(s object) { s["properties"] = list(s, "properties")[1:] }),
			left: "property cluster.clusterset.k8s.io has 1025 characters, and a ClusterProfile takes 1024"},
		{name: "the longest that fits is published", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.Status.ClusterProperty = strings.Repeat("ä", 1024) }),
			want: with(published(late), func(s object) { list(s, "properties")[0].(object)["value"] = strings.Repeat("ä", 1024) })},
		{name: "a tunnel is described", rc: remoteCluster(func(rc *v1alpha1.RemoteCluster) {
			rc.Spec.TLSServerName, rc.Spec.ProxyURL = "alpha.internal", "socks5://proxy:1080"
		}), want: with(published(late), func(s object) {
			c := list(s, "accessProviders")[0].(object)["cluster"].(object)
			c["tls-server-name"], c["proxy-url"] = "alpha.internal", "socks5://proxy:1080"
		})},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got, left := statusFor(tc.rc, tc.have, now)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the status (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.left, strings.Join(left, "; ")); diff != "" {
				t.Errorf("what is left out (-want +got):\n%s", diff)
			}
			again, _ := statusFor(tc.rc, got, now.Add(time.Hour))
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("it would be written again and again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoseClusterProfileItIs(t *testing.T) {
	rc := remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.UID = "1" })
	ours := newProfile(rc, "fleet", "hawser")
	if !isOurs(ours, "alpha", "hawser") || !isOf(ours, rc) || ours.GetName() != "hawser-alpha" {
		t.Errorf("got %v", ours.Object)
	}
	anew := remoteCluster(func(rc *v1alpha1.RemoteCluster) { rc.UID = "2" })
	if isOf(ours, anew) {
		t.Error("one made anew under the name has another")
	}
	for name, change := range map[string]func(){
		"of another manager": func() { ours.Object["spec"] = object{"clusterManager": object{"name": "other"}} },
		"of another RemoteCluster": func() {
			ours.SetLabels(map[string]string{v1alpha1.ManagedByLabel: "hawser", v1alpha1.RemoteClusterLabel: "beta"})
		},
		"of nobody": func() { ours.SetLabels(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			ours = newProfile(rc, "fleet", "hawser")
			change()
			if isOurs(ours, "alpha", "hawser") {
				t.Error("it is taken for ours")
			}
		})
	}
}

func TestTheBudget(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(now)
	b := budget{clock: clock}
	for i := range 10 {
		if wait := b.take("a"); wait != 0 {
			t.Fatalf("write %d has to wait for %s", i, wait)
		}
	}
	for range 3 { // to ask again costs nothing
		if wait := b.take("a"); wait != 30*time.Second {
			t.Errorf("after ten in a row the next may come after %s", wait)
		}
	}
	if wait := b.take("b"); wait != 0 {
		t.Errorf("another one has to wait for %s", wait)
	}
	clock.SetTime(now.Add(30 * time.Second))
	if wait := b.take("a"); wait != 0 {
		t.Errorf("half a minute later it has to wait for %s", wait)
	}
	if wait := b.take("a"); wait != 30*time.Second {
		t.Errorf("and then for %s", wait)
	}
	b.forget("a")
	if wait := b.take("a"); wait != 0 {
		t.Errorf("one made anew has to wait for %s", wait)
	}
}

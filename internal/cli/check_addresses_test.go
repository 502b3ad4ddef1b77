package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/calico"
	"github.com/hawser-io/hawser/endpoint/ranges"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
)

// checkAddresses looks at clusters whose ranges collide, at words that one lacks, and at pools of Calico.
func (f *field) checkAddresses(t *testing.T) {
	alpha := asAdmin(t, "alpha")
	for _, n := range []struct {
		there *cluster
		cidr  string
	}{{f.here, "10.4.7.0/24"}, {alpha, "10.4.0.0/16"}} {
		f.make(n.there, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "ranged-" + f.local}, Spec: corev1.NodeSpec{PodCIDR: n.cidr, PodCIDRs: []string{n.cidr}}})
	}
	got := f.says("check", "addresses")
	if got.Code != exitFailed {
		t.Errorf("exit code %d with ranges that overlap", got.Code)
	}
	wantText(t, "the findings", got.Out, "pods of HOME and pods of alpha have the same addresses: 10.4.7.0/24", "repair: give one of the clusters other addresses",
		"endpointCIDRs of alpha let it contribute addresses of the pods of HOME: 10.4.7.0/24",
	)
	// There is no Calico yet: what the network has to do is said all the same, and once.
	const network = "unchanged (routable, no SNAT): Hawser carries no traffic, and cannot see whether it does"
	if strings.Count(got.Out, network) != 1 || strings.Contains(got.Out, "ippools") {
		t.Errorf("what the network has to do is not said once:\n%s", got.Out)
	}
	none := outcome{Err: "cluster alpha has no IPPools at all, as it is without Calico: it lacks none\n"}
	if diff := cmp.Diff(none, f.says("check", "addresses", "--manifests", "alpha")); diff != "" {
		t.Errorf("without Calico (-want +got)\n%s", diff)
	}
	f.checkWords(t)
	f.checkPoolsHere(t)
	f.checkPoolsThere(t)
	if got := f.says("check", "addresses"); got.Code != exitOK || strings.Contains(got.Out, "error ") {
		t.Errorf("exit code %d after all was repaired:\n%s", got.Code, got.Out)
	}
}

// checkWords uses, in selectors, what is in the local cluster alone.
func (f *field) checkWords(t *testing.T) {
	only := "only-" + f.local
	declare := func(namespace, name, annotation, text string, labels map[string]string) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		if annotation != "" {
			s.Annotations = map[string]string{annotation: text}
		}
		return s
	}
	f.make(f.here, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: only, Labels: map[string]string{"floor": "3"}}})
	f.make(f.here, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "only-here", Labels: map[string]string{"rank": "x"}}})
	f.pod("primary", "keyed", "10.1.0.9", "only-here=yes")
	f.make(f.here, &v1alpha1.EndpointSet{ObjectMeta: metav1.ObjectMeta{Name: f.namespace + "-words"}, Spec: v1alpha1.EndpointSetSpec{
		Selector: `projectcalico.org/namespace == "` + only + `" || pcns.floor == "3" || pcsa.rank == "x" || projectcalico.org/serviceaccount == "only-here" || has(only-here)`,
		Clusters: v1alpha1.ClusterScope{Local: true, Names: []string{"alpha"}},
	}})
	f.make(f.here, declare(f.namespace, "all-db", service.SelectorAnnotation, `app == "db" && has(tier)`, map[string]string{"tier": "backs-nothing"}))
	f.make(f.here, declare(only, "calicos", service.CalicoSelectorAnnotation, `!has(gone)`, nil))
	f.make(asAdmin(t, "alpha"), declare(f.namespace, "db", "", "", map[string]string{"app": "db"}))
	broken := declare(f.namespace, "broken", service.SelectorAnnotation, "app =", nil)
	f.make(f.here, broken)

	got := f.says("check", "addresses")
	for _, line := range []string{
		`EndpointSet "SHOP-words" selects namespace "only-HOME", which there is none of in alpha`,
		`EndpointSet "SHOP-words" selects a namespace with the label "floor", which there is none of in alpha`,
		`EndpointSet "SHOP-words" selects a service account with the label "rank", which there is none of in alpha`,
		`EndpointSet "SHOP-words" selects service account "only-here", which there is none of in alpha`,
		`EndpointSet "SHOP-words" selects an endpoint with the label "only-here", which there is none of in alpha`,
		`Service "SHOP/all-db" selects a Service in namespace "SHOP" with the label "app", which there is none of in HOME`,
		`Service "SHOP/all-db" selects a Service in namespace "SHOP" with the label "tier", which there is none of in HOME, alpha`,
		`Service "only-HOME/calicos" selects namespace "only-HOME", which there is none of in alpha`,
	} {
		wantText(t, "the findings", got.Out, "warning   selectors       "+line+"\n")
	}
	if n := strings.Count(got.Out, "which there is none of"); n != 8 {
		t.Errorf("%d words are missed, want 8:\n%s", n, got.Out)
	}
	wantText(t, "stderr", got.Err, "-  Service(SHOP/broken): reading annotation hawser.io/serviceSelector: ")
	if err := f.here.Client.Delete(t.Context(), broken); err != nil {
		t.Fatal(err)
	}

	var found []ranges.Finding
	if err := json.Unmarshal([]byte(f.run("check", "addresses", "-o", "json").Out), &found); err != nil {
		t.Fatal(err)
	}
	if last := found[len(found)-1]; last.Check != ranges.CheckNetwork || len(last.Clusters) != 2 {
		t.Errorf("the last finding is %+v", last)
	}
}

// checkPoolsHere lets Calico in the local cluster translate what goes to alpha, and assign what is alpha's.
func (f *field) checkPoolsHere(t *testing.T) {
	f.use("primary").Install(t, "../../endpoint/calico/testdata/ippools.projectcalico.org.yaml")
	pool := func(name string, spec calico.IPPoolSpec) *unstructured.Unstructured {
		p, err := calico.Write(calico.IPPools, metav1.ObjectMeta{Name: name}, spec)
		if err != nil {
			t.Fatal(err)
		}
		f.make(f.here, p)
		return p
	}
	pool("default-"+f.local, calico.IPPoolSpec{CIDR: "10.1.0.0/16", NATOutgoing: true})
	got := f.says("check", "addresses", "--manifests", f.local)
	want := `---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata:
  name: remote-alpha-10-4-0-0-16
spec:
  cidr: 10.4.0.0/16
  disabled: true
`
	if diff := cmp.Diff(outcome{Out: want}, got); diff != "" {
		t.Errorf("the manifests (-want +got)\n%s", diff)
	}
	wide := pool("wide-"+f.local, calico.IPPoolSpec{CIDR: "10.4.128.0/17"})
	got = f.says("check", "addresses")
	wantText(t, "the findings", got.Out, "IPPool wide-HOME of HOME is not disabled, and assigns addresses of alpha: 10.4.128.0/17\n",
		`repair: kubectl patch ippools.projectcalico.org wide-HOME --type merge -p '{"spec":{"disabled":true}}'`, "# IPPools that cluster HOME lacks:\n---\n", "  cidr: 10.4.0.0/17\n")
	if strings.Contains(got.Out, "  cidr: 10.4.0.0/16\n") || got.Code != exitFailed {
		t.Errorf("exit code %d, and it asks for a pool that overlaps with one that is there:\n%s", got.Code, got.Out)
	}
	if err := f.here.Client.Delete(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	pool("remote-alpha-10-4-0-0-16", calico.IPPoolSpec{CIDR: "10.4.0.0/16", Disabled: true})
	if diff := cmp.Diff(outcome{Err: "cluster HOME lacks no IPPool\n"}, f.says("check", "addresses", "--manifests", f.local)); diff != "" {
		t.Errorf("after it was repaired (-want +got)\n%s", diff)
	}
}

// checkPoolsThere lets alpha have Calico without its API, so that nothing keeps its pools from being nonsense.
func (f *field) checkPoolsThere(t *testing.T) {
	there := fleettest.Use(t, "alpha")
	there.Install(t, "testdata/ippools.crd.projectcalico.org.yaml")
	alpha := asAdmin(t, "alpha")
	pool := &unstructured.Unstructured{Object: map[string]any{"apiVersion": calico.Storage.String(), "kind": "IPPool",
		"metadata": map[string]any{"name": "odd-" + f.local}, "spec": map[string]any{"cidr": "\x1b[2Jnonsense", "natOutgoing": true}}}
	f.make(alpha, pool)
	got := f.says("check", "addresses")
	wantText(t, "the findings", got.Out, "IPPools of cluster alpha could not be read, and nothing is said of them: ",
		`EndpointSet "SHOP-words" selects an endpoint with the label "only-here", which there is none of in alpha`)
	wantText(t, "stderr", got.Err, `-  RemoteCluster(alpha): reading IPPools: an object makes no sense: IPPool "odd-HOME": `)
	if got.Code != exitFailed || strings.Contains(got.Out+got.Err, "\x1b") {
		t.Errorf("exit code %d:\n%q\n%q", got.Code, got.Out, got.Err)
	}

	if err := alpha.Client.Patch(t.Context(), pool, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cidr":"10.4.0.0/16"}}`))); err != nil {
		t.Fatal(err)
	}
	got = f.says("check", "addresses")
	wantText(t, "the findings", got.Out, "Calico in alpha translates what its pods send to pods of HOME, whose policies then do not see who it is: no IPPool holds 10.1.0.0/16\n",
		"repair: hawser check addresses --manifests alpha | calicoctl apply -f -\n", "# IPPools that cluster alpha lacks:\n---\n", "  name: remote-HOME-10-1-0-0-16\n")
	if got.Code != exitFailed {
		t.Errorf("exit code %d", got.Code)
	}
	if err := alpha.Client.Delete(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}

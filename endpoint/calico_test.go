package endpoint_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/selector"
)

// Calico in alpha, with a host in the storage of Calico, and sets of addresses in its API.
const (
	calicoHosts = `
apiVersion: crd.projectcalico.org/v1
kind: HostEndpoint
metadata:
  name: node-1-eth0
  annotations:
    projectcalico.org/metadata: '{"labels":{"role":"edge"}}'
spec:
  node: node-1
  interfaceName: eth0
  expectedIPs: ["10.4.9.1", "fd00::9", "10.9.0.1"]
  ports: [{name: ssh, port: 22, protocol: TCP}, {name: dns, port: 53, protocol: 17}]
---
apiVersion: crd.projectcalico.org/v1
kind: HostEndpoint
metadata: {name: without-address, labels: {role: edge}}
spec: {node: node-1, interfaceName: eth1}
`
	calicoSets = `
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: partners, namespace: NAMESPACE, labels: {role: partner}}
spec: {nets: ["10.4.9.128/25", "10.9.0.0/24"]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners, labels: {role: partner}}
spec: {nets: ["10.4.9.64/26"]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: made-by-hawser, labels: {role: partner, app.kubernetes.io/managed-by: hawser}}
spec: {nets: ["10.4.9.64/26"]}
`
)

// listed is what a selector matches in alpha, in words.
func (l *land) listed(text string) (found []string) {
	for e := range l.Index().Eval(selector.MustParse(text), "alpha") {
		kind := [...]string{index.Pod: "pod", index.Node: "node", index.HostEndpoint: "host", index.NetworkSet: "set"}[e.Kind]
		found = append(found, strings.TrimSuffix(fmt.Sprint(kind, " ", e.Namespace, "/", e.Name, " ", e.Addresses, " ", e.Ports), " []"))
	}
	slices.Sort(found)
	return found
}

func (l *land) lists(text string, want ...string) {
	l.t.Helper()
	fleettest.Eventually(l.t, 15*time.Second, func() error {
		if got := l.listed(text); !slices.Equal(got, want) {
			return fmt.Errorf("%s matches %q, want %q", text, got, want)
		}
		return nil
	})
}

func TestFollowsCalicoFromWhenItIsInstalled(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	way, at, l := switchTo(t, alpha), alone(t, alpha), newLand(t)
	crds := dynamic.NewForConfigOrDie(alpha.AdminConfig()).Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	uninstall := func(names ...string) {
		for _, name := range names {
			_ = crds.Delete(context.Background(), name, metav1.DeleteOptions{})
		}
	}
	l.follow("alpha", idOf(t, alpha), way.config(), within("10.4.9.0/24", "fd00::/64"))
	l.is("alpha", "current without Calico", aside(current))

	alpha.Install(t, "calico/testdata/hostendpoints.crd.projectcalico.org.yaml")
	if err := alpha.Apply(t.Context(), []byte(calicoHosts)); err != nil {
		t.Fatal(err)
	}
	l.lists(`role == "edge"`, "host /node-1-eth0 [10.4.9.1/32 fd00::9/128] [{ssh TCP 22} {dns UDP 53}]")
	alpha.Install(t, "calico/testdata/networksets.projectcalico.org.yaml", "calico/testdata/globalnetworksets.projectcalico.org.yaml")
	if err := alpha.Apply(t.Context(), []byte(strings.ReplaceAll(calicoSets, "NAMESPACE", at.namespace))); err != nil {
		t.Fatal(err)
	}
	ours := "set " + at.namespace + "/partners [10.4.9.128/25]"
	l.lists(`role == "partner"`, "set /partners [10.4.9.64/26]", ours)
	l.lists(fmt.Sprintf(`role == "partner" && pcns.kubernetes.io/metadata.name == %q`, at.namespace), ours)
	l.lists(`role == "partner" && !has(projectcalico.org/namespace)`, "set /partners [10.4.9.64/26]")
	l.is("alpha", "without what is outside", func(s endpoint.ClusterState) bool {
		return strings.Contains(gap(s, endpoint.ReasonOutside), "10.9.0.1 of host endpoint node-1-eth0")
	})

	// The list of one kind ends without what is of the other, which has the same place in the index.
	l.follow("alpha", idOf(t, alpha), way.config(), within("10.4.9.0/24", "fd00::/64"))
	l.is("alpha", "listed anew", func(s endpoint.ClusterState) bool { return s.StaleSince.IsZero() })
	l.lists(`role == "partner"`, "set /partners [10.4.9.64/26]", ours)

	uninstall("globalnetworksets.projectcalico.org")
	l.lists(`role == "partner"`, ours)
	uninstall("hostendpoints.crd.projectcalico.org")
	l.lists(`role == "edge"`)
	l.is("alpha", "current without hosts", func(s endpoint.ClusterState) bool { return s.Synced && s.StaleSince.IsZero() })

	// Calico has moved to an API of its own.
	alpha.Install(t, "calico/testdata/hostendpoints.projectcalico.org.yaml")
	moved := "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: moved, labels: {role: edge}}, spec: {node: node-1, expectedIPs: [10.4.9.2]}}"
	if err := alpha.Apply(t.Context(), []byte(moved)); err != nil {
		t.Fatal(err)
	}
	l.lists(`role == "edge"`, "host /moved [10.4.9.2/32]")
	uninstall("hostendpoints.projectcalico.org")
	l.lists(`role == "edge"`)
}

// Whoever was joined before there was more to read goes on with what may be read, and what is missing is named.
func TestGoesWithoutWhatItMayNotReadOfCalico(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	at, l := alone(t, alpha), newLand(t)
	alpha.Install(t, "calico/testdata/networksets.projectcalico.org.yaml")
	at.run(t, "web", nil, nil, "10.4.10.1")
	way := switchTo(t, alpha)
	config := rest.CopyConfig(way.config())
	config.Transport = forbidding{way}
	l.follow("alpha", idOf(t, alpha), config, within("10.4.10.0/24"))
	s := l.is("alpha", "followed as far as it may be", func(s endpoint.ClusterState) bool {
		return s.Synced && s.StaleSince.IsZero() && gap(s, endpoint.ReasonForbidden) != ""
	})
	if want := "networksets: the connection may not list and watch them"; gap(s, endpoint.ReasonForbidden) != want {
		t.Errorf("what is missing is told as %+v", s.Gaps)
	}
	l.has("alpha", at.namespace, "web")
}

package federatedservice_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/fleettest"
)

// fresh computes what is to be written from nothing but the objects of all clusters, as written says it.
func (w *world) fresh() string {
	w.t.Helper()
	found := map[string][]string{}
	for _, cluster := range []string{"alpha", "beta", "home"} {
		var services corev1.ServiceList
		var of discoveryv1.EndpointSliceList
		for _, list := range []client.ObjectList{&services, &of} {
			if err := w.admin[cluster].List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, s := range services.Items {
			if len(s.Annotations) > 0 || s.Labels[mcs.LabelServiceName] != "" {
				continue
			}
			for _, slice := range of.Items {
				if slice.Labels[discoveryv1.LabelServiceName] != s.Name || slice.Labels[mcs.LabelSourceCluster] != "" {
					continue
				}
				if s.Labels["app"] == "db" {
					w.tell(found, fmt.Sprintf("all of %s sql:%d", cluster, *slice.Ports[0].Port), slice)
				}
				if w.exports(cluster)[s.Name] {
					w.tell(found, fmt.Sprintf("import %s of %s metrics:%d,sql:%d", s.Name, cluster, *slice.Ports[1].Port, *slice.Ports[0].Port), slice)
				}
			}
		}
	}
	for key := range found {
		if cluster, none := strings.CutPrefix(key, "none "); none && len(found[cluster]) == 0 {
			name, _, _ := strings.Cut(cluster, " metrics")
			found[name+" "] = []string{"-"}
		}
	}
	var all []string
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if strings.HasPrefix(key, "none ") {
			continue
		}
		slices.Sort(found[key])
		all = append(all, key+" = "+strings.Join(found[key], " "))
	}
	return strings.Join(all, "\n")
}

func (w *world) tell(found map[string][]string, key string, slice discoveryv1.EndpointSlice) {
	if strings.HasPrefix(key, "import") && len(slice.Endpoints) == 0 {
		found["none "+key] = nil
	}
	for _, e := range slice.Endpoints {
		if !strings.HasPrefix(e.Addresses[0], "10.") {
			continue
		}
		mark := ""
		if !*e.Conditions.Ready {
			mark = "!"
		}
		found[key] = append(found[key], e.Addresses[0]+mark)
	}
}

func (w *world) exports(cluster string) map[string]bool {
	w.t.Helper()
	version := "v1beta1"
	if cluster == "beta" {
		version = "v1alpha1"
	}
	list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: mcs.GroupName + "/" + version, Kind: "ServiceExportList"}}
	if err := w.admin[cluster].List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
		w.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, o := range list.Items {
		names[o.Name] = true
	}
	return names
}

// TestAfterChurnEverythingIsAsAFreshComputationHasIt: with links that are cut meanwhile, and two controllers that take
// turns.
func TestAfterChurnEverythingIsAsAFreshComputationHasIt(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha", "beta")
	w.federated("all")
	clusters, names := []string{"alpha", "beta", "home"}, []string{"s0", "s1"}
	for i, cluster := range clusters {
		for j, name := range names {
			w.backing(cluster, name, fmt.Sprintf("10.%d.%d.1", i, j))
		}
	}
	c, running := w.start(perSlice(3))
	w.follow(c, clusters...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	w.export("alpha", names[0])
	w.export("beta", names[1])
	for step := range 50 {
		i, j := r.IntN(3), r.IntN(2)
		cluster, name := clusters[i], names[j]
		switch what := r.IntN(12); {
		case what < 6:
			var addresses []string
			for n := range r.IntN(8) {
				addresses = append(addresses, fmt.Sprintf("10.%d.%d.%d%s", i, j, n+r.IntN(2)*10, []string{"", "", "!"}[r.IntN(3)]))
			}
			w.endpoints(cluster, name, addresses...)
		case what == 6:
			change(w, cluster, name, &corev1.Service{}, func(s *corev1.Service) { s.Labels["app"] = []string{"db", "web"}[r.IntN(2)] })
		case what == 7:
			change(w, cluster, name+"-x", &discoveryv1.EndpointSlice{}, func(e *discoveryv1.EndpointSlice) { e.Ports[0].Port = new(int32(15000 + r.IntN(2))) })
		case what < 10:
			if w.exports(cluster)[name] {
				w.unexport(cluster, name)
			} else {
				w.export(cluster, name)
			}
		case what == 10:
			w.proxy[cluster].DropConnections()
		default:
			w.proxy[clusters[i%2]].Cut()
		}
		switch step {
		case 15, 40:
			w.restore(c, "alpha", "beta")
		case 25:
			running.Stop()
			c, _ = w.start(perSlice(3))
			w.follow(c, clusters...)
		}
	}
	w.endpoints("home", "s0", "10.2.0.1")
	change(w, "home", "s0", &corev1.Service{}, func(s *corev1.Service) { s.Labels["app"] = "db" })
	w.restore(c, "alpha", "beta")
	fleettest.Eventually(t, patience, func() error {
		if want, got := w.fresh(), w.written(); want != got {
			return fmt.Errorf("written is\n%s\nand fresh\n%s", got, want)
		}
		return nil
	})
	if !strings.Contains(w.written(), "all of home") {
		t.Errorf("there is nothing to compare: %s", w.written())
	}
	w.calm(w.everything)
}

package service

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

func port(name string, number int32) mcs.ServicePort {
	return mcs.ServicePort{Name: name, Protocol: corev1.ProtocolTCP, Port: number}
}

func export(cluster string, age int, ports ...mcs.ServicePort) Export {
	return Export{Cluster: cluster, Created: metav1.Unix(int64(1e9-age), 0), Shape: Shape{Ports: ports, SessionAffinity: "None", InternalTrafficPolicy: "Cluster", Families: []string{"IPv4"}}}
}

func TestTheOldestExportHasTheSay(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(old, young *Export)
		conflicts string
		check     func(Import) bool
	}{
		"what agrees is no conflict": {func(_, _ *Export) {}, "", func(im Import) bool { return !im.Headless && len(im.Ports) == 1 }},
		"headless by the oldest":     {func(old, _ *Export) { old.Headless = true }, "TypeConflict", func(im Import) bool { return im.Headless }},
		"not headless by the oldest": {func(_, young *Export) { young.Headless = true }, "TypeConflict", func(im Import) bool { return !im.Headless }},
		"all ports are exposed": {func(_, young *Export) { young.Ports = append(young.Ports, port("metrics", 9090)) }, "PortConflict",
			func(im Import) bool { return len(im.Ports) == 2 && im.Ports[1].Name == "metrics" }},
		"of one name the older port": {func(_, young *Export) { young.Ports = []mcs.ServicePort{port("http", 81)} }, "PortConflict",
			func(im Import) bool { return len(im.Ports) == 1 && im.Ports[0].Port == 80 }},
		"of one number the older port": {func(_, young *Export) { young.Ports = []mcs.ServicePort{port("web", 80)} }, "PortConflict",
			func(im Import) bool { return len(im.Ports) == 1 && im.Ports[0].Name == "http" }},
		"no port without a name beside others": {func(_, young *Export) { young.Ports = []mcs.ServicePort{port("", 81)} }, "PortConflict",
			func(im Import) bool { return len(im.Ports) == 1 && im.Ports[0].Name == "http" }},
		"session affinity": {func(old, _ *Export) { old.SessionAffinity, old.AffinitySeconds = "ClientIP", 60 }, "SessionAffinityConflict,SessionAffinityConfigConflict",
			func(im Import) bool { return im.Spec().SessionAffinityConfig != nil }},
		"which means nothing where the oldest is headless": {func(old, young *Export) { old.Headless, young.Headless, old.SessionAffinity = true, true, "ClientIP" }, "",
			func(im Import) bool { return im.Spec().SessionAffinity == "" }},
		"labels": {func(old, young *Export) {
			old.Labels, young.Labels = map[string]string{"team": "a"}, map[string]string{"team": "b", "x": "y"}
		}, "LabelsConflict",
			func(im Import) bool { return cmp.Equal(im.Labels, map[string]string{"team": "a"}) }},
		"address families": {func(_, young *Export) { young.Families = []string{"IPv6"} }, "IPFamilyConflict", func(im Import) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			old, young := export("beta", 10, port("http", 80)), export("alpha", 5, port("http", 80))
			test.change(&old, &young)
			for _, order := range [][]Export{{old, young}, {young, old}} {
				im := Fold(order)
				var reasons []string
				for _, p := range im.Conflicts {
					reasons = append(reasons, p.Reason)
					if !strings.Contains(p.Message, `"beta"`) {
						t.Errorf("%q does not say which cluster has the say", p.Message)
					}
				}
				if got := strings.Join(reasons, ","); got != test.conflicts {
					t.Errorf("conflicts %q, want %q", got, test.conflicts)
				}
				if !test.check(im) {
					t.Errorf("got %+v", im)
				}
			}
		})
	}
}

// slowFold says the same as Fold by asking, for each thing, every export anew.
func slowFold(exports []Export) (headless bool, affinity string, ports map[string]bool, conflicts map[string]bool) {
	older := func(a, b Export) bool {
		return a.Created.Time.Before(b.Created.Time) || a.Created.Time.Equal(b.Created.Time) && a.Cluster < b.Cluster
	}
	rank := func(e Export) (n int) {
		for _, o := range exports {
			if older(o, e) {
				n++
			}
		}
		return n
	}
	var oldest Export
	for _, e := range exports {
		if rank(e) == 0 {
			oldest = e
		}
	}
	// A port is exposed unless an exposed one that comes earlier excludes it.
	ports = map[string]bool{}
	var exposed []mcs.ServicePort
	for n := range exports {
		for _, e := range exports {
			if rank(e) != n {
				continue
			}
			for _, p := range e.Ports {
				excluded := false
				for _, o := range exposed {
					excluded = excluded || o.Name == p.Name || o.Port == p.Port && o.Protocol == p.Protocol || o.Name == "" || p.Name == ""
				}
				if !excluded {
					exposed = append(exposed, p)
					ports[fmt.Sprint(p.Name, p.Protocol, p.Port)] = true
				}
			}
		}
	}
	conflicts = map[string]bool{}
	for _, e := range exports {
		if e.Headless != oldest.Headless {
			conflicts["TypeConflict"] = true
		}
		if !oldest.Headless && e.SessionAffinity != oldest.SessionAffinity {
			conflicts["SessionAffinityConflict"] = true
		}
		for _, p := range e.Ports {
			if !slices.Contains(oldest.Ports, p) {
				conflicts["PortConflict"] = true
			}
		}
		for _, p := range oldest.Ports {
			if !slices.Contains(e.Ports, p) {
				conflicts["PortConflict"] = true
			}
		}
	}
	return oldest.Headless, oldest.SessionAffinity, ports, conflicts
}

func TestFoldsAsASlowReferenceDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var exports []Export
		for i := range rapid.IntRange(1, 6).Draw(t, "clusters") {
			e := export(fmt.Sprint("c", i), rapid.IntRange(0, 3).Draw(t, "age"))
			e.Headless = rapid.Bool().Draw(t, "headless")
			e.SessionAffinity = rapid.SampledFrom([]string{"None", "ClientIP"}).Draw(t, "affinity")
			named := rapid.Bool().Draw(t, "named")
			seen := map[string]bool{}
			for range rapid.IntRange(0, 3).Draw(t, "ports") {
				p := mcs.ServicePort{Name: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), Port: int32(rapid.IntRange(1, 4).Draw(t, "number")),
					Protocol: rapid.SampledFrom([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}).Draw(t, "protocol")}
				if !named {
					p.Name = ""
				}
				number := fmt.Sprint(p.Protocol, p.Port)
				if seen[p.Name] || seen[number] { // no Service has such
					continue
				}
				seen[p.Name], seen[number] = true, true
				e.Ports = append(e.Ports, p)
			}
			exports = append(exports, e)
		}
		im := Fold(rapid.Permutation(exports).Draw(t, "order"))
		headless, affinity, ports, conflicts := slowFold(exports)
		if im.Headless != headless || im.SessionAffinity != affinity {
			t.Errorf("got %v %s, want %v %s", im.Headless, im.SessionAffinity, headless, affinity)
		}
		got := map[string]bool{}
		for _, p := range im.Ports {
			got[fmt.Sprint(p.Name, p.Protocol, p.Port)] = true
		}
		if diff := cmp.Diff(ports, got); diff != "" {
			t.Error(diff)
		}
		found := map[string]bool{}
		for _, p := range im.Conflicts {
			found[p.Reason] = true
		}
		if diff := cmp.Diff(conflicts, found); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWhatNoAPIServerWouldAcceptIsLeftOut(t *testing.T) {
	s := &corev1.Service{Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{
			{Name: "http", Port: 80}, {Name: "No Port", Port: 81}, {Name: "a", Port: 0}, {Name: "b", Port: 70000}, {Name: "c", Port: 1, Protocol: "SMOKE"}, {Name: "d", Port: 2, AppProtocol: new("no protocol")},
		},
		SessionAffinity: "Love", InternalTrafficPolicy: new(corev1.ServiceInternalTrafficPolicy("Jam")), TrafficDistribution: new("Left"),
		SessionAffinityConfig: &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: new(int32(-1))}},
		IPFamilies:            []corev1.IPFamily{"IPv9", corev1.IPv4Protocol, corev1.IPv4Protocol},
	}}
	want := Shape{Ports: []mcs.ServicePort{port("http", 80)}, Families: []string{"IPv4"}}
	if diff := cmp.Diff(want, ReadService(s).Shape); diff != "" {
		t.Error(diff)
	}
	slice := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(80))}, {Name: new("a b"), Port: new(int32(81))}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Hostname: new("no host")}, {Addresses: []string{"10.0.0.2"}, Hostname: new("host")}, {Addresses: []string{"x"}}, {}}}
	read := ReadSlice(slice)
	if len(read.Ports) != 1 || len(read.Endpoints) != 4 || read.Endpoints[0].Hostname != "" || read.Endpoints[1].Hostname != "host" || read.Endpoints[2].Addr.IsValid() {
		t.Errorf("got %+v", read)
	}
}

func TestAnotherClusterHasNoSayInWhatProgramsActUpon(t *testing.T) {
	e := &mcs.ServiceExport{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(time.Unix(1e9, 5))}}
	e.Spec.ExportedLabels = map[string]string{"team": "a", "example.com/x": "y", "app.kubernetes.io/managed-by": "thief", "hawser.io/staleness": "keep", "xk8s.io/z": "z", "no label": "x", "bad": "no value"}
	e.Spec.ExportedAnnotations = map[string]string{"big": strings.Repeat("x", mostMetadata)}
	got := newExport(e, &Service{})
	if diff := cmp.Diff(map[string]string{"team": "a", "example.com/x": "y", "xk8s.io/z": "z"}, got.Labels); diff != "" {
		t.Error(diff)
	}
	if got.Annotations != nil {
		t.Error("annotations are taken that an annotation cannot hold")
	}
}

package service

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

func udp(name string, number int32) mcs.ServicePort {
	return mcs.ServicePort{Name: name, Protocol: corev1.ProtocolUDP, Port: number}
}

func TestAnImportHasThePortsThatItExposesUnderItsNames(t *testing.T) {
	datagram := Port{Name: "http", Protocol: "UDP", Number: 8053}
	unnamed := Port{Protocol: "TCP", Number: 8080}
	for name, test := range map[string]struct {
		slice   Slice
		ports   []mcs.ServicePort // of the cluster's own export
		exposed []mcs.ServicePort
		want    string
	}{
		"as they are": {Slice{Ports: []Port{http, metric}}, []mcs.ServicePort{port("http", 80), port("metrics", 90)}, []mcs.ServicePort{port("http", 80), port("metrics", 90)},
			"http:8080,metrics:9100 10.1.0.1"},
		"the name of the older export": {Slice{Ports: []Port{http}}, []mcs.ServicePort{port("http", 80)}, []mcs.ServicePort{port("web", 80)}, "web:8080 10.1.0.1"},
		"a name for none":              {Slice{Ports: []Port{unnamed}}, []mcs.ServicePort{port("", 80)}, []mcs.ServicePort{port("web", 80)}, "web:8080 10.1.0.1"},
		"none for a name":              {Slice{Ports: []Port{http}}, []mcs.ServicePort{port("http", 80)}, []mcs.ServicePort{port("", 80)}, ":8080 10.1.0.1"},
		"names that change places": {Slice{Ports: []Port{http, metric}}, []mcs.ServicePort{port("http", 80), port("metrics", 90)}, []mcs.ServicePort{port("http", 90), port("metrics", 80)},
			"http:9100,metrics:8080 10.1.0.1"},
		"not another number under the name": {Slice{Ports: []Port{http}}, []mcs.ServicePort{port("http", 81)}, []mcs.ServicePort{port("http", 80)}, ""},
		"a port that the cluster lacks":     {Slice{Ports: []Port{http}}, []mcs.ServicePort{port("http", 80)}, []mcs.ServicePort{port("http", 80), port("metrics", 90)}, "http:8080 10.1.0.1"},
		"not another protocol":              {Slice{Ports: []Port{http, datagram}}, []mcs.ServicePort{port("http", 80), udp("http", 80)}, []mcs.ServicePort{port("http", 80)}, "http:8080 10.1.0.1"},
		"of two protocols apart": {Slice{Ports: []Port{http, datagram}}, []mcs.ServicePort{port("http", 80), udp("http", 80)}, []mcs.ServicePort{port("http", 80), udp("dns", 80)},
			"dns:8053,http:8080 10.1.0.1"},
		"no ports at all":                {Slice{Portless: true}, nil, nil, " 10.1.0.1"},
		"none that could be read":        {Slice{}, nil, nil, ""},
		"none that the export speaks of": {Slice{Ports: []Port{http}}, nil, []mcs.ServicePort{port("http", 80)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.slice.Endpoints = []Endpoint{pod("10.1.0.1")}
			got := CollectExported(Cluster{Name: "alpha", Bounds: bounds(t, "10.1.0.0/16")}, []*Slice{&test.slice}, &Export{Shape: Shape{Ports: test.ports}}, test.exposed)
			if text := collected(got.Groups); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestASliceWithoutPortsIsReadAndWrittenAsSuch(t *testing.T) {
	key := Key{Import: true, Namespace: "shop", Name: "peers", Cluster: "alpha"}
	told := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.0.1"}, Hostname: new("peer-0")}}}
	of := Cluster{Name: "alpha", Bounds: bounds(t, "10.1.0.0/16")}
	groups := CollectExported(of, []*Slice{ReadSlice(told)}, &Export{}, nil).Groups
	w := &Wanted{Key: key, Groups: groups}
	have := stored(t, plan(t, w, nil))
	if len(have) != 1 || len(have[0].Ports) != 0 || len(have[0].Endpoints) != 1 || *have[0].Endpoints[0].Hostname != "peer-0" {
		t.Fatalf("written is %+v", have)
	}
	if p := plan(t, w, have); !p.Empty() {
		t.Errorf("it writes again what is written: %+v", p)
	}
	if groups := Collect(of, []*Slice{ReadSlice(told)}, every).Groups; len(groups) != 0 {
		t.Errorf("a Service that selects gets %+v", groups)
	}
	view := NewView()
	name := types.NamespacedName{Namespace: "shop", Name: "peers-x"}
	bad := told.DeepCopy()
	bad.Ports = []discoveryv1.EndpointPort{{Name: new("NOT A NAME")}}
	view.SetSlice(name, ReadSlice(bad))
	if changed := view.SetSlice(name, ReadSlice(told)); len(changed) != 1 {
		t.Error("that it has no ports any more is no change")
	}
}

func TestOfTwoProtocolsOfANameTheServiceGetsItsOwn(t *testing.T) {
	f := &Federated{Ports: map[PortName]struct{}{{"http", "UDP"}: {}}}
	datagram := Port{Name: "http", Protocol: "UDP", Number: 8053}
	of := Cluster{Name: "alpha", Bounds: bounds(t, "10.1.0.0/16")}
	got := Collect(of, []*Slice{
		{Ports: []Port{http, datagram}, Endpoints: []Endpoint{pod("10.1.0.1")}},
		{Ports: []Port{http}, Endpoints: []Endpoint{pod("10.1.0.2")}},
	}, f.Keep).Groups
	if diff := cmp.Diff([]Grouped{{Group{discoveryv1.AddressTypeIPv4, []Port{datagram}}, []Endpoint{of.told(pod("10.1.0.1"))}}}, got, anyAddr); diff != "" {
		t.Error(diff)
	}
	f.Ports[PortName{"http", "TCP"}] = struct{}{} // one slice cannot have both
	got = Collect(of, []*Slice{{Ports: []Port{http, datagram}, Endpoints: []Endpoint{pod("10.1.0.1")}}}, f.Keep).Groups
	if len(got) != 2 || len(got[0].Ports) != 1 || len(got[1].Ports) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestNoExportIsOlderThanItWasSeenHere(t *testing.T) {
	start := time.Unix(1e9, 0)
	at := func(cluster string, created, seen time.Duration) Export {
		e := export(cluster, 0, port(cluster, 80))
		e.Created, e.Seen = metav1.NewTime(start.Add(created)), metav1.NewTime(start.Add(seen))
		return e
	}
	const ages = -time.Hour * 24 * 365
	for name, test := range map[string]struct {
		exports []Export
		want    string // whose name the port has
	}{
		"of those that are followed at once, the oldest": {[]Export{at("alpha", -time.Hour, 0), at("beta", ages, 5*time.Minute)}, "beta"},
		"not one that comes later and says so":           {[]Export{at("alpha", -time.Hour, 0), at("beta", ages, time.Hour)}, "alpha"},
		"nor before a younger one":                       {[]Export{at("alpha", time.Hour, 0), at("beta", ages, 2*time.Hour)}, "alpha"},
		"nor one that was made later":                    {[]Export{at("alpha", -time.Hour, 0), at("beta", time.Hour, time.Hour)}, "alpha"},
		"of those that come later, the first":            {[]Export{at("alpha", 3*time.Hour, 0), at("beta", ages, 2*time.Hour), at("gamma", ages, time.Hour)}, "gamma"},
		"of one age, the first by name":                  {[]Export{at("beta", 0, 0), at("alpha", 0, 0)}, "alpha"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Fold(test.exports).Ports[0].Name; got != test.want {
				t.Errorf("%s has the say, want %s", got, test.want)
			}
		})
	}
	e := at("alpha", 0, time.Hour)
	if text := asJSON(Export{}); strings.Contains(text, "seen") {
		t.Errorf("what was never seen is written as %s", text)
	}
	var read Export
	if err := json.Unmarshal([]byte(asJSON(e)), &read); err != nil || !read.Seen.Equal(&e.Seen) {
		t.Errorf("it was seen %s, and is read as %s: %v", e.Seen, read.Seen, err)
	}
}

func TestWhatAClusterMakesOfNamesAndTextsIsBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	read := ReadSlice(&discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv6, Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{"fd00::1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "p.1", UID: "u"}, Zone: new("z"), NodeName: new("n.1")},
		{Addresses: []string{"fd00::2"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: long}, Zone: new(long), NodeName: new(long)},
		{Addresses: []string{"fd00::3"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: long, Name: "p"}, Zone: new("not/a value")},
		{Addresses: []string{"fd00::4"}, TargetRef: &corev1.ObjectReference{Kind: long, Namespace: "shop", Name: "p"}},
		{Addresses: []string{"fd00::5"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "p", UID: "u" + "x"}},
		{Addresses: []string{"fd00::6"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "../p"}},
		{Addresses: []string{"fe80::1%" + long}},
	}})
	if e := read.Endpoints[0]; e.Target != (Target{"Pod", "shop", "p.1", "u"}) || e.Zone != "z" || e.Node != "n.1" {
		t.Errorf("of a sane one there is %+v", e)
	}
	for i, e := range read.Endpoints {
		if i > 0 && i != 4 && (e.Target != (Target{}) || e.Zone != "" || e.Node != "") || len(e.Addr.String()) > 50 {
			t.Errorf("of endpoint %d there is %.300v", i, e)
		}
	}

	var ports []corev1.ServicePort
	meta := map[string]string{}
	for i := range 10_000 {
		ports = append(ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", i), Port: int32(i + 1), AppProtocol: new("example.com/" + long[:50])})
	}
	for i := range 3 {
		meta[fmt.Sprintf("k%d", i)] = strings.Repeat("\x01", 9_000) // six bytes each, where it is written
	}
	s := ReadService(&corev1.Service{Spec: corev1.ServiceSpec{Ports: ports}})
	e := newExport(&mcs.ServiceExport{Spec: mcs.ServiceExportSpec{ExportedAnnotations: meta}}, s)
	source := Source{Export: e, Gaps: make([]string, 50)}
	for i := range source.Gaps {
		source.Gaps[i] = long
	}
	text, err := source.encode()
	if err != nil || len(text) > 250<<10 || len(e.Ports) < 500 {
		t.Errorf("%d bytes are kept, of %d ports: %v", len(text), len(e.Ports), err)
	}
	var kept Source
	if err := json.Unmarshal([]byte(text), &kept); err != nil || len(kept.Gaps) != mostGaps || len(kept.Gaps[0]) > mostText+3 {
		t.Errorf("%d gaps are kept: %v", len(kept.Gaps), err)
	}
	if again, err := kept.encode(); err != nil || again != text {
		t.Error("what is read is written as something else")
	}
}

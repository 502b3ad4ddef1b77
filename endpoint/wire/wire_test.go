package wire_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/randfill"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
)

var written = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)

func write(t testing.TB, obj runtime.Object, kind string) []byte {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	var b bytes.Buffer
	if err := written.Encode(obj, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// want is what is to be read of a pod.
func want(p *corev1.Pod) *wire.Object {
	o := metaOf(wire.KindPod, &p.ObjectMeta)
	o.ServiceAccount, o.Node, o.HostNetwork = p.Spec.ServiceAccountName, p.Spec.NodeName, p.Spec.HostNetwork
	o.Phase, o.IP = string(p.Status.Phase), p.Status.PodIP
	for _, ip := range p.Status.PodIPs {
		o.IPs = append(o.IPs, ip.IP)
	}
	for _, c := range append(slices.Clone(p.Spec.Containers), p.Spec.InitContainers...) {
		for _, port := range c.Ports {
			if port.Name == "" {
				continue
			}
			protocol := string(port.Protocol)
			if protocol == "" {
				protocol = "TCP"
			}
			o.Ports = append(o.Ports, index.Port{Name: port.Name, Protocol: protocol, Number: uint16(port.ContainerPort)})
		}
	}
	return o
}

func metaOf(kind string, m *metav1.ObjectMeta) *wire.Object {
	o := &wire.Object{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: kind}}
	o.Name, o.Namespace, o.UID, o.ResourceVersion = m.Name, m.Namespace, m.UID, m.ResourceVersion
	if m.DeletionTimestamp != nil {
		o.DeletionTimestamp = new(metav1.Unix(m.DeletionTimestamp.Unix(), 0))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
		o.Own = append(o.Own, index.Label{Name: name, Value: m.Labels[name]})
	}
	for name, value := range m.Annotations {
		if strings.HasPrefix(name, "cni.projectcalico.org/podIP") || name == "vpc.amazonaws.com/pod-ips" || name == "k8s.io/initial-events-end" {
			if o.Annotations == nil {
				o.Annotations = map[string]string{}
			}
			o.Annotations[name] = value
		}
	}
	return o
}

func sorted(o *wire.Object) *wire.Object {
	slices.SortFunc(o.Own, func(a, b index.Label) int { return strings.Compare(a.Name, b.Name) })
	return o
}

// filler fills objects at random, with every field that they have.
func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(.2).NumElements(0, 4).MaxDepth(12).Funcs(
		func(q *resource.Quantity, _ randfill.Continue) { *q = resource.MustParse("1") },
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(c.Int31()) },
		func(t *metav1.Time, c randfill.Continue) { *t = metav1.Unix(c.Int63n(4_000_000_000), 0) },
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.MicroTime(metav1.Unix(c.Int63n(4_000_000_000), 0))
		},
		func(f *metav1.FieldsV1, _ randfill.Continue) { f.SetRawString(`{}`) },
		func(p *corev1.ContainerPort, c randfill.Continue) {
			p.Name, p.ContainerPort = c.String(8), c.Int31n(65536)
			p.Protocol = corev1.Protocol([]string{"", "TCP", "UDP"}[c.Intn(3)])
			p.HostPort, p.HostIP = c.Int31n(65536), c.String(5)
		},
		func(m *metav1.ObjectMeta, c randfill.Continue) {
			c.FillNoCustom(m)
			for _, name := range []string{wire.CNIPodIP, wire.CNIPodIPs, wire.AWSPodIPs, metav1.InitialEventsAnnotationKey} {
				if c.Bool() && m.Annotations != nil {
					m.Annotations[name] = c.String(10)
				}
			}
		},
	)
}

// Kubernetes writes objects with every field that there is, and what is read of them is what was in them.
func TestReadsWhatKubernetesWrites(t *testing.T) {
	for seed := range int64(200) {
		f := filler(seed)
		var pod corev1.Pod
		f.Fill(&pod)
		check(t, want(&pod), write(t, &pod, wire.KindPod))

		var node corev1.Node
		f.Fill(&node)
		expected := metaOf(wire.KindNode, &node.ObjectMeta)
		for _, a := range node.Status.Addresses {
			expected.Addresses = append(expected.Addresses, wire.NodeAddress{Type: string(a.Type), Address: a.Address})
		}
		check(t, expected, write(t, &node, wire.KindNode))

		var ns corev1.Namespace
		f.Fill(&ns)
		check(t, metaOf(wire.KindNamespace, &ns.ObjectMeta), write(t, &ns, wire.KindNamespace))
		var account corev1.ServiceAccount
		f.Fill(&account)
		check(t, metaOf(wire.KindServiceAccount, &account.ObjectMeta), write(t, &account, wire.KindServiceAccount))
	}
}

func check(t *testing.T, want *wire.Object, message []byte) {
	t.Helper()
	got, _, err := wire.Decoder().Decode(message, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := got.(*wire.Object)
	if !ok {
		t.Fatalf("got %T", got)
	}
	if diff := cmp.Diff(want, sorted(o)); diff != "" {
		t.Fatal(diff)
	}
}

// TestKeepsLittleOfALongAnnotation: anybody who makes pods can write one, and each is held until a list has ended.
func TestKeepsLittleOfALongAnnotation(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{wire.CNIPodIPs: "10.4.0.1," + strings.Repeat(",", 250_000)}}}
	got, _, err := wire.Decoder().Decode(write(t, pod, wire.KindPod), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if kept := got.(*wire.Object).Annotations[wire.CNIPodIPs]; len(kept) > 1024 || !strings.HasPrefix(kept, "10.4.0.1,,") { //nolint:forcetypeassert // the test fails otherwise, as it should
		t.Errorf("%d bytes are kept: %.20q", len(kept), kept)
	}
}

func TestReadsLists(t *testing.T) {
	list := corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "42", Continue: "more", RemainingItemCount: new(int64(7))}}
	for seed := range int64(3) {
		var pod corev1.Pod
		filler(seed).Fill(&pod)
		list.Items = append(list.Items, pod)
	}
	got, _, err := wire.Decoder().Decode(write(t, &list, "PodList"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := got.(*wire.List) //nolint:forcetypeassert // the test fails otherwise, as it should
	if diff := cmp.Diff(list.ListMeta, l.ListMeta); diff != "" {
		t.Error(diff)
	}
	for i := range list.Items {
		if diff := cmp.Diff(want(&list.Items[i]), sorted(&l.Items[i])); diff != "" {
			t.Error(diff)
		}
	}
}

// What API servers answer in place of objects is read as ever.
func TestLeavesOtherKindsAlone(t *testing.T) {
	refused := metav1.Status{Status: "Failure", Reason: metav1.StatusReasonForbidden, Code: 403}
	got, _, err := wire.Decoder().Decode(write(t, &refused, "Status"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := got.(*metav1.Status); !ok || s.Code != 403 {
		t.Errorf("got %#v", got)
	}
}

func TestRefusesWhatIsNoMessage(t *testing.T) {
	var pod corev1.Pod
	filler(1).Fill(&pod)
	whole := write(t, &pod, wire.KindPod)
	for name, message := range map[string][]byte{
		"nothing":              {},
		"JSON":                 []byte(`{"kind":"Pod"}`),
		"half of a message":    whole[:len(whole)/2],
		"a port of its own":    write(t, &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "a", ContainerPort: 70000}}}}}}, wire.KindPod),
		"one with an odd tail": append(slices.Clone(whole), 0xff),
	} {
		if got, _, err := wire.Decoder().Decode(message, nil, nil); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for seed := range int64(4) {
		var pod corev1.Pod
		filler(seed).Fill(&pod)
		f.Add(write(f, &pod, wire.KindPod))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		got, _, err := wire.Decoder().Decode(message, nil, nil)
		if err != nil {
			return
		}
		o, ok := got.(*wire.Object)
		if !ok || o.Kind != wire.KindPod {
			return
		}
		// What we read, Kubernetes reads, and in the same way, unless it refuses it.
		other, _, err := written.Decode(message, nil, nil)
		if err != nil {
			return
		}
		pod := other.(*corev1.Pod) //nolint:forcetypeassert // of the kind that the message says
		if o.Name != pod.Name || o.Namespace != pod.Namespace || o.Node != pod.Spec.NodeName || o.IP != pod.Status.PodIP || o.HostNetwork != pod.Spec.HostNetwork {
			t.Errorf("read %v where Kubernetes reads %v", o, pod)
		}
	})
}

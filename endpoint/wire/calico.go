package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint/index"
)

// The kinds of Calico that are read. They come as JSON.
const (
	KindHostEndpoint     = "HostEndpoint"
	KindNetworkSet       = "NetworkSet"
	KindGlobalNetworkSet = "GlobalNetworkSet"
)

// CalicoVersions are where a cluster may serve these kinds, best first: where both are, the second is the first as
// another API server tells it, which may be away.
func CalicoVersions() []schema.GroupVersion {
	return []schema.GroupVersion{{Group: "crd.projectcalico.org", Version: "v1"}, {Group: "projectcalico.org", Version: "v3"}}
}

// calicoMetadata is the annotation that holds the labels of an object of crd.projectcalico.org where Calico's tools
// wrote it: its own labels are then only some of them.
const calicoMetadata = "projectcalico.org/metadata"

// CalicoClient makes a client that reads Calico's kinds as Objects and Lists, from a configuration with a transport
// of its own.
func CalicoClient(config *rest.Config, version schema.GroupVersion) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion = &version
	c.APIPath = "/apis"
	c.NegotiatedSerializer = calicoSerializer{}
	c.AcceptContentTypes, c.ContentType = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("making a client of %s: %w", version, err)
	}
	return client, nil
}

// calicoSerializer reads Calico's kinds as Objects, and everything else as the scheme does.
type calicoSerializer struct{ serializer }

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (calicoSerializer) SupportedMediaTypes() []runtime.SerializerInfo {
	all := slices.Clone(scheme.Codecs.SupportedMediaTypes()) // which everybody shares
	for i := range all {
		if all[i].MediaType == runtime.ContentTypeJSON {
			all[i].Serializer = calicoDecoder{all[i].Serializer}
		}
	}
	return all
}

type calicoDecoder struct{ runtime.Serializer }

// Decode implements runtime.Decoder.
func (d calicoDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	var what metav1.TypeMeta
	if err := json.Unmarshal(data, &what); err != nil {
		return nil, nil, fmt.Errorf("reading JSON: %w", err)
	}
	gvk := what.GroupVersionKind()
	item, isList := strings.CutSuffix(what.Kind, "List")
	if !slices.Contains(CalicoVersions(), gvk.GroupVersion()) || item != KindHostEndpoint && item != KindNetworkSet && item != KindGlobalNetworkSet {
		return d.Serializer.Decode(data, defaults, into)
	}
	if isList {
		l, ok := into.(*List)
		if !ok {
			l = &List{}
		}
		if err := l.readCalico(data, metav1.TypeMeta{APIVersion: what.APIVersion, Kind: item}); err != nil {
			return nil, &gvk, fmt.Errorf("reading a %s: %w", what.Kind, err)
		}
		return l, &gvk, nil
	}
	o, ok := into.(*Object)
	if !ok {
		o = &Object{}
	}
	var c calicoObject
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, &gvk, fmt.Errorf("reading a %s: %w", what.Kind, err)
	}
	*o = c.object(what)
	return o, &gvk, nil
}

// Encode implements runtime.Encoder. Nothing is written.
func (d calicoDecoder) Encode(obj runtime.Object, w io.Writer) error {
	return d.Serializer.Encode(obj, w)
}

func (l *List) readCalico(data []byte, what metav1.TypeMeta) error {
	var all struct {
		Metadata metav1.ListMeta `json:"metadata"`
		Items    []calicoObject  `json:"items"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*l = List{TypeMeta: metav1.TypeMeta{APIVersion: what.APIVersion, Kind: what.Kind + "List"}, ListMeta: all.Metadata, Items: make([]Object, 0, len(all.Items))}
	for _, c := range all.Items {
		l.Items = append(l.Items, c.object(what))
	}
	return nil
}

// calicoObject is what is read of them. Everything else is stepped over.
type calicoObject struct {
	Metadata struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               types.UID         `json:"uid"`
		ResourceVersion   string            `json:"resourceVersion"`
		DeletionTimestamp *metav1.Time      `json:"deletionTimestamp"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Node        string       `json:"node"`
		ExpectedIPs []string     `json:"expectedIPs"`
		Ports       []calicoPort `json:"ports"`
		Nets        []string     `json:"nets"`
	} `json:"spec"`
}

type calicoPort struct {
	Name     string             `json:"name"`
	Protocol intstr.IntOrString `json:"protocol"`
	Port     int64              `json:"port"`
}

func (c *calicoObject) object(what metav1.TypeMeta) Object {
	o := Object{TypeMeta: what, Node: c.Spec.Node, IPs: c.Spec.ExpectedIPs}
	if what.Kind != KindHostEndpoint {
		o.IPs = c.Spec.Nets
	}
	o.Name, o.Namespace, o.UID = c.Metadata.Name, c.Metadata.Namespace, c.Metadata.UID
	o.ResourceVersion, o.DeletionTimestamp = c.Metadata.ResourceVersion, c.Metadata.DeletionTimestamp
	for name, value := range c.labels() {
		o.Own = append(o.Own, index.Label{Name: name, Value: value})
	}
	for name, value := range c.Metadata.Annotations {
		if kept(name) {
			o.Annotations = map[string]string{name: value[:min(len(value), mostAnnotation)]}
		}
	}
	for _, p := range c.Spec.Ports {
		if p.Name != "" && p.Port > 0 && p.Port <= 65535 {
			o.Ports = append(o.Ports, index.Port{Name: p.Name, Protocol: protocol(p.Protocol), Number: uint16(p.Port)})
		}
	}
	return o
}

// labels are those of the object, and those that Calico keeps of it in an annotation, which count for more.
func (c *calicoObject) labels() map[string]string {
	text, there := c.Metadata.Annotations[calicoMetadata]
	if !there {
		return c.Metadata.Labels
	}
	var kept struct {
		Labels map[string]string `json:"labels"`
	}
	if err := json.Unmarshal([]byte(text), &kept); err != nil { // somebody's own annotation
		return c.Metadata.Labels
	}
	for name, value := range c.Metadata.Labels {
		if _, both := kept.Labels[name]; !both {
			if kept.Labels == nil {
				kept.Labels = map[string]string{}
			}
			kept.Labels[name] = value
		}
	}
	return kept.Labels
}

// protocol writes a protocol, which Calico has by name or by number, as Kubernetes does.
func protocol(p intstr.IntOrString) string {
	if p.Type == intstr.String {
		return strings.ToUpper(p.StrVal)
	}
	switch p.IntVal {
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	case 132:
		return "SCTP"
	}
	return p.String()
}

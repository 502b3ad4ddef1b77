package wire

import (
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// ContentType is what API servers are asked for.
const ContentType = runtime.ContentTypeProtobuf

// Client makes a client of the core API that reads Objects and Lists, from a configuration with a transport
// of its own.
func Client(config *rest.Config) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion = &schema.GroupVersion{Version: "v1"}
	c.APIPath = "/api"
	c.NegotiatedSerializer = serializer{}
	c.AcceptContentTypes, c.ContentType = ContentType, ContentType
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("making a client that reads protobuf: %w", err)
	}
	return client, nil
}

// serializer reads the kinds of this package as Objects, and everything else as the scheme does.
type serializer struct{}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (serializer) SupportedMediaTypes() []runtime.SerializerInfo {
	all := slices.Clone(scheme.Codecs.SupportedMediaTypes()) // which everybody shares
	for i := range all {
		if all[i].MediaType == ContentType {
			all[i].Serializer = decoder{all[i].Serializer}
			all[i].StreamSerializer = &runtime.StreamSerializerInfo{
				Serializer: protobuf.NewRawSerializer(scheme.Scheme, scheme.Scheme),
				Framer:     protobuf.LengthDelimitedFramer,
			}
		}
	}
	return all
}

// EncoderForVersion implements runtime.NegotiatedSerializer.
func (serializer) EncoderForVersion(e runtime.Encoder, _ runtime.GroupVersioner) runtime.Encoder {
	return e
}

// DecoderToVersion implements runtime.NegotiatedSerializer. There is one version.
func (serializer) DecoderToVersion(d runtime.Decoder, _ runtime.GroupVersioner) runtime.Decoder {
	return d
}

// Decoder returns what reads the kinds of this package as Objects and Lists, and others as client-go does.
func Decoder() runtime.Decoder {
	for _, info := range (serializer{}).SupportedMediaTypes() {
		if info.MediaType == ContentType {
			return info.Serializer
		}
	}
	return nil
}

// decoder reads what it knows, and leaves the rest to another.
type decoder struct{ runtime.Serializer }

// Decode implements runtime.Decoder.
func (d decoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	apiVersion, kind, raw, err := envelope(data)
	if err != nil {
		return nil, nil, err
	}
	gvk := &schema.GroupVersionKind{Version: "v1", Kind: kind}
	item, isList := strings.CutSuffix(kind, "List")
	if apiVersion != "v1" || !known(item) {
		return d.Serializer.Decode(data, defaults, into)
	}
	if isList {
		l, ok := into.(*List)
		if !ok {
			l = &List{}
		}
		l.TypeMeta = metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
		if err := l.read(raw, item); err != nil {
			return nil, gvk, fmt.Errorf("reading a %s: %w", kind, err)
		}
		return l, gvk, nil
	}
	o, ok := into.(*Object)
	if !ok {
		o = &Object{}
	}
	o.TypeMeta = metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
	if err := o.read(raw); err != nil {
		return nil, gvk, fmt.Errorf("reading a %s: %w", kind, err)
	}
	return o, gvk, nil
}

func known(kind string) bool {
	switch kind {
	case KindPod, KindNode, KindNamespace, KindServiceAccount:
		return true
	}
	return false
}

// Encode implements runtime.Encoder. Nothing is written.
func (d decoder) Encode(obj runtime.Object, w io.Writer) error { return d.Serializer.Encode(obj, w) }

package service

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// Port of an endpoint: the target port, with the name that the service's port has.
type Port struct {
	Name, Protocol string
	// Application is the appProtocol; empty for none.
	Application string
	// Number is 0 where the slice has none, which means all ports.
	Number int32
}

func (p Port) compare(o Port) int {
	return cmp.Or(strings.Compare(p.Name, o.Name), strings.Compare(p.Protocol, o.Protocol), cmp.Compare(p.Number, o.Number), strings.Compare(p.Application, o.Application))
}

// Conditions of an endpoint, as they are to be read where a slice leaves them out.
type Conditions struct{ Ready, Serving, Terminating bool }

// and holds for what two slices say of one endpoint: what is not ready in one is not ready.
func (c Conditions) and(o Conditions) Conditions {
	return Conditions{c.Ready && o.Ready, c.Serving && o.Serving, c.Terminating || o.Terminating}
}

// Target is the object that an endpoint is of.
type Target struct {
	Kind, Namespace, Name string
	UID                   types.UID
}

// Endpoint is one address, with what is told of it. It is comparable.
type Endpoint struct {
	// Addr is not valid where the slice had something else there.
	Addr netip.Addr
	Conditions
	Hostname, Node, Zone string
	Target               Target
}

func (e *Endpoint) compare(o *Endpoint) int {
	return cmp.Or(e.Addr.Compare(o.Addr), strings.Compare(e.Target.Namespace, o.Target.Namespace), strings.Compare(e.Target.Name, o.Target.Name),
		strings.Compare(e.Target.Kind, o.Target.Kind), strings.Compare(string(e.Target.UID), string(o.Target.UID)))
}

// Slice is what is kept of an EndpointSlice.
type Slice struct {
	Service string
	Ports   []Port
	// Portless says that it has no ports, not even such as were left out: those of a headless service may have none.
	Portless  bool
	Endpoints []Endpoint
}

// ReadSlice takes from an EndpointSlice of a cluster what is needed, without what no API server would have let in. The
// result shares nothing with it but strings.
func ReadSlice(s *discoveryv1.EndpointSlice) *Slice {
	read := readSlice(s)
	for i := range read.Endpoints {
		read.Endpoints[i].sane()
	}
	return read
}

// readSlice reads one of ours, too, where pods have other names.
func readSlice(s *discoveryv1.EndpointSlice) *Slice {
	read := &Slice{Service: s.Labels[discoveryv1.LabelServiceName], Ports: make([]Port, 0, len(s.Ports)), Portless: len(s.Ports) == 0}
	for _, p := range s.Ports {
		port := Port{Name: of(p.Name), Protocol: cmp.Or(string(of(p.Protocol)), string(corev1.ProtocolTCP)), Application: of(p.AppProtocol), Number: of(p.Port)}
		if sanePort(port.Name, port.Protocol, port.Application, port.Number) {
			read.Ports = append(read.Ports, port)
		}
	}
	if s.AddressType == discoveryv1.AddressTypeFQDN { // nothing that can be checked, and nothing reads them
		return read
	}
	read.Endpoints = make([]Endpoint, 0, len(s.Endpoints))
	for i := range s.Endpoints {
		read.Endpoints = append(read.Endpoints, readEndpoint(&s.Endpoints[i]))
	}
	return read
}

func readEndpoint(e *discoveryv1.Endpoint) Endpoint {
	read := Endpoint{
		Conditions: Conditions{Ready: e.Conditions.Ready == nil || *e.Conditions.Ready, Terminating: of(e.Conditions.Terminating)},
		Hostname:   saneName(of(e.Hostname)), Node: of(e.NodeName), Zone: of(e.Zone),
	}
	read.Serving = read.Ready
	if e.Conditions.Serving != nil {
		read.Serving = *e.Conditions.Serving
	}
	if len(e.Addresses) > 0 { // the first is the one that counts
		addr, err := netip.ParseAddr(e.Addresses[0])
		if err == nil && addr.Zone() == "" {
			read.Addr = addr.Unmap()
		}
	}
	if t := e.TargetRef; t != nil {
		read.Target = Target{Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, UID: t.UID}
	}
	return read
}

func of[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// Service is what is kept of a Service.
type Service struct {
	Labels map[string]string
	// Federated says that it selects others itself, and so backs none.
	Federated bool
	// External says that it is a name somewhere else.
	External bool
	Shape    Shape
}

// Shape is what the export of a service says of it.
type Shape struct {
	Headless              bool              `json:"headless,omitempty"`
	Ports                 []mcs.ServicePort `json:"ports,omitempty"`
	SessionAffinity       string            `json:"sessionAffinity,omitempty"`
	AffinitySeconds       int32             `json:"affinitySeconds,omitempty"`
	InternalTrafficPolicy string            `json:"internalTrafficPolicy,omitempty"`
	TrafficDistribution   string            `json:"trafficDistribution,omitempty"`
	Families              []string          `json:"families,omitempty"`
}

// ReadService takes from a Service what is needed.
func ReadService(s *corev1.Service) *Service {
	_, ours := s.Annotations[SelectorAnnotation]
	_, calico := s.Annotations[CalicoSelectorAnnotation]
	read := &Service{
		Labels: s.Labels, Federated: ours || calico, External: s.Spec.Type == corev1.ServiceTypeExternalName,
		Shape: Shape{
			Headless: s.Spec.ClusterIP == corev1.ClusterIPNone, SessionAffinity: string(s.Spec.SessionAffinity),
			InternalTrafficPolicy: string(of(s.Spec.InternalTrafficPolicy)), TrafficDistribution: of(s.Spec.TrafficDistribution),
		},
	}
	if c := s.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil {
		read.Shape.AffinitySeconds = of(c.ClientIP.TimeoutSeconds)
	}
	for _, p := range s.Spec.Ports {
		read.Shape.Ports = append(read.Shape.Ports, mcs.ServicePort{Name: p.Name, Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), AppProtocol: p.AppProtocol, Port: p.Port})
	}
	for _, f := range s.Spec.IPFamilies {
		read.Shape.Families = append(read.Shape.Families, string(f))
	}
	slices.Sort(read.Shape.Families)
	read.Shape.sane()
	return read
}

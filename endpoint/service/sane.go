package service

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// What a cluster tells is written to another one, whose API server refuses a whole object for one bad field. An API server
// that is what it says never sends any; so these are left out, and the rest is written.

var protocols = []string{string(corev1.ProtocolTCP), string(corev1.ProtocolUDP), string(corev1.ProtocolSCTP)}

func sanePort(name, protocol, application string, number int32) bool {
	return (name == "" || len(validation.IsDNS1123Label(name)) == 0) && slices.Contains(protocols, protocol) &&
		(application == "" || len(validation.IsQualifiedName(application)) == 0) && number >= 0 && number <= 65535
}

// sane leaves out of an endpoint what can be none of a pod and of where that is.
func (e *Endpoint) sane() {
	if t := e.Target; len(validation.IsDNS1035Label(strings.ToLower(t.Kind))) > 0 || len(validation.IsDNS1123Subdomain(t.Name)) > 0 ||
		t.Namespace != "" && len(validation.IsDNS1123Label(t.Namespace)) > 0 || len(t.UID) > mostUID {
		e.Target = Target{}
	}
	if len(validation.IsValidLabelValue(e.Zone)) > 0 {
		e.Zone = ""
	}
	if len(validation.IsDNS1123Subdomain(e.Node)) > 0 {
		e.Node = ""
	}
}

const (
	// mostUID is how long a UID is believed to be: those of API servers have 36 characters.
	mostUID = 64
	// mostGaps and mostText are how many gaps of a cluster are kept, and how many bytes of each.
	mostGaps, mostText = 16, 512
	// mostPorts is how many bytes the ports of an export may have: they are kept in an annotation, which has 256 KiB in all.
	mostPorts = 128 << 10
)

// cut is a text, or as much of it as may be kept.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func saneName(label string) string {
	if len(validation.IsDNS1123Label(label)) > 0 {
		return ""
	}
	return label
}

// oneOf returns a value that is among those allowed, and nothing otherwise.
func oneOf(value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return value
	}
	return ""
}

// sane leaves out of a shape what no Service can have.
func (s *Shape) sane() {
	s.Ports = slices.DeleteFunc(s.Ports, func(p mcs.ServicePort) bool {
		return p.Port == 0 || !sanePort(p.Name, string(p.Protocol), of(p.AppProtocol), p.Port)
	})
	size := 0
	for i, p := range s.Ports {
		if size += len(asJSON(p)) + 1; size > mostPorts {
			s.Ports = s.Ports[:i]
			break
		}
	}
	s.SessionAffinity = oneOf(s.SessionAffinity, string(corev1.ServiceAffinityNone), string(corev1.ServiceAffinityClientIP))
	if s.AffinitySeconds < 0 || s.AffinitySeconds > 86400 {
		s.AffinitySeconds = 0
	}
	if s.AffinitySeconds == 0 && s.SessionAffinity == string(corev1.ServiceAffinityClientIP) { // as an API server fills it in
		s.AffinitySeconds = corev1.DefaultClientIPServiceAffinitySeconds
	}
	s.InternalTrafficPolicy = oneOf(s.InternalTrafficPolicy, string(corev1.ServiceInternalTrafficPolicyCluster), string(corev1.ServiceInternalTrafficPolicyLocal))
	s.TrafficDistribution = oneOf(s.TrafficDistribution, corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)
	s.Families = slices.Compact(slices.DeleteFunc(s.Families, func(f string) bool { return oneOf(f, string(corev1.IPv4Protocol), string(corev1.IPv6Protocol)) == "" }))
}

// saneMeta says whether something can be a label, or an annotation.
func saneMeta(key, value string, label bool) bool {
	if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
		return false
	}
	return !label || len(validation.IsQualifiedName(key)) == 0 && len(validation.IsValidLabelValue(value)) == 0
}

package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// Import is what the exports of one service come to.
type Import struct {
	Shape
	Labels, Annotations map[string]string
	// Clusters that export it, sorted.
	Clusters []string
	// Conflicts are what exports differ in, in a fixed order.
	Conflicts []Problem
}

// Fold makes one import of the exports of a service, of each cluster at most one. Where they differ in what cannot be
// joined, the oldest export has the say, among those of one age that of the cluster whose name comes first. There must be
// at least one.
func Fold(exports []Export) Import {
	exports = slices.Clone(exports)
	byAge(exports)
	oldest := exports[0]
	im := Import{Shape: oldest.Shape, Labels: oldest.Labels, Annotations: oldest.Annotations}
	for _, e := range exports {
		im.Clusters = append(im.Clusters, e.Cluster)
	}
	slices.Sort(im.Clusters)
	im.Ports = union(exports)
	for _, p := range properties {
		if p.ofAddress && oldest.Headless {
			continue // it means nothing where there is no address to share
		}
		used := p.of(&oldest)
		var others int
		for _, e := range exports[1:] {
			if p.of(&e) != used {
				others++
			}
		}
		if others > 0 {
			im.Conflicts = append(im.Conflicts, Problem{string(p.reason), p.message(used, oldest.Cluster, others, len(exports))})
		}
	}
	return im
}

// property is something that the exports of a service should agree in.
type property struct {
	name      string
	reason    mcs.ServiceExportConditionReason
	ofAddress bool // it is about how an address of the import is used
	joined    bool // the import has what any export has
	of        func(*Export) string
}

var properties = []property{
	{"type", mcs.ServiceExportReasonTypeConflict, false, false, func(e *Export) string { return string(e.importType()) }},
	{"ports", mcs.ServiceExportReasonPortConflict, false, true, portsText},
	{"session affinity", mcs.ServiceExportReasonSessionAffinityConflict, true, false, func(e *Export) string { return e.SessionAffinity }},
	{"session affinity timeout", mcs.ServiceExportReasonSessionAffinityConfigConflict, true, false, func(e *Export) string { return fmt.Sprintf("%ds", e.AffinitySeconds) }},
	{"internal traffic policy", mcs.ServiceExportReasonInternalTrafficPolicyConflict, true, false, func(e *Export) string { return e.InternalTrafficPolicy }},
	{"traffic distribution", mcs.ServiceExportReasonTrafficDistributionConflict, true, false, func(e *Export) string { return e.TrafficDistribution }},
	{"address families", mcs.ServiceExportReasonIPFamilyConflict, false, false, func(e *Export) string { return strings.Join(e.Families, ",") }},
	{"labels", mcs.ServiceExportReasonLabelsConflict, false, false, func(e *Export) string { return asJSON(e.Labels) }},
	{"annotations", mcs.ServiceExportReasonAnnotationsConflict, false, false, func(e *Export) string { return asJSON(e.Annotations) }},
}

// longest is how much of a value a message shows.
const longest = 200

func (p property) message(used, cluster string, others, all int) string {
	if len(used) > longest {
		used = used[:longest] + "…"
	}
	verb := "differ"
	if others == 1 {
		verb = "differs"
	}
	if p.joined {
		return fmt.Sprintf("%s: all of them are exposed, and of those that exclude each other that of the oldest export; %d of %d clusters %s from %s in cluster %q", p.name, others, all, verb, used, cluster)
	}
	return fmt.Sprintf("%s: %q is used, of the oldest export, in cluster %q; %d of %d clusters %s", p.name, used, cluster, others, all, verb)
}

// Type is that of the import.
func (s *Shape) importType() mcs.ServiceImportType {
	if s.Headless {
		return mcs.Headless
	}
	return mcs.ClusterSetIP
}

func portsText(e *Export) string {
	var all []string
	for _, p := range e.Ports {
		all = append(all, strings.TrimPrefix(fmt.Sprintf("%s:%d/%s", p.Name, p.Port, p.Protocol)+strings.TrimSuffix(" "+of(p.AppProtocol), " "), ":"))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// union are the ports of all exports, sorted by precedence. One that a Service could not have beside an earlier one is
// left out: of the same name, of the same protocol and number, or without a name where there are several.
func union(exports []Export) []mcs.ServicePort {
	names, numbers := map[string]bool{}, map[portNumber]bool{}
	var all []mcs.ServicePort
	for _, e := range exports {
		for _, p := range e.Ports {
			n := numberOf(p)
			unnamed := len(all) > 0 && (p.Name == "" || names[""])
			if names[p.Name] || numbers[n] || unnamed {
				continue
			}
			names[p.Name], numbers[n] = true, true
			all = append(all, p)
		}
	}
	return all
}

// Spec is that of the ServiceImport, without addresses.
func (im *Import) Spec() mcs.ServiceImportSpec {
	spec := mcs.ServiceImportSpec{Type: im.importType(), Ports: im.Ports}
	if spec.Ports == nil {
		spec.Ports = []mcs.ServicePort{}
	}
	im.shape(&spec)
	return spec
}

// HasAddress says whether the import is to have an address.
func (im *Import) HasAddress() bool { return !im.Headless && len(im.Ports) > 0 }

// Metadata are the labels and annotations of the ServiceImport.
func (im *Import) Metadata() (labels, annotations map[string]string) {
	return maps.Clone(im.Labels), maps.Clone(im.Annotations)
}

// shape takes over how an address of the import is used.
func (s *Shape) shape(spec *mcs.ServiceImportSpec) {
	if s.Headless {
		return
	}
	spec.SessionAffinity = corev1.ServiceAffinity(cmp.Or(s.SessionAffinity, string(corev1.ServiceAffinityNone)))
	if s.AffinitySeconds != 0 && spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &s.AffinitySeconds}}
	}
	if s.InternalTrafficPolicy != "" {
		spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicy(s.InternalTrafficPolicy))
	}
	spec.TrafficDistribution = some(s.TrafficDistribution)
}

package service

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// Export is what the export of one cluster says.
type Export struct {
	Cluster string `json:"-"`
	// Created is when the ServiceExport was, as the cluster says: the oldest has the say.
	Created metav1.Time `json:"created"`
	// Seen is when it was first seen here. Zero is before all that were.
	Seen metav1.Time `json:"seen,omitzero"`
	Shape
	// Labels and Annotations are those of the ServiceExport's spec.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// mostMetadata is how many bytes the exported labels, and the annotations, may have: they are kept in an annotation.
const mostMetadata = 32 << 10

func newExport(e *mcs.ServiceExport, s *Service) *Export {
	return &Export{
		Created: metav1.NewTime(e.CreationTimestamp.UTC().Truncate(time.Second)), Shape: s.Shape,
		Labels: exportable(e.Spec.ExportedLabels, true), Annotations: exportable(e.Spec.ExportedAnnotations, false),
	}
}

// exportable leaves out what programs of this cluster act upon: another cluster has no say in that.
func exportable(all map[string]string, labels bool) map[string]string {
	kept := map[string]string{}
	size := 0
	for key, value := range all {
		domain, _, prefixed := strings.Cut(key, "/")
		if prefixed && reserved(domain) || !saneMeta(key, value, labels) {
			continue
		}
		kept[key] = value
		size += len(asJSON(key)) + len(asJSON(value))
	}
	if len(kept) == 0 || size > mostMetadata {
		return nil
	}
	return kept
}

func reserved(domain string) bool {
	for _, of := range []string{"hawser.io", "kubernetes.io", "k8s.io", "x-k8s.io"} {
		if domain == of || strings.HasSuffix(domain, "."+of) {
			return true
		}
	}
	return false
}

// exposedAs says which port of an import, with what name, a port of the cluster's endpoints is: the one of the same protocol
// and number as the service's port of its name. Which name that port has is said by another export where that is older.
func (e *Export) exposedAs(exposed []mcs.ServicePort) func(Port) (Port, bool) {
	names := make(map[portNumber]string, len(exposed))
	for _, p := range exposed {
		names[numberOf(p)] = p.Name
	}
	as := make(map[PortName]string, len(e.Ports))
	for _, p := range e.Ports {
		if name, found := names[numberOf(p)]; found {
			as[PortName{p.Name, string(p.Protocol)}] = name
		}
	}
	return func(p Port) (Port, bool) {
		name, found := as[PortName{p.Name, p.Protocol}]
		p.Name = name
		return p, found
	}
}

// portNumber is by what a port of a Service is told apart, whatever its name.
type portNumber struct {
	protocol string
	port     int32
}

func numberOf(p mcs.ServicePort) portNumber {
	return portNumber{cmp.Or(string(p.Protocol), string(corev1.ProtocolTCP)), p.Port}
}

// founding is how long after the first export of a service others are believed to be older than they were seen here: those
// of clusters that are followed from the same time on.
const founding = 10 * time.Minute

// byAge sorts exports by precedence: by age, and then by the name of the cluster. One that was seen here long after others is
// not older than that, whatever its cluster says: or any cluster could have the say about what others have exported for years.
func byAge(exports []Export) {
	var first time.Time
	for i, e := range exports {
		if i == 0 || e.Seen.Time.Before(first) {
			first = e.Seen.Time
		}
	}
	age := func(e *Export) time.Time {
		if e.Seen.After(first.Add(founding)) && e.Seen.After(e.Created.Time) {
			return e.Seen.Time
		}
		return e.Created.Time
	}
	slices.SortFunc(exports, func(a, b Export) int {
		return cmp.Or(age(&a).Compare(age(&b)), strings.Compare(a.Cluster, b.Cluster))
	})
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error() // of strings and what is made of them there is none
	}
	return string(text)
}

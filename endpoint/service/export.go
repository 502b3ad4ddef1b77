package service

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)

// Export is what the export of one cluster says.
type Export struct {
	Cluster string `json:"-"`
	// Created is when the ServiceExport was: the oldest has the say.
	Created metav1.Time `json:"created"`
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
		size += len(key) + len(value)
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

// before is the order of precedence: by age, and then by the name of the cluster.
func (e *Export) before(o *Export) int {
	return cmp.Or(e.Created.Compare(o.Created.Time), strings.Compare(e.Cluster, o.Cluster))
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error() // of maps of strings there is none
	}
	return string(text)
}

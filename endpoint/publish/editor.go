package publish

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// tells says whether annotations say that this is the hash of what we wrote, or of what the API server made of it.
func tells(annotations map[string]string, hash string) bool {
	return hash == annotations[HashAnnotation] || hash == annotations[StoredAnnotation]
}

// editor is who has changed what we wrote, of which that is the hash now: "" for nobody. What the API server itself has
// added to it, nobody has. Who has only taken something away cannot be named.
func editor(o *unstructured.Unstructured, hash string) string {
	annotations := o.GetAnnotations()
	if hash == annotations[HashAnnotation] { // who wrote that itself has it written over, unless it says what we want
		return ""
	}
	ours := map[string]any{}
	for _, entry := range o.GetManagedFields() {
		switch {
		case entry.Subresource != "" || entry.FieldsV1 == nil:
		case entry.Manager == v1alpha1.FieldManager:
			var fields map[string]any
			if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) == nil {
				join(ours, fields)
			}
		case touchesContent(entry.FieldsV1.GetRawBytes(), annotations):
			return entry.Manager
		}
	}
	if _, its, _ := unstructured.NestedFieldNoCopy(ours, "f:metadata", "f:annotations", "f:"+StoredAnnotation); !its { // anybody could have put it there
		annotations = maps.Clone(annotations)
		delete(annotations, StoredAnnotation)
	}
	if tells(annotations, hash) || len(ours) > 0 && tells(annotations, ContentHash(ownedBy(o, ours))) {
		return ""
	}
	return "somebody"
}

// join adds fields to others, as managedFields have them.
func join(all, more map[string]any) {
	for field, below := range more {
		deep, ok := below.(map[string]any)
		have, both := all[field].(map[string]any)
		if ok && both {
			join(have, deep)
		} else {
			all[field] = below
		}
	}
}

// ownedBy is an object without the fields that nobody wrote: defaults that a later version of its API has.
func ownedBy(o *unstructured.Unstructured, fields map[string]any) *unstructured.Unstructured {
	left := map[string]any{}
	for field, value := range o.Object {
		below, owned := fields["f:"+field].(map[string]any)
		switch {
		case field == "metadata":
			left[field] = value
		case owned:
			left[field] = pruned(value, below)
		}
	}
	return &unstructured.Unstructured{Object: left}
}

func pruned(value any, fields map[string]any) any {
	all, ok := value.(map[string]any)
	named := slices.ContainsFunc(slices.Collect(maps.Keys(fields)), func(f string) bool { return strings.HasPrefix(f, "f:") })
	if !ok || !named {
		return value
	}
	left := map[string]any{}
	for field, value := range all {
		if below, owned := fields["f:"+field].(map[string]any); owned {
			left[field] = pruned(value, below)
		}
	}
	return left
}

// touchesContent says whether a set of fields, as managedFields have it, has any of what we write, which annotations of
// the object list.
func touchesContent(raw []byte, annotations map[string]string) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return true
	}
	for field, below := range fields {
		switch field {
		case "f:metadata":
			if touchesMetadata(below, annotations) {
				return true
			}
		case "f:status":
		default:
			return true
		}
	}
	return false
}

func touchesMetadata(raw []byte, annotations map[string]string) bool {
	var metadata struct {
		Labels      map[string]json.RawMessage `json:"f:labels"`
		Annotations map[string]json.RawMessage `json:"f:annotations"`
	}
	if json.Unmarshal(raw, &metadata) != nil {
		return true
	}
	for _, l := range slices.Concat(ourLabels, listed(annotations)) {
		if _, ok := metadata.Labels["f:"+l]; ok {
			return true
		}
	}
	for _, a := range slices.Concat(written, []string{HashAnnotation, StoredAnnotation, LabelsAnnotation}) {
		if _, ok := metadata.Annotations["f:"+a]; ok {
			return true
		}
	}
	return false
}

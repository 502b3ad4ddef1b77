package publish

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// written are the annotations of ours that are part of what we wrote.
var written = []string{PiecesAnnotation, StaleSinceAnnotation, ExpiredAnnotation, SelectorAnnotation}

// contentHash is one of what we write of an object: everything but its metadata and status, and of the metadata our
// labels and annotations. It is the same for what we write and for what was read, unless somebody has edited it.
func contentHash(o *unstructured.Unstructured) string {
	content := map[string]any{}
	for field, value := range o.Object {
		switch field {
		case "apiVersion", "kind", "metadata", "status":
		default:
			content[field] = value
		}
	}
	annotations := o.GetAnnotations()
	content["labels"] = pick(o.GetLabels(), slices.Concat(ourLabels, listed(annotations)))
	content["annotations"] = pick(annotations, written)
	text, err := json.Marshal(content) // with the keys in order
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

var ourLabels = []string{v1alpha1.ManagedByLabel, SetLabel, PolicyLabel, PolicyNamespaceLabel, ClusterLabel}

// listed are the labels that an item asked for.
func listed(annotations map[string]string) []string {
	if annotations[LabelsAnnotation] == "" {
		return nil
	}
	return strings.Split(annotations[LabelsAnnotation], ",")
}

func pick(all map[string]string, names []string) map[string]string {
	picked := map[string]string{}
	for _, name := range names {
		if value, ok := all[name]; ok {
			picked[name] = value
		}
	}
	return picked
}

// wanted is an object as it is to be.
type wanted struct {
	ref    ref
	object *unstructured.Unstructured
	hash   string
}

// want completes an object that was rendered: who owns it, and what we know it again by. The kind of a typed object
// is taken from scheme. What is not in the namespace of its owner cannot have it as such, and is swept instead.
func want(scheme *runtime.Scheme, o client.Object, k Key, owner metav1.OwnerReference) (wanted, error) {
	u, ok := o.(*unstructured.Unstructured)
	if ok {
		u = u.DeepCopy()
	} else {
		gvks, _, err := scheme.ObjectKinds(o)
		if err != nil {
			return wanted{}, fmt.Errorf("writing %T %q: %w", o, o.GetName(), err)
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return wanted{}, fmt.Errorf("writing %s %q: %w", gvks[0].Kind, o.GetName(), err)
		}
		u = &unstructured.Unstructured{Object: content}
		u.SetGroupVersionKind(gvks[0])
	}
	unstructured.RemoveNestedField(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	if others := slices.DeleteFunc(slices.Sorted(maps.Keys(u.GetLabels())), func(l string) bool { return slices.Contains(ourLabels, l) }); len(others) > 0 {
		annotations[LabelsAnnotation] = strings.Join(others, ",")
	}
	u.SetAnnotations(annotations)
	hash := contentHash(u)
	annotations[HashAnnotation] = hash
	u.SetAnnotations(annotations)
	if k.Namespace == "" || k.Namespace == u.GetNamespace() {
		u.SetOwnerReferences([]metav1.OwnerReference{owner})
	}
	return wanted{ref{u.GroupVersionKind().GroupKind(), u.GetNamespace(), u.GetName()}, u, hash}, nil
}

// editor is who has changed what we wrote: "" for nobody. What the API server itself has added to it, nobody has.
func editor(o *unstructured.Unstructured) string {
	if contentHash(o) == o.GetAnnotations()[HashAnnotation] {
		return ""
	}
	ours := false
	for _, entry := range o.GetManagedFields() {
		switch {
		case entry.Subresource != "":
		case entry.Manager == v1alpha1.FieldManager:
			ours = true
		case entry.FieldsV1 != nil && touchesContent(entry.FieldsV1.GetRawBytes()):
			return entry.Manager
		}
	}
	if ours {
		return ""
	}
	return "somebody"
}

// touchesContent says whether a set of fields, as managedFields have it, has any of what we write.
func touchesContent(raw []byte) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return true
	}
	for field, below := range fields {
		switch field {
		case "f:metadata":
			if touchesMetadata(below) {
				return true
			}
		case "f:status":
		default:
			return true
		}
	}
	return false
}

func touchesMetadata(raw []byte) bool {
	var metadata struct {
		Labels      map[string]json.RawMessage `json:"f:labels"`
		Annotations map[string]json.RawMessage `json:"f:annotations"`
	}
	if json.Unmarshal(raw, &metadata) != nil {
		return true
	}
	for _, l := range ourLabels {
		if _, ok := metadata.Labels["f:"+l]; ok {
			return true
		}
	}
	for _, a := range slices.Concat(written, []string{HashAnnotation, LabelsAnnotation}) {
		if _, ok := metadata.Annotations["f:"+a]; ok {
			return true
		}
	}
	return false
}

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
var written = []string{ClusterIDAnnotation, WithinAnnotation, PiecesAnnotation, StaleSinceAnnotation, ExpiredAnnotation, SelectorAnnotation}

// ContentHash is one of what we write of an object: everything but its metadata and status, and of the metadata our
// labels and annotations. It is the same for what we write and for what was read, unless somebody has edited it.
func ContentHash(o *unstructured.Unstructured) string {
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
	hash := ContentHash(u)
	annotations[HashAnnotation] = hash
	u.SetAnnotations(annotations)
	if k.Namespace == "" || k.Namespace == u.GetNamespace() {
		u.SetOwnerReferences([]metav1.OwnerReference{owner})
	}
	return wanted{ref{u.GroupVersionKind().GroupKind(), u.GetNamespace(), u.GetName()}, u, hash}, nil
}

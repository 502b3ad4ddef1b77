package importer

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// YAML prints the objects for kubectl apply, with the notes on each as comments above it.
func (r Result) YAML() ([]byte, error) {
	var out bytes.Buffer
	for _, item := range r.Items {
		content, err := item.content()
		if err != nil {
			return nil, err
		}
		text, err := yaml.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("printing %s %q: %w", item.Object.GetObjectKind().GroupVersionKind().Kind, item.Object.GetName(), err)
		}
		out.WriteString("---\n")
		for _, note := range item.Notes {
			out.WriteString("# " + note.String() + "\n")
		}
		out.Write(text)
	}
	for i, note := range r.Notes {
		if i == 0 {
			out.WriteString("---\n")
		}
		out.WriteString("# " + note.String() + "\n")
	}
	return out.Bytes(), nil
}

// JSON prints the objects as a List. It has no place for notes.
func (r Result) JSON() ([]byte, error) {
	items := []any{}
	for _, item := range r.Items {
		content, err := item.content()
		if err != nil {
			return nil, err
		}
		items = append(items, content)
	}
	text, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("printing the objects: %w", err)
	}
	return append(text, '\n'), nil
}

// content is the object without what only an API server fills in.
func (i Item) content() (map[string]any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(i.Object)
	if err != nil {
		return nil, fmt.Errorf("converting %s %q: %w", i.Object.GetObjectKind().GroupVersionKind().Kind, i.Object.GetName(), err)
	}
	unstructured.RemoveNestedField(content, "status")
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	return content, nil
}

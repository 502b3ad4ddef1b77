package capa

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hawser-io/hawser/aws"
)

// namespacesOf reads spec.allowedNamespaces by what is there and not by what it decodes to, since the
// provider's own types cannot tell an empty selector from none.
//
//	absent, null                      none
//	{}                                all
//	{list: null, selector: {}}        all: the provider's webhook writes {} in this form
//	any other list or selector        the names in the list, and what the selector matches
//
// An empty list and an empty selector admit nobody. What cannot be understood is an error, and admits nobody.
func namespacesOf(u *unstructured.Unstructured) (aws.Namespaces, error) {
	spec, _ := u.Object["spec"].(map[string]any)
	raw := spec["allowedNamespaces"]
	if raw == nil {
		return aws.Namespaces{}, nil
	}
	allowed, ok := raw.(map[string]any)
	if !ok {
		return aws.Namespaces{}, fmt.Errorf("spec.allowedNamespaces is %T and should be an object with list or selector", raw)
	}
	for key := range allowed {
		if key != "list" && key != "selector" {
			return aws.Namespaces{}, fmt.Errorf("spec.allowedNamespaces has an unknown field %q: it takes list and selector", key)
		}
	}
	if isAll(allowed) {
		return aws.Namespaces{All: true}, nil
	}
	names, err := namesOf(allowed["list"])
	if err != nil {
		return aws.Namespaces{}, err
	}
	selector, err := selectorOf(allowed["selector"])
	if err != nil {
		return aws.Namespaces{}, err
	}
	return aws.Namespaces{Names: names, Selector: selector}, nil
}

func isAll(allowed map[string]any) bool {
	if len(allowed) == 0 {
		return true
	}
	list, listed := allowed["list"]
	selector, selected := allowed["selector"].(map[string]any)
	return listed && list == nil && selected && len(selector) == 0
}

func namesOf(raw any) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, fmt.Errorf("spec.allowedNamespaces.list is %T and should be a list of names", raw)
	}
	var names []string
	for _, item := range list {
		name, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("spec.allowedNamespaces.list holds %T and should hold names", item)
		}
		names = append(names, name)
	}
	return names, nil
}

func selectorOf(raw any) (labels.Selector, error) {
	if raw == nil {
		return nil, nil
	}
	object, ok := raw.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("spec.allowedNamespaces.selector is %T and should be a label selector", raw)
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, &selector, true); err != nil {
		return nil, fmt.Errorf("reading spec.allowedNamespaces.selector: %w", err)
	}
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return nil, nil
	}
	parsed, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		return nil, fmt.Errorf("reading spec.allowedNamespaces.selector: %w", err)
	}
	return parsed, nil
}

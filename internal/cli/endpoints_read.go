package cli

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint/publish"
	"github.com/hawser-io/hawser/endpoint/publish/set"
	"github.com/hawser-io/hawser/endpoint/query"
	"github.com/hawser-io/hawser/selector"
)

// knownSet is an EndpointSet as its controller reads it.
type knownSet struct {
	// selector that is followed, and how it was written; nil: none is, as far as can be seen.
	selector *selector.Selector
	text     string
	// refused is what is wrong with it, in the words of its condition; why is the same with the place in the selector.
	refused []query.Gap
	why     string
	// narrow says that it should match less than everything.
	narrow bool
	// warnings are of what can be read, and is hardly meant so.
	warnings []string
}

// readSet reads an EndpointSet as its controller does: one whose selector cannot be read follows the one that was read
// last. Which one that is stands on what was made of it, which takes the right to list that.
func (d *deps) readSet(ctx context.Context, here *cluster, es *v1alpha1.EndpointSet) (knownSet, error) {
	known := knownSet{text: es.Spec.Selector}
	if _, err := set.Selector(es.Spec.Selector); err != nil {
		var unseen error
		switch known.text, unseen = lastSelector(ctx, here, es); {
		case apierrors.IsForbidden(unseen):
			known.refuse(es, publish.Statement{Reason: reasonForbidden,
				Message: fmt.Sprintf("spec.selector: %s; which selector was read last, and is followed, you may not see: %s", err, oneLine(unseen.Error()))})
			return known, nil
		case unseen != nil:
			return known, fmt.Errorf("looking for the selector that EndpointSet %q was made by last: %w", es.Name, unseen)
		}
	}
	read := set.Read(es, known.text)
	for _, s := range read.Refused {
		known.refuse(es, s)
	}
	for _, s := range read.Warned {
		known.warnings = append(known.warnings, oneLine(s.Message))
	}
	known.narrow = len(read.Narrow) > 0
	if len(read.Item.Selectors) > 0 {
		known.selector = read.Item.Selectors[0]
	}
	return known, nil
}

func (k *knownSet) refuse(es *v1alpha1.EndpointSet, s publish.Statement) {
	said, _, _ := strings.Cut(s.Message, "\n") // what follows points at the place, in lines
	k.refused = append(k.refused, query.Gap{Object: "EndpointSet(" + es.Name + ")", Reason: s.Reason, Message: said})
	if k.why == "" {
		k.why = s.Message
	}
}

// lastSelector finds the selector that the objects of a set were made by, "" where there are none. That one may not list
// some is an error only where no others tell it.
func lastSelector(ctx context.Context, here *cluster, es *v1alpha1.EndpointSet) (string, error) {
	var made publish.Made
	var forbidden error
	for i := range es.Spec.Outputs {
		kind, namespace := set.KindOf(&es.Spec.Outputs[i])
		mapping, err := here.Client.RESTMapper().RESTMapping(kind)
		if meta.IsNoMatchError(err) { // and so there is none of it
			continue
		}
		var list unstructured.UnstructuredList
		if err == nil {
			list.SetGroupVersionKind(mapping.GroupVersionKind)
			err = here.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{publish.SetLabel: es.Name})
		}
		switch {
		case apierrors.IsForbidden(err):
			forbidden = err
		case err != nil:
			return "", fmt.Errorf("listing each %s that was made: %w", kind.Kind, err)
		}
		for i := range list.Items {
			made.Add(&list.Items[i], es.UID)
		}
	}
	if last := made.Last(es.Status.Clusters); last != "" {
		return last, nil
	}
	return "", forbidden
}

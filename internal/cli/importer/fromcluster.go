package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// DefaultNamespace is where a tool keeps its Secrets unless it was told otherwise; empty where it has no such place.
func DefaultNamespace(source string) string {
	switch source {
	case "argocd", "mirrord":
		return source
	}
	return ""
}

// FromCluster reads what a source has in a cluster, with the Secrets that it names. Secrets that may not be read
// are left out, and notes say so. namespace is that of the tool, where it has one.
func FromCluster(ctx context.Context, c client.Reader, source, namespace string) ([]Document, []Note, error) {
	v := schema.GroupVersion{Version: "v1"}
	switch source {
	case "argocd":
		documents, _, err := list(ctx, c, v.WithKind("Secret"), client.InNamespace(namespace), client.MatchingLabels{argoLabel: "cluster"})
		return documents, nil, err
	case "mirrord":
		documents, err := mirrordIn(ctx, c, namespace)
		return documents, nil, err
	case "admiralty":
		g := schema.GroupVersion{Group: admiraltyGroup, Version: "v1alpha1"}
		documents, err := listAny(ctx, c, g.WithKind("Target"), g.WithKind("ClusterTarget"), g.WithKind("Source"), g.WithKind("ClusterSource"))
		if err != nil {
			return nil, nil, err
		}
		return withSecrets(ctx, c, documents, "kubeconfigSecret")
	case "calico":
		documents, err := listAny(ctx, c, schema.GroupVersionKind{Group: "projectcalico.org", Version: "v3", Kind: "RemoteClusterConfiguration"})
		if err != nil {
			documents, err = listAny(ctx, c, schema.GroupVersionKind{Group: "crd.projectcalico.org", Version: "v1", Kind: "RemoteClusterConfiguration"})
		}
		if err != nil {
			return nil, nil, err
		}
		return withSecrets(ctx, c, documents, "clusterAccessSecret")
	}
	return nil, nil, fmt.Errorf("%s is read from files", source)
}

// mirrordIn reads what the operator's chart installed.
func mirrordIn(ctx context.Context, c client.Reader, namespace string) ([]Document, error) {
	v := schema.GroupVersion{Version: "v1"}
	config, err := get(ctx, c, v.WithKind("ConfigMap"), key{namespace, mirrordConfigMap})
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %q in namespace %q: %w", mirrordConfigMap, namespace, err)
	}
	secrets, _, err := list(ctx, c, v.WithKind("Secret"), client.InNamespace(namespace), client.MatchingLabels{mirrordLabel: "true"})
	return append([]Document{config}, secrets...), err
}

// listAny lists several kinds, of which the cluster has to know one at least.
func listAny(ctx context.Context, c client.Reader, kinds ...schema.GroupVersionKind) ([]Document, error) {
	var documents []Document
	known := false
	for _, kind := range kinds {
		found, ok, err := list(ctx, c, kind)
		if err != nil {
			return nil, err
		}
		known = known || ok
		documents = append(documents, found...)
	}
	if !known {
		return nil, fmt.Errorf("this cluster does not know the kind %s (%s)", kinds[0].Kind, kinds[0].GroupVersion())
	}
	return documents, nil
}

// list returns the objects of a kind; ok is false where the cluster does not know it.
func list(ctx context.Context, c client.Reader, kind schema.GroupVersionKind, opts ...client.ListOption) (documents []Document, ok bool, err error) {
	var objects unstructured.UnstructuredList
	objects.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err = c.List(ctx, &objects, opts...)
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("listing objects of kind %s: %w", kind.Kind, err)
	}
	for i := range objects.Items {
		objects.Items[i].SetGroupVersionKind(kind)
		documents = append(documents, objects.Items[i].Object)
	}
	return documents, true, nil
}

func get(ctx context.Context, c client.Reader, kind schema.GroupVersionKind, k key) (Document, error) {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	if err := c.Get(ctx, client.ObjectKey{Namespace: k.namespace, Name: k.name}, obj); err != nil {
		return nil, err
	}
	obj.SetGroupVersionKind(kind)
	return obj.Object, nil
}

// withSecrets adds the Secrets that spec.<field> of the documents names.
func withSecrets(ctx context.Context, c client.Reader, documents []Document, field string) ([]Document, []Note, error) {
	var notes []Note
	var asked []key
	for _, d := range slices.Clone(documents) {
		ref := fieldsOf("", d).part("spec").part(field)
		where := key{ref.text("namespace"), ref.text("name")}
		if where.namespace == "" {
			where.namespace = keyOf(d).namespace
		}
		if where.name == "" || where.namespace == "" || slices.Contains(asked, where) {
			continue
		}
		asked = append(asked, where)
		secret, err := get(ctx, c, schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, where)
		switch {
		case err == nil:
			documents = append(documents, secret)
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
			notes = append(notes, Note{ToDo, describe(d), "", fmt.Sprintf("Secret %q could not be read: %s", where, reason(err))})
		default:
			return nil, nil, fmt.Errorf("reading Secret %q: %w", where, err)
		}
	}
	return documents, notes, nil
}

// reason is what the API server says, in a word.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return string(status.Status().Reason)
	}
	return "no answer"
}

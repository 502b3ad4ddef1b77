package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// manager is the field manager of a cluster's entry in a status: whoever holds the connection to it writes by that
// name, so that the next one takes the entry over.
func manager(cluster string) string { return "hawser-cluster-" + cluster }

func resourceOf(k Key) schema.GroupVersionResource {
	resource := "endpointsets"
	if k.Kind == FederatedNetworkPolicy {
		resource = "federatednetworkpolicies"
	}
	return v1alpha1.GroupVersion.WithResource(resource)
}

// applyEntry writes a cluster's entry in the status of an item, or takes it away where there is none.
func applyEntry(ctx context.Context, client dynamic.Interface, k Key, uid types.UID, cluster string, entry *v1alpha1.FederatedCluster) error {
	var status any
	if entry != nil {
		status = map[string]any{"clusters": []any{entry}}
	}
	return applyStatus(ctx, client, k, uid, manager(cluster), status)
}

// applyStatus applies what one manager has to say. An item that is gone, or another of its name, is no error.
func applyStatus(ctx context.Context, client dynamic.Interface, k Key, uid types.UID, by string, status any) error {
	content := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": k.Kind,
		"metadata": map[string]any{"name": k.Name, "namespace": k.Namespace, "uid": uid},
	}
	if k.Namespace == "" {
		content["metadata"] = map[string]any{"name": k.Name, "uid": uid}
	}
	if status != nil {
		content["status"] = status
	}
	text, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("writing the status of %s: %w", k, err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	var at dynamic.ResourceInterface = client.Resource(resourceOf(k))
	if k.Namespace != "" {
		at = client.Resource(resourceOf(k)).Namespace(k.Namespace)
	}
	force := true // nobody else writes by this name, and what others say is not touched
	_, err = at.Patch(ctx, k.Name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: by, Force: &force}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // a UID that differs is a conflict
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing the status of %s: %w", k, err)
	}
	return nil
}

// most is how many texts a status has of one kind.
const most = 16

// atMost shortens a list that a status cannot hold.
func atMost(texts []string) []string {
	if len(texts) <= most {
		return texts
	}
	return append(texts[:most-1:most-1], fmt.Sprintf("and %d more", len(texts)-most+1))
}

// seconds is a time as the API server keeps it.
func seconds(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

package cli

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/fleet/shard"
)

// addOwners says which replica of the manager holds each connection, where several divide them. Whoever may not read that
// is not told.
func (d *deps) addOwners(ctx context.Context, c client.Reader, summaries []Summary) error {
	var cm corev1.ConfigMap
	err := c.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: shard.ConfigMapName(shard.DefaultName)}, &cm)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading which replica owns which cluster: %w", err)
	}
	a, err := shard.Decode(&cm)
	if err != nil {
		return err
	}
	for i := range summaries {
		summaries[i].Owner = a.Owner(summaries[i].Name)
	}
	return nil
}

package cli

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// identity is what the manager says of the local cluster; all empty where there is none.
type identity struct{ Name, Default, Version, ClusterAPI string }

// identityOf reads what the manager wrote; a missing ConfigMap is no error.
func (d *deps) identityOf(ctx context.Context, c client.Reader) (identity, error) {
	var cm corev1.ConfigMap
	err := c.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: v1alpha1.ManagerConfigMap}, &cm)
	if client.IgnoreNotFound(err) != nil {
		return identity{}, fmt.Errorf("reading ConfigMap %q in namespace %q: %w", v1alpha1.ManagerConfigMap, d.namespace, err)
	}
	return identity{
		Name:    cm.Data[v1alpha1.ClusterNameKey],
		Default: cm.Data[v1alpha1.DefaultClusterKey],
		Version: cm.Data[v1alpha1.VersionKey],

		ClusterAPI: cm.Data[v1alpha1.ClusterAPIKey],
	}, nil
}

// localName returns the name of the local cluster: the given one, or that which the manager uses.
func (d *deps) localName(ctx context.Context, c client.Reader, given string) (string, error) {
	if given != "" {
		return given, member.ValidateLocal(given)
	}
	id, err := d.identityOf(ctx, c)
	if err != nil {
		return "", fmt.Errorf("finding the name of the local cluster: %w", err)
	}
	if id.Name == "" {
		return "", fmt.Errorf("finding the name of the local cluster: there is no ConfigMap %q in namespace %q, which the manager writes: "+
			"start it with hawser manager --cluster-name NAME, or say with --context and -n where it runs, or give --local-name NAME", v1alpha1.ManagerConfigMap, d.namespace)
	}
	return id.Name, member.ValidateLocal(id.Name)
}

// getCluster reads one RemoteCluster.
func getCluster(ctx context.Context, c client.Reader, name string) (*v1alpha1.RemoteCluster, error) {
	var rc v1alpha1.RemoteCluster
	err := c.Get(ctx, client.ObjectKey{Name: name}, &rc)
	switch {
	case apierrors.IsNotFound(err) && !isMissingKind(err):
		return nil, fmt.Errorf("there is no RemoteCluster %q: hawser clusters lists them, and hawser join %s --remote-context CONTEXT makes it", name, name)
	case err != nil:
		return nil, explainMissingKind(fmt.Errorf("reading RemoteCluster %q: %w", name, err))
	}
	return &rc, nil
}

// listClusters reads all RemoteClusters, or those that are named, in that order.
func listClusters(ctx context.Context, c client.Reader, names []string) ([]v1alpha1.RemoteCluster, error) {
	if len(names) == 0 {
		var all v1alpha1.RemoteClusterList
		if err := c.List(ctx, &all); err != nil {
			return nil, explainMissingKind(fmt.Errorf("listing RemoteClusters: %w", err))
		}
		return all.Items, nil
	}
	var some []v1alpha1.RemoteCluster
	for _, name := range names {
		rc, err := getCluster(ctx, c, name)
		if err != nil {
			return nil, err
		}
		some = append(some, *rc)
	}
	return some, nil
}

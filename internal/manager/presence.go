package manager

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/self"
	"github.com/hawser-io/hawser/internal/version"
)

// refuseOtherName fails where RemoteClusters are held under another name of the local cluster: what was
// installed in the remote clusters is named after it, so that none of it would be found again.
func refuseOtherName(ctx context.Context, c client.Reader, o Options) error {
	var cm corev1.ConfigMap
	err := c.Get(ctx, client.ObjectKey{Namespace: o.Namespace, Name: v1alpha1.ManagerConfigMap}, &cm)
	name := cm.Data[v1alpha1.ClusterNameKey]
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading ConfigMap %q in namespace %q: %w", v1alpha1.ManagerConfigMap, o.Namespace, err)
	}
	if name == "" || name == o.ClusterName { // no manager was here before, or this one
		return nil
	}
	var all v1alpha1.RemoteClusterList
	if err := c.List(ctx, &all); err != nil {
		return fmt.Errorf("listing RemoteClusters: %w", err)
	}
	for _, rc := range all.Items {
		if !rc.IsLocal() {
			return fmt.Errorf("this cluster is known to its remote clusters as %q (ConfigMap %q in namespace %q), and RemoteCluster %q is joined under that name: start with --cluster-name %s, or leave every remote cluster first (hawser leave)",
				name, v1alpha1.ManagerConfigMap, o.Namespace, rc.Name, name)
		}
	}
	return nil
}

// presence says, when a manager takes over, who the local cluster is: in the ConfigMap that the
// commands read, and as a member of its own fleet.
type presence struct {
	client  client.Client
	kube    kubernetes.Interface
	options Options
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*presence) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (p *presence) Start(ctx context.Context) error {
	owner, err := self.Owner(ctx, p.kube, p.options.Namespace)
	if err != nil {
		return err
	}
	if err := self.OwnLease(ctx, p.kube, p.options.Namespace, LeaderLease, owner); err != nil {
		return err
	}
	if err := p.announce(ctx, owner); err != nil {
		return err
	}
	return p.joinSelf(ctx)
}

func (p *presence) announce(ctx context.Context, owner *metav1.OwnerReference) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ManagerConfigMap, Namespace: p.options.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, p.client, cm, func() error {
		cm.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}
		if owner != nil {
			cm.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		cm.Data = map[string]string{
			v1alpha1.ClusterNameKey:    p.options.ClusterName,
			v1alpha1.DefaultClusterKey: p.options.DefaultCluster,
			v1alpha1.VersionKey:        version.String(),
		}
		if p.options.ClusterAPI != "" {
			cm.Data[v1alpha1.ClusterAPIKey] = p.options.ClusterAPI
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing ConfigMap %q in namespace %q: %w", cm.Name, cm.Namespace, err)
	}
	return nil
}

// joinSelf makes the RemoteCluster of the local cluster, or removes it where it is only for management. What somebody
// else declares, it only looks at.
func (p *presence) joinSelf(ctx context.Context) error {
	name := p.options.ClusterName
	var rc v1alpha1.RemoteCluster
	err := p.client.Get(ctx, client.ObjectKey{Name: name}, &rc)
	switch {
	case apierrors.IsNotFound(err) && !p.options.ManagementOnly && !p.options.SelfDeclared:
		err = p.createSelf(ctx)
	case err == nil && !rc.IsLocal():
		return fmt.Errorf("RemoteCluster %q has the name of the local cluster and is another one (auth.type %s): delete it, or start the manager with another --cluster-name", name, rc.Spec.Auth.Type)
	case err == nil && p.options.ManagementOnly && !p.options.SelfDeclared && rc.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedBy:
		err = p.client.Delete(ctx, &rc)
	}
	if client.IgnoreNotFound(err) != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("keeping RemoteCluster %q for the local cluster: %w", name, err)
	}
	return nil
}

// createSelf makes the RemoteCluster of the local cluster, which goes with the namespace that Hawser runs in.
func (p *presence) createSelf(ctx context.Context) error {
	var ns corev1.Namespace
	if err := p.client.Get(ctx, client.ObjectKey{Name: p.options.Namespace}, &ns); err != nil {
		return err
	}
	var rc v1alpha1.RemoteCluster
	rc.Name = p.options.ClusterName
	rc.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy}
	rc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: ns.Name, UID: ns.UID}}
	rc.Spec.Auth.Type = v1alpha1.AuthInCluster
	return p.client.Create(ctx, &rc)
}

package server

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// apiReady is the API server's own view of itself.
func (c *cluster) apiReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	if apierrors.IsInternalError(err) {
		return fmt.Errorf("asking /readyz: %s", body) // the body names the checks that fail
	}
	return err
}

// forgetRootCA removes what a controller of an earlier run has left, so that namespacesReady sees the work of this one.
func (c *cluster) forgetRootCA(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	err = client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Delete(ctx, rootCA, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("removing root CA of an earlier run: %w", err)
	}
	return nil
}

// rootCA is the ConfigMap that kube-controller-manager puts into each namespace.
const rootCA = "kube-root-ca.crt"

// namespacesReady looks for what the controllers leave behind in each namespace: once it is there, the
// controllers run and a pod can be made.
func (c *cluster) namespacesReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.admin)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	for _, ns := range []string{metav1.NamespaceSystem, metav1.NamespaceDefault} {
		if _, err := client.CoreV1().ServiceAccounts(ns).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return fmt.Errorf("reading default service account of namespace %s: %w", ns, err)
		}
		if _, err := client.CoreV1().ConfigMaps(ns).Get(ctx, rootCA, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("reading root CA of namespace %s: %w", ns, err)
		}
	}
	return nil
}

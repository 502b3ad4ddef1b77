package cli

import (
	"context"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"path/filepath"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

// publishIssuers lets everybody read the discovery document and the public keys of each cluster that another one
// trusts: the API server that believes has no account in the cluster that it believes.
func publishIssuers(ctx context.Context, dir fleet.Dir) error {
	specs, err := dir.Specs()
	if err != nil {
		return err
	}
	trusted := map[string]bool{}
	for _, s := range specs {
		for _, t := range s.Trusts {
			trusted[t.Cluster] = true
		}
	}
	for name := range trusted {
		if state, err := dir.State(name); err != nil || !state.Ready || !dir.Running(name) {
			continue // its own start will do it
		}
		if err := publishIssuer(ctx, dir, name); err != nil {
			return fmt.Errorf("publishing issuer of cluster %q: %w", name, err)
		}
	}
	return nil
}

func publishIssuer(ctx context.Context, dir fleet.Dir, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir.Cluster(name), fleet.ConfigFile))
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "devfleet:public-issuer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:service-account-issuer-discovery"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

package bench

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
)

// AllowReading lets a subject do what the caches and probes of benchmarks do. name is that of its binding.
func AllowReading(ctx context.Context, admin client.Client, name string, subject rbacv1.Subject) error {
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces", "pods"}, Verbs: []string{"get", "list", "watch"}},
			{NonResourceURLs: []string{"/livez"}, Verbs: []string{"get"}},
		},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{subject},
	}
	for _, obj := range []client.Object{role, binding} {
		if err := client.IgnoreAlreadyExists(admin.Create(ctx, obj)); err != nil {
			return fmt.Errorf("allowing %s to read: %w", subject.Name, err)
		}
	}
	return nil
}

// Account is a service account that may read what benchmarks cache.
type Account struct {
	cluster   *fleettest.Cluster
	clientset kubernetes.Interface
}

// BoundToken is a token that can be killed alone, because it is bound to a Secret of its own.
type BoundToken struct {
	credential.Credential
	secret *corev1.Secret
}

// accountName is that of the service account.
const accountName = "bench"

// NewAccount makes the account in a cluster.
func NewAccount(ctx context.Context, c *fleettest.Cluster, admin client.Client) (*Account, error) {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: accountName}}
	if err := client.IgnoreAlreadyExists(admin.Create(ctx, sa)); err != nil {
		return nil, fmt.Errorf("making service account %q: %w", sa.Name, err)
	}
	err := AllowReading(ctx, admin, accountName, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: sa.Namespace, Name: sa.Name})
	return &Account{c, c.Client()}, err
}

// Token mints a token with an origin of its own: to a connection it is another input.
func (a *Account) Token(ctx context.Context) (BoundToken, error) {
	core := a.clientset.CoreV1()
	secret, err := core.Secrets(metav1.NamespaceDefault).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return BoundToken{}, fmt.Errorf("making a Secret to bind a token to: %w", err)
	}
	to := &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID}
	answer, err := core.ServiceAccounts(metav1.NamespaceDefault).CreateToken(ctx, accountName,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: to}}, metav1.CreateOptions{})
	if err != nil {
		return BoundToken{}, fmt.Errorf("minting a token: %w", err)
	}
	return BoundToken{credential.NewToken(answer.Status.Token, secret.Name), secret}, nil
}

// Kill makes tokens dead, and returns when the API server refuses each of them, which is up to the ten
// seconds later that it remembers a good one for.
func (a *Account) Kill(ctx context.Context, tokens ...BoundToken) error {
	for _, t := range tokens {
		err := a.clientset.CoreV1().Secrets(t.secret.Namespace).Delete(ctx, t.secret.Name, metav1.DeleteOptions{})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting the Secret of a token: %w", err)
		}
	}
	for _, t := range tokens {
		thief, err := kubernetes.NewForConfig(a.cluster.TokenConfig(t.Token.Reveal()))
		if err != nil {
			return err
		}
		if err := Until(ctx, "the old token to be dead", func() bool {
			_, err := thief.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
			return apierrors.IsUnauthorized(err)
		}); err != nil {
			return err
		}
	}
	return nil
}

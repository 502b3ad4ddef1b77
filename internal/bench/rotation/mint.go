package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/bench"
	"github.com/hawser-io/hawser/internal/cli/install"
)

const account = "bench"

// reader may do what the cache and the probes of the benchmark do.
func reader(ctx context.Context, admin client.Client, name string, subject rbacv1.Subject) error {
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods", "namespaces"}, Verbs: []string{"get", "list", "watch"}},
			{NonResourceURLs: []string{"/livez"}, Verbs: []string{"get"}},
		},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{subject},
	}
	if err := admin.Create(ctx, role); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := admin.Create(ctx, binding); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// tokens mints tokens that are bound to a Secret each: deleting it kills the one token.
type tokens struct {
	admin     client.Client
	clientset kubernetes.Interface
	made      []*corev1.Secret
	values    []string
}

func (m *tokens) reset() { m.made, m.values = nil, nil }

func (m *tokens) prepare(ctx context.Context) error {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	if err := m.admin.Create(ctx, sa); err != nil {
		return err
	}
	return reader(ctx, m.admin, account, rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: account})
}

func (m *tokens) Obtain(ctx context.Context) ([]credential.Credential, error) {
	if len(m.values) > 0 {
		return []credential.Credential{credential.NewToken(m.values[0], "bench")}, nil
	}
	c, err := m.Renew(ctx, credential.Credential{}, nil)
	return []credential.Credential{c}, err
}

func (m *tokens) Renew(ctx context.Context, _ credential.Credential, _ credential.Link) (credential.Credential, error) {
	bound := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "bench-"}}
	if err := m.admin.Create(ctx, bound); err != nil {
		return credential.Credential{}, err
	}
	answer, err := m.clientset.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: bound.Name, UID: bound.UID}},
	}, metav1.CreateOptions{})
	if err != nil {
		return credential.Credential{}, err
	}
	m.made, m.values = append(m.made, bound), append(m.values, answer.Status.Token)
	return credential.NewToken(answer.Status.Token, "bench"), nil
}

// kill deletes the Secrets of all but the last token. The API server goes on for the ten seconds that it
// remembers a good token.
func (m *tokens) kill(ctx context.Context, c *fleettest.Cluster) error {
	last := len(m.made) - 1
	for i := range last {
		if err := client.IgnoreNotFound(m.admin.Delete(ctx, m.made[i])); err != nil {
			return err
		}
	}
	old, err := kubernetes.NewForConfig(c.TokenConfig(m.values[last-1]))
	if err != nil {
		return err
	}
	return dead(ctx, old, apierrors.IsUnauthorized)
}

func dead(ctx context.Context, old kubernetes.Interface, is func(error) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bench.Until(ctx, "the old credential to be dead", func() bool {
		_, err := old.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
		return is(err)
	})
}

// certificates mints one for a user of its own each time: taking the user's binding away kills it.
type certificates struct {
	admin client.Client
	made  []credential.Credential
}

func (m *certificates) reset() { m.made = nil }

func (m *certificates) prepare(context.Context) error { return nil }

func (m *certificates) Obtain(ctx context.Context) ([]credential.Credential, error) {
	if len(m.made) > 0 {
		return m.made[:1], nil
	}
	c, err := m.Renew(ctx, credential.Credential{}, nil)
	return []credential.Credential{c}, err
}

var users int

func (m *certificates) Renew(ctx context.Context, _ credential.Credential, _ credential.Link) (credential.Credential, error) {
	users++
	local := fmt.Sprintf("bench-%d", users)
	if err := reader(ctx, m.admin, local, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: v1alpha1.MemberUser(local)}); err != nil {
		return credential.Credential{}, err
	}
	c, err := install.Certificate(ctx, m.admin, local, time.Hour)
	if err != nil {
		return credential.Credential{}, err
	}
	c.Origin = "bench"
	m.made = append(m.made, c)
	return c, nil
}

func (m *certificates) kill(ctx context.Context, c *fleettest.Cluster) error {
	last := len(m.made) - 1
	if last < 1 {
		return errors.New("there is no old certificate")
	}
	for _, old := range m.made[:last] {
		name := old.Subject[len(v1alpha1.MemberUser("")):]
		if err := client.IgnoreNotFound(m.admin.Delete(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}})); err != nil {
			return err
		}
	}
	old := m.made[last-1]
	config := c.AnonymousConfig()
	config.CertData, config.KeyData = old.Certificate.CertPEM, []byte(old.Certificate.KeyPEM.Reveal())
	over, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer utilnet.CloseIdleConnectionsFor(over.Transport) // or each certificate's would be counted as growth
	clientset, err := kubernetes.NewForConfigAndClient(config, over)
	if err != nil {
		return err
	}
	return dead(ctx, clientset, apierrors.IsForbidden)
}

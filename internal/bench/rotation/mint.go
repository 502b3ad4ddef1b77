package main

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// tokens mints tokens that can be killed one by one.
type tokens struct {
	admin   client.Client
	cluster *fleettest.Cluster
	account *bench.Account
	made    []bench.BoundToken
}

func (m *tokens) reset() { m.made = nil }

func (m *tokens) prepare(ctx context.Context) (err error) {
	m.account, err = bench.NewAccount(ctx, m.cluster, m.admin)
	return err
}

func (m *tokens) Obtain(ctx context.Context) ([]credential.Credential, error) {
	if len(m.made) > 0 {
		return []credential.Credential{m.made[0].Credential}, nil
	}
	c, err := m.Renew(ctx, credential.Credential{}, nil)
	return []credential.Credential{c}, err
}

func (m *tokens) Renew(ctx context.Context, _ credential.Credential, _ credential.Link) (credential.Credential, error) {
	token, err := m.account.Token(ctx)
	if err != nil {
		return credential.Credential{}, err
	}
	token.Origin = "bench" // renewals of one input
	m.made = append(m.made, token)
	return token.Credential, nil
}

func (m *tokens) kill(ctx context.Context, _ *fleettest.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.account.Kill(ctx, m.made[:len(m.made)-1]...)
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
	if err := bench.AllowReading(ctx, m.admin, local, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: v1alpha1.MemberUser(local)}); err != nil {
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

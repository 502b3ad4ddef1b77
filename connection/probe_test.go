package connection_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
)

// An account that loses its rights is noticed by the next light probe, which may not read kube-system any more,
// and not at the next full one.
func TestRightsThatAreTakenAreNoticedAtOnce(t *testing.T) {
	c := fleettest.Use(t, "pods")
	namespace := c.Namespace(t)
	c.ServiceAccount(t, namespace, "reader")
	bindings := c.Client().RbacV1().ClusterRoleBindings()
	binding, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "reader-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "reader"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{}) })
	spec := connection.Spec{
		Name: "pods", Endpoint: credential.Endpoint{Server: c.Server, CAData: c.CA()},
		Checks: []authorizationv1.ResourceAttributes{{Namespace: "kube-system", Verb: "get", Resource: "namespaces", Name: "kube-system"}},
	}
	conn := connection.New(spec, &reader{t, c, namespace}, connection.Options{ProbeInterval: 100 * time.Millisecond, FullEvery: 1 << 20})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); conn.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	is := func(want metav1.ConditionStatus) {
		t.Helper()
		fleettest.Eventually(t, patience, func() error {
			if got := conn.State().Condition(v1alpha1.Authorized); got.Status != want {
				return fmt.Errorf("Authorized is %s (%s), want %s", got.Status, got.Message, want)
			}
			return nil
		})
	}
	is(metav1.ConditionTrue)
	if err := bindings.Delete(t.Context(), binding.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	is(metav1.ConditionFalse)
}

// reader is a source of tokens of one account.
type reader struct {
	t         *testing.T
	c         *fleettest.Cluster
	namespace string
}

// Obtain implements credential.Source.
func (r *reader) Obtain(ctx context.Context) ([]credential.Credential, error) {
	c, err := r.Renew(ctx, credential.Credential{}, nil)
	return []credential.Credential{c}, err
}

// Renew implements credential.Source.
func (r *reader) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	return credential.NewToken(r.c.Token(r.t, r.namespace, "reader", time.Hour), "origin"), nil
}

package bench

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
)

// Trust believes the issuer of another cluster under its name, and waits until that is settled.
func (e *Entered) Trust(of *fleettest.Cluster) (*v1alpha1.TrustedIssuer, error) {
	jwks, err := of.Client().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(e.bench.Ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the keys of cluster %q: %w", of.Name, err)
	}
	ti := &v1alpha1.TrustedIssuer{
		ObjectMeta: metav1.ObjectMeta{Name: of.Name},
		Spec:       v1alpha1.TrustedIssuerSpec{URL: of.Server, JWKS: string(jwks), Prefix: of.Name + ":"},
	}
	if err := e.Admin.Create(e.bench.Ctx, ti); err != nil {
		return nil, fmt.Errorf("trusting cluster %q: %w", of.Name, err)
	}
	return ti, e.ready(ti, func() []metav1.Condition { return ti.Status.Conditions })
}

// Grant lets subjects in, with the role view everywhere, and waits until that is carried out.
func (e *Entered) Grant(name string, subjects ...v1alpha1.GrantSubject) (*v1alpha1.AccessGrant, error) {
	ag := &v1alpha1.AccessGrant{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.AccessGrantSpec{Subjects: subjects, ClusterRoles: []string{"view"}, WholeCluster: true},
	}
	if err := e.Admin.Create(e.bench.Ctx, ag); err != nil {
		return nil, fmt.Errorf("making AccessGrant %q: %w", name, err)
	}
	return ag, e.ready(ag, func() []metav1.Condition { return ag.Status.Conditions })
}

func (e *Entered) ready(obj client.Object, conditions func() []metav1.Condition) error {
	return Until(e.bench.Ctx, obj.GetName()+" to be Ready", func() bool {
		err := e.Admin.Get(e.bench.Ctx, client.ObjectKeyFromObject(obj), obj)
		return err == nil && meta.IsStatusConditionTrue(conditions(), v1alpha1.Ready)
	})
}

// Mint asks a cluster for a token of a service account; without audiences it is for the API server itself.
func Mint(ctx context.Context, c *fleettest.Cluster, namespace, account string, audiences ...string) (string, error) {
	hour := int64(3600)
	asked := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour, Audiences: audiences}}
	answer, err := c.Client().CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, asked, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking cluster %q for a token: %w", c.Name, err)
	}
	return answer.Status.Token, nil
}

// NewWorkload makes a service account in the namespace default of the cluster that it comes from.
func NewWorkload(ctx context.Context, admin client.Client, name string) (string, error) {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	if err := client.IgnoreAlreadyExists(admin.Create(ctx, sa)); err != nil {
		return "", fmt.Errorf("making service account %q: %w", name, err)
	}
	return name, nil
}

package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Size is how many of something a benchmark has: what it is made for, or $BENCH_SIZE to see that it works.
func Size(n int) int {
	if small, err := strconv.Atoi(os.Getenv("BENCH_SIZE")); err == nil && small > 0 {
		return min(n, small)
	}
	return n
}

// Declare makes RemoteClusters c-0, c-1, … in the local cluster, in turn for each of some targets, with a token as input.
func (b *Bench) Declare(admin client.Client, n int, names ...string) error {
	targets := make([]Target, len(names))
	for i, name := range names {
		var err error
		if targets[i], err = b.Target(name); err != nil {
			return err
		}
	}
	return Parallel(8, n, func(i int) error {
		return b.DeclareAs(admin, fmt.Sprintf("c-%d", i), targets[i%len(targets)], func(*v1alpha1.RemoteCluster) {})
	})
}

// DeclareAs makes a RemoteCluster for a target under a name, with the target's token as input and its capabilities,
// after it was edited.
func (b *Bench) DeclareAs(admin client.Client, name string, t Target, edit func(*v1alpha1.RemoteCluster)) error {
	input := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.InputSecretName(name), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{v1alpha1.BearerTokenKey: t.Token.Token.Reveal()},
	}
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	rc.Spec.Server, rc.Spec.CAData = t.Cluster.Server, base64.StdEncoding.EncodeToString(t.Cluster.CA())
	rc.Spec.Auth.Type, rc.Spec.Capabilities = v1alpha1.AuthBearerToken, t.Capabilities
	edit(rc)
	if err := admin.Create(b.Ctx, input); err != nil {
		return fmt.Errorf("making the input of %s: %w", name, err)
	}
	if err := admin.Create(b.Ctx, rc); err != nil {
		return fmt.Errorf("declaring %s: %w", name, err)
	}
	return nil
}

// Unready takes the status off every RemoteCluster, and what was kept for it, so that all of it has to be found out anew.
func (b *Bench) Unready(admin client.Client) error {
	var all v1alpha1.RemoteClusterList
	if err := admin.List(b.Ctx, &all); err != nil {
		return err
	}
	return Parallel(8, len(all.Items), func(i int) error {
		rc := &all.Items[i]
		kept := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.CredentialSecretName(rc.Name)}}
		if err := client.IgnoreNotFound(admin.Delete(b.Ctx, kept)); err != nil {
			return err
		}
		rc.Status = v1alpha1.RemoteClusterStatus{}
		return admin.Status().Update(b.Ctx, rc)
	})
}

// AllReady waits until so many RemoteClusters are Ready.
func (b *Bench) AllReady(admin client.Client, n int) error {
	return Until(b.Ctx, fmt.Sprintf("%d clusters to be Ready", n), func() bool {
		var all v1alpha1.RemoteClusterList
		if admin.List(b.Ctx, &all, client.UnsafeDisableDeepCopy) != nil {
			return false
		}
		ready := 0
		for i := range all.Items {
			if meta.IsStatusConditionTrue(all.Items[i].Status.Conditions, v1alpha1.Ready) {
				ready++
			}
		}
		return ready >= n
	})
}

// AccountToken mints a token of a service account; it is empty where there is none.
func AccountToken(ctx context.Context, admin client.Client, namespace, name string) string {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	seconds := int64(7200)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if admin.SubResource("token").Create(ctx, account, request) != nil {
		return ""
	}
	return request.Status.Token
}

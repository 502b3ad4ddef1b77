package manager

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/bearertoken"
	"github.com/hawser-io/hawser/credential/incluster"
	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/credential/mtls"
)

// Sources makes credential sources from what the manager has: the local cluster.
type Sources struct {
	Client    kubernetes.Interface
	Config    *rest.Config
	Namespace string
	Clock     clock.PassiveClock
	// AWS is needed for auth.type eks.
	AWS *AWS
	// Objects reads RemoteClusters. It is needed for auth.type oidc and exec.
	Objects client.Reader
	// Knows is the id of a cluster as the connection to it has found it; empty where there is none that has. It
	// counts for more than a status, which others than the manager may be able to write. Nil: nothing is known.
	Knows func(cluster string) string
	// TokenDir is where the pod's projected tokens are, SPIFFESocket where the Workload API is, and
	// ExecProviders the file of the operator's plugins. Empty: there is none.
	TokenDir, SPIFFESocket, ExecProviders string
	// Keeps says that what is kept for a cluster is put in order when its source starts: the manager alone does.
	Keeps bool
}

// New returns the credential source of a RemoteCluster: one line for each auth.type.
func (s Sources) New(rc *v1alpha1.RemoteCluster) (credential.Source, error) {
	auth, secrets := rc.Spec.Auth, s.Client.CoreV1().Secrets(s.Namespace)
	switch auth.Type {
	case v1alpha1.AuthBearerToken:
		return &bearertoken.Source{Cluster: rc.Name, Secrets: secrets, Owner: s.owner(rc), Lifetime: auth.TokenLifetime(), Clock: s.Clock}, nil
	case v1alpha1.AuthMTLS:
		return &mtls.Source{Cluster: rc.Name, Secrets: secrets, Owner: s.owner(rc), CSR: auth.RenewsByCSR(), Lifetime: auth.CertificateLifetime(), Clock: s.Clock}, nil
	case v1alpha1.AuthKubeconfig:
		return &kubeconfig.Source{Get: s.secret, Ref: auth.KubeconfigRef(s.Namespace), Context: auth.Kubeconfig.Context}, nil
	case v1alpha1.AuthEKS:
		if s.AWS != nil {
			return s.AWS.source(rc, s.Clock), nil
		}
	case v1alpha1.AuthOIDC:
		if s.Objects != nil {
			return s.oidc(rc), nil
		}
	case v1alpha1.AuthExec:
		if s.Objects != nil {
			return s.exec(rc), nil
		}
	case v1alpha1.AuthInCluster:
		return &incluster.Source{Config: s.Config}, nil
	}
	return nil, fmt.Errorf("this build of hawser has no credential source for auth.type %s", auth.Type)
}

// owner is how what is kept for a cluster names it.
func (s Sources) owner(rc *v1alpha1.RemoteCluster) *metav1.OwnerReference {
	if !s.Keeps {
		return nil
	}
	return &metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "RemoteCluster", Name: rc.Name, UID: rc.UID}
}

func (s Sources) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	return s.Client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
}

package manager

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/oidc"
	"github.com/hawser-io/hawser/trust/exchange"
)

// oidc makes the source of auth.type oidc.
func (s Sources) oidc(rc *v1alpha1.RemoteCluster) credential.Source {
	auth, name := rc.Spec.Auth.OIDC, rc.Name
	source := &oidc.Source{
		Tokens:   s.tokens(auth),
		Audience: func(ctx context.Context) (string, error) { return s.audience(ctx, name) },
		Binding:  credential.BindingOf(rc.Status.Endpoint),
		Clock:    s.Clock,
	}
	if e := auth.Exchange; e != nil {
		ca, err := base64.StdEncoding.DecodeString(e.CAData)
		if err != nil {
			ca = []byte(e.CAData) // which holds no certificate, as the first exchange will say
		}
		source.Gate = &oidc.Gate{Client: exchange.Client{URL: e.URL, CAData: ca}, Grant: e.Grant}
		if e.Lifetime != nil {
			source.Gate.Lifetime = e.Lifetime.Duration
		}
	}
	return source
}

// tokens are where auth.oidc.tokenFrom says that tokens come from. Those whose audience we choose are tried at
// the local API server before anybody else sees them.
func (s Sources) tokens(auth *v1alpha1.OIDCAuth) oidc.Tokens {
	account := oidc.ServiceAccount{
		Requests: s.Client.CoreV1().ServiceAccounts(s.Namespace), Namespace: s.Namespace, Dir: s.TokenDir, Own: s.ownAccount, Clock: s.Clock,
	}
	switch {
	case auth.Azure != nil:
		return oidc.Azure{TenantID: auth.Azure.TenantID, ClientID: auth.Azure.ClientID, Scope: auth.Azure.Scope, Scopes: oidc.AzureScopesFromEnvironment(), Clock: s.Clock}
	case auth.Google != nil:
		return oidc.Google{
			Subject: oidc.Tried{Tokens: account, Local: s.Config}, Provider: auth.Google.Provider, ServiceAccount: auth.Google.ServiceAccount,
			Endpoints: oidc.GoogleEndpointsFromEnvironment(), Clock: s.Clock,
		}
	case auth.TokenFrom == v1alpha1.TokenFromSPIFFE:
		workload := oidc.SPIFFE{Socket: s.SPIFFESocket, Clock: s.Clock}
		if auth.SPIFFE != nil {
			workload.ID = auth.SPIFFE.ID
		}
		return oidc.Tried{Tokens: workload, Local: s.Config}
	}
	if auth.ServiceAccount != nil {
		account.Name, account.File = auth.ServiceAccount.Name, auth.ServiceAccount.TokenFile
	}
	return oidc.Tried{Tokens: account, Local: s.Config}
}

// audience is decided from the objects as they are now.
func (s Sources) audience(ctx context.Context, cluster string) (string, error) {
	rc, all, err := s.remoteClusters(ctx, cluster)
	if err != nil {
		return "", &credential.InputError{Reason: v1alpha1.ReasonTokenFailed, Err: err}
	}
	return oidc.Audience(rc, all)
}

// remoteClusters reads all RemoteClusters, and tells one of them. They are not to be changed. Their ids are those that
// their connections have found, where these know.
func (s Sources) remoteClusters(ctx context.Context, name string) (*v1alpha1.RemoteCluster, []v1alpha1.RemoteCluster, error) {
	var all v1alpha1.RemoteClusterList
	if err := s.Objects.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("listing RemoteClusters: %w", err)
	}
	for i := range all.Items { // the items are copies of what the cache has, though not what they point to
		if s.Knows != nil {
			all.Items[i].Status.ClusterID = cmp.Or(s.Knows(all.Items[i].Name), all.Items[i].Status.ClusterID)
		}
	}
	for i := range all.Items {
		if all.Items[i].Name == name {
			return &all.Items[i], all.Items, nil
		}
	}
	return nil, nil, fmt.Errorf("reading RemoteCluster %q: there is none any more", name)
}

// ownAccount is the name of the service account that we run as. Whoever is none, as a person who looks after a
// connection from outside, takes that of the manager.
func (s Sources) ownAccount(ctx context.Context) (string, error) {
	review, err := s.Client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("asking the local API server who we are: %w", err)
	}
	if name, ok := strings.CutPrefix(review.Status.UserInfo.Username, "system:serviceaccount:"+s.Namespace+":"); ok {
		return name, nil
	}
	return managerAccount, nil
}

// managerAccount is the service account of the manager in config/rbac.
const managerAccount = "hawser"

// checkTokenDir refuses a directory of tokens that cannot be read.
func checkTokenDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return fmt.Errorf("--token-dir %s: %w", dir, err)
	}
	return nil
}

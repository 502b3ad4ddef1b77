package inventorytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// Access is how a cluster is reached.
type Access struct {
	Server string // https://…
	CAData []byte // PEM
	Token  string
}

// Kubeconfig is a kubeconfig that says the same. Its one context is called "cluster".
func (a Access) Kubeconfig() []byte {
	data, err := json.Marshal(clientcmdapiv1.Config{
		APIVersion: "v1", Kind: "Config", CurrentContext: "cluster",
		Contexts:  []clientcmdapiv1.NamedContext{{Name: "cluster", Context: clientcmdapiv1.Context{Cluster: "cluster", AuthInfo: "user"}}},
		Clusters:  []clientcmdapiv1.NamedCluster{{Name: "cluster", Cluster: clientcmdapiv1.Cluster{Server: a.Server, CertificateAuthorityData: a.CAData}}},
		AuthInfos: []clientcmdapiv1.NamedAuthInfo{{Name: "user", AuthInfo: clientcmdapiv1.AuthInfo{Token: a.Token}}},
	})
	if err != nil {
		panic(err) // strings and bytes are always JSON
	}
	return data
}

// newUsers makes the service accounts whose credentials tell clusters apart.
func newUsers(t *testing.T, cluster *fleettest.Cluster) []string {
	namespace := cluster.Namespace(t)
	var users []string
	for _, name := range []string{"one", "two", "three"} {
		cluster.ServiceAccount(t, namespace, name)
		users = append(users, namespace+"/"+name)
	}
	return users
}

// access makes a new token of a user.
func (c *trial) access(user int) Access {
	c.Helper()
	namespace, name, _ := strings.Cut(c.users[user], "/")
	return Access{Server: c.s.Cluster.Server, CAData: c.s.Cluster.CA(), Token: c.s.Cluster.Token(c, namespace, name, time.Hour)}
}

// leadsTo checks that the credential of a cluster is accepted, and as which user.
func (c *trial) leadsTo(cluster inventory.Cluster, user int) error {
	who, err := whoAmI(c.Context(), cluster)
	if err != nil {
		return fmt.Errorf("trying the credential of cluster %q: %w", cluster.Spec.Name, err)
	}
	want := "system:serviceaccount:" + strings.ReplaceAll(c.users[user], "/", ":")
	if who != want && !c.s.SharedCredential {
		return fmt.Errorf("cluster %q is reached as %s, want %s", cluster.Spec.Name, who, want)
	}
	return nil
}

// whoAmI asks a cluster for whom it takes the first credential that it has. There is no connection in between:
// whatever that could put right, an inventory should get right by itself.
func whoAmI(ctx context.Context, cluster inventory.Cluster) (string, error) {
	if cluster.Source == nil {
		return "", errors.New("it has no Source")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	credentials, err := cluster.Source.Obtain(ctx)
	if err != nil {
		return "", err
	}
	if len(credentials) == 0 {
		return "", errors.New("its Source has no credential")
	}
	credential, endpoint := credentials[0], cluster.Spec.Endpoint
	if credential.Endpoint != nil {
		endpoint = *credential.Endpoint
	}
	config := &rest.Config{
		Host: endpoint.Server, BearerToken: credential.Token.Reveal(),
		TLSClientConfig: rest.TLSClientConfig{CAData: endpoint.CAData, ServerName: endpoint.TLSServerName},
	}
	if pair := credential.Certificate; pair != nil {
		config.CertData, config.KeyData = pair.CertPEM, []byte(pair.KeyPEM.Reveal())
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return review.Status.UserInfo.Username, nil
}

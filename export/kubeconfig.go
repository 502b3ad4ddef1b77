package export

import (
	"fmt"
	"path"

	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// kubeconfig is a kubeconfig with one context, which is named after the cluster. The token is inline, or in
// the file of that name where there is one.
func kubeconfig(a Access, tokenFile string) (string, error) {
	user := clientcmdapiv1.AuthInfo{Token: a.Token.Reveal()}
	if tokenFile != "" {
		user = clientcmdapiv1.AuthInfo{TokenFile: tokenFile}
	}
	text, err := yaml.Marshal(clientcmdapiv1.Config{
		APIVersion:     "v1",
		Kind:           "Config",
		CurrentContext: a.Cluster,
		Contexts:       []clientcmdapiv1.NamedContext{{Name: a.Cluster, Context: clientcmdapiv1.Context{Cluster: a.Cluster, AuthInfo: a.Cluster}}},
		Clusters:       []clientcmdapiv1.NamedCluster{{Name: a.Cluster, Cluster: clusterOf(a)}},
		AuthInfos:      []clientcmdapiv1.NamedAuthInfo{{Name: a.Cluster, AuthInfo: user}},
	})
	if err != nil {
		return "", fmt.Errorf("encoding a kubeconfig: %w", err)
	}
	return string(text), nil
}

// clusterOf is the cluster as a kubeconfig has it.
func clusterOf(a Access) clientcmdapiv1.Cluster {
	return clientcmdapiv1.Cluster{
		Server:                   a.Endpoint.Server,
		CertificateAuthorityData: a.Endpoint.CAData,
		TLSServerName:            a.Endpoint.TLSServerName,
		ProxyURL:                 a.Endpoint.ProxyURL,
	}
}

// makeKubeconfig has the kubeconfig under the key kubeconfig and the token under the key token. With
// tokenFile, the directory that the Secret will be mounted at, the one names the other, so that clients
// follow renewals as the mounted files change.
func makeKubeconfig(a Access, o v1alpha1.AccessOutput) (Output, error) {
	file := ""
	if o.TokenFile != "" {
		file = path.Join(o.TokenFile, TokenKey)
	}
	text, err := kubeconfig(a, file)
	if err != nil {
		return Output{}, err
	}
	return Output{Data: secretData(map[string]string{v1alpha1.DefaultKubeconfigKey: text, TokenKey: a.Token.Reveal()})}, nil
}

package argocd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential/incluster"
	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/inventory"
)

// inCluster is the address by which Argo CD knows the cluster that it runs in.
const inCluster = "https://kubernetes.default.svc"

// clusterConfig is what Argo CD keeps under "config": ClusterConfig of its API group v1alpha1.
type clusterConfig struct {
	Username    string `json:"username"`
	Password    string `json:"password"`
	BearerToken string `json:"bearerToken"`
	ProxyURL    string `json:"proxyUrl"`

	TLSClientConfig struct {
		Insecure   bool   `json:"insecure"`
		ServerName string `json:"serverName"`
		CertData   []byte `json:"certData"`
		KeyData    []byte `json:"keyData"`
		CAData     []byte `json:"caData"`
	} `json:"tlsClientConfig"`

	// What is in them does not matter.
	AWSAuthConfig      json.RawMessage `json:"awsAuthConfig"`
	ExecProviderConfig json.RawMessage `json:"execProviderConfig"`
}

// cluster is what a Secret says. Its errors name the fault, and quote no value.
func (i *Inventory) cluster(secret *corev1.Secret) (inventory.Cluster, error) {
	name, server := string(secret.Data["name"]), string(secret.Data["server"])
	if name == "" {
		return inventory.Cluster{}, errors.New(`it has no "name"`)
	}
	var config clusterConfig
	if text := secret.Data["config"]; len(text) > 0 && json.Unmarshal(text, &config) != nil { // the error may quote values
		return inventory.Cluster{}, errors.New(`its "config" is not the JSON that Argo CD documents`)
	}
	if err := config.refuse(); err != nil {
		return inventory.Cluster{}, err
	}
	if strings.TrimSuffix(server, "/") == inCluster && !config.hasCredential() {
		return inventory.Cluster{
			Spec:       connection.Spec{Name: name, AuthType: string(v1alpha1.AuthInCluster)},
			Source:     &incluster.Source{Config: i.Config},
			Version:    inCluster,
			Properties: properties(secret),
		}, nil
	}
	if !config.hasCredential() {
		return inventory.Cluster{}, errors.New("it has neither bearerToken nor tlsClientConfig.certData with keyData")
	}
	text, err := json.Marshal(config.kubeconfig(server))
	if err != nil {
		return inventory.Cluster{}, fmt.Errorf("writing it as a kubeconfig: %w", err)
	}
	c, err := kubeconfig.Parse(text, "")
	if err != nil {
		return inventory.Cluster{}, fmt.Errorf("as a kubeconfig it cannot be used: %w", err)
	}
	cluster := inventory.FromKubeconfig(name, c)
	cluster.Properties = properties(secret)
	return cluster, nil
}

// refuse says what else to use in place of what we do not take.
func (c clusterConfig) refuse() error {
	switch {
	case given(c.AWSAuthConfig):
		return errors.New("awsAuthConfig is refused: declare the cluster as a RemoteCluster with auth.type eks, which renews its own tokens, or have an EKSInventory find it")
	case given(c.ExecProviderConfig):
		return errors.New("execProviderConfig is refused, it runs a program: use bearerToken or a client certificate, or for EKS a RemoteCluster with auth.type eks")
	case c.Username != "" || c.Password != "":
		return errors.New("username and password are refused, API servers have no basic authentication any more: use bearerToken")
	case c.TLSClientConfig.Insecure:
		return errors.New("tlsClientConfig.insecure is refused: put the server's CA into tlsClientConfig.caData")
	case c.BearerToken == "" && (len(c.TLSClientConfig.CertData) == 0) != (len(c.TLSClientConfig.KeyData) == 0):
		return errors.New("it has half a pair: tlsClientConfig.certData and keyData need each other")
	}
	return nil
}

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func (c clusterConfig) hasCredential() bool {
	return c.BearerToken != "" || len(c.TLSClientConfig.CertData) > 0
}

// kubeconfig says the same as a kubeconfig, whose parser knows what else is not to be trusted.
func (c clusterConfig) kubeconfig(server string) clientcmdapiv1.Config {
	return clientcmdapiv1.Config{
		CurrentContext: "argocd",
		Contexts:       []clientcmdapiv1.NamedContext{{Name: "argocd", Context: clientcmdapiv1.Context{Cluster: "argocd", AuthInfo: "argocd"}}},
		Clusters: []clientcmdapiv1.NamedCluster{{Name: "argocd", Cluster: clientcmdapiv1.Cluster{
			Server: server, ProxyURL: c.ProxyURL, TLSServerName: c.TLSClientConfig.ServerName, CertificateAuthorityData: c.TLSClientConfig.CAData,
		}}},
		AuthInfos: []clientcmdapiv1.NamedAuthInfo{{Name: "argocd", AuthInfo: clientcmdapiv1.AuthInfo{
			Token: c.BearerToken, ClientCertificateData: c.TLSClientConfig.CertData, ClientKeyData: c.TLSClientConfig.KeyData,
		}}},
	}
}

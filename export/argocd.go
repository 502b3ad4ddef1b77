package export

import (
	"encoding/json"
	"fmt"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// clusterConfig is what Argo CD reads under the key config: ClusterConfig of its API group v1alpha1.
type clusterConfig struct {
	BearerToken     string          `json:"bearerToken"`
	TLSClientConfig tlsClientConfig `json:"tlsClientConfig"`
	ProxyURL        string          `json:"proxyUrl,omitempty"`
}

type tlsClientConfig struct {
	Insecure   bool   `json:"insecure"`
	ServerName string `json:"serverName,omitempty"`
	CAData     []byte `json:"caData,omitempty"`
}

// makeArgoCD is a cluster Secret of Argo CD (its operator manual, "Declarative Setup", "Clusters"). Argo CD
// follows it while it runs.
func makeArgoCD(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	config, err := json.Marshal(clusterConfig{
		BearerToken:     a.Token.Reveal(),
		TLSClientConfig: tlsClientConfig{ServerName: a.Endpoint.TLSServerName, CAData: a.Endpoint.CAData},
		ProxyURL:        a.Endpoint.ProxyURL,
	})
	if err != nil {
		return Output{}, fmt.Errorf("encoding the configuration of a cluster: %w", err)
	}
	return Output{
		Labels: map[string]string{"argocd.argoproj.io/secret-type": "cluster"},
		Data:   secretData(map[string]string{"name": a.Cluster, "server": a.Endpoint.Server, "config": string(config)}),
	}, nil
}

package export

import "github.com/hawser-io/hawser/api/v1alpha1"

// makeCalico is a Secret for spec.clusterAccessSecret of a RemoteClusterConfiguration of Calico Enterprise.
// Typha does not follow a changed one: it restarts. So ask for a long lifetime.
func makeCalico(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	text, err := kubeconfig(a, "")
	return Output{Data: secretData(map[string]string{"datastoreType": "kubernetes", "kubeconfig": text})}, err
}

package export

import "github.com/hawser-io/hawser/api/v1alpha1"

// makeFlux has the kubeconfig under the key value, where Flux looks for it unless
// spec.kubeConfig.secretRef.key of a Kustomization or HelmRelease says otherwise; so does Cluster API.
func makeFlux(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	text, err := kubeconfig(a, "")
	return Output{Data: secretData(map[string]string{"value": text})}, err
}

package export

import "github.com/hawser-io/hawser/api/v1alpha1"

// makeMulticlusterRuntime is a Secret for the provider kubeconfig of multicluster-runtime, which calls the
// cluster by the Secret's name. It connects anew when it changes; inventory/kubeconfigsecret does not.
func makeMulticlusterRuntime(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	text, err := kubeconfig(a, "")
	return Output{
		Labels: map[string]string{"sigs.k8s.io/multicluster-runtime-kubeconfig": "true"},
		Data:   secretData(map[string]string{"kubeconfig": text}),
	}, err
}

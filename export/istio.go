package export

import "github.com/hawser-io/hawser/api/v1alpha1"

// makeIstio is a remote secret, as istioctl create-remote-secret makes it: its keys are names of clusters,
// and so it may hold no other. Istio replaces the cluster's registry when it changes.
func makeIstio(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	text, err := kubeconfig(a, "")
	return Output{
		Labels:      map[string]string{"istio/multiCluster": "true"},
		Annotations: map[string]string{"networking.istio.io/cluster": a.Cluster},
		Data:        secretData(map[string]string{a.Cluster: text}),
	}, err
}

package export

import "github.com/hawser-io/hawser/api/v1alpha1"

// linkerdDomain is the trust domain and the cluster domain of a Linkerd that was installed without saying so.
const linkerdDomain = "cluster.local"

// makeLinkerd is a Secret as linkerd multicluster link makes it: for spec.clusterCredentialsSecret of a Link,
// and for the destination controller, which finds it by its label in the namespace that it runs in. Where
// the domains of the remote cluster are others than cluster.local, use format template.
func makeLinkerd(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	text, err := kubeconfig(a, "")
	return Output{
		Type:   "mirror.linkerd.io/remote-kubeconfig",
		Labels: map[string]string{"multicluster.linkerd.io/cluster-name": a.Cluster},
		Annotations: map[string]string{
			"multicluster.linkerd.io/trust-domain":   linkerdDomain,
			"multicluster.linkerd.io/cluster-domain": linkerdDomain,
		},
		Data: secretData(map[string]string{"kubeconfig": text}),
	}, err
}

package export

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/inventory/clusterprofile"
	"github.com/hawser-io/hawser/member"
)

// Names of access providers: our own plugin, and those of sigs.k8s.io/cluster-inventory-api, which need
// nothing of ours. A consumer takes the first that it has a plugin for.
const (
	ProviderHawser           = "hawser"
	ProviderSecret           = "secretreader"
	ProviderKubeconfigSecret = "kubeconfig-secretreader"
)

// maxProperty is how many characters a property of a ClusterProfile takes.
const maxProperty = 1024

// Facts are what a ClusterProfile says of its cluster.
type Facts struct {
	// Healthy says whether the API server answers, and Reason in one word why it is or is not so.
	Healthy bool
	Reason  string
	// Version of Kubernetes, and what the cluster calls itself; empty where it is not known.
	Version, ClusterProperty string
}

// Profile is the status of a ClusterProfile. It holds no secret.
type Profile struct {
	AccessProviders []clusterprofile.AccessProvider
	Properties      []clusterprofile.Property
	Facts           Facts
}

// makeClusterProfile is a ClusterProfile whose access providers read the Secret that goes with it. For those
// who take no plugins, the Secret has the labels of the KEP's older way as well: a kubeconfig for the
// consumer that its namespace is labelled for.
func makeClusterProfile(a Access, _ v1alpha1.AccessOutput) (Output, error) {
	if len(a.Target) > validation.LabelValueMaxLength {
		return Output{}, fmt.Errorf("the name %q goes into a label, which takes %d characters: set secretName", a.Target, validation.LabelValueMaxLength)
	}
	text, err := kubeconfig(a, "")
	if err != nil {
		return Output{}, err
	}
	profile, err := profileOf(a)
	return Output{
		Labels: map[string]string{clusterprofile.ProfileLabel: a.Target, clusterprofile.ProfileNamespaceLabel: a.Namespace},
		Data: secretData(map[string]string{
			TokenKey:                 a.Token.Reveal(),
			clusterprofile.SecretKey: text,
		}),
		Profile: profile,
	}, err
}

func profileOf(a Access) (*Profile, error) {
	request := a.Namespace + "/" + a.Name
	p := &Profile{Facts: a.Facts}
	for _, provider := range []struct {
		name   string
		config map[string]string
		args   []string
	}{
		{ProviderHawser, map[string]string{"clusterName": a.Cluster, "request": request}, []string{"--request", request}},
		{ProviderSecret, map[string]string{"clusterName": a.Target}, nil},
		{ProviderKubeconfigSecret, map[string]string{"name": a.Target, "namespace": a.Namespace, "key": clusterprofile.SecretKey}, nil},
	} {
		cluster := clusterOf(a)
		if err := extend(&cluster, clusterprofile.ExecExtension, provider.config); err != nil {
			return nil, err
		}
		if provider.args != nil {
			if err := extend(&cluster, clusterprofile.ArgsExtension, provider.args); err != nil {
				return nil, err
			}
		}
		p.AccessProviders = append(p.AccessProviders, clusterprofile.AccessProvider{Name: provider.name, Cluster: cluster})
	}
	if id := []rune(a.Facts.ClusterProperty); len(id) > 0 && len(id) <= maxProperty {
		p.Properties = append(p.Properties, clusterprofile.Property{Name: member.ClusterPropertyName, Value: a.Facts.ClusterProperty})
	}
	return p, nil
}

func extend(cluster *clientcmdapiv1.Cluster, name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding extension %s: %w", name, err)
	}
	cluster.Extensions = append(cluster.Extensions, clientcmdapiv1.NamedExtension{Name: name, Extension: runtime.RawExtension{Raw: raw}})
	return nil
}

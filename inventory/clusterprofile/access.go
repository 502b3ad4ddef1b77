package clusterprofile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/credential/kubeconfig"
	"github.com/hawser-io/hawser/inventory"
)

// authType is what people are shown of a cluster whose credential comes from a plugin.
const authType = "exec"

// read makes a cluster of a ClusterProfile. Its errors name the objects, and quote no secret.
func (s *state) read(name string, k *known) (inventory.Cluster, error) {
	if k.malformed != nil {
		return inventory.Cluster{}, k.malformed
	}
	if k.version == "" {
		if err := k.profile.healthy(); err != nil {
			return inventory.Cluster{}, fmt.Errorf("cluster %q is not connected yet: %w", name, err)
		}
	}
	cluster, err := s.access(name, k.profile)
	if err != nil {
		return inventory.Cluster{}, fmt.Errorf("reading ClusterProfile %q: %w", name, err)
	}
	cluster.Properties = k.profile.properties()
	return cluster, nil
}

// maxMessage is how much is shown of what somebody else wrote into a condition.
const maxMessage = 200

// healthy returns what keeps a cluster from being connected to for the first time.
func (p *ClusterProfile) healthy() error {
	for _, c := range p.Status.Conditions {
		if c.Type != ControlPlaneHealthy {
			continue
		}
		if c.Status == metav1.ConditionTrue {
			return nil
		}
		message := []rune(strings.Join(strings.Fields(c.Message), " "))
		return fmt.Errorf("%s is %s (%s: %s)", ControlPlaneHealthy, c.Status, c.Reason, string(message[:min(len(message), maxMessage)]))
	}
	return fmt.Errorf("it has no condition %s", ControlPlaneHealthy)
}

func (p *ClusterProfile) properties() map[string]string {
	all := map[string]string{}
	for name, value := range p.Labels {
		all[name] = value
	}
	for _, property := range p.Status.Properties {
		all[property.Name] = property.Value
	}
	return all
}

// access finds the way to a cluster.
func (s *state) access(name string, p *ClusterProfile) (inventory.Cluster, error) {
	for _, entries := range [][]AccessProvider{p.Status.AccessProviders, p.Status.CredentialProviders} {
		for _, provider := range s.Providers {
			if at := slices.IndexFunc(entries, func(e AccessProvider) bool { return e.Name == provider.Name }); at >= 0 {
				cluster, err := s.byPlugin(name, provider, entries[at].Cluster)
				if err != nil {
					return cluster, fmt.Errorf("its entry for access provider %q: %w", provider.Name, err)
				}
				return cluster, nil
			}
		}
	}
	if s.Consumer != "" {
		return s.bySecret(name, types.NamespacedName{Namespace: p.Namespace, Name: p.Name})
	}
	return inventory.Cluster{}, s.noneOfOurs(p)
}

func (s *state) noneOfOurs(p *ClusterProfile) error {
	var theirs, ours []string
	for _, e := range slices.Concat(p.Status.AccessProviders, p.Status.CredentialProviders) {
		theirs = append(theirs, e.Name)
	}
	for _, provider := range s.Providers {
		ours = append(ours, provider.Name)
	}
	if len(theirs) == 0 {
		return errors.New("it names no access provider")
	}
	return fmt.Errorf("it can be reached by way of %s, and there is a plugin only for %s", strings.Join(theirs, ", "), strings.Join(ours, ", "))
}

// byPlugin is a cluster whose credential a plugin yields.
func (s *state) byPlugin(name string, provider exec.Provider, c clientcmdapiv1.Cluster) (inventory.Cluster, error) {
	var none inventory.Cluster
	endpoint, err := endpointOf(c)
	if err != nil {
		return none, err
	}
	extensions := map[string][]byte{}
	for _, e := range c.Extensions {
		if _, twice := extensions[e.Name]; twice {
			return none, fmt.Errorf("it has extension %q twice", e.Name)
		}
		extensions[e.Name] = e.Extension.Raw
	}
	plugin, err := provider.For(extensions[ArgsExtension], extensions[EnvExtension])
	if err != nil {
		return none, err
	}
	told := exec.Cluster{Endpoint: endpoint, DisableCompression: c.DisableCompression, Config: extensions[ExecExtension]}
	return inventory.Cluster{
		Spec:    connection.Spec{Name: name, AuthType: authType},
		Source:  &exec.Source{Plugin: plugin, Cluster: told, BringsEndpoint: true, Clock: s.clock},
		Version: credential.Fingerprint([]byte(plugin.Fingerprint()), []byte(told.Fingerprint())),
	}, nil
}

// endpointOf holds a cluster's entry to what holds for that of a kubeconfig: it is of the same form.
func endpointOf(c clientcmdapiv1.Cluster) (credential.Endpoint, error) {
	c.Extensions = nil
	text, err := json.Marshal(clientcmdapiv1.Config{
		CurrentContext: "c",
		Contexts:       []clientcmdapiv1.NamedContext{{Name: "c", Context: clientcmdapiv1.Context{Cluster: "c", AuthInfo: "c"}}},
		Clusters:       []clientcmdapiv1.NamedCluster{{Name: "c", Cluster: c}},
		AuthInfos:      []clientcmdapiv1.NamedAuthInfo{{Name: "c", AuthInfo: clientcmdapiv1.AuthInfo{Token: "none"}}},
	})
	if err != nil {
		return credential.Endpoint{}, errors.New("it is no cluster as a kubeconfig has it")
	}
	parsed, err := kubeconfig.Parse(text, "")
	if err != nil {
		return credential.Endpoint{}, err
	}
	return *parsed.Endpoint, nil
}

// bySecret is a cluster whose kubeconfig is in the one Secret that is labelled for it and for us.
func (s *state) bySecret(name string, profile types.NamespacedName) (inventory.Cluster, error) {
	var none inventory.Cluster
	var found []*secret
	for _, candidate := range s.named[profile] {
		if candidate.labelled || s.ours[candidate.key.Namespace] {
			found = append(found, candidate)
		}
	}
	slices.SortFunc(found, func(a, b *secret) int { return strings.Compare(a.key.String(), b.key.String()) })
	switch {
	case len(found) == 0:
		return none, fmt.Errorf("there is no plugin for it, and no Secret with the labels %s=%s and %s=%s", ConsumerLabel, s.Consumer, ProfileLabel, profile.Name)
	case len(found) > 1:
		return none, fmt.Errorf("%d Secrets are labelled for it, such as %q and %q: keep one", len(found), found[0].key, found[1].key)
	}
	only := found[0]
	switch {
	case only.malformed != nil:
		return none, only.malformed
	case len(only.config) == 0:
		return none, fmt.Errorf("there is nothing under the key %q of Secret %q", SecretKey, only.key)
	}
	c, err := kubeconfig.Parse(only.config, "")
	if err != nil {
		return none, fmt.Errorf("the kubeconfig under the key %q of Secret %q cannot be used: %w", SecretKey, only.key, err)
	}
	return inventory.FromKubeconfig(name, c), nil
}

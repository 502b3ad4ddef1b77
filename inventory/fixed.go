package inventory

import (
	"context"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
)

// Fixed yields one credential, as it is. Only the inventory replaces it, by a Set with another Version.
func Fixed(c credential.Credential) credential.Source {
	c.Watched = true
	return fixed{c}
}

// FromKubeconfig is the cluster that a credential leads to which brings its own Endpoint, as
// credential/kubeconfig parses it. Its Version is the credential's Origin.
func FromKubeconfig(name string, c credential.Credential) Cluster {
	return Cluster{
		Spec:    connection.Spec{Name: name, AuthType: string(v1alpha1.AuthKubeconfig)},
		Source:  Fixed(c),
		Version: c.Origin,
	}
}

type fixed struct{ credential credential.Credential }

// Obtain implements credential.Source.
func (f fixed) Obtain(context.Context) ([]credential.Credential, error) {
	return []credential.Credential{f.credential}, nil
}

// Renew is never called: the credential is watched.
func (f fixed) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

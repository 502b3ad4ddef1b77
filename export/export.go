// Package export owns access in the form that other tools read: one file for each format, from plain data
// to a Secret, or to a Secret and a ClusterProfile beside it. It asks nobody for anything and writes
// nothing: who may have the access, and where it is written to, is decided by others.
package export

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

// MaxSize is the most that an output may hold in all its keys, in bytes: what a Secret takes.
const MaxSize = corev1.MaxSecretSize

// TokenKey is the key of the bare token, in the formats whose readers ignore keys that they do not know.
const TokenKey = "token"

// Access is access to one cluster as one account.
type Access struct {
	// Name and Namespace of the AccessRequest.
	Name, Namespace string
	// Target is the name of what is written.
	Target string
	// Cluster is the name of the RemoteCluster, and ClusterID the UID of its namespace kube-system; empty
	// where that is not known.
	Cluster, ClusterID string
	// Endpoint is where the cluster is.
	Endpoint credential.Endpoint
	// Token of the account, and when it ends.
	Token     credential.Secret
	ExpiresAt time.Time
	// Facts for a ClusterProfile.
	Facts Facts
}

// Output is what is to be written. Labels and annotations are those that the reader asks for.
type Output struct {
	Type                corev1.SecretType
	Labels, Annotations map[string]string
	Data                map[string]credential.Secret
	// Profile is the ClusterProfile to go with the Secret; nil for every format but clusterprofile.
	Profile *Profile
}

// formats are all there are.
var formats = map[v1alpha1.OutputFormat]func(Access, v1alpha1.AccessOutput) (Output, error){
	v1alpha1.OutputKubeconfig:          makeKubeconfig,
	v1alpha1.OutputArgoCD:              makeArgoCD,
	v1alpha1.OutputFlux:                makeFlux,
	v1alpha1.OutputCalico:              makeCalico,
	v1alpha1.OutputIstio:               makeIstio,
	v1alpha1.OutputLinkerd:             makeLinkerd,
	v1alpha1.OutputMulticlusterRuntime: makeMulticlusterRuntime,
	v1alpha1.OutputClusterProfile:      makeClusterProfile,
	v1alpha1.OutputTemplate:            makeTemplate,
}

// Make puts access into the form that o asks for. The same access makes the same output. Errors name what
// cannot be put into it, and never quote a value.
func Make(a Access, o v1alpha1.AccessOutput) (Output, error) {
	format, ok := formats[o.Format]
	if !ok {
		return Output{}, fmt.Errorf("this version of hawser does not know format %q", o.Format)
	}
	if a.Endpoint.Server == "" || a.Token.IsZero() {
		return Output{}, fmt.Errorf("format %s needs an address and a token", o.Format)
	}
	out, err := format(a, o)
	if err != nil {
		return Output{}, fmt.Errorf("writing format %s: %w", o.Format, err)
	}
	size := 0
	for _, value := range out.Data {
		size += len(value.Reveal())
	}
	if size > MaxSize {
		return Output{}, fmt.Errorf("writing format %s: %w", o.Format, errTooLarge)
	}
	if out.Type == "" {
		out.Type = corev1.SecretTypeOpaque
	}
	return out, nil
}

var errTooLarge = errors.New("it would be larger than 1 MiB, which is what a Secret takes")

// secretData wraps what goes into a Secret.
func secretData(values map[string]string) map[string]credential.Secret {
	data := make(map[string]credential.Secret, len(values))
	for key, value := range values {
		data[key] = credential.NewSecret(value)
	}
	return data
}

// Package kinds owns the scheme of those who read and write objects: Kubernetes' own kinds and ours. It knows no
// client and no kind of anybody else, which are read unstructured.
package kinds

import (
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Scheme returns a new one, which its caller may add to.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

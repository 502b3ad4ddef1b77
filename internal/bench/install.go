package bench

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Install installs what a manager needs in its cluster: the CRDs, its namespace and its roles. It is run
// in the root of the repository.
func (b *Bench) Install(admin client.Client) error {
	var files []string
	for _, pattern := range []string{"config/crd/*.yaml", "config/rbac/*.yaml"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		files = append(files, some...)
	}
	for _, name := range files {
		if err := b.create(admin, name); err != nil {
			return fmt.Errorf("applying %s: %w", name, err)
		}
	}
	return Until(b.Ctx, "the CRDs", func() bool {
		return admin.List(b.Ctx, &v1alpha1.RemoteClusterList{}) == nil && admin.List(b.Ctx, &v1alpha1.AWSIdentityList{}) == nil
	})
}

func (b *Bench) create(admin client.Client, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		obj := &unstructured.Unstructured{}
		if decoder.Decode(&obj.Object) != nil {
			return nil
		}
		if len(obj.Object) == 0 { // a comment between two separators
			continue
		}
		if err := client.IgnoreAlreadyExists(admin.Create(b.Ctx, obj)); err != nil {
			return err
		}
	}
}

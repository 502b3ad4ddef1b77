package fleettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// serveTimeout is how long a new kind may take until it is served: a second or so, on a machine that has time.
const serveTimeout = 30 * time.Second

// Apply applies YAML documents with admin rights as `kubectl apply --server-side --force-conflicts` does, and
// waits until each kind that they define is served; its objects may follow in the same documents.
func (c *Cluster) Apply(ctx context.Context, manifests []byte) error {
	a, err := c.applier()
	if err != nil {
		return err
	}
	if err := a.apply(ctx, manifests); err != nil {
		return fmt.Errorf("applying to cluster %q: %w", c.Name, err)
	}
	return a.await(ctx)
}

// ApplyFiles is Apply for the files that match the patterns of [filepath.Glob], in that order. A pattern that no
// file matches is an error.
func (c *Cluster) ApplyFiles(ctx context.Context, patterns ...string) error {
	a, err := c.applier()
	if err != nil {
		return err
	}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err == nil && len(files) == 0 {
			err = os.ErrNotExist
		}
		if err != nil {
			return fmt.Errorf("finding manifests %s: %w", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("reading manifests: %w", err)
			}
			if err := a.apply(ctx, text); err != nil {
				return fmt.Errorf("applying %s to cluster %q: %w", file, c.Name, err)
			}
		}
	}
	return a.await(ctx)
}

// Install is ApplyFiles for a test, which ends if that is impossible.
func (c *Cluster) Install(t testing.TB, patterns ...string) {
	t.Helper()
	if err := c.ApplyFiles(t.Context(), patterns...); err != nil {
		t.Fatal(err)
	}
}

// applier applies several texts, and remembers which kinds it has not yet seen served.
type applier struct {
	client    client.Client
	discovery discovery.DiscoveryInterface
	crds      []*unstructured.Unstructured
}

func (c *Cluster) applier() (*applier, error) {
	admin, err := client.New(c.AdminConfig(), client.Options{})
	if err != nil {
		return nil, fmt.Errorf("making a client of cluster %q: %w", c.Name, err)
	}
	return &applier{client: admin, discovery: c.Client().Discovery()}, nil
}

func (a *applier) apply(ctx context.Context, text []byte) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		obj := &unstructured.Unstructured{}
		if err := decoder.Decode(&obj.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading YAML: %w", err)
		}
		if len(obj.Object) == 0 { // a comment between two separators
			continue
		}
		isCRD := obj.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
		if !isCRD {
			if err := a.await(ctx); err != nil {
				return err
			}
		}
		if err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner("fleettest"), client.ForceOwnership); err != nil {
			return fmt.Errorf("applying %s %q: %w", obj.GetKind(), obj.GetName(), err)
		}
		if isCRD {
			a.crds = append(a.crds, obj)
		}
	}
}

// await waits until every kind that was applied is served.
func (a *applier) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, serveTimeout)
	defer cancel()
	for _, crd := range a.crds {
		if err := Until(ctx, pollInterval, func() error { return a.served(ctx, crd) }); err != nil {
			return fmt.Errorf("waiting for %s: %w", crd.GetName(), err)
		}
	}
	a.crds = nil
	return nil
}

// served is nil when clients find a kind and its objects can be listed, in each version: Established comes before both.
func (a *applier) served(ctx context.Context, crd *unstructured.Unstructured) error {
	if err := a.client.Get(ctx, client.ObjectKeyFromObject(crd), crd); err != nil {
		return err
	}
	if !established(crd) {
		return errors.New("it is not Established")
	}
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok || version["served"] != true {
			continue
		}
		gv := schema.GroupVersion{Group: group, Version: fmt.Sprint(version["name"])}
		if err := a.found(gv, plural); err != nil {
			return err
		}
		if _, err := a.discovery.RESTClient().Get().AbsPath("/apis", gv.String(), plural).Param("limit", "1").DoRaw(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) found(gv schema.GroupVersion, plural string) error {
	list, err := a.discovery.ServerResourcesForGroupVersion(gv.String())
	if err != nil {
		return err
	}
	for _, r := range list.APIResources {
		if r.Name == plural {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s yet", gv, plural)
}

func established(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" {
			return c["status"] == string(metav1.ConditionTrue)
		}
	}
	return false
}

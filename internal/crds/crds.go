// Package crds brings the CustomResourceDefinitions in a cluster to those of this build, before anything is done
// with their kinds. Helm installs CRDs and never upgrades them; this does.
//
// Every replica does it at its start, without electing anybody: caches cannot begin before the kinds are there,
// and a leader is known only after they have. Each write says which version of the object it was decided on, so
// that of two builds the newer wins in whatever order they come, and none takes a definition back.
package crds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/internal/version"
)

var resource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Timeout is how long an API server may take to bring a definition into service.
const Timeout = 30 * time.Second

// Outcome is what became of one definition.
type Outcome struct {
	// Name of the definition, as remoteclusters.hawser.io.
	Name string
	// Changed says that it was written.
	Changed bool
	// Newer is the version of Hawser that wrote what is there, where that is newer than this build, or cannot
	// be compared with it: then it was left as it is. Empty otherwise.
	Newer string
}

// Warning says what is to be told of a definition that was left; empty where there is nothing.
func (o Outcome) Warning() string {
	if o.Newer == "" {
		return ""
	}
	return fmt.Sprintf("CustomResourceDefinition %q was written by Hawser %s and is left as it is; this is %s, which may not know all that it says: run the newer version, or apply the definitions of this one by hand", o.Name, o.Newer, version.String())
}

// Start is Upgrade at the start of a process: it logs what became of the definitions, and puts a warning into an
// event of each one that was left.
func Start(ctx context.Context, config *rest.Config, log logr.Logger, plurals ...string) error {
	outcomes, err := Upgrade(ctx, config, plurals...)
	for _, o := range outcomes {
		switch {
		case o.Changed:
			log.Info("CustomResourceDefinition upgraded", "name", o.Name, "version", version.String())
		case o.Newer != "":
			log.Info("CustomResourceDefinition left as it is", "name", o.Name, "warning", o.Warning())
			if err := warn(ctx, config, o); err != nil {
				log.Error(err, "telling of a CustomResourceDefinition that was left", "name", o.Name)
			}
		}
	}
	return err
}

// Upgrade brings the definitions with the given plural names to those of this build, and returns once they are
// served. It takes get and patch on these names, and create where one of them is missing.
func Upgrade(ctx context.Context, config *rest.Config, plurals ...string) ([]Outcome, error) {
	return upgrade(ctx, config, version.String(), plurals)
}

func upgrade(ctx context.Context, config *rest.Config, own string, plurals []string) ([]Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("upgrading the definitions: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("upgrading the definitions: %w", err)
	}
	u := upgrader{client.Resource(resource), kinds, own}
	var outcomes []Outcome
	for _, plural := range plurals {
		o, err := u.one(ctx, plural)
		if err != nil {
			return outcomes, err
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

type upgrader struct {
	crds  dynamic.ResourceInterface
	kinds discovery.ServerResourcesInterface
	own   string
}

func (u upgrader) one(ctx context.Context, plural string) (Outcome, error) {
	want, err := wanted(plural, u.own)
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{Name: want.GetName()}
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { // another replica, or a person
		now, err := u.crds.Get(ctx, o.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			now, err = nil, nil
		}
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		if now != nil && !mayWrite(now.GetAnnotations()[v1alpha1.VersionAnnotation], u.own) {
			o.Newer = now.GetAnnotations()[v1alpha1.VersionAnnotation]
			return nil
		}
		o.Changed, err = u.write(ctx, now, want)
		return err
	})
	if err == nil {
		err = u.served(ctx, plural)
	}
	if err != nil {
		return o, fmt.Errorf("upgrading CustomResourceDefinition %q: %w", o.Name, explain(err))
	}
	return o, nil
}

// write applies the definition, and reports whether that changed anything. The list of its versions is one field,
// so that nothing survives in a schema that others wrote there: a rule that was dropped would go on to refuse objects.
func (u upgrader) write(ctx context.Context, now, want *unstructured.Unstructured) (changed bool, err error) {
	body := want.DeepCopy()
	if now != nil {
		body.SetResourceVersion(now.GetResourceVersion())
	}
	got, err := u.crds.Apply(ctx, want.GetName(), body, metav1.ApplyOptions{FieldManager: v1alpha1.FieldManager, Force: true})
	if err != nil {
		return false, fmt.Errorf("applying: %w", err)
	}
	return now == nil || now.GetResourceVersion() != got.GetResourceVersion(), nil
}

// served waits until the API server has taken the definition into service.
func (u upgrader) served(ctx context.Context, plural string) error {
	name := crd.Name(plural)
	var why error
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		now, err := u.crds.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if why = inService(now); why == nil {
			why = u.found(plural)
		}
		return why == nil, nil
	})
	if err != nil && why != nil {
		return why
	}
	return err
}

// found is nil when clients find the kind, which comes after it was taken into service.
func (u upgrader) found(plural string) error {
	there, err := u.kinds.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err == nil && slices.ContainsFunc(there.APIResources, func(r metav1.APIResource) bool { return r.Name == plural }) {
		return nil
	}
	return fmt.Errorf("waiting until it is served: clients do not find %s.%s yet", plural, v1alpha1.GroupVersion.Group)
}

func inService(crd *unstructured.Unstructured) error {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" && c["status"] == "True" {
			return nil
		}
	}
	return errors.New("waiting until it is served: the API server has not taken it into service")
}

// wanted is a definition of this build, with its version.
func wanted(plural, own string) (*unstructured.Unstructured, error) {
	text, err := crd.JSON(plural)
	if err != nil {
		return nil, err
	}
	want := &unstructured.Unstructured{}
	if err := want.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("reading the definition of %s: %w", plural, err)
	}
	unstructured.RemoveNestedField(want.Object, "status")
	unstructured.RemoveNestedField(want.Object, "metadata", "creationTimestamp")
	annotations := want.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.VersionAnnotation] = own
	want.SetAnnotations(annotations)
	return want, nil
}

// explain adds what to do to what the API server refused.
func explain(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w: give the right (chart value crds.upgrade), or apply the definitions by hand and start without --upgrade-crds", err)
	}
	return err
}

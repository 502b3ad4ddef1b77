// Package clusterproperty reads and, when asked, writes what a cluster says about itself: the ClusterProperties of KEP-2149
// (about.k8s.io, of v1beta1 or v1alpha1), one with its id and one with the ClusterSet that it belongs to. No admission
// control comes with them, so the rules of the KEP are kept here: an id is never changed, and neither is a membership.
//
// A connection reads both with every full probe, and reports them as status.clusterProperty and status.clusterSet.
// To write needs more than the rights that a connection has: see Role.
package clusterproperty

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// The names that the KEP defines.
const (
	ClusterID  = member.ClusterPropertyName
	ClusterSet = member.ClusterSetPropertyName
)

// maxID is what an id should be shorter than, by the KEP: it becomes part of DNS names.
const maxID = 128

// Role is a ClusterRole for the cluster that is written to, as YAML.
//
//go:embed role.yaml
var Role []byte

// ErrNotInstalled says that the cluster does not know ClusterProperties.
var ErrNotInstalled = errors.New("neither v1beta1 nor v1alpha1 of clusterproperties.about.k8s.io is served: apply the CRD of sigs.k8s.io/about-api")

// ConflictError says that a property is there, with another value than the wanted one. It was not changed.
type ConflictError struct{ Name, Has, Wanted string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("ClusterProperty %q is %q, and not %q: it is never changed while a cluster is a member. If that is meant, delete it first", e.Name, e.Has, e.Wanted)
}

// Properties are what a cluster says about itself. Empty is what it does not say.
type Properties struct {
	// ID is cluster.clusterset.k8s.io: unique in its ClusterSet, and the same for as long as it is a member.
	ID string
	// Set is clusterset.k8s.io: the ClusterSet that it is a member of.
	Set string
}

// Client reads and writes the properties of one cluster. Each call asks it several times: give it a deadline.
type Client struct {
	discovery *discovery.DiscoveryClient
	objects   dynamic.Interface
}

// New makes a client of a cluster.
func New(config *rest.Config) (*Client, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for ClusterProperties: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for ClusterProperties: %w", err)
	}
	return &Client{d, objects}, nil
}

// Read returns what the cluster says about itself. The error is ErrNotInstalled where it cannot say anything.
func (c *Client) Read(ctx context.Context) (Properties, error) {
	all, err := c.properties(ctx)
	if err != nil {
		return Properties{}, err
	}
	var p Properties
	for name, value := range map[string]*string{ClusterID: &p.ID, ClusterSet: &p.Set} {
		if *value, _, err = all.read(ctx, name); err != nil {
			return Properties{}, err
		}
	}
	return p, nil
}

// EnsureID returns the id that the cluster has, and gives it one where it has none: the UID of its namespace
// kube-system, as the KEP recommends.
func (c *Client) EnsureID(ctx context.Context) (id string, created bool, err error) {
	all, err := c.properties(ctx)
	if err != nil {
		return "", false, err
	}
	if id, _, err = all.read(ctx, ClusterID); err != nil || id != "" {
		return id, false, err
	}
	system, err := c.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(ctx, member.SystemNamespace, metav1.GetOptions{})
	if err != nil {
		return "", false, fmt.Errorf("reading namespace %q: %w", member.SystemNamespace, err)
	}
	id = string(system.GetUID())
	if err := validID(id); err != nil {
		return "", false, fmt.Errorf("the UID %q of namespace %q is no id: %w", id, member.SystemNamespace, err)
	}
	id, created, err = all.create(ctx, ClusterID, id)
	return id, created, err
}

// SetID gives the cluster an id of one's own choice where it has none. The error is a *ConflictError where it has
// another one.
func (c *Client) SetID(ctx context.Context, id string) (created bool, err error) {
	if err := validID(id); err != nil {
		return false, fmt.Errorf("the id %q of a cluster: %w", id, err)
	}
	return c.ensure(ctx, ClusterID, id)
}

func validID(id string) error {
	if faults := validation.IsDNS1123Subdomain(id); len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	if len(id) >= maxID {
		return fmt.Errorf("it has %d characters, and may have %d", len(id), maxID-1)
	}
	return nil
}

// EnsureSet makes the cluster say that it is a member of a ClusterSet. The error is a *ConflictError where it says
// that of another one.
func (c *Client) EnsureSet(ctx context.Context, set string) (created bool, err error) {
	if faults := validation.IsDNS1123Subdomain(set); len(faults) > 0 {
		return false, fmt.Errorf("the name %q of a ClusterSet: %s", set, strings.Join(faults, "; "))
	}
	return c.ensure(ctx, ClusterSet, set)
}

// ensure makes a property, if there is none of that name.
func (c *Client) ensure(ctx context.Context, name, value string) (created bool, err error) {
	all, err := c.properties(ctx)
	if err != nil {
		return false, err
	}
	has, _, err := all.read(ctx, name)
	if err == nil && has == "" {
		has, created, err = all.create(ctx, name, value)
	}
	if err == nil && has != value {
		err = &ConflictError{name, has, value}
	}
	return created, err
}

// LeaveSet takes back what EnsureSet wrote: a cluster that is no member must not say that it is one. What somebody else
// wrote is left alone, and is an error. left is the ClusterSet that it was a member of; empty where it was of none.
func (c *Client) LeaveSet(ctx context.Context) (left string, err error) {
	all, err := c.properties(ctx)
	if err != nil {
		return "", err
	}
	set, object, err := all.read(ctx, ClusterSet)
	if object == nil || err != nil {
		return "", err
	}
	if object.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedBy {
		return "", fmt.Errorf("deleting ClusterProperty %q: it is not Hawser's (no label %s=%s)", ClusterSet, v1alpha1.ManagedByLabel, v1alpha1.ManagedBy)
	}
	uid := object.GetUID()
	err = all.Delete(ctx, ClusterSet, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("deleting ClusterProperty %q: %w", ClusterSet, err)
	}
	return set, nil
}

// properties are those of a cluster, in the best version that it serves.
type properties struct {
	dynamic.ResourceInterface
	version string
}

func (c *Client) properties(ctx context.Context) (*properties, error) {
	var api metav1.APIGroup
	err := c.discovery.RESTClient().Get().AbsPath("/apis/" + member.ClusterPropertyGroup).Do(ctx).Into(&api)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("finding ClusterProperties: %w", err)
	}
	for _, version := range member.ClusterPropertyVersions() {
		if slices.ContainsFunc(api.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == version }) {
			resource := schema.GroupVersionResource{Group: member.ClusterPropertyGroup, Version: version, Resource: member.ClusterPropertyResource}
			return &properties{c.objects.Resource(resource), version}, nil
		}
	}
	return nil, fmt.Errorf("finding ClusterProperties: %w", ErrNotInstalled)
}

// read returns nothing where there is no such property.
func (p *properties) read(ctx context.Context, name string) (string, *unstructured.Unstructured, error) {
	object, err := p.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil, nil
	case err != nil:
		return "", nil, fmt.Errorf("reading ClusterProperty %q: %w", name, err)
	}
	value, _, err := unstructured.NestedString(object.Object, "spec", "value")
	if err != nil {
		return "", nil, fmt.Errorf("reading ClusterProperty %q: %w", name, err)
	}
	return value, object, nil
}

// create makes a property, and returns the value that it has: another's, if one was faster.
func (p *properties) create(ctx context.Context, name, value string) (has string, created bool, err error) {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"value": value}}}
	object.SetAPIVersion(member.ClusterPropertyGroup + "/" + p.version)
	object.SetKind("ClusterProperty")
	object.SetName(name)
	object.SetLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedBy})
	_, err = p.Create(ctx, object, metav1.CreateOptions{FieldManager: v1alpha1.FieldManager})
	switch {
	case apierrors.IsAlreadyExists(err):
		has, _, err = p.read(ctx, name)
		return has, false, err
	case apierrors.IsNotFound(err): // the kind, which is on its way out
		return "", false, fmt.Errorf("creating ClusterProperty %q: %w", name, ErrNotInstalled)
	case err != nil:
		return "", false, fmt.Errorf("creating ClusterProperty %q: %w", name, err)
	}
	return value, true, nil
}

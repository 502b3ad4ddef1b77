// Package capa is the inventory of Cluster API with its provider for AWS: it reads their objects as they
// are, with small types of its own. From an AWSManagedControlPlane and its Cluster to a RemoteCluster, and
// from an AWSCluster*Identity to an aws.Identity, within the namespaces that it allows.
package capa

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
)

// The kinds that are read. A Cluster is read in the version that the API server prefers: v1beta1 and
// v1beta2 are both understood.
var (
	ControlPlaneKind       = schema.GroupVersionKind{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Kind: "AWSManagedControlPlane"}
	ClusterKind            = schema.GroupKind{Group: "cluster.x-k8s.io", Kind: "Cluster"}
	RoleIdentityKind       = identityKind(v1alpha1.KindCAPARoleIdentity)
	StaticIdentityKind     = identityKind(v1alpha1.KindCAPAStaticIdentity)
	ControllerIdentityKind = identityKind(v1alpha1.KindCAPAControllerIdentity)
)

func identityKind(kind v1alpha1.AWSIdentityKind) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Kind: string(kind)}
}

const (
	clusterNameLabel = "cluster.x-k8s.io/cluster-name"
	pausedAnnotation = "cluster.x-k8s.io/paused"
	// controllerIdentity is the only name that an AWSClusterControllerIdentity may have.
	controllerIdentity = "default"
)

// ControlPlane is an AWSManagedControlPlane: an EKS cluster, as far as a connection to it needs to know.
type ControlPlane struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              ControlPlaneSpec `json:"spec"`
}

// ControlPlaneSpec is what is asked of it, and the endpoint that the provider fills in.
type ControlPlaneSpec struct {
	EKSClusterName       string       `json:"eksClusterName"`
	Region               string       `json:"region"`
	IdentityRef          *IdentityRef `json:"identityRef"`
	ControlPlaneEndpoint Endpoint     `json:"controlPlaneEndpoint"`
}

// IdentityRef names an AWSCluster*Identity.
type IdentityRef struct {
	Kind v1alpha1.AWSIdentityKind `json:"kind"`
	Name string                   `json:"name"`
}

// Endpoint of an API server. The provider for AWS leaves https:// in the host.
type Endpoint struct {
	Host string `json:"host"`
	Port int32  `json:"port"`
}

// Cluster is a Cluster of Cluster API.
type Cluster struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              ClusterSpec `json:"spec"`
}

// ClusterSpec is the part of it that says what it is made of.
type ClusterSpec struct {
	Paused          bool       `json:"paused"`
	ControlPlaneRef *ObjectRef `json:"controlPlaneRef"`
}

// ObjectRef names an object: with apiVersion and namespace in v1beta1, and with apiGroup in v1beta2, where it
// always lies in the namespace of the Cluster.
type ObjectRef struct {
	APIVersion string `json:"apiVersion"`
	APIGroup   string `json:"apiGroup"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

// Group of the object, from either field.
func (r ObjectRef) Group() string {
	if r.APIGroup != "" {
		return r.APIGroup
	}
	group, _, _ := strings.Cut(r.APIVersion, "/")
	return group
}

// DecodeControlPlane reads an AWSManagedControlPlane.
func DecodeControlPlane(u *unstructured.Unstructured) (*ControlPlane, error) {
	cp := &ControlPlane{}
	return cp, decode(u, cp)
}

// DecodeCluster reads a Cluster of either version.
func DecodeCluster(u *unstructured.Unstructured) (*Cluster, error) {
	c := &Cluster{}
	return c, decode(u, c)
}

func decode(u *unstructured.Unstructured, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return fmt.Errorf("reading %s %q in namespace %q: %w", u.GetKind(), u.GetName(), u.GetNamespace(), err)
	}
	return nil
}

// EKSName is the name of the EKS cluster. The provider writes it into every object when it is made; what is
// left empty all the same has the provider's default, as far as that can be known.
func (cp *ControlPlane) EKSName() (string, error) {
	if cp.Spec.EKSClusterName != "" {
		return cp.Spec.EKSClusterName, nil
	}
	name := cp.Namespace + "_" + strings.ReplaceAll(cp.Name, ".", "_")
	if len(name) >= 100 { // the provider takes a hash here
		return "", errors.New("spec.eksClusterName is empty and its default too long to be known: fill it in")
	}
	return name, nil
}

// Identity is the one that the provider uses for this cluster; without a reference, that of the provider
// itself, which has an object too.
func (cp *ControlPlane) Identity() *v1alpha1.AWSIdentityRef {
	if ref := cp.Spec.IdentityRef; ref != nil {
		return &v1alpha1.AWSIdentityRef{Kind: ref.Kind, Name: ref.Name}
	}
	return &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindCAPAControllerIdentity, Name: controllerIdentity}
}

// Server is the address that the provider wrote, as a kubeconfig has it; empty before it has.
func (cp *ControlPlane) Server() string {
	e := cp.Spec.ControlPlaneEndpoint
	if e.Host == "" {
		return ""
	}
	host := strings.TrimSuffix(strings.TrimPrefix(e.Host, "https://"), "/")
	if e.Port != 0 && e.Port != 443 {
		host = fmt.Sprintf("%s:%d", host, e.Port)
	}
	return "https://" + host
}

// Owner is the name of the Cluster that the control plane belongs to; empty before it belongs to one.
func (cp *ControlPlane) Owner() string {
	for _, owner := range cp.OwnerReferences {
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		if owner.Kind == ClusterKind.Kind && group == ClusterKind.Group {
			return owner.Name
		}
	}
	return cp.Labels[clusterNameLabel]
}

// IsPaused reports whether the control plane or its Cluster is paused: whoever did that works on them by
// hand, or moves them to another management cluster.
func (cp *ControlPlane) IsPaused(c *Cluster) bool {
	_, own := cp.Annotations[pausedAnnotation]
	_, cluster := c.Annotations[pausedAnnotation]
	return own || cluster || c.Spec.Paused
}

// Has reports whether the Cluster says that the control plane is its own.
func (c *Cluster) Has(cp *ControlPlane) bool {
	ref := c.Spec.ControlPlaneRef
	return ref != nil && ref.Kind == ControlPlaneKind.Kind && ref.Group() == ControlPlaneKind.Group && ref.Name == cp.Name &&
		(ref.Namespace == "" || ref.Namespace == cp.Namespace) && c.Namespace == cp.Namespace
}

func (r *IdentityRef) ref() aws.Ref { return aws.Ref{Kind: r.Kind, Name: r.Name} }

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AccessRequest says: this namespace wants that grant in that cluster, in a form that the tool which
// uses it understands. The remote cluster's AccessGrant has the last word; what comes of it is kept
// fresh and goes away with the request.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=areq,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.clusterRef.name`
// +kubebuilder:printcolumn:name="Grant",type=string,JSONPath=`.spec.grant`
// +kubebuilder:printcolumn:name="Format",type=string,JSONPath=`.spec.output.format`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type AccessRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what is wanted.
	Spec AccessRequestSpec `json:"spec"`
	// Status says what came of it. It never holds a secret.
	// +optional
	Status AccessRequestStatus `json:"status,omitempty"`
}

// AccessRequestList is a list of AccessRequests.
//
// +kubebuilder:object:root=true
type AccessRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AccessRequest `json:"items"`
}

// AccessRequestSpec says what is wanted.
type AccessRequestSpec struct {
	// ClusterRef names the RemoteCluster. Its allowedNamespaces must name this namespace.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterRef cannot be changed: make another AccessRequest"
	ClusterRef ClusterRef `json:"clusterRef"`
	// Grant is the name of the AccessGrant in the remote cluster.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	Grant string `json:"grant"`
	// Lifetime of the tokens. Default 1h; the grant's maxLifetime bounds it. A token is renewed at half of its life.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m') && duration(self) <= duration('24h')",message="lifetime must be between 10m, the least that an API server grants, and 24h"
	Lifetime *metav1.Duration `json:"lifetime,omitempty"`
	// Output says in which form, and where to.
	Output AccessOutput `json:"output"`
}

// ClusterRef names a RemoteCluster.
type ClusterRef struct {
	// Name of the RemoteCluster.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	Name string `json:"name"`
}

// OutputFormat is a form that a tool reads access in.
// +kubebuilder:validation:Enum=kubeconfig;argocd;flux;calico;istio;linkerd;multicluster-runtime;clusterprofile;template
type OutputFormat string

// The forms that tools read access in.
const (
	OutputKubeconfig          OutputFormat = "kubeconfig"
	OutputArgoCD              OutputFormat = "argocd"
	OutputFlux                OutputFormat = "flux"
	OutputCalico              OutputFormat = "calico"
	OutputIstio               OutputFormat = "istio"
	OutputLinkerd             OutputFormat = "linkerd"
	OutputMulticlusterRuntime OutputFormat = "multicluster-runtime"
	OutputClusterProfile      OutputFormat = "clusterprofile"
	OutputTemplate            OutputFormat = "template"
)

// AccessOutput says in which form access is written, and where to.
//
// +kubebuilder:validation:XValidation:rule="(self.format == 'template') == has(self.template)",message="format template and the block template need each other"
// +kubebuilder:validation:XValidation:rule="has(self.tokenFile) ? self.format == 'kubeconfig' : true",message="tokenFile is only for format kubeconfig"
type AccessOutput struct {
	// Format is the tool that reads it: kubeconfig, argocd, flux, calico, istio, linkerd,
	// multicluster-runtime, clusterprofile; or template for anything else.
	Format OutputFormat `json:"format"`
	// SecretName is the Secret to write, in this namespace. By default the name of the AccessRequest.
	// One that somebody else made is never written.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="secretName must be a DNS subdomain"
	SecretName string `json:"secretName,omitempty"`
	// TokenFile is where the Secret will be mounted: the kubeconfig then names the file TokenFile/token
	// beside it, and clients follow renewals without reading the kubeconfig again.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.contains('..')",message="tokenFile must be an absolute path of a directory"
	TokenFile string `json:"tokenFile,omitempty"`
	// Template makes the Secret where no format fits.
	// +optional
	Template *OutputTemplateSpec `json:"template,omitempty"`
}

// OutputTemplateSpec makes a Secret from Go templates with the fields .Name, .Namespace, .Cluster,
// .ClusterID, .Server, .CAData (PEM), .TLSServerName, .ProxyURL, .Token and .ExpiresAt, and the functions
// base64, json, quote and indent.
type OutputTemplateSpec struct {
	// Type of the Secret. Default Opaque.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('kubernetes.io/') && !self.startsWith('bootstrap.kubernetes.io/')",message="type must not be one that Kubernetes acts on"
	Type string `json:"type,omitempty"`
	// Labels of the Secret. Those of hawser.io and app.kubernetes.io/managed-by are kept for Hawser.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Labels map[string]string `json:"labels,omitempty"`
	// Data by key, each value a template.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	Data map[string]string `json:"data"`
}

// AccessRequestStatus says what came of a request.
type AccessRequestStatus struct {
	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// SecretName is the Secret that was written.
	// +optional
	SecretName string `json:"secretName,omitempty"`
	// Subject that the remote cluster knows the holder by.
	// +optional
	Subject string `json:"subject,omitempty"`
	// ExpiresAt is when the token that was written last ends.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// RenewedAt is when it was written.
	// +optional
	RenewedAt *metav1.Time `json:"renewedAt,omitempty"`
}

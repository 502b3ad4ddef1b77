package v1alpha1

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RemoteCluster is a Kubernetes cluster that this cluster holds a live connection to.
//
// Hawser keeps the connection up, renews its credential before it expires without
// interrupting anything that runs over it, probes it, and reports in the status
// what works and what does not.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=rcl,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Auth",type=string,JSONPath=`.spec.auth.type`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.kubernetesVersion`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.credential.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="the name must be a DNS label of at most 50 characters: namespaces and Secrets are named after it"
type RemoteCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where the cluster is and how to authenticate to it.
	Spec RemoteClusterSpec `json:"spec"`
	// Status says what works. It never holds a secret.
	// +optional
	Status RemoteClusterStatus `json:"status,omitempty"`
}

// IsLocal says that it is the cluster that it is declared in: the manager's own.
func (rc *RemoteCluster) IsLocal() bool { return rc.Spec.Auth.Type == AuthInCluster }

// RemoteClusterList is a list of RemoteClusters.
//
// +kubebuilder:object:root=true
type RemoteClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RemoteCluster `json:"items"`
}

// RemoteClusterSpec says where a cluster is, how to authenticate to it, and what the connection is for.
//
// +kubebuilder:validation:XValidation:rule="self.auth.type in ['kubeconfig', 'inCluster'] ? !has(self.server) : has(self.server)",message="server is required for auth.type bearerToken, mtls, eks, oidc and exec, and must be absent for kubeconfig and inCluster, which bring their own"
// +kubebuilder:validation:XValidation:rule="self.auth.type in ['kubeconfig', 'inCluster'] ? !has(self.caData) && !has(self.tlsServerName) && !has(self.proxyURL) : true",message="caData, tlsServerName and proxyURL must be absent for auth.type kubeconfig and inCluster, which bring their own"
// +kubebuilder:validation:XValidation:rule="self.auth.type != 'oidc' || has(self.clusterID) || has(self.auth.oidc.audience) || self.auth.oidc.tokenFrom == 'azure'",message="auth.type oidc needs clusterID, which the audience is made of (hawser:<clusterID>), or auth.oidc.audience"
type RemoteClusterSpec struct {
	// Server is the address of the API server, as in a kubeconfig: https://host[:port][/path].
	// Required for auth.type bearerToken, mtls, eks, oidc and exec; absent for kubeconfig and inCluster.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'https' && size(url(self).getHostname()) > 0",message="server must be https:// with a host"
	// +kubebuilder:validation:XValidation:rule="!isURL(self) || (size(url(self).getQuery()) == 0 && !self.contains('#') && !self.contains('@'))",message="server must have no user, query or fragment"
	Server string `json:"server,omitempty"`

	// CAData is the CA bundle that the server's certificate is verified with: PEM, then base64,
	// as certificate-authority-data in a kubeconfig. Without it the system's roots are used.
	// +optional
	// +kubebuilder:validation:MaxLength=1048576
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9+/]+={0,2}$') && size(self) % 4 == 0",message="caData must be base64 of a PEM bundle on one line (base64 -w0 ca.crt)"
	CAData string `json:"caData,omitempty"`

	// TLSServerName is the name that the server's certificate must carry, where it differs from
	// the host in server, for example behind a load balancer or a tunnel.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSServerName string `json:"tlsServerName,omitempty"`

	// ProxyURL is the proxy by which the server is reached: http:// or socks5://.
	// The environment's proxy settings are used where it is absent.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'socks5'] && size(url(self).getHostname()) > 0",message="proxyURL must be http:// or socks5:// with a host"
	ProxyURL string `json:"proxyURL,omitempty"`

	// QPS is how many requests a second clients of this connection send on average. Default 20.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	QPS int32 `json:"qps,omitempty"`

	// Burst is how many requests may be sent at once before qps holds them back. Default 40.
	// +optional
	// +kubebuilder:default=40
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Burst int32 `json:"burst,omitempty"`

	// Timeout is the deadline of every request that is not a watch or another stream. Default 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="timeout must be between 1s and 10m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Disabled closes the connection and keeps everything else. Nothing is renewed meanwhile.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// ClusterID pins the cluster: the UID of its namespace kube-system. Another cluster that
	// answers under this name is refused until the pin is edited. Where it is absent, the
	// first cluster that answers is pinned in the status.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ClusterID string `json:"clusterID,omitempty"`

	// Capabilities are the built-in sets of verbs that the connection is used for. connect is
	// always among them. endpoints reads pods, namespaces, nodes, services and what belongs to them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Capabilities []Capability `json:"capabilities,omitempty"`

	// Requires are rules for your own controllers, in the form of RBAC. They go into the member
	// roles that join and member manifests print, and into the condition Authorized. Wildcards are refused.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Requires []Rule `json:"requires,omitempty"`

	// Auth says how the connection authenticates.
	Auth Auth `json:"auth"`

	// AllowedNamespaces bounds which namespaces of the local cluster may ask for access to this
	// one with an AccessRequest. Absent: none. {}: all.
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`

	// EndpointCIDRs are the only addresses that this cluster may contribute as endpoints.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="self.all(c, isCIDR(c))",message="endpointCIDRs must be CIDRs such as 10.4.0.0/16"
	EndpointCIDRs []string `json:"endpointCIDRs,omitempty"`
}

// Capability is a built-in set of verbs on a remote cluster.
// +kubebuilder:validation:Enum=connect;endpoints
type Capability string

const (
	// CapabilityConnect is what every connection needs: to know the cluster and to renew itself.
	CapabilityConnect Capability = "connect"
	// CapabilityEndpoints reads what federated endpoints are made of.
	CapabilityEndpoints Capability = "endpoints"
)

// Rule is an RBAC rule on resources, without wildcards.
//
// +kubebuilder:validation:XValidation:rule="self.apiGroups.all(x, !x.contains('*')) && self.resources.all(x, !x.contains('*')) && self.verbs.all(x, !x.contains('*'))",message="requires takes no wildcards: name the groups, resources and verbs"
// +kubebuilder:validation:XValidation:rule="!self.verbs.exists(v, v in ['bind', 'escalate', 'impersonate', 'approve', 'sign'])",message="a connection never holds bind, escalate, impersonate, approve or sign"
// +kubebuilder:validation:XValidation:rule="!(self.apiGroups.exists(g, size(g) == 0) && self.resources.exists(r, r == 'secrets' || r == 'serviceaccounts/token') && self.verbs.exists(v, v == 'create'))",message="a connection never creates Secrets or mints tokens of other accounts"
type Rule struct {
	// APIGroups are the groups of the resources; "" is the core group.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	APIGroups []string `json:"apiGroups"`
	// Resources are plural names, with a subresource after a slash: pods, pods/log.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	Resources []string `json:"resources"`
	// Verbs such as get, list, watch, create.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	Verbs []string `json:"verbs"`
	// ResourceNames narrows the rule to objects with these names.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	ResourceNames []string `json:"resourceNames,omitempty"`
}

// PolicyRule returns the rule as RBAC has it.
func (r Rule) PolicyRule() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: r.APIGroups, Resources: r.Resources, Verbs: r.Verbs, ResourceNames: r.ResourceNames}
}

// AllowedNamespaces selects namespaces of the local cluster. An empty value selects all of them.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.names) && has(self.selector))",message="allowedNamespaces takes names or selector, not both"
// +kubebuilder:validation:XValidation:rule="(!has(self.names) || dyn(self.names) != null) && (!has(self.selector) || dyn(self.selector) != null)",message="null is refused in allowedNamespaces: without names and selector it would allow every namespace"
type AllowedNamespaces struct {
	// Names of namespaces.
	// +optional
	// +nullable
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Names []string `json:"names,omitempty"`
	// Selector on the labels of namespaces. An empty one is refused: it would read as none to some
	// and as all to others. {} as the whole of allowedNamespaces selects all.
	// +optional
	// +nullable
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector is refused: write allowedNamespaces: {} to allow every namespace, or leave allowedNamespaces out to allow none"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// RemoteClusterStatus says what was last learned about a cluster. Live figures such as latency
// are metrics; the status is written when a condition changes, and otherwise at most every five minutes.
type RemoteClusterStatus struct {
	// Conditions: Reachable, Authenticated, Authorized, CredentialFresh, Compatible, and Ready, which sums them up.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ClusterID is the UID of namespace kube-system of the cluster that answered and was accepted.
	// +optional
	ClusterID string `json:"clusterID,omitempty"`
	// ClusterProperty is the cluster's own statement of its id (about.k8s.io, cluster.clusterset.k8s.io), where it makes one.
	// +optional
	ClusterProperty string `json:"clusterProperty,omitempty"`
	// ClusterSet is the set of clusters that it says it belongs to (about.k8s.io, clusterset.k8s.io).
	// +optional
	ClusterSet string `json:"clusterSet,omitempty"`
	// KubernetesVersion of the API server, for example v1.36.3.
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	// MemberVersion is the version of Hawser that the member side was installed from.
	// +optional
	MemberVersion string `json:"memberVersion,omitempty"`
	// Credential says whose credential is in use and until when.
	// +optional
	Credential *CredentialStatus `json:"credential,omitempty"`
	// Endpoint is where the credential in use was proved. It is shown to no other server unless the same CA
	// vouches for that one.
	// +optional
	Endpoint *EndpointStatus `json:"endpoint,omitempty"`
}

// EndpointStatus is an API server that has proved to be the right one.
type EndpointStatus struct {
	// Server is its address.
	Server string `json:"server"`
	// TLSServerName is the name that was asked of its certificate, where it is not the host of server.
	// +optional
	TLSServerName string `json:"tlsServerName,omitempty"`
	// CA is the fingerprint of the CA bundle that it was verified with.
	// +optional
	CA string `json:"ca,omitempty"`
	// Roots are the SHA-256 sums, in hex, of the CA certificates that vouched for it, without those of the system.
	// +optional
	// +listType=atomic
	Roots []string `json:"roots,omitempty"`
}

// CredentialStatus describes the credential in use, without the credential.
type CredentialStatus struct {
	// Subject is who the remote cluster says we are.
	// +optional
	Subject string `json:"subject,omitempty"`
	// ExpiresAt is absent where the credential never expires.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// RenewedAt is when the credential in use took over.
	// +optional
	RenewedAt *metav1.Time `json:"renewedAt,omitempty"`
}

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AWSIdentity is an identity in AWS that Hawser may take on: a role, assumed from another identity
// across accounts if need be; static keys; or the identity that the manager itself runs as.
//
// An identity that is in use cannot be deleted: it stays until nothing names it any more.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=awsid,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="ARN",type=string,JSONPath=`.status.arn`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type AWSIdentity struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which identity it is and where it comes from.
	Spec AWSIdentitySpec `json:"spec"`
	// Status says whether it can be taken on. It never holds a secret.
	// +optional
	Status AWSIdentityStatus `json:"status,omitempty"`
}

// AWSIdentityList is a list of AWSIdentities.
//
// +kubebuilder:object:root=true
type AWSIdentityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AWSIdentity `json:"items"`
}

// AWSIdentityType says where an identity comes from.
// +kubebuilder:validation:Enum=role;static;controller
type AWSIdentityType string

const (
	// AWSRoleIdentity is a role that is assumed from another identity.
	AWSRoleIdentity AWSIdentityType = "role"
	// AWSStaticIdentity is a pair of access keys in a Secret.
	AWSStaticIdentity AWSIdentityType = "static"
	// AWSControllerIdentity is what the manager itself runs as.
	AWSControllerIdentity AWSIdentityType = "controller"
)

// AWSIdentitySpec says which identity it is and where it comes from.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'role') == has(self.role)",message="type role and the block role need each other"
// +kubebuilder:validation:XValidation:rule="(self.type == 'static') == has(self.static)",message="type static and the block static need each other"
// +kubebuilder:validation:XValidation:rule="has(self.sourceIdentityRef) ? self.type == 'role' : true",message="sourceIdentityRef is only for type role: the others come from nowhere else"
type AWSIdentitySpec struct {
	// Type is role, assumed from another identity; static, a pair of access keys in a Secret; or
	// controller, what the manager itself runs as: IRSA, Pod Identity, environment or instance.
	Type AWSIdentityType `json:"type"`
	// Role is the role that is assumed.
	// +optional
	Role *AWSRole `json:"role,omitempty"`
	// Static says where the access keys are.
	// +optional
	Static *AWSStaticKeys `json:"static,omitempty"`
	// SourceIdentityRef names the identity that assumes the role. By default the manager's own. A
	// chain has at most four roles.
	// +optional
	SourceIdentityRef *AWSIdentityRef `json:"sourceIdentityRef,omitempty"`
	// AllowedNamespaces bounds for which namespaces an inventory may use this identity: that of a
	// Cluster API object, for example. It holds for every identity of a chain, so that what is
	// allowed in the end is what all of them allow. Absent: none. {}: all. A RemoteCluster written
	// by hand has no namespace and may use any identity.
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`
}

// AWSRole is a role and how it is assumed.
type AWSRole struct {
	// RoleARN is arn:<partition>:iam::<account>:role/<path and name>.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`
	RoleARN string `json:"roleARN"`
	// SessionName stands in CloudTrail. By default hawser-<name of the identity>.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[\w+=,.@-]+$`
	SessionName string `json:"sessionName,omitempty"`
	// DurationSeconds is how long a session lasts. By default an hour, which is also the most that
	// AWS gives to a role that was assumed from another temporary identity.
	// +optional
	// +kubebuilder:validation:Minimum=900
	// +kubebuilder:validation:Maximum=43200
	DurationSeconds int32 `json:"durationSeconds,omitempty"`
	// ExternalID that the role's trust policy asks for (sts:ExternalId).
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1224
	// +kubebuilder:validation:Pattern=`^[\w+=,.@:/-]+$`
	ExternalID string `json:"externalID,omitempty"`
	// PolicyARNs are managed policies that narrow the session.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:Pattern=`^arn:aws[a-z0-9-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]+$`
	PolicyARNs []string `json:"policyARNs,omitempty"`
	// InlinePolicy is a policy in JSON that narrows the session.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('{') && self.endsWith('}')",message="inlinePolicy must be a JSON object"
	InlinePolicy string `json:"inlinePolicy,omitempty"`
	// Region whose STS is asked. By default the manager's own (AWS_REGION), or the first of the
	// role's partition. What STS gives is good in every region of the partition.
	// +optional
	// +kubebuilder:validation:Pattern=`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`
	// +kubebuilder:validation:MaxLength=32
	Region string `json:"region,omitempty"`
}

// AWSStaticKeys says where a pair of access keys is.
type AWSStaticKeys struct {
	// SecretRef names a Secret in the namespace that Hawser runs in, with the label
	// hawser.io/remote-cluster-credentials=true and with the keys AccessKeyID, SecretAccessKey and,
	// for temporary keys, SessionToken; or with AWS_B64ENCODED_CREDENTIALS, the base64 of a
	// credentials file with a profile default, and AWS_REGION.
	SecretRef LocalSecretRef `json:"secretRef"`
}

// LocalSecretRef names a Secret in the namespace that Hawser runs in.
type LocalSecretRef struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// AWSIdentityKind is a kind that an identity can be read from.
// +kubebuilder:validation:Enum=AWSIdentity;AWSClusterRoleIdentity;AWSClusterStaticIdentity;AWSClusterControllerIdentity
type AWSIdentityKind string

const (
	// KindAWSIdentity is our own.
	KindAWSIdentity AWSIdentityKind = "AWSIdentity"
	// KindCAPARoleIdentity is Cluster API Provider AWS's role, read as it is where the manager runs with --cluster-api.
	KindCAPARoleIdentity AWSIdentityKind = "AWSClusterRoleIdentity"
	// KindCAPAStaticIdentity is its pair of access keys.
	KindCAPAStaticIdentity AWSIdentityKind = "AWSClusterStaticIdentity"
	// KindCAPAControllerIdentity is what its controller runs as, for which ours stands.
	KindCAPAControllerIdentity AWSIdentityKind = "AWSClusterControllerIdentity"
)

// AWSIdentityRef names an identity.
type AWSIdentityRef struct {
	// Kind is AWSIdentity, or one of Cluster API Provider AWS: AWSClusterRoleIdentity,
	// AWSClusterStaticIdentity, AWSClusterControllerIdentity. Default AWSIdentity.
	// +optional
	// +kubebuilder:default=AWSIdentity
	Kind AWSIdentityKind `json:"kind,omitempty"`
	// Name of the identity.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// AWSIdentityStatus says whether an identity can be taken on.
type AWSIdentityStatus struct {
	// Conditions: Ready, whose reason and message name the link of the chain that broke.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ARN that STS gives to the identity.
	// +optional
	ARN string `json:"arn,omitempty"`
	// Chain is the way to the identity, from the first that is taken on to this one.
	// +optional
	// +listType=atomic
	Chain []string `json:"chain,omitempty"`
	// ExpiresAt is when the session in use ends; it is renewed long before. Absent for keys that never expire.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

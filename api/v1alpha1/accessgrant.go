package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AccessGrant says, in the cluster that is entered, what somebody may do there: subjects, cluster
// roles by name, and namespaces or the whole cluster. Deleting it ends the access within seconds.
//
// Whoever writes it must hold the verb bind on each of the roles: nobody gives away more than they have.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=ag,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Roles",type=string,JSONPath=`.spec.clusterRoles`
// +kubebuilder:printcolumn:name="Ends",type=string,JSONPath=`.spec.endsAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="the name must be a DNS label of at most 50 characters: accounts and bindings are named after it"
type AccessGrant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says who may do what, where and until when.
	Spec AccessGrantSpec `json:"spec"`
	// Status says what was made of it.
	// +optional
	Status AccessGrantStatus `json:"status,omitempty"`
}

// AccessGrantList is a list of AccessGrants.
//
// +kubebuilder:object:root=true
type AccessGrantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AccessGrant `json:"items"`
}

// AccessGrantSpec says who may do what, where and until when.
//
// +kubebuilder:validation:XValidation:rule="has(self.namespaces) != (has(self.wholeCluster) && self.wholeCluster)",message="say either namespaces, or wholeCluster: true"
type AccessGrantSpec struct {
	// Subjects are who is let in.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Subjects []GrantSubject `json:"subjects"`
	// ClusterRoles by name. They need not exist yet.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	ClusterRoles []string `json:"clusterRoles"`
	// Namespaces that the roles hold in. Those of Hawser's own accounts are never among them.
	// +optional
	Namespaces *GrantNamespaces `json:"namespaces,omitempty"`
	// WholeCluster binds the roles in every namespace, and for what has none.
	// +optional
	WholeCluster bool `json:"wholeCluster,omitempty"`
	// MaxLifetime is the longest lifetime of a token that comes of this grant. Default 1h.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10m') && duration(self) <= duration('24h')",message="maxLifetime must be between 10m, the least that an API server grants, and 24h"
	MaxLifetime *metav1.Duration `json:"maxLifetime,omitempty"`
	// EndsAt is when the grant ends by itself. Everything that was made of it is removed then.
	// +optional
	EndsAt *metav1.Time `json:"endsAt,omitempty"`
}

// GrantNamespaces are namespaces by name or by label.
//
// +kubebuilder:validation:XValidation:rule="has(self.names) != has(self.selector)",message="namespaces takes names or selector, one of them"
type GrantNamespaces struct {
	// Names of namespaces. They need not exist yet.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self.all(n, n != 'hawser' && n != 'hawser-grants' && !n.startsWith('hawser-from-'))",message="Hawser's own namespaces cannot be granted: who may mint tokens there may be anybody"
	Names []string `json:"names,omitempty"`
	// Selector on the labels of namespaces. It never selects Hawser's own, nor those that begin with
	// kube-: name these where they are meant.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector is refused: say wholeCluster: true where every namespace is meant"
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// GrantSubject is who is let in: one of its fields is set.
//
// +kubebuilder:validation:XValidation:rule="[has(self.localCluster), has(self.issuer), has(self.user), has(self.group)].filter(x, x).size() == 1",message="a subject is one of localCluster, issuer, user and group"
type GrantSubject struct {
	// LocalCluster is a namespace of a cluster that is connected to this one: its AccessRequests get
	// tokens of an account that only that connection may mint for.
	// +optional
	LocalCluster *GrantLocalCluster `json:"localCluster,omitempty"`
	// Issuer is an identity of a TrustedIssuer, let in by the gate, or by the API server itself where
	// that trusts the issuer.
	// +optional
	Issuer *GrantIssuer `json:"issuer,omitempty"`
	// User of this cluster, by name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system:')",message="users of Kubernetes itself cannot be granted anything"
	User string `json:"user,omitempty"`
	// Group of this cluster, by name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system:')",message="groups of Kubernetes itself cannot be granted anything"
	Group string `json:"group,omitempty"`
}

// GrantLocalCluster is a namespace of a cluster that is connected to this one.
type GrantLocalCluster struct {
	// Name of that cluster, as hawser join gave it (hawser-from-<name>).
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// Namespace, over there, whose AccessRequests are meant.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`
	// User that the connection is known by here, where it is neither its service account nor its
	// client certificate: for eks, oidc and kubeconfig. hawser clusters -o wide shows it.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system:') || self.startsWith('system:serviceaccount:')",message="users of Kubernetes itself are no connections"
	User string `json:"user,omitempty"`
}

// GrantIssuer is an identity of a TrustedIssuer.
//
// +kubebuilder:validation:XValidation:rule="has(self.subject) != has(self.subjectPattern)",message="an issuer's subject is subject or subjectPattern, one of them"
type GrantIssuer struct {
	// Name of the TrustedIssuer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	Name string `json:"name"`
	// Subject is the user name after the prefix: system:serviceaccount:shop:deployer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Subject string `json:"subject,omitempty"`
	// SubjectPattern is a subject in which * stands for any characters but a colon:
	// system:serviceaccount:team-*:deployer. Through the gate only.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.contains('*') && self.replace('*', '').replace(':', '') != ''",message="subjectPattern must have a * and more than that: a pattern that everybody matches is refused"
	SubjectPattern string `json:"subjectPattern,omitempty"`
}

// AccessGrantStatus says what was made of a grant.
type AccessGrantStatus struct {
	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Accounts in namespace hawser-grants, with whom they are for.
	// +optional
	// +listType=map
	// +listMapKey=name
	Accounts []GrantAccount `json:"accounts,omitempty"`
	// Namespaces that the roles are bound in; * for the whole cluster. The first 128.
	// +optional
	// +listType=atomic
	Namespaces []string `json:"namespaces,omitempty"`
	// Rules are the effective verbs, one line for each set: get,list,watch pods,services. The first 64.
	// +optional
	// +listType=atomic
	Rules []string `json:"rules,omitempty"`
}

// GrantAccount is a service account that stands for a subject.
type GrantAccount struct {
	// Name of the service account.
	Name string `json:"name"`
	// Subject that it stands for, in words.
	Subject string `json:"subject"`
}

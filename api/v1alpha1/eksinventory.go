package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EKSInventory finds EKS clusters in the accounts of chosen identities, and keeps a RemoteCluster
// for each: its server, CA, account and region are filled in and followed. Fields that people add
// to such a RemoteCluster stay theirs.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=eksinv,categories=hawser
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Clusters",type=integer,JSONPath=`.status.clusters`
// +kubebuilder:printcolumn:name="Synced",type=date,JSONPath=`.status.syncedAt`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 50",message="the name must be a DNS label of at most 50 characters: a label carries it"
type EKSInventory struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says where to look.
	Spec EKSInventorySpec `json:"spec"`
	// Status says what was found.
	// +optional
	Status EKSInventoryStatus `json:"status,omitempty"`
}

// EKSInventoryList is a list of EKSInventories.
//
// +kubebuilder:object:root=true
type EKSInventoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []EKSInventory `json:"items"`
}

// EKSInventorySpec says where to look for EKS clusters and what to make of them.
type EKSInventorySpec struct {
	// Accounts to look in, each by an identity of that account.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Accounts []EKSAccount `json:"accounts"`
	// Regions to look in.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`
	// +kubebuilder:validation:items:MaxLength=32
	Regions []string `json:"regions"`
	// Tags that a cluster must carry, all of them. An empty value asks for the key only.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Tags map[string]string `json:"tags,omitempty"`
	// NamePrefix stands before the EKS cluster's name in the name of its RemoteCluster.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*)$`
	NamePrefix string `json:"namePrefix,omitempty"`
	// Removed says what becomes of the RemoteCluster of a cluster that is not found any more, where
	// its account and region answered: keep it (the default), disable it, or delete it.
	// +optional
	// +kubebuilder:default=keep
	Removed RemovedPolicy `json:"removed,omitempty"`
	// Interval between two looks. Default 10m.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="interval must be between 1m and 24h"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// Capabilities of the RemoteClusters that are made.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Capabilities []Capability `json:"capabilities,omitempty"`
}

// EKSAccount is an account to look in.
type EKSAccount struct {
	// IdentityRef names the identity that asks the EKS API (eks:ListClusters, eks:DescribeCluster).
	// It becomes the apiIdentityRef of the RemoteClusters. By default the manager's own.
	// +optional
	IdentityRef *AWSIdentityRef `json:"identityRef,omitempty"`
	// TokenIdentityRef becomes the identityRef of the RemoteClusters. By default the manager's own.
	// +optional
	TokenIdentityRef *AWSIdentityRef `json:"tokenIdentityRef,omitempty"`
}

// RemovedPolicy says what becomes of what an inventory does not find any more.
// +kubebuilder:validation:Enum=keep;disable;delete
type RemovedPolicy string

// What becomes of a RemoteCluster whose cluster is gone.
const (
	RemovedKeep    RemovedPolicy = "keep"
	RemovedDisable RemovedPolicy = "disable"
	RemovedDelete  RemovedPolicy = "delete"
)

// EKSInventoryStatus says what was found.
type EKSInventoryStatus struct {
	// Conditions: Ready. It is False with reason PartlySynced where an account or region did not answer.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration is the generation of the spec that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Clusters is how many were found.
	// +optional
	Clusters int32 `json:"clusters"`
	// SyncedAt is when all accounts and regions last answered.
	// +optional
	SyncedAt *metav1.Time `json:"syncedAt,omitempty"`
	// Gaps are the accounts, regions and clusters that are missing from the answer, and why.
	// +optional
	// +listType=atomic
	Gaps []InventoryGap `json:"gaps,omitempty"`
}

// InventoryGap is something that an inventory could not read.
type InventoryGap struct {
	// Where: an identity, region and cluster, as far as it goes.
	Where string `json:"where"`
	// Reason is a word for programs.
	Reason string `json:"reason"`
	// Message says what happened and what to do.
	Message string `json:"message"`
}

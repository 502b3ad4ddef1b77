// Package v1alpha1 is the API of Hawser: the kinds of hawser.io/v1alpha1, one
// file for each, with their validation rules beside the fields, and the
// condition types and reasons that its controllers report. It imports nothing
// but apimachinery and the RBAC types, so that anyone can depend on it.
//
// +kubebuilder:object:generate=true
// +groupName=hawser.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the kinds in this package.
var GroupVersion = schema.GroupVersion{Group: "hawser.io", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &RemoteCluster{}, &RemoteClusterList{}, &AWSIdentity{}, &AWSIdentityList{}, &EKSInventory{}, &EKSInventoryList{},
		&TrustedIssuer{}, &TrustedIssuerList{}, &AccessGrant{}, &AccessGrantList{}, &AccessRequest{}, &AccessRequestList{},
		&EndpointSet{}, &EndpointSetList{}, &FederatedNetworkPolicy{}, &FederatedNetworkPolicyList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

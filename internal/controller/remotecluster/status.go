package remotecluster

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
)

// apply puts what a connection knows into the status and returns the conditions whose status or
// reason changed to something that is known.
func apply(status *v1alpha1.RemoteClusterStatus, state connection.State, generation int64) []metav1.Condition {
	var changed []metav1.Condition
	for _, c := range state.Conditions {
		c.ObservedGeneration = generation
		old := meta.FindStatusCondition(status.Conditions, c.Type)
		differs := old == nil || old.Status != c.Status || old.Reason != c.Reason
		if differs && c.Status != metav1.ConditionUnknown {
			changed = append(changed, c)
		}
		meta.SetStatusCondition(&status.Conditions, c)
	}
	status.ObservedGeneration = generation
	keep(&status.ClusterID, state.ClusterID)
	if state.AboutKnown {
		status.ClusterProperty, status.ClusterSet = state.ClusterProperty, state.ClusterSet
	} else {
		keep(&status.ClusterProperty, state.ClusterProperty)
		keep(&status.ClusterSet, state.ClusterSet)
	}
	keep(&status.KubernetesVersion, state.KubernetesVersion)
	keep(&status.MemberVersion, state.MemberVersion)
	if state.Subject != "" {
		status.Credential = credentialOf(state, status.Credential)
	}
	if state.Binding != nil {
		status.Endpoint = state.Binding.Status()
	}
	return changed
}

// credentialOf says which credential is in use. One that a connection began with, and that was in use before, took over when
// it did.
func credentialOf(state connection.State, before *v1alpha1.CredentialStatus) *v1alpha1.CredentialStatus {
	now := &v1alpha1.CredentialStatus{Subject: state.Subject, ExpiresAt: stamp(state.ExpiresAt), RenewedAt: stamp(state.RenewedAt)}
	if before != nil && before.RenewedAt != nil && state.First && before.Subject == now.Subject && before.ExpiresAt.Equal(now.ExpiresAt) {
		now.RenewedAt = before.RenewedAt
	}
	return now
}

// keep leaves the last known value where nothing is known now.
func keep(field *string, value string) {
	if value != "" {
		*field = value
	}
}

func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)} // what the API server stores
}

// off is the state of a cluster without a connection.
func off(reason, why string) connection.State {
	var s connection.State
	for _, kind := range []string{v1alpha1.Reachable, v1alpha1.Authenticated, v1alpha1.Authorized, v1alpha1.CredentialFresh, v1alpha1.Compatible} {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: reason, Message: "there is no connection"})
	}
	s.Conditions = append(s.Conditions, metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionFalse, Reason: reason, Message: why})
	return s
}

// warn puts a warning into Ready, without touching whether it is.
func warn(s connection.State, reason, message string) connection.State {
	conditions := make([]metav1.Condition, len(s.Conditions))
	for i, c := range s.Conditions {
		if c.Type == v1alpha1.Ready {
			c.Reason, c.Message = reason, message
		}
		conditions[i] = c
	}
	s.Conditions = conditions
	return s
}

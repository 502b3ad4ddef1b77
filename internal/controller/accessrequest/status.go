package accessrequest

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/advice"
	"github.com/hawser-io/hawser/internal/statuspatch"
)

// verdict is what there is to say of a request.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
	// keep says that what is known already goes on to be said, if anything is.
	keep bool
	// target is the Secret that is there; empty for none. held is the token in it; nil where that is the one
	// that the status speaks of.
	target string
	held   *held
	// again is when to look again; zero means when something changes.
	again time.Duration
}

// no is a verdict without an output.
func no(reason, message string) verdict {
	return verdict{status: metav1.ConditionFalse, reason: reason, message: message}
}

func writtenMessage(ar *v1alpha1.AccessRequest) string {
	return fmt.Sprintf("Secret %q holds access to cluster %q in format %s", targetOf(ar), ar.Spec.ClusterRef.Name, ar.Spec.Output.Format)
}

// notGranted says what the owner of the remote cluster would have to write.
func notGranted(ar *v1alpha1.AccessRequest, rc *v1alpha1.RemoteCluster, local string) string {
	user := ""
	if c := rc.Status.Credential; c != nil && c.Subject != "" && !isMember(c.Subject, local) {
		user = fmt.Sprintf(", user: %q", c.Subject)
	}
	return fmt.Sprintf("AccessGrant %[1]q in cluster %[2]q is missing, has ended, or does not name this namespace. It needs the subject localCluster: {name: %[3]q, namespace: %[4]q%[5]s}; what it lacks says hawser grants explain %[1]s, over there",
		ar.Spec.Grant, rc.Name, local, ar.Namespace, user)
}

// cutOff is the verdict on a request for a cluster that somebody has cut off, which ends its tokens over there.
func cutOff(rc *v1alpha1.RemoteCluster, local string) verdict {
	return no(v1alpha1.ReasonClusterNotReady, fmt.Sprintf("cluster %[1]q was cut off at %[2]s (hawser revoke), and with it every token that came over its connection. Let it in again: %[3]s",
		rc.Name, rc.Annotations[v1alpha1.RevokedAnnotation], advice.Of(rc, local).Rejoin()))
}

// acceptedAfterAll is how long an API server may go on to accept a credential that is dead.
const acceptedAfterAll = 15 * time.Second

// isCutOff reports whether a cluster was cut off and has not been let in again since: the annotation stays where that
// was done by other ways than join.
func isCutOff(rc *v1alpha1.RemoteCluster) bool {
	revoked := rc.Annotations[v1alpha1.RevokedAnnotation]
	at, err := time.Parse(time.RFC3339Nano, revoked)
	used := rc.Status.Credential
	if revoked == "" || err != nil || used == nil || used.RenewedAt == nil {
		return revoked != ""
	}
	return !used.RenewedAt.After(at.Add(acceptedAfterAll))
}

// isMember reports whether a connection goes by a name that grants know without being told.
func isMember(subject, local string) bool {
	return subject == v1alpha1.MemberUser(local) ||
		subject == "system:serviceaccount:"+v1alpha1.MemberNamespace(local)+":"+v1alpha1.MemberServiceAccount
}

// report writes the status if it says something new, with an event if the condition has changed.
func (r *Reconciler) report(ctx context.Context, ar *v1alpha1.AccessRequest, v verdict) error {
	old := meta.FindStatusCondition(ar.Status.Conditions, v1alpha1.Ready)
	if v.keep && old != nil && old.ObservedGeneration == ar.Generation {
		return nil
	}
	before := ar.DeepCopy()
	apply(&ar.Status, v, ar.Generation, r.Clock.Now())
	if equality.Semantic.DeepEqual(before.Status, ar.Status) {
		return nil
	}
	if err := r.patchStatus(ctx, ar); err != nil {
		return err
	}
	if (old == nil || old.Status != v.status || old.Reason != v.reason) && v.status != metav1.ConditionUnknown {
		kind := "Normal"
		if v.reason != v1alpha1.ReasonWritten {
			kind = "Warning"
		}
		log.FromContext(ctx).Info("condition changed", "type", v1alpha1.Ready, "status", v.status, "reason", v.reason, "message", v.message)
		r.Events.Eventf(ar, nil, kind, v.reason, v1alpha1.Ready, "%s", v.message)
	}
	return nil
}

func (r *Reconciler) patchStatus(ctx context.Context, ar *v1alpha1.AccessRequest) error {
	status := ar.Status.DeepCopy()
	if err := r.Client.Status().Patch(ctx, ar, statuspatch.Of(status)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of %s: %w", nameOf(ar), err)
	}
	r.written.Store(keyOf(ar), written{ar.UID, status})
	status.DeepCopyInto(&ar.Status)
	return nil
}

// apply puts a verdict into a status.
func apply(s *v1alpha1.AccessRequestStatus, v verdict, generation int64, now time.Time) {
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type: v1alpha1.Ready, Status: v.status, Reason: v.reason, Message: v.message, ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(now),
	})
	s.ObservedGeneration = generation
	if v.keep {
		return
	}
	s.SecretName = v.target
	switch {
	case v.target == "":
		s.Subject, s.ExpiresAt, s.RenewedAt = "", nil, nil
	case v.held != nil:
		end, _ := v.held.cred.Deadline()
		ends := metav1.NewTime(end.Truncate(time.Second)) // what the API server stores
		if s.ExpiresAt == nil || !s.ExpiresAt.Time.Equal(ends.Time) {
			written := metav1.NewTime(now.Truncate(time.Second))
			s.ExpiresAt, s.RenewedAt = &ends, &written
		}
		if v.held.subject != "" {
			s.Subject = v.held.subject
		}
	}
}

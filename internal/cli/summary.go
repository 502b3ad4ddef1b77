package cli

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// Summary is one cluster in the output of hawser clusters -o json. Fields are only ever added.
type Summary struct {
	Name string `json:"name"`
	// Ready is True, False or Unknown, with a reason for programs and a message for people.
	Ready   string `json:"ready"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Local marks the cluster that Hawser runs in, Default the one that answers what must have one answer.
	Local    bool   `json:"local"`
	Default  bool   `json:"default"`
	Disabled bool   `json:"disabled"`
	AuthType string `json:"authType"`
	// Server is empty where the credential brings the address along.
	Server            string `json:"server,omitempty"`
	ClusterID         string `json:"clusterID,omitempty"`
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`
	MemberVersion     string `json:"memberVersion,omitempty"`
	// Subject is who the remote cluster says that the connection is.
	Subject string `json:"subject,omitempty"`
	// ExpiresAt is absent where the credential never expires, or is not known yet.
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	RenewedAt *metav1.Time `json:"renewedAt,omitempty"`
	// Owner is the replica of the manager that holds the connection, where several divide the clusters.
	Owner string `json:"owner,omitempty"`

	CreatedAt  metav1.Time        `json:"createdAt"`
	Conditions []metav1.Condition `json:"conditions"`
}

// summarize says what a RemoteCluster's status tells, in one flat value.
func summarize(rc *v1alpha1.RemoteCluster, id identity) Summary {
	ready := conditionOf(rc, v1alpha1.Ready)
	s := Summary{
		Name:              rc.Name,
		Ready:             string(ready.Status),
		Reason:            ready.Reason,
		Message:           ready.Message,
		Local:             rc.Name == id.Name,
		Default:           rc.Name == id.Default,
		Disabled:          rc.Spec.Disabled,
		AuthType:          string(rc.Spec.Auth.Type),
		Server:            rc.Spec.Server,
		ClusterID:         clusterID(rc),
		KubernetesVersion: rc.Status.KubernetesVersion,
		MemberVersion:     rc.Status.MemberVersion,
		CreatedAt:         rc.CreationTimestamp,
		Conditions:        rc.Status.Conditions,
	}
	if c := rc.Status.Credential; c != nil {
		s.Subject, s.ExpiresAt, s.RenewedAt = c.Subject, c.ExpiresAt, c.RenewedAt
	}
	return s
}

// conditionOf returns one condition, or what it means that there is none.
func conditionOf(rc *v1alpha1.RemoteCluster, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(rc.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{
		Type: kind, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotProbed,
		Message: "no manager has reported on it (does hawser manager run?)",
	}
}

// clusterID is the identity that is pinned, or the one that answered.
func clusterID(rc *v1alpha1.RemoteCluster) string {
	if rc.Spec.ClusterID != "" {
		return rc.Spec.ClusterID
	}
	return rc.Status.ClusterID
}

// expires says for people when the credential ends.
func (s Summary) expires(now time.Time) string {
	switch {
	case s.ExpiresAt != nil:
		return inTime(now, s.ExpiresAt.Time)
	case s.Subject != "":
		return "never"
	}
	return "-"
}

// marked is the name with what is special about the cluster.
func (s Summary) marked() string {
	switch {
	case s.Local && s.Default:
		return s.Name + " (local, default)"
	case s.Local:
		return s.Name + " (local)"
	case s.Default:
		return s.Name + " (default)"
	}
	return s.Name
}

func readyTone(status string) tone {
	switch metav1.ConditionStatus(status) {
	case metav1.ConditionTrue:
		return good
	case metav1.ConditionFalse:
		return bad
	}
	return warn
}

package connection

import (
	"errors"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/advice"
)

// State is what a connection knows, without secrets.
type State struct {
	// Conditions, without transition times.
	Conditions []metav1.Condition
	// ClusterID and what follows are empty until they are known.
	ClusterID         string
	KubernetesVersion string
	MemberVersion     string
	// ClusterProperty and ClusterSet are what the cluster says of itself: its id, and the ClusterSet that it is a
	// member of. AboutKnown says that it was asked: what is empty then, it does not say.
	ClusterProperty, ClusterSet string
	AboutKnown                  bool
	// Subject is who the cluster says that we are. ExpiresAt is zero for a credential that never expires.
	Subject              string
	ExpiresAt, RenewedAt time.Time
	// First says that no credential was in use before this one, over this connection: another may have begun with it earlier.
	First bool
	// Binding is the server that the credential in use was proved at; nil before that.
	Binding *credential.Binding
	// Renewals, and RenewalFailures by reason, count since the connection was made.
	Renewals        int
	RenewalFailures map[string]int

	// Live figures: they change without a change of state.
	Latency   time.Duration
	ProbedAt  time.Time
	ClockSkew time.Duration
}

// stable is the part of a state whose change is worth telling.
func (s State) stable() State {
	s.Latency, s.ProbedAt, s.ClockSkew = 0, time.Time{}, 0
	return s
}

// Known reports whether anything is known yet, or nothing but the beginning.
func (s State) Known() bool {
	for _, c := range s.Conditions {
		if c.Status != metav1.ConditionUnknown {
			return true
		}
	}
	return false
}

// Condition returns one condition; Unknown where there is none of that type.
func (s State) Condition(kind string) metav1.Condition {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotProbed}
}

// facts are what conditions are decided from.
type facts struct {
	renewal credential.State
	seen    seen
	latency time.Duration
	// own is the version of Hawser that holds the connection.
	own string
	// authType of the spec, and whether Hawser's manager holds the connection, so that hawser's commands know it.
	authType string
	managed  bool
	// local is the name of the local cluster, and release what declares the cluster there: for words alone.
	local   string
	release *advice.Release
	// failures to renew, by reason.
	failures map[string]int
}

// learn takes what the renewer knows.
func (f *facts) learn(s credential.State) {
	if failed := s.Failures - f.renewal.Failures; failed > 0 && s.RenewErr != nil {
		if f.failures == nil {
			f.failures = map[string]int{}
		}
		f.failures[failureReason(s.RenewErr)] += failed
	}
	f.renewal = s
}

// failureReason sorts failed renewals into few enough kinds for a metric.
func failureReason(err error) string {
	if errors.Is(err, credential.ErrRefused) {
		return v1alpha1.ReasonRefused
	}
	if apierrors.IsForbidden(err) {
		return v1alpha1.ReasonMissingVerbs
	}
	if reason, ok := unreachableReason(err); ok {
		return reason
	}
	return v1alpha1.ReasonRenewalFailed
}

// compute makes the state from the facts. Callers hold c.mu, or are New.
func (c *Connection) compute() State {
	f, now := c.facts, c.options.Clock.Now()
	f.authType, f.managed = c.spec.AuthType, c.spec.Local != ""
	f.local, f.release = c.spec.Local, c.spec.Release
	s := State{
		ClusterID:         f.seen.clusterID,
		KubernetesVersion: f.seen.version,
		MemberVersion:     f.seen.memberVersion,
		ClusterProperty:   f.seen.about.id,
		ClusterSet:        f.seen.about.set,
		AboutKnown:        f.seen.about.known,
		Subject:           f.renewal.Identity.User,
		ExpiresAt:         f.renewal.Credential.ExpiresAt,
		RenewedAt:         f.renewal.SwappedAt,
		First:             f.renewal.First,
		Binding:           f.renewal.Credential.Binding,
		Renewals:          f.renewal.Renewals,
		RenewalFailures:   maps.Clone(f.failures),
		Latency:           f.latency,
		ProbedAt:          f.seen.at,
		ClockSkew:         f.seen.skew,
	}
	s.Conditions = conditions(c.name, f, now)
	if token := f.renewal.Credential.Token.Reveal(); token != "" {
		for i := range s.Conditions { // a server may answer with what it was sent
			s.Conditions[i].Message = strings.ReplaceAll(s.Conditions[i].Message, token, "[redacted]")
		}
	}
	return s
}

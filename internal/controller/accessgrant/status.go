package accessgrant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/grant"
	"github.com/hawser-io/hawser/internal/statuspatch"
)

// Bounds of the lists in a status.
const (
	maxNamespaces = 128
	maxRules      = 64
	maxNamed      = 5 // objects in a message
)

// outcome is what came of a grant.
type outcome struct {
	ended     bool
	wanted    grant.Wanted
	rules     []string
	taken     []client.Object
	unguarded error
	err       error
}

// report writes the status, if it says anything new.
func (r *reconciler) report(ctx context.Context, g *v1alpha1.AccessGrant, done outcome) error {
	before := g.DeepCopy()
	ready := conditionOf(g, done)
	ready.ObservedGeneration = g.Generation
	ready.LastTransitionTime = metav1.NewTime(r.clock.Now())
	meta.SetStatusCondition(&g.Status.Conditions, ready)
	g.Status.ObservedGeneration = g.Generation
	g.Status.Accounts = accountsOf(done)
	g.Status.Namespaces = done.wanted.Namespaces[:min(len(done.wanted.Namespaces), maxNamespaces)]
	if g.Spec.WholeCluster && !done.ended {
		g.Status.Namespaces = []string{"*"}
	}
	g.Status.Rules = done.rules[:min(len(done.rules), maxRules)]
	if equality.Semantic.DeepEqual(before.Status, g.Status) {
		return nil
	}
	if err := r.client.Status().Patch(ctx, g, statuspatch.Of(g.Status)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of AccessGrant %q: %w", g.Name, err)
	}
	old := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.Ready)
	if old == nil || old.Status != ready.Status || old.Reason != ready.Reason {
		log.FromContext(ctx).Info("condition changed", "type", ready.Type, "status", ready.Status, "reason", ready.Reason, "message", ready.Message)
	}
	return nil
}

// accountsOf are the accounts that tokens are let have: none while there is nobody who bounds authors.
func accountsOf(done outcome) []v1alpha1.GrantAccount {
	if done.ended || done.unguarded != nil {
		return nil
	}
	return done.wanted.Accounts
}

// conditionOf decides Ready.
func conditionOf(g *v1alpha1.AccessGrant, done outcome) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionFalse}
	w := done.wanted
	switch {
	case done.ended:
		c.Reason, c.Message = v1alpha1.ReasonEnded, "it ended at "+g.Spec.EndsAt.UTC().Format("2006-01-02 15:04:05 MST")+", and everything that was made of it is removed"
	case done.unguarded != nil:
		c.Reason, c.Message = v1alpha1.ReasonAuthorsUnbounded, done.unguarded.Error()
	case done.err != nil:
		c.Reason, c.Message = v1alpha1.ReasonRefused, shortened(done.err.Error())
	case len(done.taken) > 0:
		var names []string
		for _, obj := range done.taken {
			names = append(names, describe(obj))
		}
		c.Reason, c.Message = v1alpha1.ReasonNameTaken, few(names)+": somebody else made that, and it is left as it is: remove or rename it"
	case len(w.IssuersMissing)+len(w.IssuersUnready) > 0:
		c.Reason, c.Message = v1alpha1.ReasonIssuerUnready, notBelieved(w)
	case len(w.RolesMissing) > 0:
		c.Reason, c.Message = v1alpha1.ReasonRolesMissing, "there is no ClusterRole "+few(quoted(w.RolesMissing))
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonGranted, granted(g, w)
	}
	return c
}

// notBelieved says which issuers the subjects of a grant are not believed of, and why.
func notBelieved(w grant.Wanted) string {
	var parts []string
	if len(w.IssuersMissing) > 0 {
		parts = append(parts, "there is no TrustedIssuer of the name "+few(quoted(w.IssuersMissing)))
	}
	if len(w.IssuersUnready) > 0 {
		parts = append(parts, fmt.Sprintf("TrustedIssuer %s is not Ready: kubectl describe trustedissuers says why", few(quoted(w.IssuersUnready))))
	}
	return strings.Join(parts, "; ") + "; their subjects are not let in"
}

func granted(g *v1alpha1.AccessGrant, w grant.Wanted) string {
	where := "in the whole cluster"
	if !g.Spec.WholeCluster {
		where = fmt.Sprintf("in %d namespaces", len(w.Namespaces))
		if len(w.Namespaces) == 1 {
			where = fmt.Sprintf("in namespace %q", w.Namespaces[0])
		}
	}
	if len(w.NamespacesMissing) > 0 {
		where += "; not there yet: " + few(quoted(w.NamespacesMissing))
	}
	return where
}

func quoted(names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%q", name))
	}
	return out
}

// few joins the first of many, in an order that does not change.
func few(names []string) string {
	slices.Sort(names)
	if len(names) > maxNamed {
		return strings.Join(names[:maxNamed], ", ") + fmt.Sprintf(" and %d more", len(names)-maxNamed)
	}
	return strings.Join(names, ", ")
}

// shortened keeps a message within what a condition takes, and to its first line.
func shortened(message string) string {
	first, rest, more := strings.Cut(message, "\n")
	if more {
		first += fmt.Sprintf(" (and %d more)", strings.Count(rest, "\n")+1)
	}
	return first[:min(len(first), 1024)]
}

package doctor

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// checkTwins warns of other names for the same cluster.
func (e *examination) checkTwins() {
	if len(e.Twins) > 0 {
		e.add("duplicate", Warning, e.mend().Leave(), "the same cluster is joined under other names, too: %s", strings.Join(e.Twins, ", "))
	}
}

// checkManager compares what was found from here with what the manager reports, which sits elsewhere
// and may have seen what we have not.
func (e *examination) checkManager() {
	conditions := e.Cluster.Status.Conditions
	if seen := e.ManagerSeen; !seen.IsZero() && e.Clock.Since(seen) > e.ManagerFresh {
		e.add("manager", Error, "kubectl -n "+e.Namespace+" rollout restart deploy/hawser", "it does not run: it last renewed its Lease at %s, and what follows is older still", stamp(seen))
	}
	if len(conditions) == 0 {
		e.add("manager", Error, "kubectl -n "+e.Namespace+" get pods", "no manager has reported on this cluster: it does not run, or may not write the status")
		return
	}
	if e.Cluster.Status.ObservedGeneration < e.Cluster.Generation {
		e.add("manager", Warning, "kubectl -n "+e.Namespace+" get pods", "the manager has not seen the latest change of the spec")
	}
	agree := true
	for _, c := range conditions {
		agree = e.compare(c) && agree
	}
	ready := meta.FindStatusCondition(conditions, v1alpha1.Ready)
	switch {
	case ready == nil || !agree:
	case ready.Status == metav1.ConditionTrue:
		e.ok("manager", "it reports the cluster as Ready")
	case ready.Reason != v1alpha1.ReasonDisabled:
		e.add("manager", Error, "kubectl -n "+e.Namespace+" logs deploy/hawser", "it reports the cluster as not Ready (%s): %s", ready.Reason, ready.Message)
	}
}

// compare reports whether the manager and we agree on one condition, apart from the one that sums up.
func (e *examination) compare(c metav1.Condition) bool {
	ours := e.state.Condition(c.Type)
	failsHere := e.linked && ours.Status == metav1.ConditionFalse
	if c.Type == v1alpha1.CredentialFresh { // what was found here may be another fault than the manager's
		failsHere = e.toldOf(c.Reason)
	}
	switch {
	case c.Type == v1alpha1.Ready:
	case c.Reason == v1alpha1.ReasonAddressUnproven:
		e.add("manager", Error, e.mend().Rejoin(), "spec.server is %s, but the manager's connection is not there: %s", e.Cluster.Spec.Server, c.Message)
		return false
	case c.Status == metav1.ConditionFalse && !failsHere:
		why, _, _ := strings.Cut(c.Message, ". Repair it:")
		e.add("manager", Error, e.managerRepair(c), "it reports %s as False (%s): %s%s", c.Type, c.Reason, why, e.contrast(ours))
		return false
	case c.Status == metav1.ConditionTrue && failsHere && c.Type != v1alpha1.CredentialFresh:
		e.add("manager", Warning, e.fromManager(), "it reports %s as True (%s): what was found here may be so only from here, or since a moment ago", c.Type, c.Reason)
		return false
	}
	return true
}

// toldOf reports whether what makes a credential not fresh was found from here, too.
func (e *examination) toldOf(reason string) bool {
	check := "credential"
	switch reason {
	case v1alpha1.ReasonRenewalFailed: // nothing is renewed here
		return false
	case v1alpha1.ReasonExpired, v1alpha1.ReasonExpiresSoon:
		check = "expiry"
	}
	return slices.ContainsFunc(e.report.Findings, func(f Finding) bool { return f.Check == check && (f.Severity == Error || f.Severity == Warning) })
}

// contrast says that it looks otherwise from here.
func (e *examination) contrast(ours metav1.Condition) string {
	if e.linked && ours.Status == metav1.ConditionTrue {
		return "; from here it is fine, so look at the manager's own way to the cluster"
	}
	return ""
}

func (e *examination) managerRepair(c metav1.Condition) string {
	switch c.Reason {
	case v1alpha1.ReasonDNSFailed, v1alpha1.ReasonDialFailed, v1alpha1.ReasonTimeout:
		return e.fromManager()
	case v1alpha1.ReasonTokenFailed, v1alpha1.ReasonAudienceShared:
		return e.inputRepair(c.Reason)
	case v1alpha1.ReasonInputRefused:
		return e.revive()
	case v1alpha1.ReasonClockSkew:
		return "chronyc tracking (on both sides)"
	}
	return e.permit()
}

// fromManager is the command that looks from where the manager is.
func (e *examination) fromManager() string {
	return "kubectl -n " + e.Namespace + " exec deploy/hawser -- hawser check " + e.name()
}

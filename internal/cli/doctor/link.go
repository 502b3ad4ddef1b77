package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential/mtls"
)

// checkLink connects with the credential at rest, over a connection of its own, and asks what that may do.
func (e *examination) checkLink(ctx context.Context) {
	if len(e.credentials) == 0 {
		e.add("identity", Skipped, "", "there is no credential to ask with")
		return
	}
	e.linked = true
	ctx, cancel := context.WithTimeout(ctx, 2*stepTimeout)
	defer cancel()
	conn, stop := e.connect(ctx)
	defer stop()
	e.state = conn.State()
	if e.tellIdentity() {
		e.tellVerbs()
		e.tellVersions()
		e.tellControllers(ctx, conn)
	}
}

// connect returns a connection once it knows all, or when the time is over. It runs until stop.
func (e *examination) connect(ctx context.Context) (conn *connection.Connection, stop func()) {
	running, cancel := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	conn = connection.New(e.spec, e.Source, connection.Options{
		Clock: e.Clock, ProbeInterval: time.Hour, UserAgent: e.UserAgent, Version: e.ManagerVersion,
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default: // the newest state is looked at anyway
			}
		},
	})
	done := make(chan struct{})
	go func() { // ends by stop
		defer close(done)
		conn.Run(running)
	}()
	stop = func() { cancel(); <-done }
	for !settled(conn.State()) {
		select {
		case <-changed:
		case <-ctx.Done():
			return conn, stop
		}
	}
	return conn, stop
}

// settled reports whether nothing more is to be learned.
func settled(s connection.State) bool {
	for _, kind := range []string{v1alpha1.Reachable, v1alpha1.Authenticated} {
		if s.Condition(kind).Status == metav1.ConditionFalse {
			return true
		}
	}
	return s.Condition(v1alpha1.Authorized).Status != metav1.ConditionUnknown && s.Condition(v1alpha1.Compatible).Status != metav1.ConditionUnknown
}

// tellIdentity reports whether the cluster is the right one and accepts the credential.
func (e *examination) tellIdentity() bool {
	reachable, authenticated := e.state.Condition(v1alpha1.Reachable), e.state.Condition(v1alpha1.Authenticated)
	if reachable.Status == metav1.ConditionFalse {
		switch reachable.Reason {
		case v1alpha1.ReasonWrongCluster:
			e.add("pin", Error, "put the old address back, or, if the other cluster is meant: kubectl edit remotecluster "+e.name()+" (spec.clusterID)", "%s", reachable.Message)
			return false
		case v1alpha1.ReasonAddressUnproven:
			why, _, _ := strings.Cut(reachable.Message, ". Repair it:")
			e.add("pin", Error, e.mend().Rejoin(), "%s", why)
			return false
		case v1alpha1.ReasonNotReady:
			e.add("kubernetes", Error, "see what the API server lacks: kubectl --context CONTEXT get --raw '/readyz?verbose'", "%s", reachable.Message)
		default:
			e.add("identity", Error, "try again: hawser check "+e.name(), "%s: %s", reachable.Reason, reachable.Message)
			return false
		}
	}
	if authenticated.Status != metav1.ConditionTrue {
		why := authenticated.Message
		if authenticated.Status == metav1.ConditionUnknown {
			why = "the API server has not said who we are: " + why
		}
		why, _, _ = strings.Cut(why, ". Repair it:")
		e.add("identity", Error, e.revive(), "%s", why)
		return false
	}
	e.ok("identity", "the cluster knows us as %s", e.state.Subject)
	switch {
	case e.state.ClusterID == "":
		e.add("pin", Warning, e.permit(), "the credential may not read namespace kube-system, so nobody can tell which cluster this is")
	case e.spec.ClusterID == "":
		e.add("pin", Warning, e.mend().Set("clusterID", e.state.ClusterID), "the cluster is %s, and none is pinned", e.state.ClusterID)
	default:
		e.ok("pin", "it is cluster %s, as pinned", e.state.ClusterID)
	}
	return true
}

func (e *examination) tellVerbs() {
	authorized := e.state.Condition(v1alpha1.Authorized)
	switch authorized.Status {
	case metav1.ConditionTrue:
		e.ok("verbs", "all %d that it needs are allowed", len(e.spec.Checks))
	case metav1.ConditionFalse:
		why, _, _ := strings.Cut(authorized.Message, ". Repair it:")
		e.add("verbs", Error, e.permit(), "%s", why)
	default:
		e.add("verbs", Warning, "try again: hawser check "+e.name(), "could not be asked for: %s", authorized.Message)
	}
	if e.Local == "" {
		e.add("verbs", Warning, "run hawser manager, or check as somebody who may read its ConfigMap", "the name of the local cluster is not known, so its own namespace there was not looked at")
	}
}

// policyKubernetes is the first that serves ValidatingAdmissionPolicy, by which the member side caps lifetimes.
var policyKubernetes = version.MustParseGeneric("1.30")

func (e *examination) tellVersions() {
	if c := e.state.Condition(v1alpha1.Compatible); c.Reason == v1alpha1.ReasonVersionSkew {
		why, _, _ := strings.Cut(c.Message, ". Repair it:")
		e.add("versions", Error, e.mend().UpgradeThere(""), "%s", why)
		return
	}
	remote, err := version.ParseGeneric(e.state.KubernetesVersion)
	switch {
	case e.state.Condition(v1alpha1.Compatible).Reason == v1alpha1.ReasonVersionUntested && !remote.LessThan(policyKubernetes):
		e.add("versions", Warning, "upgrade Hawser", "%s", e.state.Condition(v1alpha1.Compatible).Message)
	case err != nil:
		e.add("versions", Warning, "grant system:public-info-viewer there: kubectl --context CONTEXT create clusterrolebinding version --clusterrole system:public-info-viewer --group system:authenticated", "the cluster does not tell its version")
	case remote.LessThan(policyKubernetes):
		e.add("versions", Warning, "upgrade the remote cluster", "Kubernetes %s is older than %s: nothing caps the lifetime of tokens there", e.state.KubernetesVersion, policyKubernetes)
	default:
		e.ok("versions", "Kubernetes %s there%s", e.state.KubernetesVersion, here(e.LocalKubernetes))
	}
	switch {
	case e.Local == "": // nobody knows where it would be recorded
	case e.state.MemberVersion == "":
		e.add("versions", Warning, e.permit(), "no member install is recorded there")
	case isRelease(e.ManagerVersion) && isRelease(e.state.MemberVersion) && e.state.MemberVersion != e.ManagerVersion:
		e.add("versions", Warning, e.mend().UpgradeThere(""), "the member side was installed by Hawser %s, and the manager is %s", e.state.MemberVersion, e.ManagerVersion)
	default:
		e.ok("versions", "member install of Hawser %s", e.state.MemberVersion)
	}
}

func here(v string) string {
	if v == "" {
		return ""
	}
	return fmt.Sprintf(", %s here", v)
}

// tellControllers says whether somebody acts there on what people write: approves the next renewal of a certificate,
// carries out grants and takes them back. Nobody else says it: without them no status changes any more.
func (e *examination) tellControllers(ctx context.Context, conn *connection.Connection) {
	auth := e.Cluster.Spec.Auth
	leases, err := coordinationv1client.NewForConfig(conn.Config())
	if err != nil {
		e.add("controllers", Skipped, "", "could not be asked for: %s", err)
		return
	}
	lease, err := leases.Leases(v1alpha1.Namespace).Get(ctx, v1alpha1.MemberControllersLease, metav1.GetOptions{})
	stopped := "they have never run"
	if err == nil {
		stopped = mtls.ControllersStopped(lease, e.Clock.Now())
	}
	switch {
	case err == nil && stopped == "":
		e.ok("controllers", "the member controllers run there: they approve renewals and carry out grants")
	case auth.RenewsByCSR() && (err == nil || apierrors.IsNotFound(err)):
		e.add("controllers", Error, e.runControllers(),
			"the member controllers do not run there (%s), and nobody else approves the renewal of the certificate", stopped)
	case err == nil, apierrors.IsNotFound(err) && auth.Type == v1alpha1.AuthOIDC:
		e.add("controllers", Warning, "kubectl --context CONTEXT -n "+v1alpha1.Namespace+" get pods; or run hawser member controllers there",
			"the member controllers do not run there (%s): nothing is made of grants, and nothing removed, whatever their status says", stopped)
	case apierrors.IsNotFound(err): // nobody there needs them
	case apierrors.IsForbidden(err) && auth.Type == v1alpha1.AuthOIDC:
		e.add("controllers", Skipped, "", "the grant does not let the connection look whether the member controllers run there: hawser check %s --remote-context CONTEXT does, with your own rights", e.name())
	case apierrors.IsForbidden(err) && !auth.RenewsByCSR(): // what a member install gives more, Authorized speaks of
	default:
		e.add("controllers", Warning, e.permit(), "could not be asked for: %s", err)
	}
}

// runControllers is how renewals are approved, or not needed.
func (e *examination) runControllers() string {
	if e.mend().Release == nil {
		return "run hawser member controllers there, or: " + e.mend().Rejoin() + " --auth mtls --renew watch"
	}
	return "let them run there: " + e.mend().UpgradeThere(" --set member.controllers.enabled=true")
}

// isRelease reports whether a version can be compared with another: that of a build from a work tree cannot.
func isRelease(v string) bool {
	_, err := version.ParseGeneric(v)
	return err == nil
}

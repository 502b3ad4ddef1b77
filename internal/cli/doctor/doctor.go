// Package doctor finds out why a connection does not work, from where the person
// at the keyboard is: step by step from the spec over the way to the server to
// what the credential may do there, and at last what the manager itself says. It
// reads, and changes nothing: it renews no credential and writes no object.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/advice"
	inventory "github.com/hawser-io/hawser/inventory/remotecluster"
)

// Severity of a finding.
type Severity string

// Severities. Only an error makes a check fail.
const (
	OK      Severity = "ok"
	Skipped Severity = "skipped"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Finding is what one check found.
type Finding struct {
	// Check names what was looked at: spec, credential, dns, proxy, tcp, tls, kubernetes, clock,
	// identity, pin, verbs, versions, controllers, expiry, duplicate or manager; and, looked at over
	// there by package cli, issuer, grant or gate.
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	// Repair is the command that mends it, or what to do where no command can.
	Repair string `json:"repair,omitempty"`
}

// Report is what was found about one cluster, in the order of the checks.
type Report struct {
	Cluster  string    `json:"cluster"`
	Findings []Finding `json:"findings"`
}

// Count returns how many findings have a severity.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Patient is one cluster to examine.
type Patient struct {
	Cluster *v1alpha1.RemoteCluster
	// Source yields the credentials at rest. It must neither renew nor keep any. Nil, with
	// SourceErr, where there is none for the cluster's auth.type.
	Source    credential.Source
	SourceErr error
	// Twins are other names for the same cluster.
	Twins []string
}

// Surroundings are what all patients share.
type Surroundings struct {
	Clock clock.WithTicker
	// Local is the name of the local cluster; empty if it is not known.
	Local string
	// Namespace of the local cluster that Hawser runs in.
	Namespace string
	// ManagerSeen is when the manager last renewed its Lease; zero if it holds none that we may read.
	ManagerSeen time.Time
	// ManagerFresh is how long ago that may be.
	ManagerFresh time.Duration
	// ManagerVersion and LocalKubernetes are versions of the local side; empty if not known.
	ManagerVersion  string
	LocalKubernetes string
	UserAgent       string
}

// stepTimeout is the deadline of each step that waits for somebody.
const stepTimeout = 10 * time.Second

// examination is one cluster being examined.
type examination struct {
	Patient
	Surroundings
	report Report

	spec        connection.Spec
	endpoint    credential.Endpoint
	credentials []credential.Credential
	state       connection.State // what a connection of our own found
	linked      bool             // the connection had a credential to show
}

// Examine examines one cluster. It ends when ctx does, or by the deadlines of its steps.
func Examine(ctx context.Context, p Patient, s Surroundings) Report {
	e := &examination{Patient: p, Surroundings: s, report: Report{Cluster: p.Cluster.Name}}
	if e.checkSpec() {
		e.checkCredential(ctx)
		if e.endpoint.Server != "" && e.checkWay(ctx) {
			e.checkLink(ctx)
		}
		e.checkInUse()
	}
	e.checkTwins()
	e.checkManager()
	return e.report
}

func (e *examination) add(check string, severity Severity, repair, format string, args ...any) {
	e.report.Findings = append(e.report.Findings, Finding{check, severity, fmt.Sprintf(format, args...), repair})
}

func (e *examination) ok(check, format string, args ...any) { e.add(check, OK, "", format, args...) }

// name of the cluster.
func (e *examination) name() string { return e.Cluster.Name }

// mend has the words of what mends this connection.
func (e *examination) mend() advice.Cluster { return advice.Of(e.Cluster, e.Local) }

// revive is the command that mends a credential, or finds the link that broke where none is kept.
func (e *examination) revive() string {
	switch e.Cluster.Spec.Auth.Type {
	case v1alpha1.AuthEKS:
		return "hawser aws check " + e.name()
	case v1alpha1.AuthOIDC:
		return e.entered()
	case v1alpha1.AuthExec:
		return "run the plugin by hand as the operator's file has it (hawser manager --exec-providers), and look at what it yields"
	}
	return e.mend().Rejoin()
}

// entered is how to find out what the cluster that is entered has against an identity that it should trust.
func (e *examination) entered() string {
	look := "hawser check " + e.name() + " --remote-context CONTEXT looks at the issuer and the grant over there; "
	if auth := e.Cluster.Spec.Auth.OIDC; auth != nil && auth.Exchange != nil {
		look += "kubectl --context CONTEXT -n " + v1alpha1.Namespace + " logs deploy/" + v1alpha1.GateServiceAccount + " says what its gate refused; "
	} else {
		look += "its API server has to be given what hawser trust render prints there; "
	}
	if e.mend().Release != nil {
		return strings.TrimSuffix(look, "; ")
	}
	return look + e.mend().Rejoin() + " makes issuer and grant anew"
}

// permit is how the identity gets the rights that it lacks.
func (e *examination) permit() string {
	if e.Cluster.Spec.Auth.Type == v1alpha1.AuthOIDC { // they are bound by an AccessGrant
		return e.entered()
	}
	if e.mend().Release == nil {
		return e.mend().Rejoin()
	}
	return e.mend().Permit()
}

// checkSpec reports whether there is a link to be examined.
func (e *examination) checkSpec() bool {
	rc := e.Cluster
	if rc.Spec.Disabled {
		e.add("spec", Warning, e.mend().Set("disabled", false), "the cluster is disabled: the manager keeps no connection to it")
	}
	if rc.IsLocal() {
		e.add("spec", Skipped, "", "it is the cluster of the manager itself, reached by the manager's own account: only the manager can say more")
		return false
	}
	if e.SourceErr != nil {
		e.add("spec", Error, "install a build of hawser that has this auth.type", "%s", e.SourceErr)
		return false
	}
	spec, err := inventory.Spec(rc, e.Local)
	if err != nil {
		e.add("spec", Error, e.mend().Trust(), "%s", err) // it is about caData
		return false
	}
	if e.Local == "" {
		spec.Checks = nil // half of them are named after the local cluster
	}
	e.spec, e.endpoint = spec, spec.Endpoint
	if !rc.Spec.Disabled {
		e.ok("spec", "auth.type %s", rc.Spec.Auth.Type)
	}
	return true
}

// checkCredential looks at what is at rest: what was renewed and kept, and what people put in place.
func (e *examination) checkCredential(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	list, err := e.Source.Obtain(ctx)
	var input *credential.InputError
	switch {
	case errors.As(err, &input):
		e.add("credential", Error, e.inputRepair(input.Reason), "%s", input)
		return
	case err != nil:
		e.add("credential", Error, "ask for the right to get Secrets in namespace "+e.Namespace, "%s", err)
		return
	case len(list) == 0:
		e.add("credential", Error, e.mend().Rejoin(), "there is none at rest")
		return
	}
	e.credentials = list
	if list[0].Endpoint != nil {
		e.endpoint = *list[0].Endpoint
	}
}

// checkInUse judges the one credential that the connection goes by: that which the cluster took, and before anything is
// known of that, the first of those at rest. What the cluster refused beside it is said here, too.
func (e *examination) checkInUse() {
	if len(e.credentials) == 0 {
		return
	}
	if fresh := e.state.Condition(v1alpha1.CredentialFresh); fresh.Status == metav1.ConditionFalse && fresh.Reason == v1alpha1.ReasonInputRefused {
		why, _, _ := strings.Cut(fresh.Message, ". Repair it:")
		e.add("credential", Error, e.revive(), "what is in Secret %q is of no use: %s", v1alpha1.InputSecretName(e.name()), why)
	}
	for _, c := range e.credentials {
		if e.state.Subject != "" && c.Subject == e.state.Subject && c.ExpiresAt.Equal(e.state.ExpiresAt) {
			e.checkExpiry(c)
			return
		}
	}
	e.checkExpiry(e.credentials[0])
}

func (e *examination) inputRepair(reason string) string {
	secret := v1alpha1.InputSecretName(e.name())
	switch reason {
	case v1alpha1.ReasonInputUnlabeled:
		return fmt.Sprintf("kubectl -n %s label secret %s %s=true", e.Namespace, secret, v1alpha1.CredentialsLabel)
	case v1alpha1.ReasonInputForbidden:
		return "run it as somebody who may get Secrets in that namespace"
	case v1alpha1.ReasonAudienceShared:
		return "kubectl edit remotecluster " + e.name() + " (spec.auth.oidc.audience)"
	case v1alpha1.ReasonTokenFailed: // nobody over there has been asked yet
		return "mend what the message names, in this cluster; it is the same for the manager: kubectl -n " + e.Namespace + " logs deploy/hawser"
	}
	return e.revive()
}

// Watched credentials are worth a warning this long before they end, if they live longer than that.
const watchedWarning = 7 * 24 * time.Hour

func (e *examination) checkExpiry(c credential.Credential) {
	now := e.Clock.Now()
	end, expires := c.Deadline()
	auth := e.Cluster.Spec.Auth
	renews := auth.Renews()
	whose := "the credential" // nothing that we can read says whose it is
	if c.Subject != "" {
		whose += " of " + c.Subject
	}
	switch {
	case !expires && auth.Type == v1alpha1.AuthExec:
		e.add("expiry", Warning, "let the plugin say when it ends (status.expirationTimestamp)", "%s never expires, which makes it as weak as a password", whose)
	case !expires:
		e.add("expiry", Warning, e.renewing(), "%s never expires, which makes it as weak as a password", whose)
	case c.ExpiredAt(now):
		e.add("expiry", Error, e.revive(), "%s expired at %s", whose, stamp(end))
	case !renews && end.Sub(now) < min(watchedWarning, c.Lifetime()/2):
		e.add("expiry", Warning, e.mend().Rejoin(), "%s expires at %s, and nothing renews it", whose, stamp(end))
	case renews && end.Sub(now) < c.Lifetime()/4:
		e.add("expiry", Warning, "hawser rotate "+e.name(), "%s expires at %s: the manager should have renewed it at half of its life", whose, stamp(end))
	default:
		e.ok("expiry", "%s is good until %s", whose, stamp(end))
	}
}

// renewing moves the connection to a credential with an end.
func (e *examination) renewing() string {
	if e.mend().Release == nil {
		return e.mend().Rejoin() + " --auth bearerToken"
	}
	return e.mend().Renewing()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

package connection

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/advice"
)

// conditions decides every condition from what is known. Pure, and stable: the same facts give the same words.
func conditions(name string, f facts, now time.Time) []metav1.Condition {
	all := []metav1.Condition{
		reachable(name, f),
		authenticated(name, f, now),
		authorized(name, f),
		credentialFresh(name, f, now),
		compatible(name, f),
	}
	return append(all, ready(all))
}

func condition(kind string, status metav1.ConditionStatus, reason, format string, args ...any) metav1.Condition {
	message := format
	if len(args) > 0 {
		message = fmt.Sprintf(format, args...)
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func reachable(name string, f facts) metav1.Condition {
	kind := v1alpha1.Reachable
	if err := wayError(f); err != nil {
		reason, _ := unreachableReason(err)
		return condition(kind, metav1.ConditionFalse, reason, "%s%s", describe(err), rebind(name, f, err))
	}
	switch {
	case !f.seen.probed:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not probed yet")
	case f.seen.notReady != "":
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonNotReady, "%s", f.seen.notReady)
	case f.renewal.MoveErr != nil:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonAddressUnproven, "the connection stays at %s: %s%s", oldAddress(f), describe(f.renewal.MoveErr), rebind(name, f, f.renewal.MoveErr))
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonAnswering, "the API server answers")
}

// rebind says how a credential is let to a server that nothing vouches for.
func rebind(name string, f facts, err error) string {
	var unproven *UnprovenError
	switch {
	case !errors.As(err, &unproven):
		return ""
	case f.authType == string(v1alpha1.AuthEKS):
		return fmt.Sprintf(". If it is right: let auth.eks.apiIdentityRef describe the cluster, or delete the RemoteCluster and join again: hawser leave %s --remote-context CONTEXT, then hawser join %s --auth eks", name, name)
	case f.authType == string(v1alpha1.AuthOIDC), f.authType == string(v1alpha1.AuthExec):
		return ". If it is right: delete the RemoteCluster and make it again; nothing of it is stored"
	}
	return ": put a new credential into the input Secret. Repair it: " + f.advice(name).Rejoin()
}

func oldAddress(f facts) string {
	if b := f.renewal.Credential.Binding; b != nil {
		return b.Server
	}
	return "its old address"
}

// wayError is the error of the way to the server that the last probe, or the last attempt to prove
// a first credential, met. Of the two the attempt went further, so it knows better.
func wayError(f facts) error {
	if r := f.renewal; r.Credential.IsZero() && r.InputErr != nil && inputError(r.InputErr) == nil {
		if _, ok := unreachableReason(r.InputErr); ok {
			return r.InputErr
		}
	}
	if _, ok := unreachableReason(f.seen.err); f.seen.err != nil && ok {
		return f.seen.err
	}
	return nil
}

func authenticated(name string, f facts, now time.Time) metav1.Condition {
	kind := v1alpha1.Authenticated
	r := f.renewal
	switch {
	case r.Credential.IsZero() && r.InputErr == nil:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNoCredential, "no credential has been tried yet")
	case r.Credential.IsZero():
		if in := inputError(r.InputErr); in != nil && in.Reason != v1alpha1.ReasonInputMissing && !errors.Is(in, credential.ErrRefused) {
			return condition(kind, metav1.ConditionFalse, in.Reason, "%s", describe(in))
		} else if in != nil {
			return condition(kind, metav1.ConditionFalse, in.Reason, "%s. Repair it: %s", describe(in), revive(name, f))
		}
		if errors.Is(r.InputErr, credential.ErrRefused) {
			return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonRefused, "%s. Repair it: %s", describe(r.InputErr), revive(name, f))
		}
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNoCredential, "the credential could not be tried: %s", describe(r.InputErr))
	case r.Credential.ExpiredAt(now):
		reason, why := ended(r)
		return condition(kind, metav1.ConditionFalse, reason, "the credential expired at %s%s. Repair it: %s", stamp(r.Credential.ExpiresAt), why, revive(name, f))
	case errors.Is(f.seen.err, credential.ErrRefused):
		reason, why := refusal(f)
		return condition(kind, metav1.ConditionFalse, reason, "%s. Repair it: %s", describe(why), revive(name, f))
	case f.seen.err != nil || !f.seen.probed:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "last known as %s", r.Identity.User)
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "as %s", r.Identity.User)
}

func authorized(name string, f facts) metav1.Condition {
	kind := v1alpha1.Authorized
	switch {
	case f.renewal.Credential.IsZero(): // a probe may be faster than word of the credential that it went by
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not asked yet")
	case f.seen.err != nil || !f.seen.probed || !f.seen.full:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not asked yet")
	case len(f.seen.missing) > 0:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonMissingVerbs, "%s may not %s. Repair it: %s",
			f.renewal.Identity.User, list(f.seen.missing), permit(name, f))
	case f.seen.unchecked != nil:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "%s", describe(f.seen.unchecked))
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonAllowed, "every needed verb is allowed")
}

// list names the first few of many: the rest seldom says more, and hawser check lists all.
func list(items []string) string {
	const most = 8
	if len(items) <= most {
		return strings.Join(items, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(items[:most], "; "), len(items)-most)
}

// Warnings about a certificate that somebody else has to replace come this long before its end.
var expiryWarnings = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}

func credentialFresh(name string, f facts, now time.Time) metav1.Condition {
	kind := v1alpha1.CredentialFresh
	r := f.renewal
	deadline, expires := r.Credential.Deadline()
	switch {
	case r.Credential.IsZero():
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNoCredential, "there is no credential yet")
	case r.Credential.ExpiredAt(now):
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonExpired, "expired at %s", stamp(r.Credential.ExpiresAt))
	case r.InputErr != nil:
		reason := v1alpha1.ReasonInputRefused
		if in := inputError(r.InputErr); in != nil {
			reason = in.Reason
		}
		return condition(kind, metav1.ConditionFalse, reason, "the connection goes on with the credential that it has: %s%s", describe(r.InputErr), renewInput(name, f))
	case r.KeepErr != nil:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonRenewalFailed, "%s", describe(r.KeepErr))
	case r.RenewErr != nil:
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonRenewalFailed, "%s; the credential in use %s", describe(r.RenewErr), until(r.Credential))
	case !expires:
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonNeverExpires, "the credential never expires, which makes it as weak as a password. %s", end(name, f))
	case r.Credential.Watched:
		for _, warning := range expiryWarnings {
			if deadline.Sub(now) < warning && r.Credential.Lifetime() > warning {
				status := metav1.ConditionTrue
				if warning == expiryWarnings[0] {
					status = metav1.ConditionFalse
				}
				return condition(kind, status, v1alpha1.ReasonExpiresSoon, "expires at %s, in less than %d days, and nothing renews it: replace it in its Secret", stamp(r.Credential.ExpiresAt), int(warning/(24*time.Hour)))
			}
		}
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonFresh, "%s", until(r.Credential))
}

// maxSkew is how far clocks may be apart: tokens begin and end to the second, and certificates
// are backdated by five minutes (kube-controller-manager's signers).
const maxSkew = time.Minute

func compatible(name string, f facts) metav1.Condition {
	kind := v1alpha1.Compatible
	skew := versionSkew(f.advice(name), f.seen.version, f.seen.memberVersion, f.own)
	switch {
	case f.seen.err != nil || !f.seen.probed || !f.seen.full:
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonNotProbed, "not asked yet")
	case f.seen.skew > maxSkew || f.seen.skew < -maxSkew:
		way := "ahead of"
		if f.seen.skew < 0 {
			way = "behind"
		}
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonClockSkew, "its clock is about %s %s ours: check time synchronisation on both sides", f.seen.skew.Abs().Round(time.Minute), way)
	case skew != "":
		return condition(kind, metav1.ConditionFalse, v1alpha1.ReasonVersionSkew, "%s", skew)
	case untested(f.seen.version) != "":
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonVersionUntested, "%s", untested(f.seen.version))
	case f.seen.memberVersion == "":
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonMemberMissing, "Kubernetes %s; no member install is recorded there", f.seen.version)
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonCompatible, "Kubernetes %s, member install %s", f.seen.version, f.seen.memberVersion)
}

// ready sums up. Where a connection can be used but something needs care, Ready stays True and
// carries the reason of what needs care.
func ready(all []metav1.Condition) metav1.Condition {
	kind := v1alpha1.Ready
	unknown := false
	for _, c := range all {
		if c.Type == v1alpha1.CredentialFresh || c.Type == v1alpha1.Compatible {
			continue
		}
		if c.Status == metav1.ConditionFalse {
			return condition(kind, metav1.ConditionFalse, c.Reason, "%s: %s", c.Type, c.Message)
		}
		unknown = unknown || c.Status == metav1.ConditionUnknown
	}
	if unknown {
		return condition(kind, metav1.ConditionUnknown, v1alpha1.ReasonConnecting, "connecting")
	}
	for _, c := range all {
		if c.Status == metav1.ConditionFalse {
			return condition(kind, metav1.ConditionTrue, c.Reason, "connected, but %s: %s", c.Type, c.Message)
		}
	}
	for _, c := range all {
		if c.Reason == v1alpha1.ReasonNeverExpires || c.Reason == v1alpha1.ReasonExpiresSoon || c.Reason == v1alpha1.ReasonAddressUnproven || c.Reason == v1alpha1.ReasonVersionUntested {
			return condition(kind, metav1.ConditionTrue, c.Reason, "connected, but %s: %s", c.Type, c.Message)
		}
	}
	return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonConnected, "connected")
}

func inputError(err error) *credential.InputError {
	var in *credential.InputError
	if errors.As(err, &in) {
		return in
	}
	return nil
}

func until(c credential.Credential) string {
	if c.ExpiresAt.IsZero() {
		return "never expires"
	}
	return "is good until " + stamp(c.ExpiresAt)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ended is why there is no successor to a credential that has expired, where that is known.
func ended(r credential.State) (reason, why string) {
	for _, err := range []error{r.InputErr, r.RenewErr} {
		if in := inputError(err); in != nil {
			return in.Reason, ": " + describe(in)
		}
	}
	return v1alpha1.ReasonExpired, ""
}

// refusal is why the credential in use is refused: what its source found out, or the bare fact.
func refusal(f facts) (reason string, why error) {
	for _, err := range []error{f.renewal.RenewErr, f.renewal.InputErr} {
		if in := inputError(err); in != nil && errors.Is(in, credential.ErrRefused) {
			return in.Reason, in
		}
	}
	return v1alpha1.ReasonRefused, f.seen.err
}

// revive is the one command that mends a dead credential, or, where it grows from what is not kept in
// the cluster, finds the link that broke. Where no command of ours does either, it says who can.
func revive(name string, f facts) string {
	switch {
	case f.authType == string(v1alpha1.AuthExec):
		return "look at what the plugin yields, and for whom the cluster takes it"
	case !f.managed:
		return "replace it where it comes from"
	case f.authType == string(v1alpha1.AuthEKS):
		return "hawser aws check " + name
	case f.authType == string(v1alpha1.AuthOIDC):
		return entered(name, f)
	}
	return f.advice(name).Rejoin()
}

// renewInput is how a refused input is put right, while something better is in use.
func renewInput(name string, f facts) string {
	in := inputError(f.renewal.InputErr)
	if errors.Is(f.renewal.InputErr, credential.ErrRefused) || in != nil && in.Reason == v1alpha1.ReasonInputMissing {
		return ". Repair it: " + revive(name, f)
	}
	return "" // its message says what to do
}

// entered is how to find out what the cluster that is entered has against an identity of ours.
func entered(name string, f facts) string {
	look := "hawser check " + name + " --remote-context CONTEXT looks at the issuer, the grant and the gate over there"
	if f.release != nil {
		return look // who declares the cluster by a release has made them by hand
	}
	return look + "; " + f.advice(name).Rejoin() + " makes them anew"
}

// permit is how the identity gets the rights that it lacks.
func permit(name string, f facts) string {
	if !f.managed {
		return "bind it to a role that allows that"
	}
	if f.authType == string(v1alpha1.AuthOIDC) { // its roles are bound by an AccessGrant
		return entered(name, f)
	}
	return f.advice(name).Permit()
}

// end is how a credential without an end gets one.
func end(name string, f facts) string {
	switch {
	case f.authType == string(v1alpha1.AuthExec):
		return "Let the plugin give one that ends, and say when (status.expirationTimestamp)"
	case !f.managed:
		return "Let whoever issues it give it an end"
	case f.authType == string(v1alpha1.AuthInCluster):
		return "Mount a token that ends for the manager: a projected one"
	}
	return "Move to one that renews itself: " + f.advice(name).Renewing()
}

// advice is what mends this connection.
func (f facts) advice(name string) advice.Cluster {
	return advice.Cluster{Name: name, Auth: v1alpha1.AuthType(f.authType), Local: f.local, Release: f.release}
}

// ephemeral is our own side of a TCP connection in an error of package net: it differs every time.
var ephemeral = regexp.MustCompile(`\S+:\d+->`)

// maxMessage is enough for any honest error; conditions take 32 KiB, and what a server answers may be longer.
const maxMessage = 1000

// describe puts an error on one line that stays the same while the fault does. What several have in common it says once.
func describe(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && strings.Contains(err.Error(), "\n") {
		var texts []string
		for _, one := range joined.Unwrap() {
			if text := describe(one); !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		return strings.Join(texts, "; ")
	}
	text := []rune(strings.Join(strings.Fields(ephemeral.ReplaceAllString(err.Error(), "")), " "))
	if len(text) > maxMessage {
		return string(text[:maxMessage]) + "…"
	}
	return string(text)
}

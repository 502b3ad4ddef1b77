package connection

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/advice"
)

var now = time.Unix(2_000_000_000, 0)

// good is what is known of a connection that lacks nothing.
func good() facts {
	return facts{
		renewal: credential.State{
			Credential: lasting(24 * time.Hour),
			Identity:   credential.Identity{User: "u"},
		},
		seen:    seen{probed: true, full: true, version: "v1.36.3", memberVersion: "v0.1.0"},
		managed: true,
	}
}

// lasting is a credential of which half an hour is over.
func lasting(life time.Duration) credential.Credential {
	issued := now.Add(-30 * time.Minute)
	return credential.Credential{Token: credential.NewSecret("t"), IssuedAt: issued, ObtainedAt: issued, ExpiresAt: issued.Add(life)}
}

func TestConditions(t *testing.T) {
	type want map[string]string // condition → "Status Reason"
	cases := map[string]struct {
		change func(*facts)
		want   want
	}{
		"all is well": {func(*facts) {}, want{"Ready": "True Connected", "Reachable": "True Answering", "Authenticated": "True Accepted", "Authorized": "True Allowed", "CredentialFresh": "True Fresh", "Compatible": "True Compatible"}},
		"nothing is known": {func(f *facts) { *f = facts{} },
			want{"Ready": "Unknown Connecting", "Reachable": "Unknown NotProbed", "Authenticated": "Unknown NoCredential"}},
		"nobody listens": {func(f *facts) { f.seen.err = &net.OpError{Op: "dial", Err: errors.New("connection refused")} },
			want{"Ready": "False DialFailed", "Reachable": "False DialFailed", "Authenticated": "Unknown NotProbed", "Authorized": "Unknown NotProbed", "CredentialFresh": "True Fresh"}},
		"no answer in time":         {func(f *facts) { f.seen.err = fmt.Errorf("asking: %w", timeoutError{time.Second}) }, want{"Reachable": "False Timeout"}},
		"a name that is not found":  {func(f *facts) { f.seen.err = &net.DNSError{Name: "x"} }, want{"Reachable": "False DNSFailed"}},
		"no Kubernetes":             {func(f *facts) { f.seen.err = &notKubernetesError{"x"} }, want{"Reachable": "False NotKubernetes"}},
		"another cluster":           {func(f *facts) { f.seen.err = fmt.Errorf("%w: x", ErrWrongCluster) }, want{"Reachable": "False WrongCluster", "Ready": "False WrongCluster"}},
		"an address of a stranger":  {func(f *facts) { f.seen.err = &UnprovenError{} }, want{"Reachable": "False AddressUnproven"}},
		"a failing server":          {func(f *facts) { f.seen.err = &statusError{code: 503} }, want{"Reachable": "False ServerError"}},
		"a server that is starting": {func(f *facts) { f.seen.notReady = "etcd failed" }, want{"Reachable": "False NotReady", "Ready": "False NotReady"}},
		"an edit that is refused while the link works": {func(f *facts) { f.renewal.MoveErr = &UnprovenError{} },
			want{"Reachable": "True AddressUnproven", "Ready": "True AddressUnproven"}},

		"a refused credential": {func(f *facts) { f.seen.err = credential.ErrRefused },
			want{"Ready": "False Refused", "Reachable": "True Answering", "Authenticated": "False Refused"}},
		"a refused first credential": {func(f *facts) { *f = facts{seen: seen{probed: true}}; f.renewal.InputErr = credential.ErrRefused },
			want{"Ready": "False Refused", "Reachable": "True Answering", "Authenticated": "False Refused"}},
		"no input": {func(f *facts) {
			*f = facts{seen: seen{probed: true}}
			f.renewal.InputErr = &credential.InputError{Reason: v1alpha1.ReasonInputMissing, Err: errors.New("x")}
		}, want{"Authenticated": "False InputMissing", "Ready": "False InputMissing"}},
		"an expired credential": {func(f *facts) { f.renewal.Credential = lasting(10 * time.Minute) },
			want{"Authenticated": "False Expired", "CredentialFresh": "False Expired", "Ready": "False Expired"}},

		"an expired credential whose source is broken": {func(f *facts) {
			f.renewal.Credential = lasting(10 * time.Minute)
			f.renewal.InputErr = &credential.InputError{Reason: v1alpha1.ReasonAssumeRoleDenied, Err: errors.New("hop 2 of 2")}
		}, want{"Authenticated": "False AssumeRoleDenied", "CredentialFresh": "False Expired", "Ready": "False AssumeRoleDenied"}},

		"a missing verb": {func(f *facts) { f.seen.missing = []string{"list pods"} }, want{"Authorized": "False MissingVerbs", "Ready": "False MissingVerbs"}},
		"a probe that was faster than word of its credential": {func(f *facts) { f.renewal = credential.State{} },
			want{"Authenticated": "Unknown NoCredential", "Authorized": "Unknown NotProbed", "Ready": "Unknown Connecting"}},
		"verbs that could not be asked for": {func(f *facts) { f.seen.unchecked = errors.New("x") }, want{"Authorized": "Unknown NotProbed", "Ready": "Unknown Connecting"}},

		"a failed renewal": {func(f *facts) { f.renewal.RenewErr = errors.New("x") }, want{"CredentialFresh": "False RenewalFailed", "Ready": "True RenewalFailed"}},
		"rubbish in the input of a working link": {func(f *facts) {
			f.renewal.InputErr = &credential.InputError{Reason: v1alpha1.ReasonInputInvalid, Err: errors.New("x")}
		}, want{"CredentialFresh": "False InputInvalid", "Ready": "True InputInvalid", "Authenticated": "True Accepted"}},
		"a new input that is refused": {func(f *facts) { f.renewal.InputErr = credential.ErrRefused }, want{"CredentialFresh": "False InputRefused", "Ready": "True InputRefused"}},
		"a token without an end":      {func(f *facts) { f.renewal.Credential.ExpiresAt = time.Time{} }, want{"CredentialFresh": "True NeverExpires", "Ready": "True NeverExpires"}},

		"a certificate with 29 days left":    {watched(29), want{"CredentialFresh": "True ExpiresSoon", "Ready": "True ExpiresSoon"}},
		"a certificate with 31 days left":    {watched(31), want{"CredentialFresh": "True Fresh"}},
		"a certificate on its last day":      {watched(0.9), want{"CredentialFresh": "False ExpiresSoon", "Ready": "True ExpiresSoon"}},
		"a watched token that lives an hour": {func(f *facts) { f.renewal.Credential = lasting(time.Hour); f.renewal.Credential.Watched = true }, want{"CredentialFresh": "True Fresh"}},

		"a clock five minutes behind":  {func(f *facts) { f.seen.skew = -5 * time.Minute }, want{"Compatible": "False ClockSkew", "Ready": "True ClockSkew"}},
		"a clock half a minute ahead":  {func(f *facts) { f.seen.skew = 30 * time.Second }, want{"Compatible": "True Compatible"}},
		"a member install of long ago": {func(f *facts) { f.own = "v0.3.0" }, want{"Compatible": "False VersionSkew", "Ready": "True VersionSkew"}},
		"Kubernetes of long ago":       {func(f *facts) { f.seen.version = "v1.27.9" }, want{"Compatible": "False VersionSkew", "Ready": "True VersionSkew"}},
		"a manager of long ago":        {func(f *facts) { f.own = "v0.0.1"; f.seen.memberVersion = "v0.9.0" }, want{"Compatible": "False VersionSkew", "Ready": "True VersionSkew"}},
		"Kubernetes of the future":     {func(f *facts) { f.seen.version = "v1.99.0" }, want{"Compatible": "True VersionUntested", "Ready": "True VersionUntested"}},
		"Kubernetes without policies":  {func(f *facts) { f.seen.version = "v1.29.0" }, want{"Compatible": "True VersionUntested", "Ready": "True VersionUntested"}},
		"no member install":            {func(f *facts) { f.seen.memberVersion = "" }, want{"Compatible": "True MemberMissing", "Ready": "True Connected"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := good()
			c.change(&f)
			got := map[string]metav1.Condition{}
			for _, cond := range conditions("alpha", f, now) {
				got[cond.Type] = cond
			}
			if len(got) != 6 {
				t.Errorf("%d conditions, want 6", len(got))
			}
			for kind, want := range c.want {
				if is := string(got[kind].Status) + " " + got[kind].Reason; is != want {
					t.Errorf("%s is %q (%s), want %q", kind, is, got[kind].Message, want)
				}
			}
		})
	}
}

// What a release declares is mended by its values, and what it says of a fault it says once.
func TestAdviceForAReleaseIsItsValues(t *testing.T) {
	twice := errors.Join(credential.ErrRefused, fmt.Errorf("%w: it expired", credential.ErrRefused), credential.ErrRefused)
	for name, tt := range map[string]struct {
		change func(*facts)
		kind   string
		want   string
	}{
		"a refused token": {func(f *facts) { f.seen.err = credential.ErrRefused }, "Authenticated", "helm upgrade fleet CHART --namespace hawser --reset-then-reuse-values --set-file multiCluster.clusters.alpha.bearerToken=token"},
		"a refused input": {func(f *facts) { f.renewal.InputErr = credential.ErrRefused }, "CredentialFresh", ". Repair it: kubectl --context CONTEXT -n hawser-from-hub create token hawser"},
		"a missing input": {func(f *facts) {
			f.renewal.InputErr = &credential.InputError{Reason: v1alpha1.ReasonInputMissing, Err: errors.New("x")}
		}, "CredentialFresh", "multiCluster.clusters.alpha.bearerToken=token"},
		"a missing right":  {func(f *facts) { f.seen.missing = []string{"list pods"} }, "Authorized", "helm upgrade hawser CHART --kube-context CONTEXT --namespace hawser"},
		"no end":           {func(f *facts) { f.renewal.Credential.ExpiresAt = time.Time{} }, "CredentialFresh", "helm upgrade fleet CHART"},
		"an old member":    {func(f *facts) { f.own = "v0.3.0" }, "Compatible", "helm upgrade hawser CHART --kube-context CONTEXT"},
		"several refusals": {func(f *facts) { f.renewal.InputErr = twice }, "CredentialFresh", "has: the API server refuses the credential (401); the API server refuses the credential (401): it expired. Repair it"},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			f.authType, f.local, f.release = string(v1alpha1.AuthBearerToken), "hub", &advice.Release{Name: "fleet"}
			tt.change(&f)
			for _, c := range conditions("alpha", f, now) {
				if c.Type == tt.kind && (!strings.Contains(c.Message, tt.want) || strings.Contains(c.Message, "hawser join")) {
					t.Errorf("it says %q, want …%s… and no join", c.Message, tt.want)
				}
			}
		})
	}
}

func TestAdviceIsWhatHelps(t *testing.T) {
	endless := func(f *facts) { f.renewal.Credential.ExpiresAt = time.Time{} }
	refused := func(f *facts) { f.seen.err = credential.ErrRefused }
	lacking := func(f *facts) { f.seen.missing = []string{"list pods"} }
	cases := []struct {
		name    string
		change  func(*facts)
		auth    v1alpha1.AuthType
		managed bool
		kind    string
		want    string
	}{
		{"a token of ours without an end", endless, v1alpha1.AuthKubeconfig, true, "CredentialFresh", "hawser join alpha --auth bearerToken --remote-context CONTEXT"},
		{"one by a plugin", endless, v1alpha1.AuthExec, true, "CredentialFresh", "Let the plugin give one that ends"},
		{"one by a plugin of somebody else's program", endless, v1alpha1.AuthExec, false, "CredentialFresh", "Let the plugin give one that ends"},
		{"one of somebody else's program", endless, v1alpha1.AuthKubeconfig, false, "CredentialFresh", "Let whoever issues it"},
		{"the manager's own", endless, v1alpha1.AuthInCluster, true, "CredentialFresh", "a projected one"},
		{"a token of ours that is refused", refused, v1alpha1.AuthBearerToken, true, "Authenticated", "hawser join alpha --remote-context CONTEXT"},
		{"one by a plugin that is refused", refused, v1alpha1.AuthExec, true, "Authenticated", "look at what the plugin yields"},
		{"one of somebody else's program that is refused", refused, "", false, "Authenticated", "replace it where it comes from"},
		{"one of EKS that is refused", refused, v1alpha1.AuthEKS, true, "Authenticated", "hawser aws check alpha"},
		{"one of a trusted issuer that is refused", refused, v1alpha1.AuthOIDC, true, "Authenticated", "hawser check alpha --remote-context CONTEXT looks at the issuer, the grant and the gate"},
		{"a right that a grant does not give", lacking, v1alpha1.AuthOIDC, true, "Authorized", "hawser check alpha --remote-context CONTEXT looks at the issuer, the grant and the gate"},
		{"a right that the manager lacks", lacking, v1alpha1.AuthBearerToken, true, "Authorized", "hawser member manifests"},
		{"a right that somebody else's program lacks", lacking, "", false, "Authorized", "bind it to a role that allows that"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f := good()
			f.authType, f.managed = string(tc.auth), tc.managed
			tc.change(&f)
			for _, c := range conditions("alpha", f, now) {
				ours := strings.Contains(c.Message, "hawser ")
				if c.Type != tc.kind {
					continue
				}
				if !strings.Contains(c.Message, tc.want) || ours && !strings.Contains(tc.want, "hawser ") {
					t.Errorf("it says %q, want …%s…", c.Message, tc.want)
				}
			}
		})
	}
}

// watched is a certificate of a year with so many days left.
func watched(days float64) func(*facts) {
	return func(f *facts) {
		end := now.Add(time.Duration(days * 24 * float64(time.Hour)))
		f.renewal.Credential = credential.Credential{Token: credential.NewSecret("t"), IssuedAt: end.Add(-365 * 24 * time.Hour), ExpiresAt: end, Watched: true}
	}
}

func TestTheSameFaultReadsTheSame(t *testing.T) {
	one := describe(errors.New("read tcp 127.0.0.1:40001->127.0.0.1:6443: connection reset by peer"))
	two := describe(errors.New("read tcp 127.0.0.1:40002->127.0.0.1:6443: connection reset\n by peer"))
	if one != two {
		t.Errorf("%q and %q: each would be a write of the status", one, two)
	}
}

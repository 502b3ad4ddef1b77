package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
)

// source yields fixed credentials.
type source []credential.Credential

func (s source) Obtain(context.Context) ([]credential.Credential, error) { return s, nil }

func (s source) Renew(_ context.Context, c credential.Credential, _ credential.Link) (credential.Credential, error) {
	return c, nil
}

// jwt is a token whose times, and nothing else, are real.
func jwt(issued, expires time.Time) string {
	claims := map[string]any{"sub": "someone", "iat": issued.Unix()}
	if !expires.IsZero() {
		claims["exp"] = expires.Unix()
	}
	text, _ := json.Marshal(claims)
	return "e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln"
}

func TestExpiryIsJudgedByWhoRenews(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	renewing := v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}
	watched := v1alpha1.Auth{Type: v1alpha1.AuthMTLS}
	byCSR := v1alpha1.Auth{Type: v1alpha1.AuthMTLS, MTLS: &v1alpha1.MTLSAuth{Renew: v1alpha1.RenewByCSR}}
	day := 24 * time.Hour
	tests := map[string]struct {
		auth            v1alpha1.Auth
		issued, expires time.Duration // from now
		never           bool
		want            Severity
		repair          string
	}{
		"young, renewed by itself":          {auth: renewing, issued: -time.Hour, expires: 23 * time.Hour, want: OK},
		"old, should have been renewed":     {auth: renewing, issued: -20 * time.Hour, expires: 4 * time.Hour, want: Warning, repair: "hawser rotate alpha"},
		"old certificate that renews":       {auth: byCSR, issued: -20 * time.Hour, expires: 4 * time.Hour, want: Warning, repair: "hawser rotate alpha"},
		"expired":                           {auth: renewing, issued: -2 * time.Hour, expires: -time.Hour, want: Error, repair: "hawser join alpha --remote-context CONTEXT"},
		"never expires":                     {auth: watched, issued: -time.Hour, never: true, want: Warning, repair: "hawser join alpha --remote-context CONTEXT --auth bearerToken"},
		"watched, far from its end":         {auth: watched, issued: -10 * day, expires: 20 * day, want: OK},
		"watched, in its last week":         {auth: watched, issued: -25 * day, expires: 5 * day, want: Warning, repair: "hawser join alpha --remote-context CONTEXT"},
		"watched, short-lived, still young": {auth: watched, issued: -time.Hour, expires: 23 * time.Hour, want: OK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			expires := now.Add(test.expires)
			if test.never {
				expires = time.Time{}
			}
			rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}, Spec: v1alpha1.RemoteClusterSpec{Auth: test.auth}}
			e := &examination{Patient: Patient{Cluster: rc}, Surroundings: Surroundings{Clock: clocktesting.NewFakeClock(now)}}
			e.checkExpiry(credential.NewToken(jwt(now.Add(test.issued), expires), ""))
			got := e.report.Findings[0]
			if got.Severity != test.want || got.Repair != test.repair {
				t.Errorf("got %+v, want %s and repair %q", got, test.want, test.repair)
			}
		})
	}
}

func TestWayEndsWhereItIsWrong(t *testing.T) {
	kubernetes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"gitVersion":"v1.36.3"}`) })
	private := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"kind":"Status"}`)
	})
	website := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>welcome</h1>") })
	tests := map[string]struct {
		handler http.Handler
		plain   bool // no TLS
		noCA    bool
		name    string
		want    []string // "check severity"
		last    string   // part of the last message
	}{
		"a Kubernetes API server":       {handler: kubernetes, want: []string{"dns ok", "tcp ok", "tls ok", "clock ok", "kubernetes ok"}, last: "v1.36.3"},
		"one that speaks to nobody":     {handler: private, want: []string{"dns ok", "tcp ok", "tls ok", "clock ok", "kubernetes ok"}, last: "tells its version to nobody"},
		"a web site":                    {handler: website, want: []string{"dns ok", "tcp ok", "tls ok", "clock ok", "kubernetes error"}, last: "is no Kubernetes API server"},
		"a CA that nobody knows":        {handler: kubernetes, noCA: true, want: []string{"dns ok", "tcp ok", "tls error"}, last: "signed by O=Acme Co"},
		"a certificate of another name": {handler: kubernetes, name: "other", want: []string{"dns ok", "tcp ok", "tls error"}, last: "is for example.com"},
		"no TLS at all":                 {handler: kubernetes, plain: true, want: []string{"dns ok", "tcp ok", "tls error"}, last: "does not speak TLS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(test.handler)
			if test.plain {
				server.Start()
			} else {
				server.StartTLS()
			}
			defer server.Close()
			e := &examination{
				Patient:      Patient{Cluster: &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}},
				Surroundings: Surroundings{Clock: clock.RealClock{}},
				endpoint:     credential.Endpoint{Server: strings.Replace(server.URL, "http:", "https:", 1), TLSServerName: test.name},
			}
			if !test.noCA && !test.plain {
				e.endpoint.CAData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			}
			e.checkWay(t.Context())
			var got []string
			for _, f := range e.report.Findings {
				got = append(got, f.Check+" "+string(f.Severity))
				if f.Severity == Error && f.Repair == "" {
					t.Errorf("nothing repairs %+v", f)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if last := e.report.Findings[len(e.report.Findings)-1].Message; !strings.Contains(last, test.last) {
				t.Errorf("the last finding is %q", last)
			}
		})
	}
}

func TestManagerIsComparedWithWhatIsSeenFromHere(t *testing.T) {
	reachable := func(status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.Reachable, Status: status, Reason: reason, Message: "because"}
	}
	tests := map[string]struct {
		manager []metav1.Condition
		here    metav1.Condition
		want    Severity
		message string
	}{
		"no manager at all": {nil, reachable(metav1.ConditionTrue, "Answering"), Error, "no manager has reported on this cluster"},
		"both see it fail":  {[]metav1.Condition{reachable(metav1.ConditionFalse, "Timeout")}, reachable(metav1.ConditionFalse, "Timeout"), "", ""},
		"only the manager sees it fail": {[]metav1.Condition{reachable(metav1.ConditionFalse, "Timeout")}, reachable(metav1.ConditionTrue, "Answering"), Error,
			"it reports Reachable as False (Timeout): because; from here it is fine, so look at the manager's own way to the cluster"},
		"only we see it fail": {[]metav1.Condition{reachable(metav1.ConditionTrue, "Answering")}, reachable(metav1.ConditionFalse, "Timeout"), Warning,
			"it reports Reachable as True (Answering)"},
		"the manager stays at the old address": {[]metav1.Condition{reachable(metav1.ConditionTrue, v1alpha1.ReasonAddressUnproven)}, reachable(metav1.ConditionUnknown, "NotProbed"), Error,
			"spec.server is https://new, but the manager's connection is not there: because"},
		"both see it well": {[]metav1.Condition{reachable(metav1.ConditionTrue, "Answering"), {Type: v1alpha1.Ready, Status: metav1.ConditionTrue}},
			reachable(metav1.ConditionTrue, "Answering"), OK, "it reports the cluster as Ready"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
			rc.Spec.Server, rc.Status.Conditions = "https://new", test.manager
			e := &examination{Patient: Patient{Cluster: rc}, linked: true, state: connection.State{Conditions: []metav1.Condition{test.here}}}
			e.checkManager()
			if test.want == "" {
				if len(e.report.Findings) > 0 {
					t.Errorf("found %+v", e.report.Findings)
				}
				return
			}
			if got := e.report.Findings[0]; got.Severity != OK && got.Repair == "" {
				t.Errorf("nothing repairs %+v", got)
			}
			if got := e.report.Findings[0]; got.Severity != test.want || !strings.HasPrefix(got.Message, test.message) {
				t.Errorf("got %+v, want %s: %s", got, test.want, test.message)
			}
		})
	}
}

// A credential that is in the way is told of once, as what it is, and only the one in use is judged.
func TestACredentialIsJudgedOnce(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	garbage := credential.NewToken("garbage", "new")
	kept := credential.NewToken(jwt(now.Add(-time.Hour), now.Add(23*time.Hour)), "old")
	refused := metav1.Condition{Type: v1alpha1.CredentialFresh, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonInputRefused, Message: "the connection goes on with the credential that it has: refused (401). Repair it: hawser join"}
	late := metav1.Condition{Type: v1alpha1.CredentialFresh, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonRenewalFailed, Message: "forbidden"}
	ready := metav1.Condition{Type: v1alpha1.Ready, Status: metav1.ConditionTrue}
	tests := map[string]struct {
		credentials []credential.Credential
		state       connection.State
		manager     []metav1.Condition
		want        []string // "check severity: part of the message"
	}{
		"rubbish, while another works": {
			[]credential.Credential{garbage, kept},
			connection.State{Subject: "someone", ExpiresAt: kept.ExpiresAt, Conditions: []metav1.Condition{refused}}, []metav1.Condition{refused, ready},
			[]string{`credential error: what is in Secret "hawser-cluster-alpha" is of no use: the connection goes on with the credential that it has: refused (401)`, "expiry ok: the credential of someone is good until", "manager ok: it reports the cluster as Ready"},
		},
		"rubbish alone": {
			[]credential.Credential{garbage}, connection.State{}, []metav1.Condition{{Type: v1alpha1.Ready, Status: metav1.ConditionTrue}},
			[]string{"expiry warning: the credential never expires", "manager ok: it reports"},
		},
		"a fault that only the manager knows": {
			[]credential.Credential{kept}, connection.State{Subject: "someone", ExpiresAt: kept.ExpiresAt}, []metav1.Condition{late, ready},
			[]string{"expiry ok: the credential of someone", "manager error: it reports CredentialFresh as False (RenewalFailed): forbidden"},
		},
		"a refused input that only the manager knows": {
			[]credential.Credential{kept}, connection.State{Subject: "someone", ExpiresAt: kept.ExpiresAt}, []metav1.Condition{refused, ready},
			[]string{"expiry ok: the credential of someone", "manager error: it reports CredentialFresh as False (InputRefused): the connection goes on with the credential that it has: refused (401)"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}, Spec: v1alpha1.RemoteClusterSpec{Auth: v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}}}
			rc.Status.Conditions = tt.manager
			e := &examination{Patient: Patient{Cluster: rc}, Surroundings: Surroundings{Clock: clocktesting.NewFakeClock(now)}, credentials: tt.credentials, state: tt.state, linked: true}
			e.checkInUse()
			e.checkManager()
			if len(e.report.Findings) != len(tt.want) {
				t.Fatalf("%d findings, want %d: %+v", len(e.report.Findings), len(tt.want), e.report.Findings)
			}
			for i, f := range e.report.Findings {
				if got := fmt.Sprintf("%s %s: %s", f.Check, f.Severity, f.Message); !strings.HasPrefix(got, tt.want[i]) {
					t.Errorf("finding %d is %q, want %q", i, got, tt.want[i])
				}
				if f.Severity == Error && f.Repair == "" {
					t.Errorf("nothing repairs %+v", f)
				}
			}
		})
	}
}

func TestExamineShowsNoCredentialWhereTheWayIsWrong(t *testing.T) {
	var shown bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = shown || r.Header.Get("Authorization") != ""
		fmt.Fprint(w, "<h1>welcome</h1>")
	}))
	defer server.Close()
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}
	rc.Spec.Server = server.URL
	rc.Spec.CAData = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	rc.Spec.Auth.Type = v1alpha1.AuthBearerToken
	token := credential.NewToken(jwt(time.Now(), time.Now().Add(time.Hour)), "")
	report := Examine(t.Context(), Patient{Cluster: rc, Source: source{token}}, Surroundings{Clock: clock.RealClock{}, Local: "primary"})
	if shown {
		t.Error("a server that is not Kubernetes was shown the credential")
	}
	if report.Count(Error) == 0 {
		t.Errorf("no error: %+v", report)
	}
}

func TestABuildFromAWorkTreeIsOfNoOtherVersion(t *testing.T) {
	tests := map[string]struct {
		there, here string
		want        Severity
	}{
		"two releases":                         {"v0.1.0", "v0.2.0", Warning},
		"the same release":                     {"v0.2.0", "v0.2.0", OK},
		"a manager from a work tree":           {"v0.1.0", "devel", OK},
		"a member install from a work tree":    {"devel", "v0.2.0", OK},
		"a manager whose version is not known": {"v0.1.0", "", OK},
		"no member install":                    {"", "v0.2.0", Warning},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := &examination{
				Patient:      Patient{Cluster: &v1alpha1.RemoteCluster{}},
				Surroundings: Surroundings{ManagerVersion: test.here, Local: "hub"},
				state:        connection.State{KubernetesVersion: "v1.36.3", MemberVersion: test.there},
			}
			e.tellVersions()
			nobody := &examination{Patient: e.Patient, state: connection.State{KubernetesVersion: "v1.36.3"}}
			if nobody.tellVersions(); nobody.report.Count(Warning) > 0 { // before the manager's first run
				t.Errorf("without the name of the local cluster it finds %+v", nobody.report.Findings)
			}
			if got := e.report.Findings[len(e.report.Findings)-1]; got.Severity != test.want {
				t.Errorf("want %v, got %+v", test.want, got)
			}
		})
	}
}

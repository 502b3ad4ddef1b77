package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/doctor"
	"github.com/hawser-io/hawser/internal/cli/install"
	"github.com/hawser-io/hawser/member"
)

// installControllers applies in a cluster what an operator would, and returns the admin there.
func installControllers(t *testing.T, name string) *cluster {
	t.Helper()
	manifests := runWith(t, nil, "hawser", "member", "manifests", "--controllers", "--gate")
	if manifests.Code != exitOK {
		t.Fatal(manifests.Err)
	}
	if err := fleettest.Use(t, name).Apply(t.Context(), []byte(manifests.Out)); err != nil {
		t.Fatal(err)
	}
	return asAdmin(t, name)
}

// openGate runs the member controllers and the gate of a cluster, under the roles that we ship, until the test ends.
func openGate(t *testing.T, c *fleettest.Cluster) (url, caFile string) {
	t.Helper()
	runIn(t, c, member.ControllersServiceAccount, "member", "controllers", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	fleettest.Eventually(t, patience, func() error {
		if run, err := install.ControllersRun(t.Context(), asAdmin(t, c.Name).Client, time.Now()); err != nil || !run {
			return fmt.Errorf("the member controllers do not run yet: %w", err)
		}
		return nil
	})
	ca, certFile, keyFile := servingCertificate(t)
	gate := runIn(t, c, v1alpha1.GateServiceAccount, "gate", "--tls-cert-file", certFile, "--tls-private-key-file", keyFile,
		"--bind-address", "127.0.0.1:0", "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	var said map[string]any
	fleettest.Eventually(t, patience, func() (err error) {
		said, err = gate.line("exchanging tokens")
		return err
	})
	caFile = filepath.Join(t.TempDir(), "gate.pem")
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return "https://" + fmt.Sprint(said["address"]) + "/token", caFile
}

func TestJoinOIDCThroughAGateMovesAndComesBack(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	there, beta := installControllers(t, "beta"), fleettest.Use(t, "beta")
	before := d.run("join", "prod", "--remote-context", "beta", "--auth", "oidc", "--gate-url", "https://127.0.0.1:1/token")
	if before.Code == exitOK || !strings.Contains(before.Err, "they do not run there") {
		t.Errorf("without controllers: exit code %d: %s", before.Code, before.Err)
	}
	url, caFile := openGate(t, beta)
	t.Cleanup(d.removeClusters)
	d.must("join", "prod", "--remote-context", "beta")
	link, err := d.links.Get("prod")
	if err != nil {
		t.Fatal(err)
	}

	args := []string{"join", "prod", "--remote-context", "beta", "--auth", "oidc", "--gate-url", url, "--gate-ca-file", caFile}
	plan := d.must(append(args, "--dry-run")...)
	wantText(t, "the plan", plan.Out, "kind: TrustedIssuer\n", "kind: AccessGrant\n", "prefix: '"+d.local+":'\n", "subject: system:serviceaccount:hawser:hawser\n", "- hawser-connect\n", "type: oidc\n", "Tokens are exchanged at "+url)
	if strings.Contains(plan.Out, "kind: Secret") || strings.Contains(plan.Out, "kind: ClusterRoleBinding") {
		t.Errorf("the plan stores or binds something:\n%s", plan.Out)
	}
	fleettest.Eventually(t, patience, func() error {
		got := d.runCtx(t.Context(), args...)
		if got.Code != exitOK {
			return fmt.Errorf("exit code %d\n%s%s", got.Code, got.Out, got.Err)
		}
		wantText(t, "the move", got.Out, `TrustedIssuer "`+d.local+`"`, `AccessGrant "hawser-from-`+d.local+`"`, `cluster "prod" is Ready`)
		return nil
	})
	if got := d.get("prod").Status.Credential.Subject; !strings.HasPrefix(got, "system:serviceaccount:hawser-grants:hawser-from-"+d.local+"-") {
		t.Errorf("the connection is %s", got)
	}
	if stored := d.stored("prod"); len(stored) > 0 {
		t.Errorf("there are Secrets: %v", stored)
	}
	if now, err := d.links.Get("prod"); err != nil || now != link {
		t.Error("the connection was replaced on the way")
	}
	var bindings rbacv1.ClusterRoleBindingList
	if err := there.Client.List(t.Context(), &bindings, client.MatchingLabels{v1alpha1.LocalClusterLabel: d.local}); err != nil || len(bindings.Items) > 0 {
		t.Errorf("the old identity is bound by %d bindings (%v)", len(bindings.Items), err)
	}
	if report, code := d.examine("prod", "--remote-context", "beta"); code != exitOK || find(report, "grant", doctor.OK) == nil {
		t.Errorf("a good connection: exit code %d: %+v", code, report)
	}
	again := d.must(args...)
	wantText(t, "the second join", again.Out, "In the remote cluster: nothing to change\n", "In the local cluster: nothing to change\n")

	if got := d.run("revoke", "prod"); got.Code != exitUsage || !strings.Contains(got.Err, "--remote-context") {
		t.Errorf("revoking by nobody's right: %d %s", got.Code, got.Err)
	}
	cut := d.must("revoke", "prod", "--remote-context", "beta")
	wantText(t, "the revocation", cut.Out, `deleted  AccessGrant "hawser-from-`+d.local+`"`, `cluster "prod" refuses the credential, `)
	report, _ := d.examine("prod")
	if f := find(report, "credential", doctor.Error); f == nil || !strings.Contains(f.Message, "kubectl --context CONTEXT -n hawser logs deploy/hawser-gate") ||
		!strings.Contains(f.Repair, "hawser check prod --remote-context CONTEXT") || strings.Contains(f.Repair, "member manifests") {
		t.Errorf("without the grant it finds %+v", report)
	}
	report, _ = d.examine("prod", "--remote-context", "beta")
	if f := find(report, "grant", doctor.Error); f == nil || !strings.Contains(f.Message, `there is no AccessGrant "hawser-from-`+d.local+`"`) ||
		!strings.Contains(f.Repair, "hawser join prod --remote-context beta") {
		t.Errorf("over there it finds %+v", report)
	}
	d.must("join", "prod", "--remote-context", "beta")
	if got := d.get("prod").Spec.Auth; got.Type != v1alpha1.AuthOIDC || got.OIDC.Exchange.URL != url {
		t.Errorf("a repair changed auth to %+v", got)
	}

	d.must("join", "prod", "--remote-context", "beta", "--auth", "bearerToken")
	if err := there.Client.Get(t.Context(), client.ObjectKey{Name: d.local}, &v1alpha1.TrustedIssuer{}); !apierrors.IsNotFound(err) {
		t.Errorf("the issuer is still trusted: %v", err)
	}
	d.must("leave", "prod", "--remote-context", "beta")
}

func TestLeaveTakesTheTrustBack(t *testing.T) {
	there, beta := installControllers(t, "beta"), fleettest.Use(t, "beta")
	d := newDesk(t)
	url, caFile := openGate(t, beta)
	t.Cleanup(d.removeClusters)
	d.must("join", "prod", "--remote-context", "beta", "--auth", "oidc", "--gate-url", url, "--gate-ca-file", caFile, "--capabilities", "endpoints")
	var g v1alpha1.AccessGrant
	if err := there.Client.Get(t.Context(), client.ObjectKey{Name: "hawser-from-" + d.local}, &g); err != nil || len(g.Spec.ClusterRoles) != 2 {
		t.Errorf("the grant has the roles %v (%v)", g.Spec.ClusterRoles, err)
	}
	left := d.must("leave", "prod", "--remote-context", "beta")
	wantText(t, "leave", left.Out, `deleted  AccessGrant "hawser-from-`+d.local+`"`, `deleted  TrustedIssuer "`+d.local+`"`, `deleted  Namespace "hawser-from-`+d.local+`"`)
	fleettest.Eventually(t, patience, func() error {
		if err := there.Client.Get(t.Context(), client.ObjectKeyFromObject(&g), &g); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the grant is still there: %w", err)
		}
		return nil
	})
}

func TestJoinOIDCWithoutAGateSaysWhatTheAPIServerNeeds(t *testing.T) {
	installControllers(t, "beta")
	d := newDesk(t)
	plan := d.must("join", "prod", "--remote-context", "beta", "--auth", "oidc", "--dry-run")
	primary := fleettest.Use(t, "primary")
	wantText(t, "the plan", plan.Out, "url: "+primary.Server+"\n", "hawser trust render", `jwks: '{"keys":`)
	if strings.Contains(plan.Out, "exchange:") {
		t.Errorf("there is a gate in the plan:\n%s", plan.Out)
	}
	fetched := d.must("join", "prod", "--remote-context", "beta", "--auth", "oidc", "--dry-run", "--issuer-keys", "fetched")
	if strings.Contains(fetched.Out, "jwks") {
		t.Errorf("there are keys in the plan:\n%s", fetched.Out)
	}

	// What somebody else wrote about the issuer is used, or named where it is in the way.
	there := asAdmin(t, "beta")
	other := &v1alpha1.TrustedIssuer{Spec: v1alpha1.TrustedIssuerSpec{URL: primary.Server, Prefix: "by-hand:", Audiences: []string{"another"}, JWKS: keysOf(t, primary)}}
	other.Name = "by-hand"
	if err := there.Client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deleteAndWait(t, there.Client, other) })
	got := d.run("join", "prod", "--remote-context", "beta", "--auth", "oidc", "--dry-run")
	if got.Code != exitFailed || !strings.Contains(got.Err, `TrustedIssuer "by-hand" of the remote cluster trusts this one's issuer already, but not for the audience`) {
		t.Errorf("exit code %d: %s", got.Code, got.Err)
	}
	other.Spec.Audiences = nil
	if err := there.Client.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	plan = d.must("join", "prod", "--remote-context", "beta", "--auth", "oidc", "--dry-run")
	wantText(t, "the plan", plan.Out, "name: by-hand\n", `by TrustedIssuer "by-hand"`)
	if strings.Contains(plan.Out, "kind: TrustedIssuer") {
		t.Errorf("a second TrustedIssuer is made:\n%s", plan.Out)
	}
}

func TestJoinOIDCRefusesWhatMakesNoSense(t *testing.T) {
	o := newOffice(t)
	tests := map[string]struct {
		args []string
		want string
	}{
		"a gate for a token":     {[]string{"--auth", "bearerToken", "--gate-url", "https://gate/token"}, "--gate-url is only for --auth oidc"},
		"a gate without TLS":     {[]string{"--auth", "oidc", "--gate-url", "http://gate/token"}, "must be https://"},
		"a CA without a gate":    {[]string{"--auth", "oidc", "--gate-ca-file", "ca.pem"}, "--gate-ca-file is only for --gate-url"},
		"a lifetime":             {[]string{"--auth", "oidc", "--lifetime", "2h"}, "--lifetime is not for --auth oidc"},
		"keys from nowhere":      {[]string{"--auth", "oidc", "--issuer-keys", "guess"}, "there is only auto, inline and fetched"},
		"a region for an issuer": {[]string{"--auth", "oidc", "--region", "eu-north-1"}, "--region is only for --auth eks"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := o.run(append([]string{"join", "new", "--remote-context", "beta"}, test.args...)...)
			if got.Code == exitOK || !strings.Contains(got.Err, test.want) {
				t.Errorf("exit code %d: %s", got.Code, got.Err)
			}
		})
	}
}

func TestAGrantIsNamedAfterTheLocalCluster(t *testing.T) {
	long := strings.Repeat("x", 50)
	for local, want := range map[string]string{"hub": "hawser-from-hub", long: "hawser-from-" + strings.Repeat("x", 29) + "-"} {
		if got := grantName(local); !strings.HasPrefix(got, want) || len(got) > maxGrantName {
			t.Errorf("the grant of %s is %s", local, got)
		}
	}
	if grantName(long) == grantName(long[:49]+"y") {
		t.Error("two local clusters have one grant")
	}
	if prefixOf("hub") != "hub:" || prefixOf("system") != "cluster-system:" {
		t.Error("a prefix is one that Kubernetes keeps for itself")
	}
}

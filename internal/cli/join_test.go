package cli

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// memberNamespace reads the connection's namespace in a remote cluster.
func (d *desk) memberNamespace(remote string) error {
	var ns corev1.Namespace
	return asAdmin(d.t, remote).Client.Get(d.t.Context(), client.ObjectKey{Name: v1alpha1.MemberNamespace(d.local)}, &ns)
}

func TestJoinDryRunPrintsEverythingAndChangesNothing(t *testing.T) {
	d := newDesk(t)
	got := d.must("join", "alpha", "--remote-context", "alpha", "--dry-run", "--capabilities", "endpoints", "--endpoint-cidrs", "10.4.0.0/16")
	wantText(t, "the plan", got.Out, "  endpointCIDRs:\n  - 10.4.0.0/16\n",
		"# In the remote cluster ", "kind: ValidatingAdmissionPolicy\n", "name: hawser-from-"+d.local+"\n",
		"# In the local cluster \""+d.local+"\".", "bearerToken: '[redacted]'", "kind: RemoteCluster\n", "clusterID: ")
	if err := d.memberNamespace("alpha"); !apierrors.IsNotFound(err) {
		t.Errorf("the remote cluster was changed: %v", err)
	}
	if got := d.run("clusters", "alpha"); got.Code != exitFailed {
		t.Errorf("the local cluster was changed: %s", got.Out)
	}
}

func TestJoinCanBeRepeatedAndUndone(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	first := d.must("join", "alpha", "--remote-context", "alpha", "--capabilities", "endpoints", "--endpoint-cidrs", "10.4.0.0/16", "--endpoint-cidrs", "fd04::/64,10.4.0.0/16")
	wantText(t, "the first join", first.Out,
		`created  Namespace "hawser-from-`+d.local+`"`, `created  ServiceAccount "hawser" in namespace "hawser-from-`+d.local+`"`,
		`created  Secret "hawser-cluster-alpha" in namespace "hawser"`, `created  RemoteCluster "alpha"`, `cluster "alpha" is Ready`)
	secret := d.secret("hawser-cluster-alpha")
	for label, want := range map[string]string{v1alpha1.CredentialsLabel: "true", v1alpha1.ManagedByLabel: "hawser", v1alpha1.RemoteClusterLabel: "alpha"} {
		if secret.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, secret.Labels[label], want)
		}
	}
	rc := d.get("alpha")
	if rc.Spec.ClusterID == "" || rc.Spec.ClusterID != rc.Status.ClusterID {
		t.Errorf("pinned %q, found %q", rc.Spec.ClusterID, rc.Status.ClusterID)
	}

	second := d.must("join", "alpha", "--remote-context", "alpha")
	wantText(t, "the second join", second.Out, "In the remote cluster: nothing to change\nIn the local cluster: nothing to change\n")
	if got := d.get("alpha").Spec.EndpointCIDRs; !slices.Equal(got, []string{"10.4.0.0/16", "fd04::/64"}) {
		t.Errorf("after it, endpointCIDRs are %q", got)
	}
	other := d.must("join", "alpha", "--remote-context", "alpha", "--endpoint-cidrs", "10.5.0.0/16")
	wantText(t, "a join with another range", other.Out, `changed  RemoteCluster "alpha" (endpointCIDRs)`)
	d.must("join", "alpha", "--remote-context", "alpha", "--endpoint-cidrs", "")
	if got := d.get("alpha").Spec.EndpointCIDRs; len(got) > 0 {
		t.Errorf("after a join with none, endpointCIDRs are %q", got)
	}
	bare := d.run("join", "alpha", "--remote-context", "alpha", "--capabilities", "connect", "--endpoint-cidrs", "10.4.0.0/16")
	if bare.Code != exitUsage || !strings.Contains(bare.Err, "--endpoint-cidrs is only for clusters with the capability: add --capabilities endpoints") {
		t.Errorf("ranges without the capability: %d %s", bare.Code, bare.Err)
	}

	narrower := d.must("join", "alpha", "--remote-context", "alpha", "--capabilities", "connect")
	wantText(t, "a narrower join", narrower.Out, `deleted  ClusterRoleBinding "hawser-endpoints-from-`+d.local+`"`, `changed  RemoteCluster "alpha" (capabilities)`)

	if got := d.run("join", "alpha", "--remote-context", "beta"); got.Code != exitFailed || !strings.Contains(got.Err, "--replace") {
		t.Errorf("joining another cluster under the name: %d %s", got.Code, got.Err)
	}
	if got := d.run("join", "other", "--remote-context", "primary"); got.Code != exitFailed || !strings.Contains(got.Err, "the local cluster itself") {
		t.Errorf("joining the local cluster: %d %s", got.Code, got.Err)
	}

	left := d.must("leave", "alpha")
	wantText(t, "leave", left.Err, `ClusterRole "hawser-connect"`, `ValidatingAdmissionPolicy "hawser-token-lifetime"`, "hawser leave alpha --local-name "+d.local+" --remote-context CONTEXT")
	if got := d.run("clusters", "alpha"); got.Code != exitFailed {
		t.Error("the RemoteCluster is still there")
	}
	eventually(t, func() bool { return apierrors.IsNotFound(d.memberNamespace("alpha")) })
	d.must("leave", "alpha", "--remote-context", "alpha")
}

func TestJoinRepairsADeadCredential(t *testing.T) {
	d := newDeskIn(t, homes.Take(t))
	d.must("join", "alpha", "--remote-context", "alpha")
	before := d.secret("hawser-cluster-alpha")
	d.must("revoke", "alpha")
	d.must("join", "alpha", "--remote-context", "alpha")
	if after := d.secret("hawser-cluster-alpha"); string(after.Data[v1alpha1.BearerTokenKey]) == string(before.Data[v1alpha1.BearerTokenKey]) {
		t.Error("the dead token is still in the Secret")
	}
	if _, revoked := d.get("alpha").Annotations[v1alpha1.RevokedAnnotation]; revoked {
		t.Error("it is still marked as revoked")
	}
}

func TestJoinMovesAClusterFromOneCredentialToAnotherInPlace(t *testing.T) {
	d := newDesk(t)
	d.must("join", "alpha", "--remote-context", "alpha", "--auth", "kubeconfig")
	link, err := d.links.Get("alpha")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ auth, key, subject string }{
		{"bearerToken", v1alpha1.BearerTokenKey, "system:serviceaccount:hawser-from-" + d.local + ":hawser"},
		{"mtls", v1alpha1.TLSCertKey, "hawser:from:" + d.local},
		{"kubeconfig", v1alpha1.DefaultKubeconfigKey, "system:serviceaccount:hawser-from-" + d.local + ":hawser"},
	} {
		d.must("join", "alpha", "--remote-context", "alpha", "--auth", step.auth)
		if got := string(d.get("alpha").Spec.Auth.Type); got != step.auth {
			t.Errorf("auth.type is %s, want %s", got, step.auth)
		}
		if got := d.get("alpha").Status.Credential.Subject; got != step.subject {
			t.Errorf("with %s the subject is %s, want %s", step.auth, got, step.subject)
		}
		if data := d.secret("hawser-cluster-alpha").Data; len(data[step.key]) == 0 || (step.auth != "mtls" && len(data) != 1) {
			t.Errorf("with %s the Secret does not hold what belongs into it alone", step.auth)
		}
	}
	if now, err := d.links.Get("alpha"); err != nil || now != link {
		t.Error("the connection was replaced on the way")
	}
}

func TestJoinLeavesWhatIsSomebodyElses(t *testing.T) {
	d := newDesk(t)
	foreign := &corev1.Secret{}
	foreign.Namespace, foreign.Name = v1alpha1.Namespace, v1alpha1.InputSecretName("beta")
	foreign.Labels = map[string]string{v1alpha1.ManagedByLabel: "flux"}
	if err := d.here.Client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.here.Client.Delete(t.Context(), foreign) })
	got := d.run("join", "beta", "--remote-context", "beta")
	if got.Code != exitFailed || !strings.Contains(got.Err, `is somebody else's (app.kubernetes.io/managed-by: "flux")`) {
		t.Errorf("code %d: %s", got.Code, got.Err)
	}
	d.must("leave", "beta", "--remote-context", "beta")
	if s := d.secret(foreign.Name); s.Labels[v1alpha1.ManagedByLabel] != "flux" {
		t.Error("the Secret was changed")
	}
}

func TestRotatePutsANewCredentialInUse(t *testing.T) {
	d := newDesk(t)
	d.must("join", "alpha", "--remote-context", "alpha")
	before := d.get("alpha").Status.Credential
	got := d.must("rotate", "alpha")
	wantText(t, "rotate", got.Out, `cluster "alpha" has a new credential after `, "the old one ")
	if after := d.get("alpha").Status.Credential; sameCredential(before, after) {
		t.Error("the credential is the old one")
	}
}

func TestWatchShowsAClusterJoinBecomeReadyAndLeave(t *testing.T) {
	d := newDesk(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan outcome, 1)
	go func() { ended <- d.runCtx(ctx, "clusters", "-w") }()
	d.must("join", "alpha", "--remote-context", "alpha")
	d.must("leave", "alpha")
	// The watch is asynchronous: give it the time of one more command.
	d.must("member", "manifests", "--local", d.local)
	cancel()
	got := <-ended
	if got.Code != exitOK {
		t.Errorf("exit code %d: %s", got.Code, got.Err)
	}
	for _, row := range []string{`(?m)^NAME +READY `, `(?m)^alpha +True +bearerToken +v1\.36\.3 +in 23h .* Connected$`, `(?m)^alpha +False .* Deleted$`} {
		if !regexp.MustCompile(row).MatchString(got.Out) {
			t.Errorf("no row %s:\n%s", row, got.Out)
		}
	}
}

package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/cli/doctor"
	"github.com/hawser-io/hawser/internal/manager"
)

// examine runs hawser check -o json on one cluster.
func (d *desk) examine(name string, more ...string) (doctor.Report, int) {
	d.t.Helper()
	got := d.run(append([]string{"check", name, "-o", "json"}, more...)...)
	var reports []doctor.Report
	if err := json.Unmarshal([]byte(got.Out), &reports); err != nil || len(reports) != 1 {
		d.t.Fatalf("reading the reports: %v", err)
	}
	for _, f := range reports[0].Findings {
		if (f.Severity == doctor.Error || f.Severity == doctor.Warning) && f.Repair == "" {
			d.t.Errorf("nothing is said that repairs %+v", f)
		}
	}
	return reports[0], got.Code
}

func find(r doctor.Report, check string, severity doctor.Severity) *doctor.Finding {
	for i := range r.Findings {
		if r.Findings[i].Check == check && r.Findings[i].Severity == severity {
			return &r.Findings[i]
		}
	}
	return nil
}

func TestCheckFindsNothingWrongWithAGoodConnection(t *testing.T) {
	d := newDesk(t)
	d.must("join", "alpha", "--remote-context", "alpha")
	report, code := d.examine("alpha")
	if code != exitOK || report.Count(doctor.Error)+report.Count(doctor.Warning) > 0 {
		t.Errorf("exit code %d: %+v", code, report)
	}
	for _, check := range []string{"spec", "expiry", "dns", "tcp", "tls", "clock", "kubernetes", "identity", "pin", "verbs", "versions", "manager"} {
		if find(report, check, doctor.OK) == nil {
			t.Errorf("nothing is said about %s", check)
		}
	}
}

func TestCheckFindsEachFaultAndItsRepair(t *testing.T) {
	d := newDesk(t)
	alpha := fleettest.Use(t, "alpha")
	proxy, stranger := alpha.HTTPProxy(t), fleettest.NewStranger(t)
	d.must("join", "alpha", "--remote-context", "alpha", "--server", proxy.URL)
	secret := d.secret("hawser-cluster-alpha")

	spec := func(change func(*v1alpha1.RemoteClusterSpec)) func() {
		return func() {
			rc := d.get("alpha")
			before := rc.DeepCopy()
			change(&rc.Spec)
			if err := d.here.Client.Patch(t.Context(), rc, client.MergeFrom(before)); err != nil {
				t.Fatal(err)
			}
		}
	}
	original := d.get("alpha").Spec
	putBack := spec(func(s *v1alpha1.RemoteClusterSpec) { *s = original })
	putSecretBack := func() {
		now := secret.DeepCopy()
		now.ResourceVersion, now.UID = "", ""
		_ = d.here.Client.Delete(t.Context(), now)
		if err := d.here.Client.Create(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "hawser-connect-from-" + d.local}}
	tests := []struct {
		name         string
		spoil, mend  func()
		check        string
		severity     doctor.Severity
		what, repair string
	}{
		{"a server that is gone", proxy.Cut, proxy.Restore,
			"tcp", doctor.Error, "connection refused", "nc -vz 127.0.0.1"},
		{"a clock that is off", func() { proxy.ShiftDate(-5 * 60e9) }, proxy.RestoreHTTP,
			"clock", doctor.Error, "behind the one here", "chronyc"},
		{"a server that fails", func() { proxy.Fail(503, nil) }, proxy.RestoreHTTP,
			"kubernetes", doctor.Error, "503", "its logs"},
		{"a name that does not exist", spec(func(s *v1alpha1.RemoteClusterSpec) { s.Server = "https://nowhere.invalid:6443" }), putBack,
			"dns", doctor.Error, "nowhere.invalid", `kubectl patch remotecluster alpha --type merge -p '{"spec":{"server":`},
		{"a certificate for another name", spec(func(s *v1alpha1.RemoteClusterSpec) { s.TLSServerName = "other.example" }), putBack,
			"tls", doctor.Error, "not for other.example", `{"spec":{"tlsServerName":"`},
		{"a server that is a stranger", spec(func(s *v1alpha1.RemoteClusterSpec) { s.Server = stranger.URL }), putBack,
			"tls", doctor.Error, "which is not in caData", "hawser join alpha --remote-context CONTEXT"},
		{"a proxy that is no URL with a server", spec(func(s *v1alpha1.RemoteClusterSpec) { s.ProxyURL = "http://127.0.0.1:1" }), putBack,
			"proxy", doctor.Error, "connection refused", "nc -vz 127.0.0.1 1"},
		{"another cluster behind the name", spec(func(s *v1alpha1.RemoteClusterSpec) { s.ClusterID = "another" }), putBack,
			"pin", doctor.Error, "another is pinned", "kubectl edit remotecluster alpha"},
		{"a disabled cluster", spec(func(s *v1alpha1.RemoteClusterSpec) { s.Disabled = true }), putBack,
			"spec", doctor.Warning, "is disabled", `{"spec":{"disabled":false}}`},
		{"a Secret without its label", func() {
			now := d.secret(secret.Name)
			delete(now.Labels, v1alpha1.CredentialsLabel)
			if err := d.here.Client.Update(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}, putSecretBack,
			"credential", doctor.Error, "has no label", "kubectl -n hawser label secret hawser-cluster-alpha hawser.io/remote-cluster-credentials=true"},
		{"a Secret that is missing", func() { _ = d.here.Client.Delete(t.Context(), secret.DeepCopy()) }, putSecretBack,
			"credential", doctor.Error, "is missing", "hawser join alpha --remote-context CONTEXT"},
		{"a right that is missing", func() { _ = asAdmin(t, "alpha").Client.Delete(t.Context(), binding) },
			func() { d.must("join", "alpha", "--remote-context", "alpha", "--server", proxy.URL) },
			"verbs", doctor.Error, `may not get namespaces "kube-system"`, "hawser join alpha --remote-context CONTEXT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.spoil()
			defer test.mend()
			report, code := d.examine("alpha")
			found := find(report, test.check, test.severity)
			if found == nil {
				t.Fatalf("no %s about %s: %+v", test.severity, test.check, report)
			}
			wantText(t, "the finding", found.Message, test.what)
			wantText(t, "the repair", found.Repair, test.repair)
			if (code == exitFailed) != (report.Count(doctor.Error) > 0) {
				t.Errorf("exit code %d", code)
			}
		})
	}
	if heard := string(stranger.Sent()); strings.Contains(heard, "Bearer") || strings.Contains(heard, "eyJ") {
		t.Error("the stranger was shown a credential")
	}
}

func TestCheckWarnsOfTwoNamesForOneCluster(t *testing.T) {
	d := newDesk(t)
	d.must("join", "alpha", "--remote-context", "alpha")
	twin := d.run("join", "alef", "--remote-context", "alpha")
	wantText(t, "join", twin.Err, "is joined already, under the name \"alpha\"")
	report, code := d.examine("alpha")
	found := find(report, "duplicate", doctor.Warning)
	if found == nil || !strings.Contains(found.Message, "alef") || code != exitOK {
		t.Errorf("exit code %d: %+v", code, report)
	}

	// Leaving one of them, by whichever rights, leaves the member install to the other.
	left := d.must("leave", "alef", "--remote-context", "alpha")
	wantText(t, "leave", left.Err, `The member install stays: RemoteCluster "alpha" is the same cluster`)
	if _, code := d.examine("alpha"); code != exitOK {
		t.Errorf("after the other has left, check ends with %d", code)
	}
}

// What the manager says of connections is old once it is away.
func TestCheckFindsAManagerThatIsAway(t *testing.T) {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}, Spec: v1alpha1.RemoteClusterSpec{Server: "https://127.0.0.1:1", Auth: v1alpha1.Auth{Type: v1alpha1.AuthBearerToken}}}
	for ago, away := range map[time.Duration]bool{20 * time.Second: false, 45 * time.Second: true} {
		got := runAlone(t, []client.Object{rc, managerConfigMap(), lease(manager.LeaderLease, "hawser-0_a", ago)}, "hawser", "check", "alpha")
		if strings.Contains(got.Out, "it does not run: it last renewed its Lease at") != away {
			t.Errorf("seen %s ago: %s", ago, got.Out)
		}
	}
}

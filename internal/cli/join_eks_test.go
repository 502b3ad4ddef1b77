package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

// newEKSDesk is a desk beside an EKS cluster that cluster beta plays, with an AWSIdentity for it.
func newEKSDesk(t *testing.T) (*desk, *sky) {
	t.Helper()
	s := newSky(t, awstest.Options{})
	s.cluster.ServeBy(t, "beta")
	d := newDesk(t)
	for _, id := range []client.Object{s.identity(), s.reader()} {
		if err := d.here.Client.Create(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the manager lets go of it when nothing names it any more
			d.removeClusters()
			_ = d.here.Client.Delete(context.Background(), id)
			eventually(t, func() bool {
				return apierrors.IsNotFound(d.here.Client.Get(context.Background(), client.ObjectKeyFromObject(id), id))
			})
		})
	}
	return d, s
}

// stored are the Secrets of a cluster.
func (d *desk) stored(cluster string) (names []string) {
	d.t.Helper()
	var list corev1.SecretList
	if err := d.here.Client.List(d.t.Context(), &list, client.InNamespace(v1alpha1.Namespace)); err != nil {
		d.t.Fatal(err)
	}
	for _, secret := range list.Items {
		if strings.HasSuffix(secret.Name, "-"+cluster) {
			names = append(names, secret.Name)
		}
	}
	return names
}

func TestJoinEKSFromNothingAndBack(t *testing.T) {
	d, s := newEKSDesk(t)
	args := []string{"join", "prod", "--remote-context", "beta", "--auth", "eks", "--region", "eu-north-1", "--account", "444455556666",
		"--identity", "staging", "--access-entry", "--profile", "admin"}

	plan := d.must(append(args, "--dry-run")...)
	wantText(t, "the plan", plan.Out, "kind: Group\n", "name: hawser-members\n", "would be created access entry of "+s.role.ARN(), "type: eks\n")
	if strings.Contains(plan.Out, "kind: Secret") || strings.Contains(plan.Out, "kind: ServiceAccount") || len(s.cluster.Entries()) > 0 {
		t.Errorf("the plan stores something, or was carried out:\n%s", plan.Out)
	}

	first := d.must(args...)
	wantText(t, "the first join", first.Out, `created  ClusterRoleBinding "hawser-connect-from-`+d.local+`"`,
		"created  access entry of "+s.role.ARN(), `created  RemoteCluster "prod"`, `cluster "prod" is Ready`)
	if stored := d.stored("prod"); len(stored) > 0 {
		t.Errorf("there are Secrets: %v", stored)
	}
	if got := d.get("prod").Status.Credential.Subject; got != "arn:aws:sts::444455556666:assumed-role/staging/hawser-staging" {
		t.Errorf("the connection is %s", got)
	}
	second := d.must(args...)
	wantText(t, "the second join", second.Out, "In the remote cluster: nothing to change\n", "nothing to change, access entry of", "In the local cluster: nothing to change\n")

	report := d.awsCheck("prod", exitOK, "--profile", "admin")
	wantText(t, "the check", find(report, "hop 1", doctor.Warning).Message, "so that this is about you alone") // admin may not assume the role
	report = d.awsCheck("prod", exitOK)
	for _, check := range []string{"hop 0", "hop 1", "token", "manager"} {
		if find(report, check, doctor.OK) == nil {
			t.Errorf("%s is not ok: %+v", check, report)
		}
	}

	if got := d.run("revoke", "prod"); got.Code != exitFailed && got.Code != exitUsage || !strings.Contains(got.Err, "--access-entry") {
		t.Errorf("revoking by nobody's right: %d %s", got.Code, got.Err)
	}
	cut := d.must("revoke", "prod", "--remote-context", "beta", "--access-entry", "--profile", "admin")
	wantText(t, "the revocation", cut.Out, `deleted  ClusterRoleBinding "hawser-connect-from-`+d.local+`"`, "deleted  access entry", `cluster "prod" refuses the credential, `)
	if len(s.cluster.Entries()) > 0 {
		t.Error("the access entry is still there")
	}
	report = d.awsCheck("prod", exitFailed)
	if f := find(report, "token", doctor.Error); f == nil || f.Repair != "hawser aws grant prod" {
		t.Errorf("the check does not find it: %+v", report)
	}
	d.must(args...)
	left := d.must("leave", "prod", "--remote-context", "beta", "--access-entry", "--profile", "admin")
	wantText(t, "leave", left.Out, `deleted  RemoteCluster "prod"`, "deleted  access entry", `deleted  Namespace "hawser-from-`+d.local+`"`)
}

func TestJoinEKSAsTheAPIDescribesIt(t *testing.T) {
	d, s := newEKSDesk(t)
	// The administrator of the account is one of the cluster, too, by an access entry.
	s.cluster.Entry(s.admin.ARN(), []string{"admins"}, "")
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "eks-admins"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "admins"}},
	}
	beta := asAdmin(t, "beta")
	if err := beta.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = beta.Client.Delete(context.Background(), binding) })

	d.must("join", "prod", "--auth", "eks", "--region", "eu-north-1", "--identity", "staging", "--from-eks", "--access-entry", "--profile", "admin")
	rc := d.get("prod")
	if rc.Spec.Auth.EKS.AccountID != "444455556666" || rc.Spec.Server != beta.Config.Host || rc.Spec.CAData == "" {
		t.Errorf("got %+v", rc.Spec)
	}
	repaired := d.must("join", "prod", "--from-eks", "--profile", "admin")
	wantText(t, "a repair", repaired.Out, "In the local cluster: nothing to change\n")

	left := d.run("leave", "prod")
	if left.Code != exitFailed {
		t.Errorf("exit code %d, want 1: something is left", left.Code)
	}
	wantText(t, "stdout", left.Out, "hawser aws revoke --cluster prod --region eu-north-1 --role "+s.role.ARN()+" --local-name "+d.local)
	wantText(t, "stderr", left.Err, "an identity in AWS has no right to remove itself", "They serve whoever else is in the group hawser-members there.")
	d.must("leave", "prod", "--remote-context", "beta")
}

func TestJoinMovesAClusterToEKSAndBackInPlace(t *testing.T) {
	d, _ := newEKSDesk(t)
	d.must("join", "prod", "--remote-context", "beta")
	link, err := d.links.Get("prod")
	if err != nil {
		t.Fatal(err)
	}
	d.must("join", "prod", "--remote-context", "beta", "--auth", "eks", "--region", "eu-north-1", "--identity", "staging", "--access-entry", "--profile", "admin", "--account", "444455556666")
	if got := d.get("prod").Status.Credential.Subject; got != "arn:aws:sts::444455556666:assumed-role/staging/hawser-staging" {
		t.Errorf("the connection is %s", got)
	}
	if stored := d.stored("prod"); len(stored) > 0 {
		t.Errorf("there are Secrets: %v", stored)
	}
	account := &corev1.ServiceAccount{}
	err = asAdmin(t, "beta").Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.MemberNamespace(d.local), Name: v1alpha1.MemberServiceAccount}, account)
	if !apierrors.IsNotFound(err) {
		t.Errorf("the account that it had is still there: %v", err)
	}
	d.must("join", "prod", "--remote-context", "beta", "--auth", "bearerToken")
	if got := d.get("prod").Status.Credential.Subject; got != "system:serviceaccount:hawser-from-"+d.local+":hawser" {
		t.Errorf("the connection is %s", got)
	}
	if now, err := d.links.Get("prod"); err != nil || now != link {
		t.Error("the connection was replaced on the way")
	}
	var bindings rbacv1.ClusterRoleBindingList
	if err := asAdmin(t, "beta").Client.List(t.Context(), &bindings, client.MatchingLabels{v1alpha1.LocalClusterLabel: d.local}); err != nil {
		t.Fatal(err)
	}
	for _, b := range bindings.Items {
		for _, subject := range b.Subjects {
			if subject.Kind != rbacv1.ServiceAccountKind {
				t.Errorf("%s still has rights by %s", subject.Name, b.Name)
			}
		}
	}
}

// awsCheck runs hawser aws check -o json.
func (d *desk) awsCheck(name string, code int, more ...string) doctor.Report {
	d.t.Helper()
	got := d.run(append([]string{"aws", "check", name, "-o", "json"}, more...)...)
	if got.Code != code {
		d.t.Errorf("exit code %d, want %d", got.Code, code)
	}
	return readReport(d.t, got.Out)
}

func TestJoinEKSRefusesWhatMakesNoSense(t *testing.T) {
	s := newSky(t, awstest.Options{})
	o := newOffice(t, s.objects()...)
	tests := map[string]struct {
		args []string
		want string
	}{
		"a region for a token":        {[]string{"--remote-context", "beta", "--auth", "bearerToken", "--region", "eu-north-1"}, "--region is only for --auth eks"},
		"a lifetime":                  {[]string{"--remote-context", "beta", "--auth", "eks", "--lifetime", "1h"}, "its tokens live for 14 minutes"},
		"a role without a use":        {[]string{"--remote-context", "beta", "--auth", "eks", "--role", s.role.ARN()}, "--role is only for --access-entry"},
		"two ways to reach it":        {[]string{"--remote-context", "beta", "--auth", "eks", "--from-eks"}, "choose one"},
		"an EKS cluster in no region": {[]string{"--auth", "eks", "--from-eks"}, "--region is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := o.run(append([]string{"join", "new"}, test.args...)...)
			if got.Code == exitOK || !strings.Contains(got.Err, test.want) {
				t.Errorf("exit code %d: %s", got.Code, got.Err)
			}
		})
	}
}

func TestAWSCheckFindsOutThatTheRoleWasMadeAnew(t *testing.T) {
	d, s := newEKSDesk(t)
	d.must("join", "prod", "--remote-context", "beta", "--auth", "eks", "--region", "eu-north-1", "--identity", "staging",
		"--access-entry", "--profile", "admin", "--account", "444455556666", "--api-identity", "reader")
	report := d.awsCheck("prod", exitOK)
	for _, check := range []string{"policies", "cluster", "account", "endpoint", "entry", "token"} {
		if find(report, check, doctor.OK) == nil {
			t.Errorf("%s is not ok: %+v", check, report)
		}
	}

	s.aws.SkewClock(2 * time.Minute) // IAM tells whole seconds, and EKS gets some time to settle
	s.role.Delete()
	s.role = s.account.Role("hawser/staging", awstest.Trust{Principals: []string{s.ann.ARN()}, ExternalID: "one-two-three"})
	report = d.awsCheck("prod", exitFailed)
	if f := find(report, "entry", doctor.Error); f == nil || !strings.Contains(f.Message, "for a role of the same name that is gone") || f.Repair != "hawser aws grant prod" {
		t.Errorf("the check does not find it: %+v", report)
	}
	got := d.must("aws", "grant", "prod", "--profile", "admin")
	wantText(t, "the grant", got.Out, "recreated access entry of "+s.role.ARN(), "for a role of the same name that is gone")
	if f := find(d.awsCheck("prod", exitOK), "token", doctor.OK); f == nil {
		t.Error("the new entry does not let it in")
	}
}

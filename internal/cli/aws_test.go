package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/cli/doctor"
	"github.com/hawser-io/hawser/internal/kinds"
)

// sky is two accounts of AWS: the hub, where the manager and people sit, and the account of an EKS
// cluster. The role that is to come in is assumed from the hub; it has no permission at all.
type sky struct {
	t            *testing.T
	aws          *awstest.Server
	hub, account *awstest.Account
	ann          *awstest.User // who is at the keyboard, and also whom the manager runs as
	admin        *awstest.User // of the cluster's account: --profile admin
	role         *awstest.Role
	cluster      *awstest.Cluster
	extra        []client.Object // further objects of the local cluster
}

// newSky sets the environment, so that what starts later finds it.
func newSky(t *testing.T, o awstest.Options) *sky {
	t.Helper()
	s := &sky{t: t, aws: awstest.Start(t, o)}
	s.hub, s.account = s.aws.Account("111122223333"), s.aws.Account("444455556666")
	s.ann, s.admin = s.hub.User("ann"), s.account.User("admin")
	s.role = s.account.Role("hawser/staging", awstest.Trust{Principals: []string{s.ann.ARN()}, ExternalID: "one-two-three"})
	s.ann.Allow("sts:AssumeRole", s.role.ARN())
	s.admin.Allow("eks:*")
	s.admin.Allow("iam:*")
	s.cluster = s.account.EKS("eu-north-1", "prod", awstest.EKSOptions{Server: "https://prod.eks.invalid"})
	s.aws.Setenv(t, s.ann.Keys())
	t.Setenv("AWS_CONFIG_FILE", writeProfile(t, "admin", s.admin.Keys()))
	return s
}

func writeProfile(t *testing.T, name string, keys awssdk.Credentials) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, keys.AccessKeyID, keys.SecretAccessKey)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// identity is the AWSIdentity of the role.
func (s *sky) identity() *v1alpha1.AWSIdentity {
	id := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "staging"}}
	id.Spec = v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSRoleIdentity, Role: &v1alpha1.AWSRole{RoleARN: s.role.ARN(), ExternalID: "one-two-three"}}
	return id
}

// objects are those of a local cluster that knows the EKS cluster.
func (s *sky) objects() []client.Object {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "prod"}}
	rc.Spec.Server, rc.Spec.CAData = "https://prod.eks.invalid", base64.StdEncoding.EncodeToString([]byte("-----BEGIN CERTIFICATE-----\n"))
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		Region: "eu-north-1", AccountID: "444455556666", IdentityRef: &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: "staging"},
	}}
	return []client.Object{rc, s.identity(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "hawser", Name: v1alpha1.ManagerConfigMap}, Data: map[string]string{v1alpha1.ClusterNameKey: "primary"},
	}}
}

// office is a local cluster of given objects, with no API server.
type office struct {
	t     *testing.T
	clock *clocktesting.FakeClock
	here  *cluster
}

func newOffice(t *testing.T, objs ...client.Object) *office {
	t.Helper()
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return &office{t: t, clock: clocktesting.NewFakeClock(now), here: &cluster{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).Build(), Kube: kubefake.NewClientset(),
	}}
}

func (o *office) run(args ...string) outcome {
	o.t.Helper()
	var out, stderr bytes.Buffer
	d := &deps{
		out: &out, err: &stderr, in: strings.NewReader(""), clock: o.clock,
		connect: func(_, _ string) (*cluster, error) { return o.here, nil },
	}
	code := d.run(o.t.Context(), append([]string{"hawser"}, args...))
	o.t.Logf("$ hawser %s\n%s%s", strings.Join(args, " "), out.String(), stderr.String())
	return outcome{out.String(), stderr.String(), code}
}

func TestGrantAndRevoke(t *testing.T) {
	clk := clocktesting.NewFakeClock(now)
	s := newSky(t, awstest.Options{Clock: clk})
	o := newOffice(t, s.objects()...)
	steps := []struct {
		args    []string
		code    int
		out     []string
		err     string
		entries int
	}{
		{[]string{"grant", "prod"}, exitFailed, nil, "the credentials are of arn:aws:iam::111122223333:user/ann. Repair: choose others with --profile", 0},
		{[]string{"grant", "prod", "--profile", "admin", "--dry-run"}, exitOK, []string{`In EKS cluster "prod" in eu-north-1:`, "would be created access entry of " + s.role.ARN()}, "", 0},
		{[]string{"grant", "prod", "--profile", "admin"}, exitOK, []string{"created  access entry of " + s.role.ARN() + ": there is none for this principal"}, "", 1},
		{[]string{"grant", "prod", "--profile", "admin"}, exitOK, []string{"nothing to change", "it maps the principal to the group hawser-members"}, "", 1},
		{[]string{"grant", "prod", "--profile", "admin", "--repair"}, exitOK, []string{"recreated access entry"}, "", 1},
		{[]string{"revoke", "prod", "--profile", "admin", "--dry-run"}, exitOK, []string{"would be deleted access entry"}, "", 1},
		{[]string{"revoke", "prod", "--profile", "admin"}, exitOK, []string{"deleted  access entry of " + s.role.ARN(), "some seconds from now"}, "", 0},
		{[]string{"revoke", "prod", "--profile", "admin"}, exitOK, []string{"nothing to change"}, "", 0},
		{[]string{"grant", "--cluster", "prod", "--region", "eu-north-1", "--role", s.role.ARN(), "--local-name", "other", "--profile", "admin"}, exitOK, []string{"created "}, "", 1},
		{[]string{"revoke", "prod", "--profile", "admin"}, exitFailed, nil, `the entry is that of the Hawser of local cluster "other": delete it there, or here with --force`, 1},
		{[]string{"grant", "prod", "--profile", "admin"}, exitOK, []string{`is that of the Hawser of local cluster "other"`}, "", 1},
		{[]string{"revoke", "prod", "--profile", "admin", "--force"}, exitOK, []string{"deleted "}, "", 0},
		{[]string{"grant", "--cluster", "prod"}, exitUsage, nil, "name a RemoteCluster, or an EKS cluster with --cluster, --region and --role", 0},
		{[]string{"grant", "prod", "--identity", "staging", "--profile", "admin"}, exitUsage, nil, "--identity and --profile: choose one", 0},
		{[]string{"grant", "prod", "--identity", "nobody"}, exitFailed, nil, `AWSIdentity "nobody": it does not exist`, 0},
		{[]string{"grant", "prod", "--identity", "staging"}, exitFailed, nil, "Repair: have eks:", 0}, // the token role has no permission
		{[]string{"grant", "prod", "--profile", "nobody"}, exitFailed, nil, "reading your AWS configuration", 0},
	}
	for _, step := range steps {
		got := o.run(append([]string{"aws"}, step.args...)...)
		if got.Code != step.code {
			t.Errorf("%v: exit code %d, want %d", step.args, got.Code, step.code)
		}
		wantText(t, "stdout", got.Out, step.out...)
		wantText(t, "stderr", got.Err, step.err)
		if n := len(s.cluster.Entries()); n != step.entries {
			t.Fatalf("%v: there are %d entries, want %d", step.args, n, step.entries)
		}
	}
}

func TestGrantPrintsJSON(t *testing.T) {
	s := newSky(t, awstest.Options{Clock: clocktesting.NewFakeClock(now)})
	got := newOffice(t, s.objects()...).run("aws", "grant", "prod", "--profile", "admin", "-o", "json")
	var result EntryResult
	if err := json.Unmarshal([]byte(got.Out), &result); err != nil {
		t.Fatal(err)
	}
	if result.Action != access.Create || result.AccountID != "444455556666" || result.Principal != s.role.ARN() || result.Entry == nil || result.Entry.Owner() != "primary" {
		t.Errorf("got %+v", result)
	}
}

// awsCheck runs hawser aws check -o json.
func (o *office) awsCheck(name string, more ...string) (doctor.Report, int) {
	o.t.Helper()
	got := o.run(append([]string{"aws", "check", name, "-o", "json"}, more...)...)
	return readReport(o.t, got.Out), got.Code
}

func readReport(t *testing.T, text string) doctor.Report {
	t.Helper()
	var report doctor.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	return report
}

// TestAWSCheckNamesTheFirstBrokenLink needs no API server: what cannot be reached is found out, too.
func TestAWSCheckNamesTheFirstBrokenLink(t *testing.T) {
	tests := map[string]struct {
		spoil           func(*sky, []client.Object)
		check, severity string
		message, repair string
		skipped         []string
	}{
		"a role that does not trust": {
			func(s *sky, _ []client.Object) { s.role.SetTrust(awstest.Trust{Principals: []string{s.admin.ARN()}}) },
			"hop 1", "error", `hop 1 of 1, AWSIdentity "staging"`, "", []string{"policies", "token"},
		},
		"a wrong external id": {
			func(s *sky, _ []client.Object) {
				s.role.SetTrust(awstest.Trust{Principals: []string{s.ann.ARN()}, ExternalID: "four"})
			},
			"hop 1", "error", "AccessDenied", "", []string{"token"},
		},
		"keys that were switched off": {
			func(s *sky, _ []client.Object) { s.ann.Disable() },
			"hop 0", "error", "your own AWS credentials", "--profile", []string{"hop 1", "policies", "cluster", "entry", "token"},
		},
		"an identity that is gone": {
			func(_ *sky, objs []client.Object) { objs[1].SetName("other") },
			"chain", "error", `AWSIdentity "staging": it does not exist`, "", []string{"token"},
		},
		"a policy that the token role does not need": {
			func(s *sky, objs []client.Object) {
				s.role.Attach("arn:aws:iam::aws:policy/ReadOnlyAccess")
				useAPIIdentity(s, objs)
			},
			"policies", "warning", "ReadOnlyAccess", "aws iam detach-role-policy --role-name staging", nil,
		},
		"no access entry": {
			func(s *sky, objs []client.Object) { useAPIIdentity(s, objs) },
			"entry", "error", "there is none for arn:aws:iam::444455556666:role/hawser/staging", "hawser aws grant prod", nil,
		},
		"a cluster in mode CONFIG_MAP": {
			func(s *sky, objs []client.Object) {
				useAPIIdentity(s, objs)
				s.cluster.SetAuthenticationMode("CONFIG_MAP")
			},
			"entry", "error", "CONFIG_MAP", "aws eks update-cluster-config", nil,
		},
		"a cluster that is being made": {
			func(s *sky, objs []client.Object) { useAPIIdentity(s, objs); s.cluster.SetStatus("CREATING") },
			"cluster", "error", "is CREATING", "aws eks wait cluster-active", nil,
		},
		"a cluster in another account": {
			func(s *sky, objs []client.Object) {
				useAPIIdentity(s, objs)
				objs[0].(*v1alpha1.RemoteCluster).Spec.Auth.EKS.AccountID = ""
			},
			"account", "warning", "444455556666", "accountID", nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSky(t, awstest.Options{Clock: clocktesting.NewFakeClock(now)})
			objs := s.objects()
			test.spoil(s, objs)
			report, code := newOffice(t, append(objs, s.extra...)...).awsCheck("prod")
			found := find(report, test.check, doctor.Severity(test.severity))
			if found == nil {
				t.Fatalf("no %s about %s: %+v", test.severity, test.check, report)
			}
			wantText(t, "the finding", found.Message, test.message)
			wantText(t, "the repair", found.Repair, test.repair)
			for _, check := range test.skipped {
				if find(report, check, doctor.Skipped) == nil {
					t.Errorf("%s was not skipped", check)
				}
			}
			if code != exitFailed { // nothing answers at the address
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// reader is an AWSIdentity that may ask about the cluster.
func (s *sky) reader() *v1alpha1.AWSIdentity {
	reader := s.account.Role("reader", awstest.Trust{Principals: []string{s.ann.ARN()}})
	reader.Allow("eks:Describe*")
	reader.Allow("eks:ListAssociatedAccessPolicies")
	reader.Allow("iam:*")
	s.ann.Allow("sts:AssumeRole", reader.ARN())
	id := &v1alpha1.AWSIdentity{ObjectMeta: metav1.ObjectMeta{Name: "reader"}}
	id.Spec = v1alpha1.AWSIdentitySpec{Type: v1alpha1.AWSRoleIdentity, Role: &v1alpha1.AWSRole{RoleARN: reader.ARN()}}
	return id
}

// useAPIIdentity lets the RemoteCluster use it.
func useAPIIdentity(s *sky, objs []client.Object) {
	objs[0].(*v1alpha1.RemoteCluster).Spec.Auth.EKS.APIIdentityRef = &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: "reader"}
	s.extra = append(s.extra, s.reader())
}

func TestSameEKSName(t *testing.T) {
	eks := func(name, cluster, region, account string) v1alpha1.RemoteCluster {
		rc := v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{ClusterName: cluster, Region: region, AccountID: account}}
		return rc
	}
	all := []v1alpha1.RemoteCluster{
		eks("prod", "", "eu-north-1", "444455556666"),
		eks("prod-again", "prod", "eu-north-1", "444455556666"),
		eks("prod-us", "prod", "us-east-1", "444455556666"),
		eks("prod-of-b", "prod", "eu-north-1", "777788889999"),
		eks("prod-cn", "prod", "cn-north-1", "777788889999"),
		eks("staging", "", "eu-north-1", "777788889999"),
		{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}},
	}
	if got := fmt.Sprint(sameEKSName(all, &all[0])); got != "[prod-of-b prod-us]" {
		t.Errorf("got %s", got)
	}
}

package access

import (
	"errors"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/internal/awstest"
)

// impatient is a clock for which waiting takes no time.
type impatient struct{ *clocktesting.FakeClock }

func (c impatient) After(d time.Duration) <-chan time.Time {
	c.Step(d)
	done := make(chan time.Time, 1)
	done <- c.Now()
	return done
}

// world is an EKS cluster, an administrator of its account, and a role in another account that is to come in.
type world struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	aws     *awstest.Server
	home    *awstest.Account // of the role
	role    *awstest.Role
	account *awstest.Account // of the cluster
	cluster *awstest.Cluster
	admin   *awstest.User
	entries Entries
	target  Target
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: clocktesting.NewFakeClock(made)}
	w.aws = awstest.Start(t, awstest.Options{Clock: w.clock})
	w.home, w.account = w.aws.Account("111122223333"), w.aws.Account("444455556666")
	w.role = w.home.Role("hawser/staging", awstest.Trust{})
	w.cluster = w.account.EKS("eu-north-1", "prod", awstest.EKSOptions{})
	w.admin = w.account.User("ann")
	w.admin.Allow("eks:*")
	w.aws.Setenv(t, w.admin.Keys())
	w.clock.Step(time.Minute)
	var err error
	if w.entries, err = New(t.Context(), impatient{w.clock}); err != nil {
		t.Fatal(err)
	}
	w.target = target()
	if w.target.Principal.ARN != w.role.ARN() {
		t.Fatalf("the role is %s", w.role.ARN())
	}
	return w
}

func as(keys awssdk.Credentials) awssdk.CredentialsProvider {
	return credentials.StaticCredentialsProvider{Value: keys}
}

func (w *world) grant(o Options) (Result, error) {
	return w.entries.Grant(w.t.Context(), as(w.admin.Keys()), w.target, o)
}

// does fails the test unless a grant does what is wanted.
func (w *world) does(o Options, want Action) Result {
	w.t.Helper()
	result, err := w.grant(o)
	if err != nil || result.Plan.Action != want {
		w.t.Fatalf("got %s %v, want %s", result.Plan.Action, err, want)
	}
	return result
}

// letsIn asks the cluster what it makes of a token of the role.
func (w *world) letsIn() error {
	w.t.Helper()
	token, err := aws.NewToken(w.t.Context(), as(w.role.Session("hawser-test", time.Hour)), "eu-north-1", "prod", w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	user, err := w.cluster.Review(token.Value.Reveal())
	if err == nil && !strings.Contains(strings.Join(user.Groups, " "), v1alpha1.MembersGroup) {
		err = errors.New("it is no member")
	}
	return err
}

func (w *world) entry() awstest.Entry {
	w.t.Helper()
	all := w.cluster.Entries()
	if len(all) != 1 {
		w.t.Fatalf("there are %d entries", len(all))
	}
	return all[0]
}

func TestGrantLetsARoleOfAnotherAccountIn(t *testing.T) {
	w := newWorld(t)
	if err := w.letsIn(); err == nil {
		t.Fatal("the role is let in without an entry")
	}
	if got := w.does(Options{DryRun: true}, Create); got.Entry != nil || len(w.cluster.Entries()) > 0 {
		t.Fatal("a dry run made an entry")
	}
	first := w.does(Options{}, Create)
	if err := w.letsIn(); err != nil {
		t.Fatal(err)
	}
	got := w.entry()
	if diff := cmp.Diff(map[string]string{"hawser.io/managed-by": "hawser", "hawser.io/local-cluster": "primary"}, got.Tags); diff != "" {
		t.Errorf("tags (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"hawser-members"}, got.Groups); diff != "" || got.Type != "STANDARD" {
		t.Errorf("type %s, groups (-want +got)\n%s", got.Type, diff)
	}
	w.clock.Step(time.Minute)
	second := w.does(Options{}, Keep)
	if now := w.entry(); !now.ModifiedAt.Equal(got.ModifiedAt) {
		t.Error("the second grant changed the entry")
	}
	if diff := cmp.Diff(first.Entry, second.Entry); diff != "" {
		t.Errorf("what the first made is not what the second found (-first +second)\n%s", diff)
	}
}

func TestGrantRepairsItsOwnEntryAndKeepsItsUserName(t *testing.T) {
	w := newWorld(t)
	w.does(Options{}, Create)
	user := w.entry().Username
	api := w.aws.EKS("eu-north-1", as(w.admin.Keys()))
	_, err := api.UpdateAccessEntry(t.Context(), &eks.UpdateAccessEntryInput{ClusterName: &w.target.Cluster, PrincipalArn: &w.target.Principal.ARN, KubernetesGroups: []string{"viewers"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.letsIn(); err == nil {
		t.Fatal("the role is a member without the group")
	}
	got := w.does(Options{}, Change)
	if err := w.letsIn(); err != nil {
		t.Error(err)
	}
	if now := w.entry(); now.Username != user || len(now.Groups) != 1 {
		t.Errorf("it is %+v now", now)
	}
	if got.Entry.Owner() != "primary" || got.Found.Entry.Groups[0] != "viewers" {
		t.Errorf("got %+v", got)
	}
}

func TestGrantLeavesTheEntryOfSomebodyElseOrTakesItOver(t *testing.T) {
	w := newWorld(t)
	w.cluster.Entry(w.role.ARN(), []string{"viewers"}, "")
	_, err := w.grant(Options{})
	w.fails(err, v1alpha1.ReasonAccessEntryMissing, "that of somebody else", "aws eks update-access-entry --region eu-north-1 --cluster-name prod --principal-arn "+roleARN+" --kubernetes-groups viewers hawser-members")
	if got := w.entry(); len(got.Groups) != 1 || len(got.Tags) > 0 {
		t.Errorf("it was changed: %+v", got)
	}
	_, err = w.entries.Revoke(t.Context(), as(w.admin.Keys()), w.target, Options{})
	w.fails(err, "", "that of somebody else", "aws eks delete-access-entry")

	got := w.does(Options{Adopt: true}, Change)
	if got.Entry.Owner() != "primary" {
		t.Errorf("it is that of %q", got.Entry.Owner())
	}
	if err := w.letsIn(); err != nil {
		t.Error(err)
	}
	w.does(Options{}, Keep)
}

func TestGrantFindsOutThatTheRoleWasMadeAnew(t *testing.T) {
	w := newWorld(t)
	w.does(Options{}, Create)
	w.clock.Step(time.Hour)
	w.role.Delete()
	w.role = w.home.Role("hawser/staging", awstest.Trust{})
	if err := w.letsIn(); err == nil {
		t.Fatal("the entry of the old role lets the new one in")
	}
	// The administrator of the cluster's account may look at roles, but not at that of another account:
	// one of the same name in their own is another role.
	w.admin.Allow("iam:GetRole")
	w.account.Role("staging", awstest.Trust{})
	w.does(Options{}, Keep)

	// Nobody can know: it has to be asked for.
	w.aws.Fail("CreateAccessEntry", 2, awstest.Failure{Status: 409, Code: "ResourceInUseException", Message: "The specified access entry resource is already in use on this cluster."})
	w.does(Options{Repair: true}, Recreate)
	if err := w.letsIn(); err != nil {
		t.Error(err)
	}
}

func TestGrantRepairsByItselfWhereTheRoleMayBeRead(t *testing.T) {
	w := newWorld(t)
	w.admin.Allow("iam:GetRole")
	w.role = w.account.Role("ops/reader", awstest.Trust{})
	w.target.Principal, _ = ParsePrincipal(w.role.ARN())
	w.does(Options{}, Create)
	w.clock.Step(time.Hour)
	w.role.Delete()
	w.role = w.account.Role("ops/reader", awstest.Trust{})
	if got := w.does(Options{}, Recreate); !got.Found.Recreated() {
		t.Errorf("it was made anew for another reason: %s", got.Plan.Why)
	}
	if err := w.letsIn(); err != nil {
		t.Error(err)
	}
	w.does(Options{}, Keep)
}

func TestARoleIsFoundByItsSession(t *testing.T) {
	w := newWorld(t)
	w.role = w.account.Role("ops/reader", awstest.Trust{})
	session := "arn:aws:sts::444455556666:assumed-role/reader/ann"
	w.target.Principal, _ = ParsePrincipal(session)
	_, err := w.grant(Options{})
	w.fails(err, v1alpha1.ReasonAccessEntryMissing, "invalid principal", "aws iam get-role --role-name reader --query Role.Arn")

	w.admin.Allow("iam:GetRole")
	if got := w.does(Options{}, Create); got.Target.Principal.ARN != w.role.ARN() {
		t.Errorf("the entry is for %s", got.Target.Principal.ARN)
	}
	if err := w.letsIn(); err != nil {
		t.Error(err)
	}
}

func TestRevokeDeletesOnlyWhatIsOurs(t *testing.T) {
	w := newWorld(t)
	w.does(Options{}, Create)
	revoke := func(o Options) (Result, error) {
		return w.entries.Revoke(t.Context(), as(w.admin.Keys()), w.target, o)
	}
	if got, err := revoke(Options{DryRun: true}); err != nil || got.Plan.Action != Delete || len(w.cluster.Entries()) != 1 {
		t.Fatalf("a dry run: %+v %v", got, err)
	}
	if got, err := revoke(Options{}); err != nil || got.Plan.Action != Delete || got.Entry != nil || len(w.cluster.Entries()) > 0 {
		t.Fatalf("got %+v %v", got, err)
	}
	if err := w.letsIn(); err == nil {
		t.Error("the role is still let in")
	}
	if got, err := revoke(Options{}); err != nil || got.Plan.Action != Keep {
		t.Errorf("once more: %+v %v", got, err)
	}
	w.cluster.Entry(w.role.ARN(), []string{"hawser-members"}, "")
	if _, err := revoke(Options{}); err == nil {
		t.Error("somebody else's was deleted")
	}
	if got, err := revoke(Options{Force: true}); err != nil || got.Plan.Action != Delete {
		t.Errorf("by force: %+v %v", got, err)
	}
}

func TestAnEntryThatIsMadeMeanwhileIsLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	w.does(Options{}, Create)
	w.aws.Fail("DescribeAccessEntry", 1, awstest.Failure{Status: 404, Code: "ResourceNotFoundException", Message: "The specified principalArn could not be found."})
	w.does(Options{}, Keep)
}

// fails compares an error with its reason, and parts of its text and of its repair.
func (w *world) fails(err error, reason, text, repair string) {
	w.t.Helper()
	known := new(aws.Error)
	if !errors.As(err, &known) {
		w.t.Fatalf("got %v, want an *aws.Error", err)
	}
	if known.Reason != reason || !strings.Contains(err.Error(), text) || !strings.Contains(known.Repair, repair) {
		w.t.Errorf("got %s: %v\nrepair: %s\nwant %s: … %s …\nrepair: … %s …", known.Reason, err, known.Repair, reason, text, repair)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	tests := map[string]struct {
		spoil                func(*world)
		reason, text, repair string
	}{
		"a cluster that knows no entries": {
			func(w *world) { w.cluster.SetAuthenticationMode("CONFIG_MAP") },
			v1alpha1.ReasonAuthModeConfigMap, "CONFIG_MAP", "aws eks update-cluster-config --region eu-north-1 --name prod --access-config authenticationMode=API_AND_CONFIG_MAP",
		},
		"a cluster that knows no entries, to somebody who may not describe it": {
			func(w *world) { w.cluster.SetAuthenticationMode("CONFIG_MAP"); w.aws.Deny("DescribeCluster") },
			v1alpha1.ReasonAuthModeConfigMap, "CONFIG_MAP", "authenticationMode=API_AND_CONFIG_MAP",
		},
		"no such cluster": {
			func(w *world) { w.target.Cluster = "nowhere" },
			v1alpha1.ReasonEKSClusterNotFound, "nowhere", "region",
		},
		"no such cluster, to somebody who may not describe it": {
			func(w *world) { w.target.Cluster = "nowhere"; w.aws.Deny("DescribeCluster") },
			v1alpha1.ReasonEKSClusterNotFound, "nowhere", "region",
		},
		"a cluster of the same name in another account": {
			func(w *world) { w.target.AccountID = "777788889999" },
			v1alpha1.ReasonAccountMismatch, "in account 444455556666, and account 777788889999 is meant", "credentials of account 777788889999",
		},
		"a right that is missing": {
			func(w *world) { w.aws.Deny("CreateAccessEntry") },
			v1alpha1.ReasonEKSDenied, "creating the access entry of " + roleARN, "eks:CreateAccessEntry",
		},
		"a role that does not exist": {
			func(w *world) { w.role.Delete() },
			v1alpha1.ReasonAccessEntryMissing, "invalid principal", "aws iam get-role --role-name staging",
		},
		"a role of another partition": {
			func(w *world) { w.target.Principal, _ = ParsePrincipal("arn:aws-cn:iam::111122223333:role/staging") },
			v1alpha1.ReasonCrossPartition, "partition aws-cn", "partition aws",
		},
		"keys that are no longer good": {
			func(w *world) { w.admin.Disable() },
			v1alpha1.ReasonCredentialsInvalid, "prod", "access key",
		},
		"throttling that does not end": {
			func(w *world) {
				w.aws.Throttle("DescribeAccessEntry", 10)
				w.entries.API = func(region string, creds awssdk.CredentialsProvider) API { return w.aws.EKS(region, creds) } // which tries once
			},
			v1alpha1.ReasonThrottled, "reading the access entry", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.spoil(w)
			_, err := w.grant(Options{})
			w.fails(err, test.reason, test.text, test.repair)
			if strings.Contains(err.Error(), "manager") {
				t.Errorf("it speaks of the manager, who has nothing to do with it: %v", err)
			}
			if len(w.cluster.Entries()) > 0 {
				t.Error("an entry was made all the same")
			}
		})
	}
}

func TestATargetIsWhole(t *testing.T) {
	w := newWorld(t)
	w.target.Local = ""
	if _, err := w.grant(Options{}); err == nil || !strings.Contains(err.Error(), "local cluster are all needed") {
		t.Errorf("got %v", err)
	}
}

// rights are those of permission accessEntries in package aws/bootstrap.
const rights = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "arn:aws:eks:*:444455556666:cluster/*"},
	{"Effect": "Allow", "Action": "eks:CreateAccessEntry", "Resource": "arn:aws:eks:*:444455556666:cluster/*",
		"Condition": {"ForAllValues:StringEquals": {"eks:kubernetesGroups": "hawser-members"}}},
	{"Effect": "Allow", "Action": ["eks:DescribeAccessEntry", "eks:TagResource"], "Resource": "arn:aws:eks:*:444455556666:access-entry/*"},
	{"Effect": "Allow", "Action": "eks:UpdateAccessEntry", "Resource": "arn:aws:eks:*:444455556666:access-entry/*",
		"Condition": {"ForAllValues:StringEquals": {"eks:kubernetesGroups": "hawser-members"}, "StringEquals": {"aws:ResourceTag/hawser.io/managed-by": "hawser"}}},
	{"Effect": "Allow", "Action": "eks:DeleteAccessEntry", "Resource": "arn:aws:eks:*:444455556666:access-entry/*",
		"Condition": {"StringEquals": {"aws:ResourceTag/hawser.io/managed-by": "hawser"}}}]}`

func TestTheRightsThatTheBootstrapGivesAreEnough(t *testing.T) {
	w := newWorld(t)
	w.admin = w.account.User("clerk")
	w.admin.PutPolicy("entries", rights)
	w.does(Options{}, Create)
	w.does(Options{Repair: true}, Recreate)
	w.cluster.RemoveEntry(w.role.ARN())
	w.cluster.Entry(w.role.ARN(), []string{"viewers"}, "")
	w.does(Options{Adopt: true}, Change)
	if got, err := w.entries.Revoke(t.Context(), as(w.admin.Keys()), w.target, Options{}); err != nil || got.Plan.Action != Delete {
		t.Errorf("got %+v %v", got, err)
	}
}

package awstest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/internal/awstest"
)

func TestARoleWithNoPolicyProvesItself(t *testing.T) {
	w := newWorld(t)
	creds := w.mustAssume(t, w.user.Keys(), w.role, fleetID)
	out, err := w.STS(region, static(creds)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{*out.Account, *out.Arn, *out.UserId}
	want := []string{targetID, "arn:aws:sts::444455556666:assumed-role/hawser/test", w.role.ID() + ":test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got)\n%s", diff)
	}
	if want := start.Add(time.Hour); !creds.Expires.Equal(want) {
		t.Errorf("expires %s, want %s", creds.Expires, want)
	}
}

func TestAssumeRole(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*world)
		change  func(*sts.AssumeRoleInput)
		want    string
	}{
		{name: "trusted, permitted, with the external ID"},
		{name: "without the external ID", change: func(in *sts.AssumeRoleInput) { in.ExternalId = nil }, want: "AccessDenied"},
		{name: "with a wrong external ID", change: func(in *sts.AssumeRoleInput) { in.ExternalId = new("other") }, want: "AccessDenied"},
		{name: "with an external ID that is none", change: func(in *sts.AssumeRoleInput) { in.ExternalId = new("a b") }, want: "ValidationError"},
		{name: "across accounts without a permission", prepare: func(w *world) { w.user.RemovePolicies() }, want: "AccessDenied"},
		{name: "across accounts with a permission for another role", prepare: func(w *world) {
			w.user.RemovePolicies()
			w.user.Allow("sts:AssumeRole", w.role.ARN()+"2")
		}, want: "AccessDenied"},
		{name: "against an explicit denial", prepare: func(w *world) {
			w.user.PutPolicy("no", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}`)
		}, want: "AccessDenied"},
		{name: "with nobody trusted", prepare: func(w *world) { w.role.SetTrust(awstest.Trust{}) }, want: "AccessDenied"},
		{name: "with the whole account trusted", prepare: func(w *world) {
			w.role.SetTrust(awstest.Trust{Principals: []string{w.hub.RootARN()}})
		}},
		{name: "with another account trusted", prepare: func(w *world) {
			w.role.SetTrust(awstest.Trust{Principals: []string{targetID}})
		}, want: "AccessDenied"},
		{name: "of a role that is gone", prepare: func(w *world) { w.role.Delete() }, want: "AccessDenied"},
		{name: "from inside the organization", prepare: func(w *world) {
			w.hub.SetOrganization("o-ours")
			w.role.SetTrust(awstest.Trust{Principals: []string{"*"}, PrincipalOrgID: "o-ours"})
		}},
		{name: "from outside of the organization", prepare: func(w *world) {
			w.role.SetTrust(awstest.Trust{Principals: []string{"*"}, PrincipalOrgID: "o-ours"})
		}, want: "AccessDenied"},
		{name: "for less than fifteen minutes", change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = new(int32(899)) }, want: "ValidationError"},
		{name: "for more than twelve hours", change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = new(int32(43201)) }, want: "ValidationError"},
		{name: "for longer than the role's sessions", change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = new(int32(3601)) }, want: "ValidationError"},
		{name: "for longer, where the role's sessions may", prepare: func(w *world) { w.role.SetMaxSession(12 * time.Hour) },
			change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = new(int32(43200)) }},
		{name: "with a session name that is none", change: func(in *sts.AssumeRoleInput) { in.RoleSessionName = new("a b") }, want: "ValidationError"},
		{name: "of something that is no role", change: func(in *sts.AssumeRoleInput) { in.RoleArn = new("arn:aws:iam::444455556666:user/x") }, want: "ValidationError"},
		{name: "across partitions", change: func(in *sts.AssumeRoleInput) { in.RoleArn = new("arn:aws-cn:iam::444455556666:role/hawser") }, want: "AccessDenied"},
		{name: "with a session policy that is no policy", change: func(in *sts.AssumeRoleInput) { in.Policy = new(`{"Statement":[]}`) }, want: "MalformedPolicyDocument"},
		{name: "with a session policy that does not exist", change: func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []types.PolicyDescriptorType{{Arn: new("arn:aws:iam::444455556666:policy/none")}}
		}, want: "MalformedPolicyDocument"},
		{name: "with session policies that are too large", change: func(in *sts.AssumeRoleInput) {
			in.Policy = new(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:ListClusters","Resource":"` + strings.Repeat("x", 2000) + `"}]}`)
		}, want: "PackedPolicyTooLarge"},
		{name: "with too many session policies", change: func(in *sts.AssumeRoleInput) {
			in.PolicyArns = make([]types.PolicyDescriptorType, 11)
			for i := range in.PolicyArns {
				in.PolicyArns[i].Arn = new("arn:aws:iam::aws:policy/ReadOnlyAccess")
			}
		}, want: "ValidationError"},
		{name: "with tags that the trust allows", change: func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: new("k"), Value: new("v")}}
		}, prepare: func(w *world) { w.user.Allow("sts:TagSession") }},
		{name: "with tags and no permission for them", change: func(in *sts.AssumeRoleInput) {
			in.Tags = []types.Tag{{Key: new("k"), Value: new("v")}}
		}, want: "AccessDenied"},
		{name: "in a region that is off", prepare: func(w *world) { w.DisableRegion(region) }, want: "RegionDisabledException"},
		{name: "in a region that is on again", prepare: func(w *world) { w.DisableRegion(region); w.EnableRegion(region) }},
		{name: "by a user who is disabled", prepare: func(w *world) { w.user.Disable() }, want: "InvalidClientTokenId"},
		{name: "by a user who is enabled again", prepare: func(w *world) { w.user.Disable(); w.user.Enable() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.prepare != nil {
				test.prepare(w)
			}
			_, err := w.assume(t, w.user.Keys(), w.role, func(in *sts.AssumeRoleInput) {
				fleetID(in)
				if test.change != nil {
					test.change(in)
				}
			})
			if got := code(err); got != test.want {
				t.Errorf("got %q (%v), want %q", got, err, test.want)
			}
			calls := w.CallsOf("AssumeRole")
			if len(calls) != 1 || calls[0].Code != test.want || !calls[0].Done || !calls[0].Time.Equal(start) {
				t.Errorf("recorded %+v, want one call with code %q", calls, test.want)
			}
		})
	}
}

func TestARefusalDoesNotTellWhetherTheRoleExists(t *testing.T) {
	w := newWorld(t)
	_, wrong := w.assume(t, w.user.Keys(), w.role, nil)
	w.role.Delete()
	_, gone := w.assume(t, w.user.Keys(), w.role, fleetID)
	want := "User: " + w.user.ARN() + " is not authorized to perform: sts:AssumeRole on resource: " + w.role.ARN()
	for _, err := range []error{wrong, gone} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestARoleOfTheSameAccountNeedsNoPermissionWhereItIsTrustedByName(t *testing.T) {
	w := newWorld(t)
	user := w.target.User("local")
	w.role.SetTrust(awstest.Trust{Principals: []string{user.ARN()}})
	if _, err := w.assume(t, user.Keys(), w.role, nil); err != nil {
		t.Error(err)
	}
	w.role.SetTrust(awstest.Trust{Principals: []string{w.target.RootARN()}})
	if _, err := w.assume(t, user.Keys(), w.role, nil); code(err) != "AccessDenied" {
		t.Errorf("trusted as one of the account: got %v, want AccessDenied", err)
	}
}

func TestChainedSessions(t *testing.T) {
	w := newWorld(t)
	second := w.Account("777788889999").Role("path/to/second", awstest.Trust{Principals: []string{w.role.ARN()}})
	second.SetMaxSession(12 * time.Hour)
	w.role.Allow("sts:AssumeRole", second.ARN())
	first := w.mustAssume(t, w.user.Keys(), w.role, fleetID)

	creds := w.mustAssume(t, first, second, nil)
	got, err := w.whoami(t, creds)
	if want := "arn:aws:sts::777788889999:assumed-role/second/test"; got != want {
		t.Errorf("is %q (%v), want %q, without the path", got, err, want)
	}
	if _, err := w.assume(t, first, second, func(in *sts.AssumeRoleInput) { in.DurationSeconds = new(int32(3601)) }); code(err) != "ValidationError" ||
		!strings.Contains(err.Error(), "1 hour session limit for roles assumed by role chaining") {
		t.Errorf("for more than an hour: got %v, want a ValidationError about chaining", err)
	}
	sessions := second.Sessions()
	if len(sessions) != 1 || !sessions[0].Chained || !sessions[0].Issued.Equal(start) || !sessions[0].Expires.Equal(start.Add(time.Hour)) {
		t.Errorf("sessions %+v, want one that is chained", sessions)
	}

	w.step(time.Hour)
	if _, err := w.assume(t, first, second, nil); code(err) != "ExpiredToken" {
		t.Errorf("after an hour: got %v, want ExpiredToken", err)
	}
}

func TestARecreatedRoleIsAnotherOne(t *testing.T) {
	w := newWorld(t)
	second := w.Account("777788889999").Role("second", awstest.Trust{Principals: []string{w.role.ARN()}})
	w.role.Allow("sts:AssumeRole")
	old := w.mustAssume(t, w.user.Keys(), w.role, fleetID)
	oldID := w.role.ID()

	w.role.Delete()
	if _, err := w.whoami(t, old); code(err) != "InvalidClientTokenId" {
		t.Errorf("the session of a deleted role: got %v, want InvalidClientTokenId", err)
	}
	role := w.target.Role("hawser", awstest.Trust{Principals: []string{w.user.ARN()}})
	role.Allow("sts:AssumeRole")
	if role.ID() == oldID || role.ARN() != w.role.ARN() {
		t.Errorf("recreated role %s %s, want the same ARN and another ID than %s", role.ARN(), role.ID(), oldID)
	}
	creds := w.mustAssume(t, w.user.Keys(), role, nil)
	if _, err := w.assume(t, creds, second, nil); code(err) != "AccessDenied" {
		t.Errorf("a trust policy that named the old role: got %v, want AccessDenied", err)
	}
	second.SetTrust(awstest.Trust{Principals: []string{role.ARN()}})
	if _, err := w.assume(t, creds, second, nil); err != nil {
		t.Errorf("after the trust policy was saved again: %v", err)
	}
}

func TestTrustOfNobodyThatExistsIsRefused(t *testing.T) {
	w := newWorld(t)
	document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::111122223333:role/none"}}]}`
	if err := w.role.SetTrustPolicy(document); code(err) != "MalformedPolicyDocument" || !strings.Contains(err.Error(), "Invalid principal in policy") {
		t.Errorf("got %v, want MalformedPolicyDocument", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a Trust that names a role which does not exist did not panic")
		}
	}()
	w.target.Role("other", awstest.Trust{Principals: []string{"arn:aws:iam::111122223333:role/none"}})
}

func TestKeys(t *testing.T) {
	w := newWorld(t)
	old := w.user.Keys()
	fresh := w.user.NewKeys()
	temporary := w.user.SessionKeys(time.Hour)
	broken := temporary
	broken.SessionToken += "x"
	without := temporary
	without.SessionToken = ""
	wrong := fresh
	wrong.SecretAccessKey += "x"
	instance := w.role.Session("i-0123", time.Hour)
	lent := w.mustAssume(t, fresh, w.role, fleetID)
	lent.AccessKeyID = fresh.AccessKeyID

	check := func(name, want string, err error) {
		t.Helper()
		if got := code(err); got != want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
		}
	}
	_, err := w.whoami(t, old)
	check("keys that were replaced", "InvalidClientTokenId", err)
	_, err = w.whoami(t, fresh)
	check("the new ones", "", err)
	_, err = w.whoami(t, temporary)
	check("temporary ones", "", err)
	_, err = w.whoami(t, broken)
	check("temporary ones with another session token", "InvalidClientTokenId", err)
	_, err = w.whoami(t, without)
	check("temporary ones without their session token", "InvalidClientTokenId", err)
	_, err = w.whoami(t, wrong)
	check("a wrong secret", "SignatureDoesNotMatch", err)
	_, err = w.whoami(t, instance)
	check("those of an instance", "", err)
	_, err = w.whoami(t, lent)
	check("the key ID of one and the rest of another", "InvalidClientTokenId", err)

	w.ExpireSessions(w.role)
	_, err = w.whoami(t, instance)
	check("expired by the test", "ExpiredToken", err)
	w.step(time.Hour)
	_, err = w.whoami(t, temporary)
	check("temporary ones after their time", "ExpiredToken", err)
	_, err = w.whoami(t, fresh)
	check("the lasting ones after that time", "", err)
}

func TestPartitionsDoNotKnowEachOther(t *testing.T) {
	w := newWorld(t)
	user := w.AccountIn("aws-cn", hubID).User("bootstrapper")
	if _, err := w.whoami(t, user.Keys()); code(err) != "InvalidClientTokenId" {
		t.Errorf("keys of aws-cn in %s: got %v, want InvalidClientTokenId", region, err)
	}
	out, err := w.STS("cn-north-1", static(user.Keys())).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *out.Arn != "arn:aws-cn:iam::111122223333:user/bootstrapper" {
		t.Errorf("keys of aws-cn at home: got %v (%v)", out, err)
	}
}

func TestSessionPoliciesNarrow(t *testing.T) {
	w := newWorld(t)
	w.target.EKS(region, "alpha", awstest.EKSOptions{})
	w.target.EKS(region, "beta", awstest.EKSOptions{})
	w.role.Allow("eks:*")
	onlyAlpha := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:DescribeCluster","Resource":"arn:aws:eks:*:*:cluster/alpha"}]}`
	managed := w.target.ManagedPolicy("narrow/list", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["eks:List*","ec2:*"],"Resource":"*"}}`)
	creds := w.mustAssume(t, w.user.Keys(), w.role, func(in *sts.AssumeRoleInput) {
		fleetID(in)
		in.Policy = &onlyAlpha
		in.PolicyArns = []types.PolicyDescriptorType{{Arn: &managed}}
	})
	for name, want := range map[string]string{"alpha": "", "beta": "AccessDeniedException"} {
		if _, err := w.describe(t, creds, name); code(err) != want {
			t.Errorf("describing %s: got %v, want %q", name, err, want)
		}
	}
	session := w.role.Sessions()[0]
	if session.Policy != onlyAlpha || !cmp.Equal(session.PolicyARNs, []string{managed}) || session.ExternalID != "fleet" {
		t.Errorf("recorded %+v, want the policies that were sent", session)
	}

	denying := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"eks:*","Resource":"*"}]}`
	creds = w.mustAssume(t, w.user.Keys(), w.role, func(in *sts.AssumeRoleInput) { fleetID(in); in.Policy = &denying })
	if _, err := w.describe(t, creds, "alpha"); code(err) != "AccessDeniedException" {
		t.Errorf("with a session policy that denies EKS: got %v, want AccessDeniedException", err)
	}
	if _, err := w.whoami(t, creds); err != nil {
		t.Errorf("GetCallerIdentity is always allowed, got %v", err)
	}
}

func TestATrustPolicyAsCloudFormationHasIt(t *testing.T) {
	w := newWorld(t)
	w.hub.SetOrganization("o-ours")
	if err := w.role.SetTrustPolicy(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"},
		{"Effect":"Allow","Principal":{"AWS":["` + w.user.ARN() + `"]},"Action":["sts:AssumeRole"],
		 "Condition":{"StringEquals":{"sts:ExternalId":"fleet","aws:PrincipalOrgID":"o-ours"}}},
		{"Effect":"Deny","NotPrincipal":{"AWS":"` + w.user.ARN() + `"},"Action":"sts:AssumeRole"}]}`); err != nil {
		t.Fatal(err)
	}
	other := w.hub.User("other")
	other.Allow("sts:AssumeRole")
	_, ours := w.assume(t, w.user.Keys(), w.role, fleetID)
	_, without := w.assume(t, w.user.Keys(), w.role, nil)
	_, foreign := w.assume(t, other.Keys(), w.role, fleetID)
	w.hub.SetOrganization("o-theirs")
	_, moved := w.assume(t, w.user.Keys(), w.role, fleetID)
	got := []string{code(ours), code(without), code(foreign), code(moved)}
	if diff := cmp.Diff([]string{"", "AccessDenied", "AccessDenied", "AccessDenied"}, got); diff != "" {
		t.Errorf("the user, without the ID, another user, of another organization (-want +got)\n%s", diff)
	}
}

package access

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const roleARN = "arn:aws:iam::111122223333:role/hawser/staging"

var made = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func target() Target {
	p, err := ParsePrincipal(roleARN)
	if err != nil {
		panic(err)
	}
	return Target{Region: "eu-north-1", Cluster: "prod", AccountID: "444455556666", Principal: p, Local: "primary"}
}

// entry is one that a grant for local cluster "primary" made, changed as given.
func entry(change func(*Entry)) *Entry {
	e := &Entry{
		Principal: roleARN, Type: Standard, Groups: []string{"hawser-members"}, CreatedAt: made,
		Username: "arn:aws:sts::111122223333:assumed-role/staging/{{SessionName}}",
		Tags:     map[string]string{"hawser.io/managed-by": "hawser", "hawser.io/local-cluster": "primary", "team": "a"},
	}
	if change != nil {
		change(e)
	}
	return e
}

func foreign(groups ...string) *Entry {
	return entry(func(e *Entry) { e.Tags, e.Groups = map[string]string{"team": "b"}, groups })
}

func TestDecide(t *testing.T) {
	grown := func(e *Entry) { e.Groups = []string{"viewers", "hawser-members", "system-admins"} }
	tests := map[string]struct {
		found Observed
		o     Options
		want  Plan
	}{
		"none: it is made": {
			found: Observed{AuthenticationMode: "API"},
			want:  Plan{Action: Create, Why: "there is none for this principal"},
		},
		"none, in a cluster whose mode nobody may tell: it is tried": {
			want: Plan{Action: Create, Why: "there is none for this principal"},
		},
		"a cluster that knows no entries": {
			found: Observed{AuthenticationMode: "CONFIG_MAP"},
			want: Plan{
				Action: Refuse, Reason: v1alpha1.ReasonAuthModeConfigMap,
				Why:    "the cluster is in authentication mode CONFIG_MAP, which knows no access entries. API_AND_CONFIG_MAP keeps what the ConfigMap aws-auth says; there is no way back",
				Repair: "aws eks update-cluster-config --region eu-north-1 --name prod --access-config authenticationMode=API_AND_CONFIG_MAP",
			},
		},
		"a cluster of the same name in another account, where nothing may be done": {
			found: Observed{AccountID: "777788889999", Entry: entry(nil)},
			want: Plan{
				Action: Refuse, Reason: v1alpha1.ReasonAccountMismatch, Repair: "use credentials of account 444455556666",
				Why: "the cluster of that name is in account 777788889999, and account 444455556666 is meant: the credentials are of the wrong account",
			},
		},
		"ours, as it should be, with the user name that the server gave it": {
			found: Observed{AccountID: "444455556666", AuthenticationMode: "API_AND_CONFIG_MAP", Entry: entry(nil), RoleCreated: made.Add(-time.Hour)},
			want:  Plan{Action: Keep, Why: "it maps the principal to the group hawser-members"},
		},
		"ours, without its group": {
			found: Observed{Entry: entry(func(e *Entry) { e.Groups = nil })},
			want:  Plan{Action: Change, Why: "it does not map the principal to the group hawser-members"},
		},
		"ours, with other groups": {
			found: Observed{Entry: entry(grown)},
			want:  Plan{Action: Change, Why: "it has groups that it should not have; it loses viewers, system-admins"},
		},
		"ours, with other groups only": {
			found: Observed{Entry: entry(func(e *Entry) { e.Groups = []string{"viewers"} })},
			want:  Plan{Action: Change, Why: "it does not map the principal to the group hawser-members; it loses viewers"},
		},
		"ours, for an earlier role of the same name": {
			found: Observed{Entry: entry(grown), RoleCreated: made.Add(time.Second)},
			want:  Plan{Action: Recreate, Why: "it was made at 2026-05-01T12:00:00Z for a role of the same name that is gone: the role of today was made at 2026-05-01T12:00:01Z"},
		},
		"ours, for an earlier role, with an access policy that goes with it": {
			found: Observed{Entry: entry(func(e *Entry) { e.Policies = []string{"AmazonEKSViewPolicy"} })},
			o:     Options{Repair: true},
			want:  Plan{Action: Recreate, Why: "it is made anew, as asked; the access policies that somebody associated with it go: AmazonEKSViewPolicy"},
		},
		"ours, for a role as old as the entry": {
			found: Observed{Entry: entry(nil), RoleCreated: made},
			want:  Plan{Action: Keep, Why: "it maps the principal to the group hawser-members"},
		},
		"an entry for nodes, even with our tags": {
			found: Observed{Entry: entry(func(e *Entry) { e.Type = "EC2_LINUX" })},
			o:     Options{Adopt: true, Repair: true},
			want: Plan{
				Action: Refuse, Reason: v1alpha1.ReasonAccessEntryMissing,
				Why:    "the principal has an entry of type EC2_LINUX, which is for nodes and cannot be changed: use another role, or delete that entry first",
				Repair: "aws eks delete-access-entry --region eu-north-1 --cluster-name prod --principal-arn " + roleARN,
			},
		},
		"somebody else's, with our group: it serves": {
			found: Observed{Entry: foreign("viewers", "hawser-members")},
			want:  Plan{Action: Leave, Why: "it maps the principal to the group hawser-members, and is that of somebody else"},
		},
		"that of another local cluster, with our group: it serves both": {
			found: Observed{Entry: entry(func(e *Entry) { e.Tags["hawser.io/local-cluster"] = "other" })},
			want:  Plan{Action: Leave, Why: `it maps the principal to the group hawser-members, and is that of the Hawser of local cluster "other"`},
		},
		"somebody else's, without our group": {
			found: Observed{Entry: foreign("viewers", "it's mine")},
			want: Plan{
				Action: Refuse, Reason: v1alpha1.ReasonAccessEntryMissing,
				Why:    "the entry is that of somebody else, and has the groups [viewers, it's mine], without hawser-members: add the group, which leaves the entry to its owner, or take it over with --adopt, which leaves it no other group",
				Repair: "aws eks update-access-entry --region eu-north-1 --cluster-name prod --principal-arn " + roleARN + ` --kubernetes-groups viewers 'it'\''s mine' hawser-members`,
			},
		},
		"somebody else's, taken over": {
			found: Observed{Entry: foreign("viewers")}, o: Options{Adopt: true},
			want: Plan{Action: Change, Tag: true, Why: "it is taken over from somebody else; it does not map the principal to the group hawser-members; it loses viewers"},
		},
		"somebody else's, with our group alone, taken over": {
			found: Observed{Entry: foreign("hawser-members")}, o: Options{Adopt: true},
			want: Plan{Action: Change, Tag: true, Why: "it is taken over from somebody else; it maps the principal to the group hawser-members"},
		},
		"somebody else's, for an earlier role": {
			found: Observed{Entry: foreign("hawser-members"), RoleCreated: made.Add(time.Hour)},
			want: Plan{
				Action: Refuse, Reason: v1alpha1.ReasonPrincipalRecreated,
				Why:    "the entry is that of somebody else, and is for a role of the same name that is gone: it was made at 2026-05-01T12:00:00Z, and the role of today at 2026-05-01T13:00:00Z. Delete it and grant again, or take it over with --adopt",
				Repair: "aws eks delete-access-entry --region eu-north-1 --cluster-name prod --principal-arn " + roleARN,
			},
		},
		"somebody else's, for an earlier role, taken over": {
			found: Observed{Entry: foreign("hawser-members"), RoleCreated: made.Add(time.Hour)}, o: Options{Adopt: true},
			want: Plan{Action: Recreate, Why: "it was made at 2026-05-01T12:00:00Z for a role of the same name that is gone: the role of today was made at 2026-05-01T13:00:00Z"},
		},
		"somebody else's, and a repair is asked for": {
			found: Observed{Entry: foreign("hawser-members")}, o: Options{Repair: true},
			want: Plan{
				Action: Refuse, Reason: v1alpha1.ReasonPrincipalRecreated,
				Why:    "the entry is that of somebody else: delete it and grant again, or take it over with --adopt",
				Repair: "aws eks delete-access-entry --region eu-north-1 --cluster-name prod --principal-arn " + roleARN,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Decide(target(), test.found, test.o)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDecideRevoke(t *testing.T) {
	tests := map[string]struct {
		entry *Entry
		o     Options
		want  Action
	}{
		"none":                          {nil, Options{}, Keep},
		"ours":                          {entry(nil), Options{}, Delete},
		"ours, with other groups":       {entry(func(e *Entry) { e.Groups = []string{"viewers"} }), Options{}, Delete},
		"somebody else's":               {foreign("hawser-members"), Options{}, Refuse},
		"somebody else's, by force":     {foreign("hawser-members"), Options{Force: true}, Delete},
		"that of another local cluster": {entry(func(e *Entry) { e.Tags[LocalClusterTag] = "other" }), Options{}, Refuse},
		"that of another local cluster, by force": {entry(func(e *Entry) { e.Tags[LocalClusterTag] = "other" }), Options{Force: true}, Delete},
		"one for nodes, by force":                 {entry(func(e *Entry) { e.Type = "EC2" }), Options{Force: true}, Refuse},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := DecideRevoke(target(), Observed{Entry: test.entry}, test.o); got.Action != test.want || got.Why == "" {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

func TestParsePrincipal(t *testing.T) {
	tests := map[string]struct {
		arn  string
		want Principal // the zero one: refused
	}{
		"a role":                     {"arn:aws:iam::111122223333:role/staging", Principal{ARN: "arn:aws:iam::111122223333:role/staging", Partition: "aws", AccountID: "111122223333", Role: true, Name: "staging"}},
		"a role with a path":         {"arn:aws-cn:iam::111122223333:role/a/b/staging", Principal{ARN: "arn:aws-cn:iam::111122223333:role/a/b/staging", Partition: "aws-cn", AccountID: "111122223333", Role: true, Name: "staging"}},
		"a user":                     {"arn:aws:iam::111122223333:user/ops/ann", Principal{ARN: "arn:aws:iam::111122223333:user/ops/ann", Partition: "aws", AccountID: "111122223333", Name: "ann"}},
		"a session of a role":        {"arn:aws-us-gov:sts::111122223333:assumed-role/staging/hawser-1", Principal{ARN: "arn:aws-us-gov:iam::111122223333:role/staging", Partition: "aws-us-gov", AccountID: "111122223333", Role: true, Name: "staging", PathUnknown: true}},
		"a session without its name": {arn: "arn:aws:sts::111122223333:assumed-role/staging"},
		"a federated user":           {arn: "arn:aws:sts::111122223333:federated-user/ann"},
		"the root of an account":     {arn: "arn:aws:iam::111122223333:root"},
		"a policy":                   {arn: "arn:aws:iam::aws:policy/AdministratorAccess"},
		"a role without a name":      {arn: "arn:aws:iam::111122223333:role/"},
		"a role without an account":  {arn: "arn:aws:iam:::role/staging"},
		"a role in a region":         {arn: "arn:aws:iam:eu-north-1:111122223333:role/staging"},
		"an account that is too long": {
			arn: "arn:aws:iam::1111222233334:role/staging"},
		"no ARN at all": {arn: "staging"},
		"nothing":       {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePrincipal(test.arn)
			if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want.ARN != "") {
				t.Errorf("error %v (-want +got)\n%s", err, diff)
			}
		})
	}
}

package eks

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/aws/access"
	"github.com/hawser-io/hawser/internal/cli/doctor"
)

const (
	groundARN = "arn:aws:iam::111122223333:user/ann"
	firstARN  = "arn:aws:sts::111122223333:assumed-role/hub/hawser-hub"
	tokenARN  = "arn:aws:sts::444455556666:assumed-role/staging/hawser-staging"
	caText    = "-----BEGIN CERTIFICATE-----\n"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func role(name, arn string) aws.Identity {
	return aws.Identity{Ref: aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: name}, Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: arn}}
}

func broken(hop int, name, reason, repair, why string) error {
	return &aws.Error{Hop: hop, Hops: 2, Ref: aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: name}, Reason: reason, Repair: repair, Err: errors.New(why)}
}

// healthy is a cluster with which all is well, reached over two roles.
func healthy() (Patient, Surroundings, facts) {
	rc := &v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{Name: "prod", Generation: 1}}
	rc.Spec.Server = "https://prod.eks.example"
	rc.Spec.CAData = base64.StdEncoding.EncodeToString([]byte(caText))
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		Region: "eu-north-1", AccountID: "444455556666", IdentityRef: &v1alpha1.AWSIdentityRef{Name: "staging"},
	}}
	rc.Status.ObservedGeneration = 1
	rc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Authenticated, Status: metav1.ConditionTrue, Message: "as " + tokenARN}}
	chain := aws.Chain{
		Ground: aws.Identity{Type: v1alpha1.AWSControllerIdentity},
		Roles:  []aws.Identity{role("hub", "arn:aws:iam::111122223333:role/hub"), role("staging", "arn:aws:iam::444455556666:role/staging")},
	}
	principal, _ := access.ParsePrincipal("arn:aws:iam::444455556666:role/staging")
	target := access.Target{Region: "eu-north-1", Cluster: "prod", AccountID: "444455556666", Principal: principal, Local: "primary"}
	f := facts{
		token:    walk{chain: chain, hops: []hop{{arn: groundARN, account: "111122223333"}, {arn: firstARN, account: "111122223333"}, {arn: tokenARN, account: "444455556666"}}},
		policies: policies{known: true},
		cluster: described{by: groundARN, cluster: aws.Cluster{
			Name: "prod", Region: "eu-north-1", AccountID: "444455556666", Server: "https://PROD.eks.example", CAData: []byte(caText),
			Status: "ACTIVE", Version: "1.36", AuthenticationMode: "API", PublicAccess: true,
		}},
		entry: entry{by: groundARN, target: target, found: access.Observed{AccountID: "444455556666", AuthenticationMode: "API", Entry: &access.Entry{
			Type: access.Standard, Groups: []string{"hawser-members"}, CreatedAt: now.Add(-time.Hour),
			Tags: map[string]string{access.ManagedByTag: "hawser", access.LocalClusterTag: "primary"},
		}}},
		shown: shown{user: tokenARN, groups: []string{"hawser-members", "system:authenticated"}},
	}
	return Patient{Cluster: rc}, Surroundings{Clock: clocktesting.NewFakeClock(now), Local: "primary", Namespace: "hawser"}, f
}

func TestJudge(t *testing.T) {
	type want struct{ check, severity, message, repair string }
	stale := want{"manager", "warning", "it still reports that the cluster accepts it", ""}
	tests := map[string]struct {
		spoil func(*Patient, *Surroundings, *facts)
		want  []want // besides what is ok
	}{
		"all is well, as seen by a person": {
			func(*Patient, *Surroundings, *facts) {},
			[]want{{"ground", "skipped", "the chain starts with the manager's own identity, which only the manager has; here it starts with yours, " + groundARN, "kubectl -n hawser exec deploy/hawser -- hawser aws check prod"}},
		},
		"all is well, as seen by the manager": {
			func(_ *Patient, s *Surroundings, _ *facts) { s.AsManager = true },
			nil,
		},
		"the first hop is denied": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.token.hops = []hop{f.token.hops[0], {err: broken(1, "hub", v1alpha1.ReasonAssumeRoleDenied, "see hawser aws bootstrap target", "it may not be assumed")}}
				f.shown, f.policies = shown{}, policies{}
				p.Cluster.Status.Conditions[0] = metav1.Condition{Type: v1alpha1.Authenticated, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAssumeRoleDenied, Message: "hop 1"}
			},
			[]want{
				{"hop 1", "error", `hop 1 of 2, AWSIdentity "hub": it may not be assumed`, "see hawser aws bootstrap target"},
				{"hop 2", "skipped", "not tried: hop 1 failed", ""},
				{"policies", "skipped", "not tried: hop 1 failed", ""},
				{"token", "skipped", "not tried: hop 1 failed", ""},
				{"manager", "error", "it reports Authenticated as False (AssumeRoleDenied): hop 1", "kubectl describe remotecluster prod"},
			},
		},
		"the first hop is denied to the person, and not to the manager": {
			func(_ *Patient, _ *Surroundings, f *facts) {
				f.token.hops = []hop{f.token.hops[0], {err: broken(1, "hub", v1alpha1.ReasonAssumeRoleDenied, "see hawser aws bootstrap target", "it may not be assumed")}}
			},
			[]want{
				{"ground", "skipped", "which only the manager has", "hawser aws check prod"},
				{"hop 1", "warning", "the manager, as itself, gets through, so that this is about you alone", "see hawser aws bootstrap target"},
				{"hop 2", "skipped", "not tried", ""},
				{"policies", "skipped", "not tried", ""},
				{"token", "skipped", "not tried", ""},
			},
		},
		"the person has no AWS credentials": {
			func(p *Patient, _ *Surroundings, f *facts) {
				p.Cluster.Status.Conditions = nil
				f.token.hops = []hop{{err: &aws.Error{Reason: v1alpha1.ReasonNoAWSCredentials, Repair: "give the manager an identity", Err: errors.New("there are none")}}}
				f.cluster, f.entry.by, f.shown = described{}, "", shown{}
			},
			[]want{
				{"ground", "skipped", "there are no AWS credentials here", ""},
				{"hop 0", "error", "your own AWS credentials: there are none", "log in to AWS, or choose other credentials with --profile"},
				{"hop 1", "skipped", "not tried: hop 0 failed", ""},
				{"hop 2", "skipped", "not tried: hop 0 failed", ""},
				{"policies", "skipped", "not tried: hop 0 failed", ""},
				{"cluster", "skipped", `nobody here can ask the EKS API about EKS cluster "prod" in eu-north-1 of account 444455556666`, ""},
				{"entry", "skipped", "nobody here may look at the access entry", ""},
				{"token", "skipped", "not tried: hop 0 failed", ""},
				{"manager", "error", "no manager has reported", "kubectl -n hawser get pods"},
			},
		},
		"the chain is a circle": {
			func(_ *Patient, _ *Surroundings, f *facts) {
				*f = facts{token: walk{err: broken(1, "hub", v1alpha1.ReasonIdentityCycle, "correct its sourceIdentityRef", "it leads back")}}
			},
			[]want{
				{"chain", "error", "it leads back", "correct its sourceIdentityRef"},
				{"policies", "skipped", "not tried: the chain of identities is not right", ""},
				{"cluster", "skipped", "nobody here can ask the EKS API", ""},
				{"entry", "skipped", "not tried: the chain of identities is not right", ""},
				{"token", "skipped", "not tried: the chain of identities is not right", ""},
			},
		},
		"the token role has policies": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.policies.arns, f.policies.names = []string{"arn:aws:iam::aws:policy/AdministratorAccess"}, []string{"more"}
			},
			[]want{{"policies", "warning", "the token role has policies (arn:aws:iam::aws:policy/AdministratorAccess, more), and needs none",
				"aws iam detach-role-policy --role-name staging --policy-arn arn:aws:iam::aws:policy/AdministratorAccess; aws iam delete-role-policy --role-name staging --policy-name 'more'"}},
		},
		"the token role asks the EKS API, too": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.policies.names = []string{"describe"}
				p.Cluster.Spec.Auth.EKS.APIIdentityRef = &v1alpha1.AWSIdentityRef{Kind: v1alpha1.KindAWSIdentity, Name: "staging"}
				api := f.token
				f.api = &api
			},
			[]want{{"policies", "warning", "is also the one that asks the EKS API", "make another AWSIdentity"}},
		},
		"the identity for the EKS API breaks, and the token goes on": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				p.Cluster.Spec.Auth.EKS.APIIdentityRef = &v1alpha1.AWSIdentityRef{Name: "reader"}
				f.api = &walk{chain: f.token.chain, hops: []hop{f.token.hops[0], {err: broken(1, "hub", v1alpha1.ReasonThrottled, "", "slower, please")}}}
				f.cluster, f.entry.by = described{}, ""
			},
			[]want{
				{"api hop 1", "error", "slower, please", ""}, {"api hop 2", "skipped", "not tried: api hop 1 failed", ""},
				{"cluster", "skipped", "nobody here can ask", ""}, {"entry", "skipped", "nobody here may look", ""},
			},
		},
		"the identity for the EKS API may not ask, and the person may": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.denied = broken(2, "reader", v1alpha1.ReasonEKSDenied, "allow eks:DescribeCluster", "denied")
			},
			[]want{{"cluster", "error", "(asked as auth.eks.apiIdentityRef)", "allow eks:DescribeCluster"}},
		},
		"the token proves the root of an account": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.token = walk{chain: aws.Chain{Ground: aws.Identity{Type: v1alpha1.AWSStaticIdentity}}, hops: []hop{{arn: "arn:aws:iam::111122223333:root"}}}
				f.entry, f.shown = entry{}, shown{refused: true}
			},
			[]want{
				{"policies", "skipped", "the token proves no role", ""},
				{"entry", "error", "there is none for arn:aws:iam::111122223333:root, and can be none", "name an AWSIdentity of a role"},
				{"token", "skipped", "as is to be expected", ""},
				stale,
			},
		},
		"the cluster is being made": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.cluster.Status, f.cluster.cluster.Server, f.cluster.cluster.CAData = "CREATING", "", nil
				f.shown = shown{unreachable: "looking up prod.eks.example: no such host"}
			},
			[]want{
				{"cluster", "error", "is CREATING", "aws eks wait cluster-active --region eu-north-1 --name prod"},
				{"endpoint", "skipped", "it has none yet", ""},
				{"token", "error", "no such host", "hawser check prod"},
			},
		},
		"the cluster is not there": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				gone := &aws.Error{Reason: v1alpha1.ReasonEKSClusterNotFound, Repair: "check clusterName", Err: errors.New("no cluster found")}
				f.cluster.err, f.entry.err = gone, gone
				f.shown = shown{unreachable: "connection refused"}
			},
			[]want{
				{"cluster", "error", "no cluster found", "check clusterName"},
				{"entry", "skipped", "the EKS API does not answer about the cluster", ""},
				{"token", "error", "connection refused", "hawser check prod"},
			},
		},
		"the cluster was made anew under its name before any token was proved there": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.cluster.Server, f.cluster.cluster.CAData = "https://another.eks.example", []byte("another")
				f.shown = shown{unreachable: "certificate signed by unknown authority"}
				p.Cluster.Status.Endpoint = nil
			},
			[]want{
				{"endpoint", "error", "was it deleted, and made again under the same name?", "hawser join prod --from-eks --replace"},
				{"token", "error", "unknown authority", "hawser check prod"},
			},
		},
		"the cluster was made anew, and EKS vouches for it": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.cluster.Server, f.cluster.cluster.CAData = "https://another.eks.example", []byte("another")
				f.shown = shown{unreachable: "certificate signed by unknown authority"}
				p.Cluster.Status.Endpoint = &v1alpha1.EndpointStatus{Server: "https://prod.eks.example"}
				p.Cluster.Spec.Auth.EKS.APIIdentityRef = &v1alpha1.AWSIdentityRef{Name: "describer"}
			},
			[]want{
				{"endpoint", "error", "was it deleted, and made again under the same name?", "hawser join prod --from-eks --replace"},
				{"token", "error", "unknown authority", "hawser check prod"},
			},
		},
		"the cluster was made anew, and nobody vouches for it": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.cluster.Server, f.cluster.cluster.CAData = "https://another.eks.example", []byte("another")
				f.shown = shown{unreachable: "certificate signed by unknown authority"}
				p.Cluster.Status.Endpoint = &v1alpha1.EndpointStatus{Server: "https://prod.eks.example"}
			},
			[]want{
				{"endpoint", "error", "was it deleted, and made again under the same name?", "hawser leave prod, then hawser join prod --from-eks --auth eks --region eu-north-1 --account 444455556666 --identity staging; or hawser join prod --from-eks --replace --api-identity NAME"},
				{"token", "error", "unknown authority", "hawser check prod"},
			},
		},
		"the cluster was made anew, and the identity that could vouch for it may not ask": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.cluster.CAData = []byte("another")
				f.cluster.denied = &aws.Error{Reason: v1alpha1.ReasonEKSDenied, Repair: "allow eks:DescribeCluster", Err: errors.New("it may not describe the cluster")}
				p.Cluster.Status.Endpoint = &v1alpha1.EndpointStatus{Server: "https://prod.eks.example"}
				p.Cluster.Spec.Auth.EKS.APIIdentityRef = &v1alpha1.AWSIdentityRef{Name: "describer"}
			},
			[]want{
				{"cluster", "error", "it may not describe the cluster", "allow eks:DescribeCluster"},
				{"endpoint", "error", "was it deleted, and made again under the same name?", "allow the identity in auth.eks.apiIdentityRef to describe the cluster, then hawser join prod --from-eks --replace"},
			},
		},
		"the cluster is at another address, and private": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.cluster.cluster.Server, f.cluster.cluster.PublicAccess = "https://other.eks.example", false
			},
			[]want{
				{"endpoint", "warning", "is at https://other.eks.example, and the spec says https://prod.eks.example", "hawser join prod --from-eks"},
				{"endpoint", "warning", "only from within its VPC", "spec.proxyURL"},
			},
		},
		"the cluster is in another account than it should be": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				p.Cluster.Spec.Auth.EKS.AccountID, f.entry.target.AccountID = "777788889999", "777788889999"
			},
			[]want{
				{"account", "error", "in account 444455556666, and the spec says 777788889999", `{"spec":{"auth":{"eks":{"accountID":"444455556666"}}}}`},
				{"entry", "error", "account 777788889999 is meant", "use credentials of account 777788889999"},
			},
		},
		"no account is named": {
			func(p *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				p.Cluster.Spec.Auth.EKS.AccountID, f.entry.target.AccountID = "", ""
			},
			[]want{{"account", "warning", "a cluster of the same name in another would do", `{"accountID":"444455556666"}`}},
		},
		"there is no access entry": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.Entry, f.shown = nil, shown{refused: true}
			},
			[]want{
				{"entry", "error", "there is none for arn:aws:iam::444455556666:role/staging", "hawser aws grant prod"},
				{"token", "skipped", "as is to be expected", ""},
				stale,
			},
		},
		"there is no access entry, and a ConfigMap lets the role in": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.AuthenticationMode, f.entry.found.Entry = "CONFIG_MAP", nil
			},
			[]want{{"entry", "warning", "by the ConfigMap aws-auth", "authenticationMode=API_AND_CONFIG_MAP"}},
		},
		"the cluster knows no access entries": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.AuthenticationMode, f.entry.found.Entry, f.shown = "CONFIG_MAP", nil, shown{refused: true}
			},
			[]want{
				{"entry", "error", "the cluster is in authentication mode CONFIG_MAP", "aws eks update-cluster-config --region eu-north-1 --name prod --access-config authenticationMode=API_AND_CONFIG_MAP"},
				{"token", "skipped", "as is to be expected", ""},
				stale,
			},
		},
		"the access entry has other groups": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.Entry.Groups = []string{"viewers"}
				f.shown.groups = []string{"viewers"}
			},
			[]want{
				{"entry", "error", "it does not map the principal to the group hawser-members", "hawser aws grant prod"},
				{"token", "error", "who is in the groups [viewers], without hawser-members", "hawser aws grant prod"},
			},
		},
		"the access entry gives more than it should": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.Entry.Groups = []string{"hawser-members", "admins"}
				f.entry.found.Entry.Policies = []string{"arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"}
			},
			[]want{
				{"entry", "warning", "it has groups that it should not have; it loses admins", "hawser aws grant prod"},
				{"entry", "warning", "AmazonEKSClusterAdminPolicy", "aws eks disassociate-access-policy"},
			},
		},
		"the role was made anew, and its entry was not": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.RoleCreated, f.shown = now, shown{refused: true}
			},
			[]want{
				{"entry", "error", "for a role of the same name that is gone", "hawser aws grant prod"},
				{"token", "skipped", "as is to be expected", ""},
				stale,
			},
		},
		"the role was made anew, which only the refusal tells": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.shown = shown{refused: true}
			},
			[]want{{"token", "error", "most likely the role was deleted and made again", "hawser aws grant prod --repair"}, stale},
		},
		"the entry is very young": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found.Entry.CreatedAt, f.shown = now.Add(-5*time.Second), shown{refused: true}
			},
			[]want{{"token", "warning", "the access entry is 5s old: EKS needs some seconds", "hawser aws check prod"}, stale},
		},
		"nobody may look at the entry, and the token is refused": {
			func(_ *Patient, s *Surroundings, f *facts) {
				s.AsManager = true
				f.entry.found, f.entry.err = access.Observed{}, &aws.Error{Reason: v1alpha1.ReasonEKSDenied, Err: errors.New("denied")}
				f.shown = shown{refused: true}
			},
			[]want{
				{"entry", "skipped", "nobody here may look", ""},
				{"token", "error", "it has no access entry for arn:aws:iam::444455556666:role/staging, or one for an earlier role", "hawser aws grant prod"},
				stale,
			},
		},
		"another cluster has the same name": {
			func(p *Patient, s *Surroundings, _ *facts) { s.AsManager, p.SameName = true, []string{"prod-us"} },
			[]want{{"audience", "warning", `signed for a cluster name, "prod", that others have, too`, "an AWSIdentity of its own"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, s, f := healthy()
			test.spoil(&p, &s, &f)
			var left []doctor.Finding
			for _, finding := range judge(p, s, f) {
				if finding.Severity != doctor.OK {
					left = append(left, finding)
				}
			}
			var got []want
			for i, finding := range left {
				one := want{finding.Check, string(finding.Severity), finding.Message, finding.Repair}
				if i < len(test.want) && strings.Contains(one.message, test.want[i].message) {
					one.message = test.want[i].message
				}
				if i < len(test.want) && strings.Contains(one.repair, test.want[i].repair) {
					one.repair = test.want[i].repair
				}
				got = append(got, one)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

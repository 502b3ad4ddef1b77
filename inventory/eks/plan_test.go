package eks_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/eks"
)

const (
	north, west = "eu-north-1", "eu-west-1"
	one, two    = "111111111111", "222222222222"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// account is entered by the identity that is named after it.
func account(id string) v1alpha1.EKSAccount {
	return v1alpha1.EKSAccount{IdentityRef: &v1alpha1.AWSIdentityRef{Name: "api-" + id}, TokenIdentityRef: &v1alpha1.AWSIdentityRef{Name: "token"}}
}

func arn(id, region, name string) string {
	return fmt.Sprintf("arn:aws:eks:%s:%s:cluster/%s", region, id, name)
}

func found(id, region, name string, change ...func(*aws.Cluster)) aws.Cluster {
	c := aws.Cluster{
		Name: name, ARN: arn(id, region, name), AccountID: id, Region: region, Status: "ACTIVE",
		Server: fmt.Sprintf("https://%s.%s.%s.example.com", strings.ToLower(strings.ReplaceAll(name, "_", "-")), id, region), CAData: []byte("PEM of " + name),
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func tagged(tags map[string]string) func(*aws.Cluster) { return func(c *aws.Cluster) { c.Tags = tags } }
func status(s string) func(*aws.Cluster)               { return func(c *aws.Cluster) { c.Status = s } }

// answer is complete.
func answer(id, region string, clusters ...aws.Cluster) eks.Answer {
	a := eks.Answer{Account: account(id), AccountID: id, Region: region, Complete: true, Clusters: clusters}
	for _, c := range clusters {
		a.Names = append(a.Names, c.Name)
	}
	return a
}

// silence is that of an account or region that does not answer.
func silence(id, region, reason string) eks.Answer {
	return eks.Answer{Account: account(id), AccountID: id, Region: region, Gaps: []v1alpha1.InventoryGap{{Where: eks.Where(account(id), region, ""), Reason: reason, Message: "no"}}}
}

// kept is a RemoteCluster as the inventory made it, under any name.
func kept(name string, c aws.Cluster, change ...func(*v1alpha1.RemoteCluster)) v1alpha1.RemoteCluster {
	rc := v1alpha1.RemoteCluster{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: "uid",
		Labels:      map[string]string{v1alpha1.InventoryLabel: "eks.all", v1alpha1.ManagedByLabel: v1alpha1.ManagedBy},
		Annotations: map[string]string{eks.ARNAnnotation: c.ARN},
	}}
	rc.Spec.Server, rc.Spec.CAData = c.Server, base64.StdEncoding.EncodeToString(c.CAData)
	rc.Spec.Auth = v1alpha1.Auth{Type: v1alpha1.AuthEKS, EKS: &v1alpha1.EKSAuth{
		ClusterName: c.Name, Region: c.Region, AccountID: c.AccountID,
		IdentityRef: &v1alpha1.AWSIdentityRef{Name: "token"}, APIIdentityRef: &v1alpha1.AWSIdentityRef{Name: "api-" + c.AccountID},
	}}
	for _, f := range change {
		f(&rc)
	}
	return rc
}

// byHand is a RemoteCluster that no inventory knows.
func byHand(name string, c aws.Cluster, change ...func(*v1alpha1.RemoteCluster)) v1alpha1.RemoteCluster {
	rc := kept(name, c, change...)
	rc.Labels, rc.Annotations = nil, nil
	return rc
}

func disabled(rc *v1alpha1.RemoteCluster) { rc.Spec.Disabled = true }
func byUs(rc *v1alpha1.RemoteCluster) {
	rc.Annotations[eks.DisabledAnnotation] = "2026-02-01T00:00:00Z"
}
func leaving(rc *v1alpha1.RemoteCluster) { rc.DeletionTimestamp = &metav1.Time{Time: now} }

func list(rcs ...v1alpha1.RemoteCluster) []v1alpha1.RemoteCluster { return rcs }
func answers(as ...eks.Answer) []eks.Answer                       { return as }

// told is a plan in short.
type told struct {
	Steps         []string // "Create prod"
	Failures      []string // reason and where
	Notes         []string
	Gone, Unasked []string
	Clusters      int
}

func tell(p eks.Plan) told {
	t := told{Gone: p.Gone, Unasked: p.Unasked, Clusters: p.Clusters}
	for _, s := range p.Steps {
		name := ""
		if s.Want != nil {
			name = s.Want.Name
		} else {
			name = s.Have.Name
		}
		t.Steps = append(t.Steps, string(s.Do)+" "+name)
	}
	for _, g := range p.Failures {
		t.Failures = append(t.Failures, g.Reason+" "+g.Where)
	}
	for _, g := range p.Notes {
		t.Notes = append(t.Notes, g.Reason+" "+g.Where+": "+g.Message)
	}
	return t
}

func TestWhatBecomesOfWhatWasFound(t *testing.T) {
	prod := found(one, north, "prod")
	other := found(two, north, "prod")
	cases := []struct {
		name     string
		spec     func(*v1alpha1.EKSInventorySpec)
		answers  []eks.Answer
		existing []v1alpha1.RemoteCluster
		want     told
	}{
		{
			name:    "a new cluster gets a RemoteCluster of its name",
			answers: answers(answer(one, north, prod)),
			want:    told{Steps: []string{"Create prod"}, Clusters: 1},
		},
		{
			name:    "a prefix stands before the name, and what a label cannot hold becomes a dash",
			spec:    func(s *v1alpha1.EKSInventorySpec) { s.NamePrefix = "aws-" },
			answers: answers(answer(one, north, found(one, north, "Team_A"))),
			want:    told{Steps: []string{"Create aws-team-a"}, Clusters: 1},
		},
		{
			name:    "a name that is too long is cut and gets a hash",
			answers: answers(answer(one, north, found(one, north, strings.Repeat("n", 90)))),
			want:    told{Steps: []string{"Create " + strings.Repeat("n", 43) + "-1d2cc5"}, Clusters: 1},
		},
		{
			name:    "of two clusters of one name in two accounts the first keeps the plain name",
			answers: answers(answer(one, north, prod), answer(two, north, other)),
			want:    told{Steps: []string{"Create prod", "Create prod-fa02b9"}, Clusters: 2},
		},
		{
			name:     "a name is kept for ever, also by the second of two",
			answers:  answers(answer(one, north, prod), answer(two, north, other)),
			existing: list(kept("prod", other), kept("prod-fa02b9", prod)),
			want:     told{Steps: []string{"Update prod-fa02b9", "Update prod"}, Clusters: 2},
		},
		{
			name:     "a name that somebody else's cluster has is not taken from it",
			answers:  answers(answer(one, north, prod)),
			existing: list(byHand("prod", other)),
			want:     told{Steps: []string{"Create prod-8c422d"}, Clusters: 1},
		},
		{
			name:    "the name of the local cluster is not given away",
			answers: answers(answer(one, north, found(one, north, "hub"))),
			want:    told{Steps: []string{"Create hub-2b0bd4"}, Clusters: 1},
		},
		{
			name:     "one written by hand for the same cluster is left alone",
			answers:  answers(answer(one, north, prod)),
			existing: list(byHand("mine", prod)),
			want:     told{Clusters: 1, Notes: []string{`DuplicateCluster AWSIdentity "api-111111111111", eu-north-1, cluster "prod": already connected as RemoteCluster "mine"`}},
		},
		{
			name:    "one of another inventory for the same cluster is left alone",
			answers: answers(answer(one, north, prod)),
			existing: list(kept("theirs", prod, func(rc *v1alpha1.RemoteCluster) {
				rc.Labels[v1alpha1.InventoryLabel] = "eks.other"
			})),
			want: told{Clusters: 1, Notes: []string{`DuplicateCluster AWSIdentity "api-111111111111", eu-north-1, cluster "prod": already connected as RemoteCluster "theirs"`}},
		},
		{
			name:     "one whose label was taken off is people's own",
			answers:  answers(answer(one, north)),
			spec:     remove(v1alpha1.RemovedDelete),
			existing: list(kept("prod", prod, func(rc *v1alpha1.RemoteCluster) { delete(rc.Labels, v1alpha1.InventoryLabel) })),
			want:     told{},
		},
		{
			name:    "a cluster that is being created waits",
			answers: answers(answer(one, north, found(one, north, "new", status("CREATING"), func(c *aws.Cluster) { c.Server, c.CAData = "", nil }))),
			want:    told{Clusters: 1, Notes: []string{`EKSClusterNotActive AWSIdentity "api-111111111111", eu-north-1, cluster "new": it is CREATING`}},
		},
		{
			name:    "a cluster without a CA waits",
			answers: answers(answer(one, north, found(one, north, "new", func(c *aws.Cluster) { c.CAData = nil }))),
			want:    told{Clusters: 1, Notes: []string{`EKSClusterNotActive AWSIdentity "api-111111111111", eu-north-1, cluster "new": it has no certificate authority yet`}},
		},
		{
			name:     "one made again under the same name is not touched before it is up",
			spec:     remove(v1alpha1.RemovedDelete),
			answers:  answers(answer(one, north, found(one, north, "prod", status("CREATING")))),
			existing: list(kept("prod", prod)),
			want:     told{Clusters: 1, Notes: []string{`EKSClusterNotActive AWSIdentity "api-111111111111", eu-north-1, cluster "prod": it is CREATING`}},
		},
		{
			name:     "a cluster that is being deleted is still there",
			spec:     remove(v1alpha1.RemovedDelete),
			answers:  answers(answer(one, north, found(one, north, "prod", status("DELETING")))),
			existing: list(kept("prod", prod)),
			want:     told{Clusters: 1, Notes: []string{`EKSClusterNotActive AWSIdentity "api-111111111111", eu-north-1, cluster "prod": it is DELETING`}},
		},
		{
			name:     "what two identities of one account find is one cluster",
			answers:  answers(answer(one, north, prod), eks.Answer{Account: account(two), AccountID: one, Region: north, Complete: true, Names: []string{"prod"}, Clusters: []aws.Cluster{prod}}),
			existing: nil,
			want:     told{Steps: []string{"Create prod"}, Clusters: 1},
		},
		{
			name:    "only clusters with all the tags count",
			spec:    func(s *v1alpha1.EKSInventorySpec) { s.Tags = map[string]string{"team": "", "stage": "prod"} },
			answers: answers(answer(one, north, found(one, north, "a", tagged(map[string]string{"team": "x", "stage": "prod"})), found(one, north, "b", tagged(map[string]string{"team": "x", "stage": "test"})), found(one, north, "c", tagged(map[string]string{"stage": "prod"})))),
			want:    told{Steps: []string{"Create a"}, Clusters: 1},
		},
		{
			name: "a cluster that lost its tags is gone for the inventory",
			spec: func(s *v1alpha1.EKSInventorySpec) {
				s.Tags, s.Removed = map[string]string{"team": ""}, v1alpha1.RemovedDelete
			},
			answers:  answers(answer(one, north, prod)),
			existing: list(kept("prod", prod)),
			want:     told{Steps: []string{"Delete prod"}},
		},
		{
			name: "a cluster that could not be described may still have its tags",
			spec: func(s *v1alpha1.EKSInventorySpec) {
				s.Tags, s.Removed = map[string]string{"team": ""}, v1alpha1.RemovedDelete
			},
			answers: answers(eks.Answer{Account: account(one), AccountID: one, Region: north, Complete: true, Names: []string{"prod"},
				Gaps: []v1alpha1.InventoryGap{{Where: "prod", Reason: v1alpha1.ReasonEKSDenied}}}),
			existing: list(kept("prod", prod)),
			want:     told{Failures: []string{"EKSDenied prod"}},
		},
		{
			name:     "a cluster that is gone is kept where that is the policy",
			answers:  answers(answer(one, north)),
			existing: list(kept("prod", prod)),
			want:     told{Gone: []string{"prod"}},
		},
		{
			name:     "a cluster that is gone is disabled",
			spec:     remove(v1alpha1.RemovedDisable),
			answers:  answers(answer(one, north)),
			existing: list(kept("prod", prod)),
			want:     told{Steps: []string{"Disable prod"}, Gone: []string{"prod"}},
		},
		{
			name:     "it is disabled once",
			spec:     remove(v1alpha1.RemovedDisable),
			answers:  answers(answer(one, north)),
			existing: list(kept("prod", prod, disabled, byUs)),
			want:     told{Gone: []string{"prod"}},
		},
		{
			name:     "somebody who enables it again has their way",
			spec:     remove(v1alpha1.RemovedDisable),
			answers:  answers(answer(one, north)),
			existing: list(kept("prod", prod, byUs)),
			want:     told{Gone: []string{"prod"}},
		},
		{
			name:     "it is enabled when it reappears",
			spec:     remove(v1alpha1.RemovedDisable),
			answers:  answers(answer(one, north, prod)),
			existing: list(kept("prod", prod, disabled, byUs)),
			want:     told{Steps: []string{"Enable prod"}, Clusters: 1},
		},
		{
			name:     "what a person disabled stays so",
			spec:     remove(v1alpha1.RemovedDisable),
			answers:  answers(answer(one, north, prod)),
			existing: list(kept("prod", prod, disabled)),
			want:     told{Steps: []string{"Update prod"}, Clusters: 1},
		},
		{
			name:     "a cluster that is gone is deleted",
			spec:     remove(v1alpha1.RemovedDelete),
			answers:  answers(answer(one, north, found(one, north, "rest"))),
			existing: list(kept("prod", prod)),
			want:     told{Steps: []string{"Create rest", "Delete prod"}, Clusters: 1},
		},
		{
			name:     "nothing is deleted where its region did not answer",
			spec:     remove(v1alpha1.RemovedDelete),
			answers:  answers(silence(one, north, v1alpha1.ReasonThrottled), answer(one, west)),
			existing: list(kept("prod", prod)),
			want:     told{Failures: []string{`Throttled AWSIdentity "api-111111111111", eu-north-1`}},
		},
		{
			name:     "nothing is deleted where its account is not the one that answered",
			spec:     remove(v1alpha1.RemovedDelete),
			answers:  answers(answer(two, north)),
			existing: list(kept("prod", prod)),
			want:     told{Unasked: []string{"prod"}},
		},
		{
			name:     "nothing is deleted where it is not known which account answered",
			spec:     remove(v1alpha1.RemovedDelete),
			answers:  answers(answer("", north)),
			existing: list(kept("prod", prod)),
			want:     told{Unasked: []string{"prod"}},
		},
		{
			name:     "a denied account harms no other",
			answers:  answers(silence(one, "", v1alpha1.ReasonAssumeRoleDenied), answer(two, north, other)),
			existing: list(kept("prod", prod)),
			want:     told{Steps: []string{"Create prod-fa02b9"}, Clusters: 1, Failures: []string{`AssumeRoleDenied AWSIdentity "api-111111111111"`}},
		},
		{
			name:     "one that is on its way out is not written, and is made anew later",
			answers:  answers(answer(one, north, prod)),
			existing: list(kept("prod", prod, leaving)),
			want:     told{Clusters: 1},
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			inv := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
			inv.Spec.Regions = []string{north}
			if tc.spec != nil {
				tc.spec(&inv.Spec)
			}
			plan := eks.Decide(eks.Input{Inventory: inv, Answers: tc.answers, Existing: tc.existing, Local: "hub", Now: now})
			if diff := cmp.Diff(tc.want, tell(plan)); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
		})
	}
}

func remove(policy v1alpha1.RemovedPolicy) func(*v1alpha1.EKSInventorySpec) {
	return func(s *v1alpha1.EKSInventorySpec) { s.Removed = policy }
}

func TestWhatARemoteClusterHolds(t *testing.T) {
	inv := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	inv.Spec.Capabilities = []v1alpha1.Capability{v1alpha1.CapabilityEndpoints}
	inv.Spec.Removed = v1alpha1.RemovedDisable
	prod := found(one, north, "prod")
	want := kept("prod", prod)
	want.UID = ""
	want.Spec.Capabilities = inv.Spec.Capabilities

	made := eks.Decide(eks.Input{Inventory: inv, Answers: answers(answer(one, north, prod)), Now: now})
	if diff := cmp.Diff(&want, made.Steps[0].Want); diff != "" {
		t.Errorf("a new one (-want +got):\n%s", diff)
	}

	// What people added or changed elsewhere is not among the fields of the inventory.
	have := kept("prod", prod, func(rc *v1alpha1.RemoteCluster) { rc.Spec.ProxyURL, rc.Labels["team"] = "http://proxy", "x" })
	gone := eks.Decide(eks.Input{Inventory: inv, Answers: answers(answer(one, north)), Existing: list(have), Now: now})
	want.Spec.Disabled = true
	want.Annotations[eks.DisabledAnnotation] = "2026-03-01T12:00:00Z"
	if diff := cmp.Diff(&want, gone.Steps[0].Want); diff != "" {
		t.Errorf("a disabled one (-want +got):\n%s", diff)
	}
}

func TestTheManagersOwnIdentityIsNoReference(t *testing.T) {
	inv := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	a := answer(one, north, found(one, north, "prod"))
	a.Account = v1alpha1.EKSAccount{}
	plan := eks.Decide(eks.Input{Inventory: inv, Answers: answers(a), Now: now})
	if auth := plan.Steps[0].Want.Spec.Auth.EKS; auth.IdentityRef != nil || auth.APIIdentityRef != nil {
		t.Errorf("got the references %v and %v", auth.IdentityRef, auth.APIIdentityRef)
	}
	if got, want := eks.Where(a.Account, north, ""), "the manager's own identity, eu-north-1"; got != want {
		t.Errorf("a gap would be at %q, want %q", got, want)
	}
}

func TestTheConditionSumsUp(t *testing.T) {
	prod := found(one, north, "prod")
	many := list()
	for i := range 7 {
		many = append(many, kept(fmt.Sprintf("gone-%d", i), found(one, north, fmt.Sprintf("gone-%d", i))))
	}
	cases := []struct {
		name            string
		answers         []eks.Answer
		existing        []v1alpha1.RemoteCluster
		status          metav1.ConditionStatus
		reason, message string
	}{
		{"all answered", answers(answer(one, north, prod)), nil, metav1.ConditionTrue, v1alpha1.ReasonSynced, "1 cluster found"},
		{"a cluster that waits is no failure", answers(answer(one, north, found(one, north, "new", status("CREATING")))), nil, metav1.ConditionTrue, v1alpha1.ReasonSynced,
			`1 cluster found; not connected: AWSIdentity "api-111111111111", eu-north-1, cluster "new": it is CREATING`},
		{"some answered", answers(answer(one, north, prod), silence(two, north, v1alpha1.ReasonThrottled), silence(two, west, v1alpha1.ReasonAWSUnreachable)), nil,
			metav1.ConditionFalse, v1alpha1.ReasonPartlySynced, `1 of 3 pairs of account and region answered, 1 cluster found; AWSIdentity "api-222222222222", eu-north-1: no (and 1 more, see status.gaps)`},
		{"nobody answered, for one reason", answers(silence(one, "", v1alpha1.ReasonAssumeRoleDenied)), nil, metav1.ConditionFalse, v1alpha1.ReasonAssumeRoleDenied,
			`0 of 1 pair of account and region answered, 0 clusters found; AWSIdentity "api-111111111111": no`},
		{"nobody answered, for several reasons", answers(silence(one, "", v1alpha1.ReasonAssumeRoleDenied), silence(two, "", v1alpha1.ReasonThrottled)), nil, metav1.ConditionFalse, v1alpha1.ReasonPartlySynced,
			`0 of 2 pairs of account and region answered, 0 clusters found; AWSIdentity "api-111111111111": no (and 1 more, see status.gaps)`},
		{"those that are kept without a cluster are named", answers(answer(one, north)), many, metav1.ConditionTrue, v1alpha1.ReasonSynced,
			"0 clusters found; kept although their clusters are gone: gone-0, gone-1, gone-2, gone-3, gone-4 and 2 more"},
		{"those that nobody looks for are named", answers(answer(two, north)), list(kept("prod", prod)), metav1.ConditionTrue, v1alpha1.ReasonSynced,
			"0 clusters found; kept in accounts or regions that are not looked at: prod"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			inv := &v1alpha1.EKSInventory{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
			inv.Spec.Regions = []string{north}
			got := eks.Decide(eks.Input{Inventory: inv, Answers: tc.answers, Existing: tc.existing, Now: now}).Condition()
			want := metav1.Condition{Type: v1alpha1.Ready, Status: tc.status, Reason: tc.reason, Message: tc.message}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the condition (-want +got):\n%s", diff)
			}
		})
	}
}

package awstest_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/internal/awstest"
)

func (w *world) describe(t *testing.T, creds aws.Credentials, name string) (*types.Cluster, error) {
	t.Helper()
	out, err := w.EKS(region, static(creds)).DescribeCluster(t.Context(), &eks.DescribeClusterInput{Name: &name})
	if err != nil {
		return nil, err
	}
	return out.Cluster, nil
}

// admin is a user of the target account who may do all of EKS.
func (w *world) admin() aws.Credentials {
	user := w.target.User("admin")
	user.Allow("eks:*")
	return user.Keys()
}

func TestDescribeCluster(t *testing.T) {
	w := newWorld(t)
	ca := []byte("-----BEGIN CERTIFICATE-----\n")
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{
		Server: "https://127.0.0.1:6443", CA: ca, Tags: map[string]string{"team": "a"}, Issuer: "https://issuer", Status: "CREATING",
	})
	got, err := w.describe(t, w.admin(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	if got.Endpoint != nil || got.CertificateAuthority == nil || got.CertificateAuthority.Data != nil || got.Status != types.ClusterStatusCreating {
		t.Errorf("while it is created: endpoint %v, CA %v, status %s", got.Endpoint, got.CertificateAuthority, got.Status)
	}
	cluster.SetStatus("ACTIVE")
	if got, err = w.describe(t, w.admin(), "alpha"); err != nil {
		t.Fatal(err)
	}
	flat := map[string]any{
		"arn": *got.Arn, "endpoint": *got.Endpoint, "ca": *got.CertificateAuthority.Data, "status": got.Status, "version": *got.Version,
		"mode": got.AccessConfig.AuthenticationMode, "tags": got.Tags, "issuer": *got.Identity.Oidc.Issuer,
		"public": got.ResourcesVpcConfig.EndpointPublicAccess, "created": got.CreatedAt.UTC(),
	}
	want := map[string]any{
		"arn": "arn:aws:eks:eu-north-1:444455556666:cluster/alpha", "endpoint": "https://127.0.0.1:6443",
		"ca": base64.StdEncoding.EncodeToString(ca), "status": types.ClusterStatusActive, "version": "1.36",
		"mode": types.AuthenticationModeApi, "tags": map[string]string{"team": "a"}, "issuer": "https://issuer",
		"public": true, "created": start,
	}
	if diff := cmp.Diff(want, flat); diff != "" {
		t.Errorf("cluster (-want +got)\n%s", diff)
	}
}

func TestEKSRefusals(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*world, *awstest.Cluster)
		want    string
	}{
		{name: "a cluster that there is"},
		{name: "a cluster that is deleted", prepare: func(_ *world, c *awstest.Cluster) { c.Delete() }, want: "ResourceNotFoundException"},
		{name: "no permission", prepare: func(w *world, _ *awstest.Cluster) { w.target.User("admin").RemovePolicies() }, want: "AccessDeniedException"},
		{name: "no permission for a cluster that is deleted", prepare: func(w *world, c *awstest.Cluster) {
			w.target.User("admin").RemovePolicies()
			c.Delete()
		}, want: "AccessDeniedException"},
		{name: "a permission by tag", prepare: func(w *world, _ *awstest.Cluster) {
			w.target.User("admin").RemovePolicies()
			w.target.User("admin").PutPolicy("tag", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}`)
		}},
		{name: "a permission by another tag", prepare: func(w *world, c *awstest.Cluster) {
			w.target.User("admin").RemovePolicies()
			w.target.User("admin").PutPolicy("tag", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}`)
			c.SetTags(nil)
		}, want: "AccessDeniedException"},
		{name: "keys that nobody knows", prepare: func(w *world, _ *awstest.Cluster) { w.target.User("admin").Disable() }, want: "UnrecognizedClientException"},
		{name: "a region that is off", prepare: func(w *world, _ *awstest.Cluster) { w.DisableRegion(region) }, want: "UnrecognizedClientException"},
		{name: "a clock that is wrong", prepare: func(w *world, _ *awstest.Cluster) { w.SkewClock(6 * time.Minute) }, want: "InvalidSignatureException"},
		{name: "throttling", prepare: func(w *world, _ *awstest.Cluster) { w.Throttle("DescribeCluster", 1) }, want: "ThrottlingException"},
		{name: "throttling of another cluster", prepare: func(w *world, _ *awstest.Cluster) {
			w.Throttle("DescribeCluster", 1, "arn:aws:eks:eu-north-1:444455556666:cluster/beta")
		}},
		{name: "denial", prepare: func(w *world, c *awstest.Cluster) { w.Deny("DescribeCluster", c.ARN()) }, want: "AccessDeniedException"},
		{name: "an error of the server", prepare: func(w *world, _ *awstest.Cluster) {
			w.Fail("DescribeCluster", 1, awstest.Failure{Status: 500, Code: "ServerException", Message: "oh"})
		}, want: "ServerException"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			admin := w.admin()
			cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{Tags: map[string]string{"team": "a"}})
			if test.prepare != nil {
				test.prepare(w, cluster)
			}
			if _, err := w.describe(t, admin, "alpha"); code(err) != test.want {
				t.Errorf("got %q (%v), want %q", code(err), err, test.want)
			}
		})
	}
}

func TestListClustersByPages(t *testing.T) {
	w := newWorld(t)
	want := []string{}
	for i := range 230 {
		want = append(want, fmt.Sprintf("cluster-%03d", i))
		w.target.EKS(region, want[i], awstest.EKSOptions{})
	}
	w.target.EKS("eu-west-1", "elsewhere", awstest.EKSOptions{})
	w.hub.EKS(region, "another-account", awstest.EKSOptions{})
	pages := eks.NewListClustersPaginator(w.EKS(region, static(w.admin())), &eks.ListClustersInput{})
	got := []string{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Clusters...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clusters (-want +got)\n%s", diff)
	}
	if n := len(w.CallsOf("ListClusters")); n != 3 {
		t.Errorf("%d pages, want 3", n)
	}
}

func TestAccessEntries(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	client := w.EKS(region, static(w.admin()))
	hubRole := w.hub.Role("some/path/hub", awstest.Trust{}) // a STANDARD entry may be of another account
	principal := hubRole.ARN()

	created, err := client.CreateAccessEntry(t.Context(), &eks.CreateAccessEntryInput{
		ClusterName: new("alpha"), PrincipalArn: &principal, KubernetesGroups: []string{"hawser-members"},
		Tags: map[string]string{"hawser.io/managed-by": "hawser"},
	})
	if err != nil {
		t.Fatal(err)
	}
	entry := created.AccessEntry
	if want := "arn:aws:sts::111122223333:assumed-role/hub/{{SessionName}}"; *entry.Username != want {
		t.Errorf("default user name %q, want %q", *entry.Username, want)
	}
	if _, err := client.CreateAccessEntry(t.Context(), &eks.CreateAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: &principal}); code(err) != "ResourceInUseException" {
		t.Errorf("a second entry: got %v, want ResourceInUseException", err)
	}

	w.step(time.Minute)
	if _, err := client.UpdateAccessEntry(t.Context(), &eks.UpdateAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: &principal, Username: new("hub:{{SessionName}}")}); err != nil {
		t.Fatal(err)
	}
	described, err := client.DescribeAccessEntry(t.Context(), &eks.DescribeAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: &principal})
	if err != nil {
		t.Fatal(err)
	}
	got := described.AccessEntry
	if !cmp.Equal(got.KubernetesGroups, []string{"hawser-members"}) || *got.Username != "hub:{{SessionName}}" || *got.Type != "STANDARD" ||
		!got.CreatedAt.Equal(start) || !got.ModifiedAt.Equal(start.Add(time.Minute)) {
		t.Errorf("entry %+v, want its groups kept and its user name changed", got)
	}
	if _, err := client.UpdateAccessEntry(t.Context(), &eks.UpdateAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: &principal, KubernetesGroups: []string{}}); err != nil {
		t.Fatal(err)
	}
	kept := cluster.Entries()
	if len(kept) != 1 || len(kept[0].Groups) != 0 || kept[0].PrincipalID != hubRole.ID() || kept[0].Tags["hawser.io/managed-by"] != "hawser" {
		t.Errorf("entries %+v, want one without groups", kept)
	}

	policy := "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
	if _, err := client.AssociateAccessPolicy(t.Context(), &eks.AssociateAccessPolicyInput{
		ClusterName: new("alpha"), PrincipalArn: &principal, PolicyArn: &policy,
		AccessScope: &types.AccessScope{Type: types.AccessScopeTypeNamespace, Namespaces: []string{"default"}},
	}); err != nil {
		t.Fatal(err)
	}
	policies, err := client.ListAssociatedAccessPolicies(t.Context(), &eks.ListAssociatedAccessPoliciesInput{ClusterName: new("alpha"), PrincipalArn: &principal})
	if err != nil || len(policies.AssociatedAccessPolicies) != 1 || *policies.AssociatedAccessPolicies[0].PolicyArn != policy ||
		!cmp.Equal(policies.AssociatedAccessPolicies[0].AccessScope.Namespaces, []string{"default"}) {
		t.Errorf("policies %+v (%v), want the one that was associated", policies, err)
	}
	if _, err := client.DisassociateAccessPolicy(t.Context(), &eks.DisassociateAccessPolicyInput{ClusterName: new("alpha"), PrincipalArn: &principal, PolicyArn: &policy}); err != nil {
		t.Error(err)
	}

	if _, err := client.TagResource(t.Context(), &eks.TagResourceInput{ResourceArn: entry.AccessEntryArn, Tags: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UntagResource(t.Context(), &eks.UntagResourceInput{ResourceArn: entry.AccessEntryArn, TagKeys: []string{"hawser.io/managed-by"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := client.ListTagsForResource(t.Context(), &eks.ListTagsForResourceInput{ResourceArn: entry.AccessEntryArn})
	if err != nil || !cmp.Equal(tags.Tags, map[string]string{"a": "b"}) {
		t.Errorf("tags %v (%v), want a=b", tags, err)
	}

	listed, err := client.ListAccessEntries(t.Context(), &eks.ListAccessEntriesInput{ClusterName: new("alpha")})
	if err != nil || !cmp.Equal(listed.AccessEntries, []string{principal}) {
		t.Errorf("entries %v (%v), want %s", listed, err, principal)
	}
	if _, err := client.DeleteAccessEntry(t.Context(), &eks.DeleteAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: &principal}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DescribeAccessEntry(t.Context(), &eks.DescribeAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: &principal}); code(err) != "ResourceNotFoundException" {
		t.Errorf("after its deletion: got %v, want ResourceNotFoundException", err)
	}
}

func TestAccessEntryRefusals(t *testing.T) {
	tests := []struct {
		name   string
		change func(*world, *awstest.Cluster, *eks.CreateAccessEntryInput)
		want   string
		says   string
	}{
		{name: "nothing wrong"},
		{name: "mode CONFIG_MAP", change: func(_ *world, c *awstest.Cluster, _ *eks.CreateAccessEntryInput) {
			c.SetAuthenticationMode("CONFIG_MAP")
		},
			want: "InvalidRequestException", says: "authentication mode"},
		{name: "a group of the system", change: func(_ *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) {
			in.KubernetesGroups = []string{"system:masters"}
		}, want: "InvalidParameterException", says: "cannot start with system:"},
		{name: "a user name of AWS", change: func(_ *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) { in.Username = new("eks:node") },
			want: "InvalidParameterException"},
		{name: "a session instead of its role", change: func(_ *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) {
			in.PrincipalArn = new("arn:aws:sts::444455556666:assumed-role/hawser/test")
		}, want: "InvalidParameterException", says: "format is not valid"},
		{name: "a role that does not exist", change: func(_ *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) {
			in.PrincipalArn = new("arn:aws:iam::444455556666:role/none")
		}, want: "InvalidParameterException", says: "invalid principal"},
		{name: "a role without its path", change: func(w *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) {
			w.target.Role("path/other", awstest.Trust{})
			in.PrincipalArn = new("arn:aws:iam::444455556666:role/other")
		}, want: "InvalidParameterException", says: "invalid principal"},
		{name: "an entry for nodes, of another account", change: func(w *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) {
			in.PrincipalArn, in.Type = new(w.hub.Role("nodes", awstest.Trust{}).ARN()), new("EC2_LINUX")
		}, want: "InvalidParameterException"},
		{name: "no such type", change: func(_ *world, _ *awstest.Cluster, in *eks.CreateAccessEntryInput) { in.Type = new("OTHER") },
			want: "InvalidParameterException"},
		{name: "a permission only for other groups", change: func(w *world, _ *awstest.Cluster, _ *eks.CreateAccessEntryInput) {
			w.target.User("admin").RemovePolicies()
			w.target.User("admin").PutPolicy("groups", groupPolicy("others"))
		}, want: "AccessDeniedException"},
		{name: "a permission for that group", change: func(w *world, _ *awstest.Cluster, _ *eks.CreateAccessEntryInput) {
			w.target.User("admin").RemovePolicies()
			w.target.User("admin").PutPolicy("groups", groupPolicy("hawser-members"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
			client := w.EKS(region, static(w.admin()))
			in := &eks.CreateAccessEntryInput{ClusterName: new("alpha"), PrincipalArn: new(w.role.ARN()), KubernetesGroups: []string{"hawser-members"}}
			if test.change != nil {
				test.change(w, cluster, in)
			}
			_, err := client.CreateAccessEntry(t.Context(), in)
			if code(err) != test.want || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("got %v, want %q that says %q", err, test.want, test.says)
			}
		})
	}
}

func groupPolicy(group string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:CreateAccessEntry","Resource":"arn:aws:eks:*:*:cluster/*",
		"Condition":{"ForAllValues:StringEquals":{"eks:kubernetesGroups":["` + group + `"]}}}]}`
}

func TestClustersOfOneNameInTwoAccounts(t *testing.T) {
	w := newWorld(t)
	w.target.EKS(region, "alpha", awstest.EKSOptions{Version: "1.35"})
	w.hub.EKS(region, "alpha", awstest.EKSOptions{Version: "1.34"})
	w.user.Allow("eks:DescribeCluster")
	here, err := w.describe(t, w.user.Keys(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	there, err := w.describe(t, w.admin(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	if *here.Version != "1.34" || *there.Version != "1.35" {
		t.Errorf("versions %s and %s: each account sees its own", *here.Version, *there.Version)
	}
}

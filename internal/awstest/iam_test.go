package awstest_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/internal/awstest"
)

func TestIAMShowsARole(t *testing.T) {
	w := newWorld(t)
	user := w.target.User("auditor")
	client := w.IAM(static(user.Keys()))
	role := w.target.Role("ci/deploy", awstest.Trust{Principals: []string{w.hub.RootARN()}, ExternalID: "x"})
	if _, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("deploy")}); code(err) != "AccessDenied" {
		t.Errorf("without a permission: got %v, want AccessDenied", err)
	}
	user.Attach("arn:aws:iam::aws:policy/ReadOnlyAccess")
	got, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("deploy")})
	if err != nil {
		t.Fatal(err)
	}
	document, err := url.QueryUnescape(*got.Role.AssumeRolePolicyDocument)
	if err != nil || !strings.Contains(document, `"sts:ExternalId":["x"]`) {
		t.Errorf("trust policy %s (%v)", document, err)
	}
	if *got.Role.Arn != role.ARN() || *got.Role.RoleId != role.ID() || !got.Role.CreateDate.Equal(start) || *got.Role.Path != "/ci/" || *got.Role.MaxSessionDuration != 3600 {
		t.Errorf("role %+v", got.Role)
	}
	if _, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: new("none")}); code(err) != "NoSuchEntity" {
		t.Errorf("a role that does not exist: got %v, want NoSuchEntity", err)
	}
}

func TestIAMShowsPolicies(t *testing.T) {
	w := newWorld(t)
	user := w.target.User("auditor")
	user.Attach("arn:aws:iam::aws:policy/AdministratorAccess")
	client := w.IAM(static(user.Keys()))
	list := func() (attached, inline []string) {
		t.Helper()
		managed, err := client.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: &w.role.Name})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range managed.AttachedPolicies {
			attached = append(attached, *p.PolicyName+" "+*p.PolicyArn)
		}
		own, err := client.ListRolePolicies(t.Context(), &iam.ListRolePoliciesInput{RoleName: &w.role.Name})
		if err != nil {
			t.Fatal(err)
		}
		return attached, own.PolicyNames
	}
	if attached, inline := list(); len(attached)+len(inline) != 0 {
		t.Errorf("a role with no policy has %v and %v", attached, inline)
	}
	w.role.Attach("arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")
	w.role.PutPolicy("own", `{"Version":"2012-10-17","Statement":[]}`)
	attached, inline := list()
	if diff := cmp.Diff([]string{"AmazonEKSClusterPolicy arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"}, attached); diff != "" {
		t.Errorf("attached (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"own"}, inline); diff != "" {
		t.Errorf("inline (-want +got)\n%s", diff)
	}
	policy, err := client.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: &w.role.Name, PolicyName: new("own")})
	if err != nil || !strings.Contains(*policy.PolicyDocument, "Statement") {
		t.Errorf("policy %v (%v)", policy, err)
	}
}

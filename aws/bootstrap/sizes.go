package bootstrap

import (
	"encoding/json"
	"strings"

	"github.com/awslabs/goformation/v4/cloudformation/iam"
)

// IAM's limits, in characters without white space
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const (
	maxTrust      = 2048  // of a trust policy, unless the account's quota was raised
	maxRoleInline = 10240 // of a role's inline policies together
	maxUserInline = 2048  // of a user's
	maxManaged    = 6144  // of a managed policy
)

// checkSizes holds the policies of a template against IAM's limits, before IAM does, in the middle of a stack.
func (c *checker) checkSizes(t *template) {
	check := func(what, name string, d any, limit int) {
		if n := size(d); n > limit {
			c.add("", "%s %s has %d characters, and IAM takes %d: name less in it, or split it over several files", what, name, n, limit)
		}
	}
	for _, r := range t.Resources {
		switch r := r.(type) {
		case *iam.ManagedPolicy:
			check("policy", r.ManagedPolicyName, r.PolicyDocument, maxManaged)
		case *iam.Role:
			check("the trust policy of role", r.RoleName, r.AssumeRolePolicyDocument, maxTrust)
			for _, p := range r.Policies {
				check("the policy of role", r.RoleName, p.PolicyDocument, maxRoleInline)
			}
		case *iam.User:
			for _, p := range r.Policies {
				check("the policy of user", r.UserName, p.PolicyDocument, maxUserInline)
			}
		}
	}
}

// size is how many characters IAM counts for a document, in the partition with the longest name.
func size(document any) int {
	text, err := json.Marshal(document)
	if err != nil {
		return 0 // a document of texts always becomes JSON
	}
	deployed := strings.NewReplacer(
		`\u0000Sub:`, "", `\u0000Ref:`, "",
		"${AWS::Partition}", "aws-us-gov", "${AWS::AccountId}", "111122223333")
	return len(deployed.Replace(string(text)))
}

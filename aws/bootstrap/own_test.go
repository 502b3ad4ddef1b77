package bootstrap

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/aws/access"
)

// The trust policy that guides for IRSA have people write, with their placeholders filled.
const guideTrust = `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "Federated": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-north-1.amazonaws.com/id/EXAMPLE"
      },
      "Action": "sts:AssumeRoleWithWebIdentity",
      "Condition": {
        "StringEquals": {
          "oidc.eks.eu-north-1.amazonaws.com/id/EXAMPLE:sub": "system:serviceaccount:tools:operator",
          "oidc.eks.eu-north-1.amazonaws.com/id/EXAMPLE:aud": "sts.amazonaws.com"
        }
      }
    }
  ]
}`

func TestTrustIsThatOfTheGuideForIRSA(t *testing.T) {
	properties := resource(t, ownHead+`management:
  accountID: "111122223333"
  serviceAccount: {namespace: tools, name: operator}
  oidc: {issuer: "https://oidc.eks.eu-north-1.amazonaws.com/id/EXAMPLE"}
`, Management, managerRole)
	var want any
	if err := json.Unmarshal([]byte(guideTrust), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, deployed(properties["AssumeRolePolicyDocument"])); diff != "" {
		t.Errorf("(-guide +ours)\n%s", diff)
	}
	for _, key := range []string{"Policies", "ManagedPolicyArns"} {
		if properties[key] != nil {
			t.Errorf("a manager without targets needs no permission, and has %s %v", key, properties[key])
		}
	}
}

func TestTokenRoleNeverHasAPermission(t *testing.T) {
	properties := resource(t, ownTarget+"  permissions: [describe, discover, accessEntries]\n", Target, tokenRole)
	if properties["Policies"] != nil || properties["ManagedPolicyArns"] != nil {
		t.Errorf("it has one: %v", properties)
	}
}

// Packages of one layer do not know each other, so the tag is written twice.
func TestEntriesAreTaggedAsAccessTagsThem(t *testing.T) {
	if entryTag != access.ManagedByTag {
		t.Errorf("the policy is for entries with tag %s, and package access gives them %s", entryTag, access.ManagedByTag)
	}
}

func TestStatementsAreRenderedWhole(t *testing.T) {
	const statements = `[{
		"Sid": "A", "Effect": "Deny", "NotPrincipal": {"AWS": ["arn:aws:iam::111122223333:role/x"], "Service": ["a.b"], "Federated": ["c"]},
		"Action": ["sts:AssumeRole"], "Condition": {"Bool": {"aws:SecureTransport": "false"}, "StringLike": {"aws:PrincipalArn": ["${aws:username}", "b"]}}}]`
	properties := resource(t, capaHead+"spec: {nodes: {trustStatements: "+strings.ReplaceAll(statements, "\t", "")+"}}\n", Target, capaNodesRole)
	var want []any
	if err := json.Unmarshal([]byte(statements), &want); err != nil {
		t.Fatal(err)
	}
	got := properties["AssumeRolePolicyDocument"].(map[string]any)["Statement"].([]any)
	if diff := cmp.Diff(want[0], got[len(got)-1]); diff != "" {
		t.Errorf("(-written +rendered)\n%s", diff)
	}
}

func TestQuote(t *testing.T) {
	for arg, want := range map[string]string{
		"--region":              "--region",
		"team=platform":         "team=platform",
		"cost center=forty two": "'cost center=forty two'",
		"it's":                  `'it'\''s'`,
		"$HOME":                 "'$HOME'",
		"":                      "''",
	} {
		if got := quote(arg); got != want {
			t.Errorf("%q became %s, want %s", arg, got, want)
		}
	}
}

func TestLargeTemplateComesWithAWarning(t *testing.T) {
	text := capaHead + "spec:\n"
	for _, role := range []string{"clusterAPIControllers", "controlPlane", "nodes"} {
		text += "  " + role + ":\n    extraStatements:\n" +
			strings.Repeat("    - {Effect: Allow, Action: \"s3:GetObject\", Resource: \"arn:aws:s3:::a\"}\n", 120)
	}
	got, err := Render([]byte(text), Target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) == 0 || !strings.Contains(got.Warnings[len(got.Warnings)-1], "--s3-bucket") {
		t.Errorf("the warnings are %q", got.Warnings)
	}
}

// resource returns the properties of a resource.
func resource(t *testing.T, config string, account Account, id string) map[string]any {
	t.Helper()
	got, err := Render([]byte(config), account, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var tree struct {
		Resources map[string]struct{ Properties map[string]any }
	}
	if err := yaml.Unmarshal(got.Template, &tree); err != nil {
		t.Fatal(err)
	}
	return tree.Resources[id].Properties
}

// deployed is a value as CloudFormation makes it in account 111122223333 of partition aws, with lists of one
// value as the value.
func deployed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::AccountId}", "111122223333").Replace(text)
		}
		for key := range v {
			if v[key] = deployed(v[key]); key == "Statement" {
				v[key] = []any{v[key]}
			}
		}
	case []any:
		if len(v) == 1 {
			return deployed(v[0])
		}
		for i := range v {
			v[i] = deployed(v[i])
		}
	}
	return v
}

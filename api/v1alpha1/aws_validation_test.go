package v1alpha1_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const roleARN = "roleARN: 'arn:aws:iam::111122223333:role/path/hawser'"

func TestValidationOfAWSIdentities(t *testing.T) {
	c := withCRD(t, "awsidentities")
	role := func(fields string) string { return "type: role\nrole: {" + roleARN + fields + "}\n" }
	cases := map[string]struct{ spec, want string }{
		"a role":                            {role(""), ""},
		"a role of another partition":       {"type: role\nrole: {roleARN: 'arn:aws-us-gov:iam::111122223333:role/hawser'}\n", ""},
		"a role with everything":            {role(", sessionName: me@hub, durationSeconds: 900, externalID: 'a:b', policyARNs: ['arn:aws:iam::aws:policy/ReadOnlyAccess'], inlinePolicy: '{}', region: eu-north-1") + "sourceIdentityRef: {name: a}\nallowedNamespaces: {}\n", ""},
		"static keys":                       {"type: static\nstatic: {secretRef: {name: keys}}\n", ""},
		"the manager's own":                 {"type: controller\n", ""},
		"no type":                           {"role: {" + roleARN + "}\n", "spec.type: Required value"},
		"an unknown type":                   {"type: user\n", `Unsupported value: "user"`},
		"a role without its block":          {"type: role\n", "type role and the block role need each other"},
		"a block of another type":           {"type: controller\nrole: {" + roleARN + "}\n", "type role and the block role need each other"},
		"static without its block":          {"type: static\n", "type static and the block static need each other"},
		"static keys that come from a role": {"type: static\nstatic: {secretRef: {name: keys}}\nsourceIdentityRef: {name: a}\n", "sourceIdentityRef is only for type role"},
		"a role that is a user":             {"type: role\nrole: {roleARN: 'arn:aws:iam::111122223333:user/x'}\n", "roleARN"},
		"a session instead of a role":       {"type: role\nrole: {roleARN: 'arn:aws:sts::111122223333:assumed-role/x/y'}\n", "roleARN"},
		"a session shorter than AWS gives":  {role(", durationSeconds: 600"), "durationSeconds"},
		"a session longer than AWS gives":   {role(", durationSeconds: 43201"), "durationSeconds"},
		"a session name with a space":       {role(", sessionName: 'a b'"), "sessionName"},
		"a policy that is no JSON object":   {role(", inlinePolicy: '[]'"), "inlinePolicy must be a JSON object"},
		"a policy ARN that is none":         {role(", policyARNs: [ReadOnlyAccess]"), "policyARNs"},
		"too many policies":                 {role(", policyARNs: [" + strings.Repeat("'arn:aws:iam::aws:policy/A', ", 11) + "]"), "policyARNs"},
		"a source of an unknown kind":       {role("") + "sourceIdentityRef: {kind: Role, name: a}\n", `Unsupported value: "Role"`},
		"an empty selector":                 {role("") + "allowedNamespaces: {selector: {}}\n", "an empty selector is refused"},
		"a selector with an empty map":      {role("") + "allowedNamespaces: {selector: {matchLabels: {}}}\n", "an empty selector is refused"},
		"an empty list of names":            {role("") + "allowedNamespaces: {names: []}\n", "names"},
		"an unknown field":                  {role(", roleName: x"), ""}, // pruned, as of every kind; kubectl warns
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "AWSIdentity", "identity", tc.spec, tc.want) })
	}
}

// null is what templates write for a value that is not there. It must not read as {}, which allows all.
func TestNullNeverAllowsEveryNamespace(t *testing.T) {
	c := withCRD(t, "eksinventories") // and below a RemoteCluster, whose CRD is there
	for name, allowed := range map[string]any{
		"null":               nil,
		"null names":         map[string]any{"names": nil},
		"null selector":      map[string]any{"selector": nil},
		"selector of a null": map[string]any{"selector": map[string]any{"matchLabels": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			id := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"type": "controller", "allowedNamespaces": allowed}}}
			id.SetAPIVersion(v1alpha1.GroupVersion.String())
			id.SetKind("AWSIdentity")
			id.SetName("null")
			if err := c.Create(t.Context(), id, client.DryRunAll); err != nil {
				return // refused is as good
			}
			if got, found, _ := unstructured.NestedMap(id.Object, "spec", "allowedNamespaces"); found && len(got) == 0 {
				t.Errorf("it became %v, which allows every namespace", got)
			}
		})
	}
}

func TestValidationOfEKSInventories(t *testing.T) {
	c := withCRD(t, "eksinventories")
	cases := map[string]struct{ spec, want string }{
		"the least":                {"accounts: [{}]\nregions: [eu-north-1]\n", ""},
		"everything":               {"accounts: [{identityRef: {name: a}, tokenIdentityRef: {name: b}}]\nregions: [eu-north-1, us-gov-west-1]\ntags: {team: ''}\nnamePrefix: live-\nremoved: delete\ninterval: 1m\ncapabilities: [endpoints]\n", ""},
		"no accounts":              {"accounts: []\nregions: [eu-north-1]\n", "spec.accounts"},
		"no regions":               {"accounts: [{}]\nregions: []\n", "spec.regions"},
		"a region that is none":    {"accounts: [{}]\nregions: [Europe]\n", "spec.regions"},
		"an unknown policy":        {"accounts: [{}]\nregions: [eu-north-1]\nremoved: forget\n", `Unsupported value: "forget"`},
		"an interval of a second":  {"accounts: [{}]\nregions: [eu-north-1]\ninterval: 1s\n", "interval must be between 1m and 24h"},
		"a prefix that is no name": {"accounts: [{}]\nregions: [eu-north-1]\nnamePrefix: Live\n", "namePrefix"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) { try(t, c, "EKSInventory", "inventory", tc.spec, tc.want) })
	}
	t.Run("the name has.dots", func(t *testing.T) {
		try(t, c, "EKSInventory", "has.dots", "accounts: [{}]\nregions: [eu-north-1]\n", "must be a DNS label")
	})
}

package bootstrap

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const ownHead = "apiVersion: hawser.io/v1alpha1\nkind: AWSBootstrap\n"

const capaHead = "apiVersion: bootstrap.aws.infrastructure.cluster.x-k8s.io/v1beta1\nkind: AWSIAMConfiguration\n"

const ownManagement = ownHead + `management:
  accountID: "111122223333"
  podIdentity: true
`

const ownTarget = ownHead + `target:
  trusts: [arn:aws:iam::111122223333:role/hawser]
`

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		config  string
		account Account // default: target
		want    []string
	}{
		"nothing":                 {"", "", []string{"it is empty"}},
		"only a comment":          {"# nothing\n", "", []string{"it is empty"}},
		"a list":                  {"- a\n", "", []string{"line 1: it is not a mapping with apiVersion and kind"}},
		"no YAML":                 {"a: [\n", "", []string{"did not find expected node content"}},
		"two documents":           {ownTarget + "---\n" + ownTarget, "", []string{"more than one document"}},
		"too much":                {ownTarget + strings.Repeat("# \n", 1<<19), "", []string{"more than the 1048576"}},
		"no kind":                 {"a: b\n", "", []string{`kind: "" of apiVersion "" is not known: it is AWSBootstrap of hawser.io/v1alpha1, or AWSIAMConfiguration of`}},
		"another kind":            {"apiVersion: v1\nkind: Secret\n", "", []string{`line 2: kind: "Secret" of apiVersion "v1" is not known`}},
		"another version of ours": {"apiVersion: hawser.io/v1\nkind: AWSBootstrap\n", "", []string{`line 1: apiVersion: "hawser.io/v1" is not known for kind AWSBootstrap: it is hawser.io/v1alpha1`}},
		"another version of CAPA's": {"apiVersion: bootstrap.aws.infrastructure.cluster.x-k8s.io/v1alpha1\nkind: AWSIAMConfiguration\n", "",
			[]string{"is not known for kind AWSIAMConfiguration: it is bootstrap.aws.infrastructure.cluster.x-k8s.io/v1beta1"}},

		"a field in another case":              {ownHead + "target:\n  accountId: \"111122223333\"\n", "", []string{"line 4: target.accountId: there is no such field: did you mean accountID?"}},
		"a field in the plural":                {ownHead + "targets: {}\n", "", []string{"line 3: targets: there is no such field: did you mean target?"}},
		"a field with more to it":              {ownHead + "management:\n  oidc:\n    issuerURL: https://a.b\n", "", []string{"management.oidc.issuerURL: there is no such field: did you mean issuer?"}},
		"a field in the wrong place":           {ownHead + "podIdentity: true\n", "", []string{"podIdentity: there is no such field here: it is known as management.podIdentity and as target.podIdentity: look at the indentation"}},
		"a field of nowhere":                   {ownHead + "colour: red\n", "", []string{"line 3: colour: there is no such field"}},
		"lost indentation":                     {capaHead + "spec:\neks:\n  iamRoleCreation: true\n", "", []string{"line 3: spec: it has no value", "line 4: eks: there is no such field here: it is known as spec.eks"}},
		"a key that IAM has and CAPA has not":  {capaHead + "spec:\n  clusterAPIControllers:\n    extraStatements: [{Effect: Allow, NotAction: a, Resource: b}]\n", "", []string{"extraStatements[0].NotAction: there is no such field"}},
		"a field twice":                        {ownTarget + "region: us-east-1\nregion: us-east-2\n", "", []string{"line 6: region: it stands here twice"}},
		"an account as a number":               {ownHead + "target:\n  accountID: 012345678901\n", "", []string{`line 4: target.accountID: 012345678901 is not a text for YAML: write it in quotes, "012345678901"`}},
		"a truth value that YAML once had":     {ownHead + "management:\n  podIdentity: yes\n", "", []string{`management.podIdentity: "yes" is not true or false`}},
		"a value that is empty":                {ownHead + "target:\n  trusts:\n", "", []string{"line 4: target.trusts: it has no value: give it one, or leave the field out"}},
		"one value for a list":                 {ownHead + "target:\n  trusts: a\n", "", []string{"target.trusts: it is a list: start each item with a dash"}},
		"a list for one value":                 {ownHead + "region: [a]\n", "", []string{"region: it is a single value, not a list or a mapping"}},
		"a value for a block":                  {ownHead + "target: yes please\n", "", []string{"target: it is a mapping of names to values"}},
		"a list of actions that is empty":      {capaHead + "spec: {nodes: {extraStatements: [{Effect: Allow, Action: [], Resource: a}]}}\n", "", []string{"extraStatements[0].Action: the list is empty"}},
		"an anchor":                            {ownHead + "target: &a\n  trusts: []\n", "", []string{"target: anchors and aliases are not read here"}},
		"a merge":                              {ownHead + "target:\n  <<: {trusts: []}\n", "", []string{"target: a name must be plain text"}},
		"a tag":                                {ownHead + "region: !!str eu-west-1\n", "", []string{"region: the tag !!str is not read here"}},
		"a line break in a name":               {ownTarget + "tags: {a: \"b\\nc\"}\n", "", []string{"tags.a: it holds a character that is not printed"}},
		"a mark of our own":                    {ownTarget + "tags: {a: \"\\0Ref:X\"}\n", "", []string{"tags.a: it holds a character that is not printed"}},
		"a place for a value":                  {ownHead + "target:\n  trusts: [\"arn:aws:iam::<management-account-id>:role/hawser\"]\n", "", []string{"target.trusts[0]: <management-account-id> only holds the place of a value"}},
		"no block for the account":             {ownTarget, Management, []string{"it has no block management"}},
		"no block at all":                      {ownHead, "", []string{"it has no block target"}},
		"a partition that there is not":        {ownTarget + "partition: aws-moon\n", "", []string{`line 5: partition: there is no partition "aws-moon"`}},
		"a region of another partition":        {ownTarget + "region: cn-north-1\n", "", []string{"region: region cn-north-1 is in partition aws-cn, not in aws"}},
		"no region":                            {ownTarget + "region: Europe\n", "", []string{`region: "Europe" is not a region, such as us-east-1`}},
		"a stack without a name":               {ownTarget + "stackName: 1st\n", "", []string{"stackName: \"1st\" is not the name of a stack"}},
		"a path without a slash":               {ownTarget + "path: team\n", "", []string{"path: \"team\" is not a path: it begins and ends with a slash"}},
		"a boundary of another partition":      {ownTarget + "permissionsBoundary: arn:aws-cn:iam::111122223333:policy/b\n", "", []string{"permissionsBoundary: it is in partition aws-cn, not in aws"}},
		"a boundary that is no policy":         {ownTarget + "permissionsBoundary: arn:aws:iam::111122223333:role/b\n", "", []string{"is not the ARN of a policy"}},
		"a tag of AWS":                         {ownTarget + "tags: {\"aws:x\": y}\n", "", []string{"tags.aws:x: tags that begin with aws: belong to AWS"}},
		"trust in a whole account":             {ownHead + "target: {trusts: [\"arn:aws:iam::111122223333:root\"]}\n", "", []string{"trust one role, never an account"}},
		"trust in any role":                    {ownHead + "target: {trusts: [\"arn:aws:iam::111122223333:role/*\"]}\n", "", []string{"is not the ARN of a role"}},
		"trust in another partition":           {ownHead + "target: {trusts: [\"arn:aws-cn:iam::111122223333:role/hawser\"]}\n", "", []string{"line 3: target.trusts[0]: it is in partition aws-cn, not in aws: nothing crosses that border"}},
		"trust in nobody":                      {ownHead + "target: {externalID: abc}\n", "", []string{"target: nobody could take on the role"}},
		"an external ID with a space":          {ownHead + "target: {externalID: a b, trusts: [arn:aws:iam::111122223333:role/hawser]}\n", "", []string{`target.externalID: "a b" is not an external ID`}},
		"an external ID without end":           {ownTarget + "  externalID: " + strings.Repeat("a", 1225) + "\n", "", []string{"is not an external ID"}},
		"an organization of another kind":      {ownTarget + "  principalOrgID: ou-abcd\n", "", []string{`target.principalOrgID: "ou-abcd" is not an organization`}},
		"a permission that there is not":       {ownTarget + "  permissions: [none]\n", "", []string{`target.permissions[0]: there is no "none": there is describe, discover and accessEntries; for none, leave permissions out`}},
		"a permission for the clusters' role":  {ownTarget + "  permissions: [discover]\n  apiRoleName: hawser\n", "", []string{"target.apiRoleName: it is also the roleName"}},
		"a manager that nobody is":             {ownHead + "management: {accountID: \"111122223333\"}\n", Management, []string{"management: nobody could take on the role: give oidc (IRSA), podIdentity: true, or both"}},
		"a manager of no account":              {ownHead + "management: {podIdentity: true}\n", Management, []string{"line 3: management: it has no accountID"}},
		"an account of 11 digits":              {ownHead + "management: {accountID: \"11112222333\", podIdentity: true}\n", Management, []string{"is not an account: 12 digits"}},
		"any account":                          {ownManagement + "  targets: [{accountID: \"*\"}]\n", Management, []string{`management.targets[0].accountID: "*" is not an account: 12 digits, and no wildcard`}},
		"any role of an account":               {ownManagement + "  targets: [{accountID: \"222233334444\", roles: [\"*\"]}]\n", Management, []string{`management.targets[0].roles[0]: "*" is not the name of a role`}},
		"an account twice":                     {ownManagement + "  targets: [{accountID: \"222233334444\"}, {accountID: \"222233334444\"}]\n", Management, []string{"management.targets[1].accountID: account 222233334444 is listed twice"}},
		"a target without an account":          {ownManagement + "  targets: [{roles: [a]}]\n", Management, []string{"management.targets[0]: it has no accountID"}},
		"an issuer without https":              {ownManagement + "  oidc: {issuer: oidc.eks.eu-west-1.amazonaws.com/id/A}\n", Management, []string{"management.oidc.issuer:", "is not an issuer: https://host/path"}},
		"an issuer with a slash at its end":    {ownManagement + "  oidc: {issuer: \"https://oidc.eks.eu-west-1.amazonaws.com/\"}\n", Management, []string{"is not an issuer"}},
		"an issuer of another partition":       {ownManagement + "  oidc: {issuer: \"https://oidc.eks.cn-north-1.amazonaws.com.cn/id/A\"}\n", Management, []string{"management.oidc.issuer: it is in partition aws-cn, not in aws"}},
		"no issuer":                            {ownManagement + "  oidc: {createProvider: true}\n", Management, []string{"management.oidc: it has no issuer: aws eks describe-cluster"}},
		"thumbprints for nothing":              {ownManagement + "  oidc: {issuer: \"https://a.b\", thumbprints: [xyz]}\n", Management, []string{"with createProvider: true only", "is not a thumbprint"}},
		"a service account with a wildcard":    {ownManagement + "  serviceAccount: {name: \"*\"}\n", Management, []string{"management.serviceAccount.name: \"*\" is not the name of a service account"}},
		"a target that the manager cannot use": {ownManagement + "  targets: [{accountID: \"222233334444\"}]\ntarget: {accountID: \"333344445555\"}\n", "", []string{"target.accountID: management.targets does not list it"}},
		"two external IDs": {ownManagement + "  targets: [{accountID: \"222233334444\", externalID: other}]\ntarget: {externalID: this}\n", "",
			[]string{`management.targets[0].externalID: target.externalID is "this": the block target is for all accounts of this file`}},
		"other roles than the target's": {ownManagement + "  targets: [{accountID: \"222233334444\", roles: [other]}]\ntarget: {externalID: this}\n", "",
			[]string{"management.targets[0].roles: role hawser is missing, which the block target makes"}},
		"one role for both sides of one account": {ownManagement + "target: {accountID: \"111122223333\"}\n", "", []string{`it is the management account, which has a role "hawser" already`}},

		"CAPA's assume-everything":          {capaHead + "spec: {allowAssumeRole: true}\n", "", []string{"spec.allowAssumeRole: not rendered by hawser (it also lets control plane nodes"}},
		"CAPA's buckets":                    {capaHead + "spec: {s3Buckets: {enable: true, namePrefix: a}}\n", "", []string{"spec.s3Buckets.enable: not rendered by hawser: use clusterawsadm, or leave it out", "spec.s3Buckets.namePrefix: not rendered"}},
		"CAPA's events":                     {capaHead + "spec: {eventBridge: {enable: true}}\n", "", []string{"spec.eventBridge.enable: not rendered by hawser"}},
		"CAPA's CSI policy":                 {capaHead + "spec: {controlPlane: {enableCSIPolicy: true}}\n", "", []string{"spec.controlPlane.enableCSIPolicy: not rendered by hawser"}},
		"CAPA's console policy":             {capaHead + "spec: {eks: {enableUserEKSConsolePolicy: true}}\n", "", []string{"spec.eks.enableUserEKSConsolePolicy: not rendered by hawser"}},
		"metadata, which CAPA has not":      {capaHead + "metadata: {name: a}\nspec: {}\n", "", []string{"line 3: metadata: there is no such field"}},
		"a backend that there is not":       {capaHead + "spec: {secureSecretBackends: [vault]}\n", "", []string{`spec.secureSecretBackends[0]: there is no "vault": there is secrets-manager and ssm-parameter-store`}},
		"settings of a role that is off":    {capaHead + "spec: {nodes: {disable: true, path: /a/}}\n", "", []string{"spec.nodes.disable: the role is not made, so its other settings would be lost"}},
		"settings of EKS that is off":       {capaHead + "spec: {eks: {disable: true, iamRoleCreation: true}}\n", "", []string{"spec.eks.disable: nothing of EKS is made"}},
		"settings of a user that is off":    {capaHead + "spec: {bootstrapUser: {enable: false, userName: a}}\n", "", []string{"spec.bootstrapUser: the user is not made without enable: true"}},
		"a policy by name":                  {capaHead + "spec: {nodes: {extraPolicyAttachments: [ReadOnlyAccess]}}\n", "", []string{`spec.nodes.extraPolicyAttachments[0]: "ReadOnlyAccess" is not the ARN of a policy`}},
		"a name that IAM does not take":     {capaHead + "spec: {namePrefix: " + strings.Repeat("a", 30) + "}\n", "", []string{"characters, and IAM takes 64"}},
		"a statement without an effect":     {capaHead + "spec: {nodes: {extraStatements: [{Action: a, Resource: b}]}}\n", "", []string{"spec.nodes.extraStatements[0]: it has no Effect: Allow or Deny"}},
		"a statement with another effect":   {capaHead + "spec: {nodes: {extraStatements: [{Effect: allow, Action: a, Resource: b}]}}\n", "", []string{`extraStatements[0].Effect: "allow" is neither Allow nor Deny`}},
		"a statement on nothing":            {capaHead + "spec: {nodes: {extraStatements: [{Effect: Allow, Principal: {AWS: a}}]}}\n", "", []string{"it has no Action", "it has a Principal: that belongs into trustStatements"}},
		"a permission on nothing":           {capaHead + "spec: {nodes: {extraStatements: [{Effect: Allow, Action: a}]}}\n", "", []string{"it has no Resource"}},
		"trust in nobody, in CAPA's words":  {capaHead + "spec: {nodes: {trustStatements: [{Effect: Allow, Action: a, Resource: b}]}}\n", "", []string{"it has no Principal"}},
		"trust with a resource":             {capaHead + "spec: {nodes: {trustStatements: [{Effect: Allow, Action: a, Resource: b, Principal: {AWS: a}}]}}\n", "", []string{"Resource: a trust policy has none"}},
		"a principal that there is not":     {capaHead + "spec: {nodes: {trustStatements: [{Effect: Allow, Action: a, Principal: {aws: a}}]}}\n", "", []string{"Principal.aws: there is no such principal"}},
		"a principal without its kind":      {capaHead + "spec: {nodes: {trustStatements: [{Effect: Allow, Action: a, Principal: \"*\"}]}}\n", "", []string{"Principal: it is a mapping"}},
		"a trust policy that IAM refuses":   {capaHead + "spec: {nodes: {trustStatements: [{Effect: Allow, Action: a, Principal: {AWS: [" + strings.Repeat("arn:aws:iam::111122223333:role/a, ", 60) + "b]}}]}}\n", "", []string{"the trust policy of role nodes.cluster-api"}},
		"more trust than IAM takes":         {ownHead + "target: {trusts: [" + strings.Repeat("arn:aws:iam::111122223333:role/a, ", 60) + "]}\n", "", []string{"the trust policy of role hawser has", "and IAM takes 2048"}},
		"more accounts than one role takes": {ownManagement + "  targets:\n" + manyAccounts(200), Management, []string{"the policy of role hawser has", "and IAM takes 10240"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.account == "" {
				test.account = Target
			}
			got, err := Render([]byte(test.config), test.account, Options{})
			var config *ConfigError
			if !errors.As(err, &config) {
				t.Fatalf("want a *ConfigError, got %v and\n%s", err, got.Template)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the refusal lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func manyAccounts(n int) string {
	var text strings.Builder
	for i := range n {
		text.WriteString("  - accountID: \"" + strings.Repeat("0", 9) + string([]byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)}) + "\"\n")
	}
	return text.String()
}

func TestProblemsAreNamedTogether(t *testing.T) {
	_, err := Render([]byte(ownHead+"target:\n  trust: []\n  accountId: a\nregions: b\n"), Target, Options{})
	want := `reading the configuration: 3 problems:
  line 4: target.trust: there is no such field: did you mean trusts?
  line 5: target.accountId: there is no such field: did you mean accountID?
  line 6: regions: there is no such field: did you mean region?`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestWrongCalls(t *testing.T) {
	for name, test := range map[string]struct {
		account Account
		format  Format
	}{
		"an account that there is not": {"local", YAML},
		"a format that there is not":   {Target, "toml"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Render([]byte(ownTarget), test.account, Options{Format: test.format}); err == nil {
				t.Error("it was rendered")
			}
		})
	}
}

func TestNearest(t *testing.T) {
	known := fieldsOf(reflect.TypeFor[capaControllers]())
	got, want := map[string]string{}, map[string]string{
		"disabled":                  "disable",
		"Disable":                   "disable",
		"trustStatement":            "trustStatements",
		"trust_statements":          "trustStatements",
		"permissionBoundary":        "permissionsBoundary",
		"allowedInstanceProfiles":   "allowedEC2InstanceProfiles",
		"extraPolicies":             "", // too far: extraStatements would be a bad guess
		"enable":                    "", // the opposite is no suggestion
		"paths":                     "path",
		"d":                         "",
		"":                          "",
		"clusterAPIControllersRole": "",
	}
	for name := range want {
		got[name] = nearest(name, known)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, test := range cases {
		f.Add(readFile(f, test.file+".yaml"), test.account == Management)
	}
	f.Add(readFile(f, "capa-target-as-written.yaml"), false)
	for _, text := range []string{"", "a: &a [*a]\n", "? {a: b}\n: c\n", ownTarget + "<<: {region: a}\n", ownHead + "target: {trusts: [1, 2.5, ~, !!binary aGk=]}\n", "\xff", "{", "--- a\n--- b\n"} {
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, config []byte, management bool) {
		account := Target
		if management {
			account = Management
		}
		got, err := Render(config, account, Options{})
		if err != nil {
			var problems *ConfigError
			if !errors.As(err, &problems) || len(problems.Problems) == 0 {
				t.Fatalf("not a *ConfigError: %v", err)
			}
			if strings.ContainsRune(err.Error(), 0) {
				t.Errorf("the error has a mark in it: %q", err)
			}
			return
		}
		checkTemplate(t, config, got.Template)
		again, err := Render(config, account, Options{})
		if err != nil || string(again.Template) != string(got.Template) {
			t.Errorf("the second rendering differs (%v)", err)
		}
		if len(got.Commands) == 0 {
			t.Error("there is no command to deploy it")
		}
	})
}

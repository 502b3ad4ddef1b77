package bootstrap

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Every field of both kinds does something: what is rendered differs from what it would be without the field, or
// the field is refused by name. A new field fails this test until it has its line here.
func TestNoFieldIsPassedOver(t *testing.T) {
	const statements = `[{Effect: Allow, Action: "s3:*", Resource: "*"}]`
	const trusts = `[{Effect: Allow, Action: "sts:AssumeRole", Principal: {AWS: "arn:aws:iam::222233334444:role/x"}}]`
	const policies = `["arn:aws:iam::aws:policy/ReadOnlyAccess"]`
	own := map[string]string{ // by path, what stands in its place
		"partition": "aws-cn", "region": "eu-west-1", "stackName": "other", "tags": "{a: b}", "path": "/a/", "permissionsBoundary": "b",
		"management.accountID": `"999988887777"`, "management.roleName": "other",
		"management.serviceAccount.namespace": "other", "management.serviceAccount.name": "other",
		"management.oidc.issuer": "https://example.com/other", "management.oidc.audience": "other", "management.oidc.createProvider": "true",
		"management.oidc.thumbprints": "[9e99a48a9960b14926bb7f3b02e22da2b0ab7280]", "management.podIdentity": "true",
		"management.targets[].accountID": `"999988887777"`, "management.targets[].roles": "[other]", "management.targets[].externalID": "other",
		"target.accountID": `"999988887777"`, "target.roleName": "other", "target.trusts": `["arn:aws:iam::999988887777:role/a"]`,
		"target.podIdentity": "true", "target.externalID": "other", "target.principalOrgID": "o-a1b2c3d4e5",
		"target.permissions": "[describe]", "target.apiRoleName": "other",
	}
	capa := map[string]string{
		"spec.namePrefix": "a-", "spec.nameSuffix": ".b", "spec.partition": "aws-cn", "spec.region": "eu-west-1", "spec.stackName": "other",
		"spec.stackTags": "{a: b}", "spec.secureSecretBackends": "[ssm-parameter-store]", "spec.s3Buckets.enable": "true",
		"spec.s3Buckets.namePrefix": "a", "spec.eventBridge.enable": "true", "spec.allowAssumeRole": "true",
		"spec.clusterAPIControllers.allowedEC2InstanceProfiles":         "[a]",
		"spec.controlPlane.disableClusterAPIControllerPolicyAttachment": "true",
		"spec.controlPlane.disableCloudProviderPolicy":                  "true",
		"spec.controlPlane.enableCSIPolicy":                             "true",
		"spec.nodes.disableCloudProviderPolicy":                         "true",
		"spec.nodes.ec2ContainerRegistryReadOnly":                       "true",
		"spec.bootstrapUser.enable":                                     "false",
		"spec.bootstrapUser.userName":                                   "a",
		"spec.bootstrapUser.groupName":                                  "a",
		"spec.bootstrapUser.extraPolicyAttachments":                     policies,
		"spec.bootstrapUser.extraGroups":                                "[a]",
		"spec.bootstrapUser.extraStatements":                            statements,
		"spec.bootstrapUser.tags":                                       "{a: b}",
		"spec.eks.disable":                                              "true",
		"spec.eks.iamRoleCreation":                                      "true",
		"spec.eks.enableUserEKSConsolePolicy":                           "true",
		"spec.eks.kmsAliasPrefix":                                       "a",
	}
	for _, role := range []string{"clusterAPIControllers", "controlPlane", "nodes", "eks.defaultControlPlaneRole", "eks.managedMachinePool", "eks.fargate"} {
		maps.Copy(capa, map[string]string{
			"spec." + role + ".disable": "true", "spec." + role + ".extraPolicyAttachments": policies,
			"spec." + role + ".extraStatements": statements, "spec." + role + ".trustStatements": trusts,
			"spec." + role + ".path": "/a/", "spec." + role + ".permissionsBoundary": "arn:aws:iam::aws:policy/b", "spec." + role + ".tags": "{a: b}",
		})
	}
	// What each field is compared with: the blocks that it needs, and nothing else.
	ownBase := func(path string) string {
		switch {
		case strings.HasPrefix(path, "management.targets"):
			return `{management: {accountID: "111122223333", podIdentity: true, targets: [{accountID: "222233334444"}]}}`
		case strings.HasPrefix(path, "management"):
			return `{management: {accountID: "111122223333", oidc: {issuer: "https://example.com"}}}`
		default:
			return `{target: {trusts: ["arn:aws:iam::111122223333:role/hawser"], permissions: [discover]}}`
		}
	}
	capaBase := func(path string) string {
		switch {
		case strings.HasPrefix(path, "spec.bootstrapUser"):
			return "{spec: {bootstrapUser: {enable: true}}}"
		case strings.HasPrefix(path, "spec.eks.managedMachinePool"), strings.HasPrefix(path, "spec.eks.fargate"):
			return "{spec: {eks: {managedMachinePool: {disable: false}, fargate: {disable: false}}}}"
		default:
			return "{spec: {}}"
		}
	}
	check := func(t *testing.T, head string, root reflect.Type, samples map[string]string, base func(string) string) {
		t.Helper()
		leaves := leavesOf(root, "")
		leaves = slices.DeleteFunc(leaves, func(p string) bool { return p == "apiVersion" || p == "kind" })
		if want := slices.Sorted(maps.Keys(samples)); !slices.Equal(slices.Sorted(slices.Values(leaves)), want) {
			t.Fatalf("the fields are %q, and the samples are for %q", leaves, want)
		}
		for _, path := range leaves {
			account := Target
			if strings.HasPrefix(path, "management") {
				account = Management
			}
			without, with := flow(t, head, base(path), "", ""), flow(t, head, base(path), path, samples[path])
			before, err := Render(without, account, Options{})
			if err != nil {
				t.Errorf("%s: the base does not render: %v", path, err)
				continue
			}
			after, err := Render(with, account, Options{})
			if err != nil {
				if !strings.Contains(err.Error(), strings.ReplaceAll(path, "[]", "[0]")) {
					t.Errorf("%s: refused without its name: %v", path, err)
				}
				continue
			}
			if string(before.Template) == string(after.Template) && string(notes(before)) == string(notes(after)) {
				t.Errorf("%s: %s changes nothing", path, samples[path])
			}
		}
	}
	t.Run(ownKind, func(t *testing.T) { check(t, ownHead, reflect.TypeFor[ownConfig](), own, ownBase) })
	t.Run(capaKind, func(t *testing.T) { check(t, capaHead, reflect.TypeFor[capaConfig](), capa, capaBase) })
}

// leavesOf returns the paths of all fields that hold a value and no further fields, except those of statements.
func leavesOf(t reflect.Type, path string) []string {
	var all []string
	for name, field := range fieldsOf(t) {
		here := join(path, name)
		for field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		switch {
		case field.Kind() == reflect.Struct:
			all = append(all, leavesOf(field, here)...)
		case field.Kind() == reflect.Slice && field.Elem().Kind() == reflect.Struct && field.Elem() != reflect.TypeFor[statement]():
			all = append(all, leavesOf(field.Elem(), here+"[]")...)
		default:
			all = append(all, here)
		}
	}
	slices.Sort(all)
	return all
}

// flow writes a configuration with one field set: YAML's flow style makes that a matter of nested maps.
func flow(t *testing.T, head, base, path, value string) []byte {
	t.Helper()
	var tree, sample any
	unmarshal(t, base, &tree)
	if path != "" {
		unmarshal(t, value, &sample)
		set(tree.(map[string]any), strings.Split(path, "."), sample)
	}
	return append([]byte(head), marshal(t, tree)...)
}

func set(tree map[string]any, path []string, value any) {
	name, isList := strings.CutSuffix(path[0], "[]")
	if len(path) == 1 {
		tree[name] = value
		return
	}
	if isList {
		set(tree[name].([]any)[0].(map[string]any), path[1:], value)
		return
	}
	below, ok := tree[name].(map[string]any)
	if !ok {
		below = map[string]any{}
		tree[name] = below
	}
	set(below, path[1:], value)
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

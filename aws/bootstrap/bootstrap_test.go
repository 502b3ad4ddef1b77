package bootstrap

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cases are the golden ones: testdata/<file>.yaml for an account, with what becomes of it in
// testdata/golden/<file>.<account>.{yaml,json} and .txt (commands and warnings, or the refusal).
var cases = []struct {
	name    string
	file    string
	account Account
	format  Format
}{
	{"the manager's role, by IRSA, for two accounts", "hawser", Management, YAML},
	{"the roles in those accounts", "hawser", Target, YAML},
	{"a manager that reaches its own account only", "hawser-token-only", Management, YAML},
	{"everything chosen, by Pod Identity, in GovCloud", "hawser-gov", Management, YAML},
	{"and its targets", "hawser-gov", Target, YAML},
	{"a target by itself, in JSON", "hawser-target-only", Target, JSON},
	{"CAPA's management account, as its guide has it", "capa-management", Management, YAML},
	{"CAPA's target account, as its guide means it", "capa-target", Target, YAML},
	{"every field of CAPA that is rendered", "capa-everything", Management, YAML},
}

func TestGolden(t *testing.T) {
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			config := readFile(t, test.file+".yaml")
			got, err := Render(config, test.account, Options{Format: test.format})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, test.file+"."+string(test.account)+"."+string(test.format), got.Template)
			golden(t, test.file+"."+string(test.account)+".txt", notes(got))
			again, err := Render(config, test.account, Options{Format: test.format})
			if err != nil || !bytes.Equal(got.Template, again.Template) || cmp.Diff(notes(got), notes(again)) != "" {
				t.Errorf("the second rendering differs (%v)", err)
			}
			checkTemplate(t, config, got.Template)
		})
	}
}

// The target file of CAPA's guide has disabled where the field is disable, which clusterawsadm passes over.
func TestGoldenRefusal(t *testing.T) {
	_, err := Render(readFile(t, "capa-target-as-written.yaml"), Target, Options{})
	if err == nil {
		t.Fatal("the file was rendered")
	}
	golden(t, "capa-target-as-written.txt", []byte(err.Error()+"\n"))
	if !strings.Contains(err.Error(), "spec.clusterAPIControllers.disabled: there is no such field: did you mean disable?") {
		t.Errorf("the refusal does not say what was meant: %v", err)
	}
}

// The guide's files, as they stand on its page, where indentation is lost.
func TestGoldenInputsAreThoseOfTheGuide(t *testing.T) {
	const header = "apiVersion: bootstrap.aws.infrastructure.cluster.x-k8s.io/v1beta1\nkind: AWSIAMConfiguration\nspec:\n"
	guide := map[string]string{
		"capa-management.yaml": header + "bootstrapUser:\nenable: true\nclusterAPIControllers:\nextraStatements:\n- Action:\n" +
			"- \"sts:AssumeRole\"\nEffect: \"Allow\"\nResource:\n- \"arn:aws:iam::*:role/controllers.cluster-api-provider-aws.sigs.k8s.io\"\n",
		"capa-target-as-written.yaml": header + "clusterAPIControllers:\ndisabled: false\ntrustStatements:\n- Action:\n- \"sts:AssumeRole\"\n" +
			"Effect: \"Allow\"\nPrincipal:\nAWS:\n- \"arn:aws:iam::<management-account-id>:role/controllers.cluster-api-provider-aws.sigs.k8s.io\"\n" +
			"eks:\nmanagedMachinePool:\ndisable: false\niamRoleCreation: true\n",
	}
	for file, want := range guide {
		got := regexp.MustCompile(`(?m)^ +`).ReplaceAllString(string(readFile(t, file)), "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-guide +ours)\n%s", file, diff)
		}
	}
	meant := strings.NewReplacer("disabled:", "disable:", "<management-account-id>", "111122223333").
		Replace(string(readFile(t, "capa-target-as-written.yaml")))
	if diff := cmp.Diff(meant, string(readFile(t, "capa-target.yaml"))); diff != "" {
		t.Errorf("capa-target.yaml (-guide, put right +ours)\n%s", diff)
	}
}

// notes are what a person reads beside the template.
func notes(r Result) []byte {
	var text strings.Builder
	for _, w := range r.Warnings {
		text.WriteString("warning: " + w + "\n")
	}
	for _, c := range r.Commands {
		text.WriteString("# " + c.Note + "\n# account: " + c.Account + "\n" + c.String() + "\n")
	}
	return []byte(text.String())
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Join("testdata", "golden"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", "golden", name), got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readFile(t, filepath.Join("golden", name))), string(got)); diff != "" {
		t.Errorf("%s: if the difference is meant, run go test -update (-want +got)\n%s", name, diff)
	}
}

// checkTemplate holds a template against what is true of all of them.
func checkTemplate(t *testing.T, config, text []byte) {
	t.Helper()
	var tree map[string]any
	if err := yaml.UnmarshalStrict(text, &tree); err != nil {
		t.Fatalf("the template does not read back: %v", err)
	}
	resources, _ := tree["Resources"].(map[string]any)
	if len(resources) == 0 {
		t.Fatal("the template has no resources")
	}
	var written map[string]any
	if err := yaml.Unmarshal(config, &written); err != nil {
		t.Fatal(err)
	}
	isOwn := written["kind"] == ownKind
	byPerson := map[string]bool{}
	walk(written, func(_ string, v any) {
		if s, ok := v.(string); ok {
			byPerson[s] = true
		}
	})
	known := func(id string) bool {
		return resources[id] != nil || slices.Contains([]string{"AWS::Partition", "AWS::AccountId"}, id)
	}
	walk(tree, func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if id, ok := v["Ref"].(string); ok && !known(id) {
				t.Errorf("%s: Ref to %q, which is not there", path, id)
			}
			if get, ok := v["Fn::GetAtt"].([]any); ok && (len(get) != 2 || !known(get[0].(string)) || get[1] != "Arn") {
				t.Errorf("%s: GetAtt of %v, which is not there", path, get)
			}
			if isOwn && v["Effect"] == "Allow" && assumes(v["Action"]) && v["Principal"] == nil {
				checkNamed(t, path, v["Resource"])
			}
		case string:
			if strings.ContainsRune(v, 0) {
				t.Errorf("%s: %q still has a mark in it", path, v)
			}
			if byPerson[v] && !strings.HasSuffix(path, ".Fn::Sub") {
				return // as it was written
			}
			for _, found := range regexp.MustCompile(`\$\{([^}]*)\}`).FindAllStringSubmatch(v, -1) {
				if !strings.HasSuffix(path, ".Fn::Sub") || !known(found[1]) {
					t.Errorf("%s: %q holds ${%s}, which is not known there", path, v, found[1])
				}
			}
			if strings.HasPrefix(v, "arn:") && !strings.HasPrefix(v, "arn:${AWS::Partition}:") {
				t.Errorf("%s: %q is of one partition only", path, v)
			}
		}
	})
	for id, r := range resources {
		properties, _ := r.(map[string]any)["Properties"].(map[string]any)
		if id == tokenRole && (properties["Policies"] != nil || properties["ManagedPolicyArns"] != nil) {
			t.Errorf("the role that clusters know has a policy: %v", properties)
		}
	}
}

// checkNamed refuses resources that are not the ARN of one role.
func checkNamed(t *testing.T, path string, resources any) {
	t.Helper()
	list, ok := resources.([]any)
	if !ok || len(list) == 0 {
		t.Errorf("%s: AssumeRole on %v", path, resources)
	}
	for _, r := range list {
		sub, _ := r.(map[string]any)
		arn, _ := sub["Fn::Sub"].(string)
		if !regexp.MustCompile(`^arn:\$\{AWS::Partition\}:iam::[0-9]{12}:role/[^*?]+$`).MatchString(arn) {
			t.Errorf("%s: AssumeRole on %v, which is not one role", path, r)
		}
	}
}

func assumes(action any) bool {
	text, _ := json.Marshal(action)
	return bytes.Contains(text, []byte("sts:")) || bytes.Contains(text, []byte(`"*"`))
}

func walk(v any, visit func(path string, v any)) { walkFrom("", v, visit) }

func walkFrom(path string, v any, visit func(path string, v any)) {
	visit(path, v)
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			walkFrom(path+"."+key, value, visit)
		}
	case []any:
		for _, value := range v {
			walkFrom(path+"[]", value, visit)
		}
	}
}

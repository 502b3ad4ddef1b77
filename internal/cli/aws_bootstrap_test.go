package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const bootstrapConfig = `apiVersion: hawser.io/v1alpha1
kind: AWSBootstrap
management:
  accountID: "111122223333"
  podIdentity: true
  targets:
  - accountID: "222233334444"
target:
  permissions: [describe]
`

func TestAWSBootstrap(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config := write("config.yaml", bootstrapConfig)
	typo := write("typo.yaml", strings.Replace(bootstrapConfig, "permissions", "permission", 1))
	const deployTarget = "aws cloudformation deploy --stack-name hawser-target --template-file target.yaml --capabilities CAPABILITY_NAMED_IAM --region us-east-1\n"
	tests := map[string]struct {
		args  []string
		stdin string
		code  int
		out   []string
		err   []string
	}{
		"the management account": {
			args: []string{"management", "-f", config}, out: []string{"AWSTemplateFormatVersion:", "HawserManagerRole:"},
			err: []string{"# With the template in management.yaml:\n# 1. management account: IAM refuses", "(credentials of 111122223333).\naws cloudformation deploy --stack-name hawser-management", "# 2. target account (credentials of 222233334444).\n" + deployTarget},
		},
		"a target account": {
			args: []string{"target", "-f", config}, out: []string{"HawserTokenRole:", "HawserAPIRole:"},
			err: []string{"Warning: target: there is no externalID", "# With the template in target.yaml:"},
		},
		"in JSON": {
			args: []string{"target", "-f", config, "-o", "json"}, out: []string{`"HawserTokenRole": {`}, err: []string{"--template-file target.json"},
		},
		"from stdin": {
			args: []string{"management", "-f", "-"}, stdin: bootstrapConfig, out: []string{"HawserManagerRole:"},
		},
		"the commands alone": {
			args: []string{"target", "-f", config, "--commands-only"}, out: []string{deployTarget}, err: []string{"Warning: target:"},
		},
		"a field that is not there": {
			args: []string{"target", "-f", typo}, code: 1, err: []string{"typo.yaml: reading the configuration: line 9: target.permission: there is no such field: did you mean permissions?"},
		},
		"a file that is not there": {
			args: []string{"target", "-f", filepath.Join(dir, "none.yaml")}, code: 1, err: []string{"hawser: reading --file: open "},
		},
		"no file":                       {args: []string{"target"}, code: 2, err: []string{`required flag(s) "file" not set`}},
		"no account":                    {args: []string{"-f", config}, code: 2, err: []string{"name one account: management or target"}},
		"an account that there is not":  {args: []string{"local", "-f", config}, code: 2, err: []string{"name one account: management or target"}},
		"two accounts":                  {args: []string{"management", "target", "-f", config}, code: 2, err: []string{"name one account"}},
		"an output that there is not":   {args: []string{"target", "-f", config, "-o", "table"}, code: 2, err: []string{"there is only yaml, json"}},
		"a stdin that holds no mapping": {args: []string{"target", "-f", "-"}, stdin: "nothing\n", code: 1, err: []string{"hawser: -: reading the configuration: line 1: it is not a mapping"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out, stderr bytes.Buffer
			d := &deps{in: strings.NewReader(test.stdin), out: &out, err: &stderr, connect: func(string, string) (*cluster, error) {
				t.Error("it reaches for a cluster")
				return nil, errors.New("there is none")
			}}
			if code := d.run(t.Context(), append([]string{"hawser", "aws", "bootstrap"}, test.args...)); code != test.code {
				t.Fatalf("exit code %d, want %d: %s", code, test.code, stderr.String())
			}
			wantText(t, "stdout", out.String(), test.out...)
			wantText(t, "stderr", stderr.String(), test.err...)
			if len(test.out) == 0 && out.Len() > 0 {
				t.Errorf("stdout has %q", out.String())
			}
		})
	}
}

func TestAWSBootstrapCommandsAreAShellScript(t *testing.T) {
	var out bytes.Buffer
	d := &deps{in: strings.NewReader(bootstrapConfig), out: &out, err: &bytes.Buffer{}}
	if code := d.run(t.Context(), []string{"hawser", "aws", "bootstrap", "target", "-f", "-", "--commands-only"}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	var kinds []string
	for line := range strings.Lines(out.String()) {
		kind, _, _ := strings.Cut(line, " ")
		kinds = append(kinds, kind)
	}
	if diff := cmp.Diff([]string{"#", "aws", "#", "aws"}, kinds); diff != "" {
		t.Errorf("the lines begin otherwise (-want +got)\n%s\n%s", diff, out.String())
	}
}

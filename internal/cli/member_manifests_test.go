package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemberManifests(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	rules := write("rules.yaml", "- apiGroups: [apps]\n  resources: [deployments]\n  verbs: [list]\n")
	spec := write("spec.yaml", "requires:\n- apiGroups: [apps]\n  resources: [deployments]\n  verbs: [list]\n")
	wild := write("wild.yaml", "- apiGroups: ['*']\n  resources: [deployments]\n  verbs: [list]\n")
	typo := write("typo.yaml", "- apiGroup: [apps]\n")
	tests := map[string]struct {
		args  []string
		code  int
		has   []string
		hasNo []string
	}{
		"what every connection needs":   {nil, 0, []string{"name: hawser-from-primary\n", "kind: ServiceAccount\n"}, []string{"  name: hawser-endpoints\n", "  name: hawser-member\n"}},
		"endpoints":                     {[]string{"--capabilities", "endpoints"}, 0, []string{"hawser-endpoints"}, nil},
		"a list of rules":               {[]string{"--requires", rules}, 0, []string{"hawser-requires-from-primary", "deployments"}, nil},
		"rules as in a RemoteCluster":   {[]string{"--requires", spec}, 0, []string{"hawser-requires-from-primary", "deployments"}, nil},
		"a wildcard":                    {[]string{"--requires", wild}, 2, []string{"wildcards are refused"}, []string{"kind:"}},
		"a file with a mistake":         {[]string{"--requires", typo}, 1, []string{"neither a list of rules"}, []string{"kind:"}},
		"a certificate":                 {[]string{"--auth", "mtls"}, 0, []string{"name: hawser:from:primary\n"}, []string{"kind: ServiceAccount\n", "certificatesigningrequests"}},
		"a certificate that renews":     {[]string{"--auth", "mtls", "--renew", "csr", "--controllers"}, 0, []string{"certificatesigningrequests", "hawser-member-controllers"}, nil},
		"a kubeconfig of nobody":        {[]string{"--auth", "kubeconfig"}, 2, []string{"name a user or a group"}, []string{"kind:"}},
		"a kubeconfig of a group":       {[]string{"--auth", "kubeconfig", "--groups", "team"}, 0, []string{"kind: Group\n", "name: team\n"}, []string{"kind: ServiceAccount\n"}},
		"an AWS identity":               {[]string{"--auth", "eks"}, 0, []string{"kind: Group\n", "name: hawser-members\n"}, []string{"kind: ServiceAccount\n", "kind: User\n"}},
		"the kinds and the controllers": {[]string{"--controllers"}, 0, []string{"name: accessgrants.hawser.io\n", "name: trustedissuers.hawser.io\n", "name: hawser-grants\n", "name: hawser-grant-authors\n", "name: hawser-from-primary\n"}, []string{"hawser-gate", "accessrequests"}},
		"the gate":                      {[]string{"--controllers", "--gate"}, 0, []string{"name: hawser-gate\n", "serviceaccounts/token"}, nil},
		"the controllers alone":         {[]string{"--local", "", "--controllers"}, 0, []string{"name: accessgrants.hawser.io\n", "name: hawser-member\n"}, []string{"hawser-from-primary\n"}},
		"roles that may be granted":     {[]string{"--controllers", "--grantable-roles", "view"}, 0, []string{"  - view\n"}, nil},
		"a gate without controllers":    {[]string{"--gate"}, 2, []string{"need --controllers"}, []string{"kind:"}},
		"nobody to let in":              {[]string{"--local", ""}, 2, []string{"name the local cluster by --local"}, []string{"kind:"}},
		"a longer life for tokens":      {[]string{"--max-token-lifetime", "48h"}, 0, []string{"hawser.io/max-token-lifetime: 48h0m0s"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := runWith(t, nil, append([]string{"hawser", "member", "manifests", "--local", "primary"}, test.args...)...)
			if got.Code != test.code {
				t.Fatalf("exit code %d, want %d: %s", got.Code, test.code, got.Err)
			}
			wantText(t, "the output", got.Out+got.Err, test.has...)
			for _, part := range test.hasNo {
				if strings.Contains(got.Out, part) {
					t.Errorf("the output has %q:\n%s", part, got.Out)
				}
			}
		})
	}
}

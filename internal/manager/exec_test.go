package manager_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/member"
)

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// operator writes the file of plugins: one that prints the token that a file of the directory holds.
func (h *hub) operator(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, "plugin"), `#!/bin/sh
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$(cat "$1/$2")"
`, 0o700)
	h.plugins = filepath.Join(dir, "providers.json")
	entry := func(name, more string) string {
		return fmt.Sprintf(`{"name":%q,"execConfig":{"apiVersion":"client.authentication.k8s.io/v1","command":%q,"args":[%q,"$(who)"]},"parameters":[{"name":"who"}]%s}`, name, dir+"/plugin", dir, more)
	}
	writeFile(t, h.plugins, `{"providers":[`+entry("files", "")+","+entry("corporate", `,"shared":true`)+`]}`, 0o600)
	return dir
}

func execAuth(provider string, parameters map[string]string) v1alpha1.Auth {
	return v1alpha1.Auth{Type: v1alpha1.AuthExec, Exec: &v1alpha1.ExecAuth{Provider: provider, Parameters: parameters}}
}

func TestAPluginOfTheOperatorsIsSelectedAndFilled(t *testing.T) {
	h := startHubAside(t)
	h.stop()
	dir := h.operator(t)
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	h.member(alpha, member.Options{})
	h.member(beta, member.Options{})
	writeFile(t, dir+"/alpha", h.token(alpha, time.Hour), 0o600)
	writeFile(t, dir+"/beta", h.token(beta, time.Hour), 0o600)
	h.start()
	h.tie("alpha", alpha.Server, alpha.CA(), execAuth("files", map[string]string{"who": "alpha"}))
	h.tie("beta", beta.Server, beta.CA(), execAuth("files", map[string]string{"who": "beta"}))
	h.ready("alpha")
	h.works("alpha")
	h.ready("beta")
	if n := h.stored(); n > 0 {
		t.Errorf("%d Secrets are stored", n)
	}
	h.pastItsFirstSecond("beta")

	cases := []struct {
		name, reason, message string
		auth                  v1alpha1.Auth
	}{
		{"unknown", v1alpha1.ReasonPluginUnknown, `no plugin "nobody"`, execAuth("nobody", nil)},
		{"unfilled", v1alpha1.ReasonInputInvalid, `parameter "who" is missing`, execAuth("files", nil)},
		{"undeclared", v1alpha1.ReasonInputInvalid, `parameter "command" is not one`, execAuth("files", map[string]string{"who": "alpha", "command": "/bin/sh"})},
		{"climbing", v1alpha1.ReasonInputInvalid, `parameter "who": its value does not match`, execAuth("files", map[string]string{"who": "../alpha"})},
		{"failing", v1alpha1.ReasonPluginFailed, `running plugin "files"`, execAuth("corporate", map[string]string{"who": "nobody"})},
		{"shared", v1alpha1.ReasonAudienceShared, `for RemoteCluster "alpha", which is older`, execAuth("files", map[string]string{"who": "alpha"})},
		{"meant", v1alpha1.ReasonRefused, "401", execAuth("corporate", map[string]string{"who": "alpha"})},
	}
	for _, c := range cases {
		h.tie(c.name, beta.Server, beta.CA(), c.auth)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if message := h.is(c.name, v1alpha1.Authenticated, metav1.ConditionFalse, c.reason); !strings.Contains(message, c.message) && c.name != "failing" {
				t.Errorf("the message is %s", message)
			}
		})
	}
	h.works("alpha")
}

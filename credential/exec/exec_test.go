package exec_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/exec"
)

// start is when the clock of the tests starts.
var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// script writes a plugin and returns what runs it.
func script(t *testing.T, lines ...string) exec.Plugin {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return exec.Plugin{Name: "test", APIVersion: exec.V1, Command: path, ProvideClusterInfo: true}
}

// answer is a line of a script that prints a token, with an expiry unless that is zero.
func answer(token string, expires time.Time) string {
	status := map[string]any{"token": token}
	if !expires.IsZero() {
		status["expirationTimestamp"] = expires.Format(time.RFC3339)
	}
	text, err := json.Marshal(map[string]any{"apiVersion": exec.V1, "kind": "ExecCredential", "status": status})
	if err != nil {
		panic(err)
	}
	return "echo '" + string(text) + "'"
}

func source(p exec.Plugin) (*exec.Source, *testingclock.FakePassiveClock) {
	clock := testingclock.NewFakePassiveClock(start)
	return &exec.Source{Plugin: p, Clock: clock, Timeout: 10 * time.Second, Cluster: exec.Cluster{
		Endpoint: credential.Endpoint{Server: "https://alpha:6443"},
	}}, clock
}

// obtained is the one credential that the source yields.
func obtained(t *testing.T, s *exec.Source) credential.Credential {
	t.Helper()
	list, err := s.Obtain(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%d credentials (%v), want one", len(list), err)
	}
	return list[0]
}

// runs counts how often a script with the line "echo >>$0.runs" was run.
func runs(t *testing.T, p exec.Plugin) int {
	t.Helper()
	text, err := os.ReadFile(p.Command + ".runs")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

const count = `echo >>"$0.runs"`

func TestATokenIsGoodForWhatIsLeftOfIt(t *testing.T) {
	p := script(t, count, answer("t0ken", start.Add(10*time.Minute)))
	s, clock := source(p)
	c := obtained(t, s)
	if end, ok := c.Deadline(); c.Token.Reveal() != "t0ken" || !ok || !end.Equal(start.Add(10*time.Minute)) || c.Watched || c.Endpoint != nil {
		t.Errorf("got %+v until %s", c, end)
	}
	if at, _ := c.RenewAt(0.5); !at.Equal(start.Add(5 * time.Minute)) {
		t.Errorf("renewed at %s, want at half of what is left", at)
	}
	clock.SetTime(start.Add(9 * time.Minute))
	if again := obtained(t, s); !again.Equal(c) || again.Origin != c.Origin || runs(t, p) != 1 {
		t.Errorf("%d runs: what is good is not asked for again", runs(t, p))
	}
	next, err := s.Renew(t.Context(), c, nil)
	if err == nil {
		t.Logf("renewed: %+v", next)
	}
	if err != nil || next.Origin != c.Origin || runs(t, p) != 2 {
		t.Errorf("renewal: %v, origin %q after %q, %d runs", err, next.Origin, c.Origin, runs(t, p))
	}
	clock.SetTime(start.Add(10 * time.Minute))
	if _, err := s.Obtain(t.Context()); err == nil || !strings.Contains(err.Error(), "it gives a credential that expired at 2026-01-01T12:10:00Z") {
		t.Errorf("what has expired: %v", err)
	}
}

func TestATokenWithoutAnEndIsWatched(t *testing.T) {
	p := script(t, count, `cat "$0.out"`)
	say := func(token string) {
		t.Helper()
		line := strings.TrimSuffix(strings.TrimPrefix(answer(token, time.Time{}), "echo '"), "'")
		if err := os.WriteFile(p.Command+".out", []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	s, clock := source(p)
	first := obtained(t, s)
	if !first.Watched {
		t.Fatal("it would be renewed for ever")
	}
	clock.SetTime(start.Add(4 * time.Minute))
	if obtained(t, s); runs(t, p) != 1 {
		t.Errorf("%d runs within five minutes", runs(t, p))
	}
	clock.SetTime(start.Add(5 * time.Minute))
	if again := obtained(t, s); again.Origin != first.Origin || runs(t, p) != 2 {
		t.Errorf("the same token has another origin after %d runs", runs(t, p))
	}
	say("two")
	if err := s.Explain(t.Context(), credential.ErrRefused); !errors.Is(err, credential.ErrRefused) {
		t.Error(err)
	}
	if next := obtained(t, s); next.Token.Reveal() != "two" || next.Origin == first.Origin {
		t.Error("after a refusal the plugin is asked at once, and what it gives is new")
	}
}

func TestAClientCertificateEndsWhenItDoes(t *testing.T) {
	cert, key := pair(t, start.Add(time.Hour))
	text, err := json.Marshal(map[string]any{"apiVersion": exec.V1, "kind": "ExecCredential", "status": map[string]any{
		"clientCertificateData": cert, "clientKeyData": key, "expirationTimestamp": start.Add(24 * time.Hour).Format(time.RFC3339),
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := source(script(t, "cat <<END", string(text), "END"))
	s.BringsEndpoint = true
	c := obtained(t, s)
	if end, _ := c.Deadline(); c.Certificate == nil || !end.Equal(start.Add(time.Hour)) {
		t.Errorf("ends at %s, want when the certificate does", end)
	}
	if c.Endpoint == nil || c.Endpoint.Server != "https://alpha:6443" {
		t.Errorf("it is for %+v", c.Endpoint)
	}
}

func TestAPluginSeesWhatItIsAskedAndNoMoreOfOurEnvironment(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "ours")
	t.Setenv("REGION", "north")
	t.Setenv("HOME", "/home/hawser")
	p := script(t, `env >"$0.env"`, `pwd >"$0.dir"`, `echo "$@" >"$0.args"`, `cat >"$0.stdin"`, answer("t", start.Add(time.Hour)))
	p.Args = []string{"--role", "reader; touch /tmp/x"}
	p.Env = []exec.Variable{{Name: "MODE", Value: "a b"}, {Name: "HOME", Value: "/nowhere"}}
	p.InheritEnv = []string{"REGION"}
	s, _ := source(p)
	s.Cluster = exec.Cluster{
		Endpoint: credential.Endpoint{Server: "https://alpha:6443", CAData: []byte("PEM"), TLSServerName: "alpha", ProxyURL: "http://proxy:3128"},
		Config:   json.RawMessage(`{"clusterName":"alpha"}`), DisableCompression: true,
	}
	obtained(t, s)

	env := map[string]string{}
	for line := range strings.Lines(read(t, p.Command+".env")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	for _, name := range []string{"PWD", "SHLVL", "_", "OLDPWD"} { // the shell's own
		delete(env, name)
	}
	var info clientauthenticationv1.ExecCredential
	if err := json.Unmarshal([]byte(env["KUBERNETES_EXEC_INFO"]), &info); err != nil {
		t.Fatal(err)
	}
	want := clientauthenticationv1.ExecCredential{Spec: clientauthenticationv1.ExecCredentialSpec{Cluster: &clientauthenticationv1.Cluster{
		Server: "https://alpha:6443", CertificateAuthorityData: []byte("PEM"), TLSServerName: "alpha", ProxyURL: "http://proxy:3128", DisableCompression: true,
	}}}
	want.APIVersion, want.Kind = exec.V1, "ExecCredential"
	want.Spec.Cluster.Config.Raw = []byte(`{"clusterName":"alpha"}`)
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("what it is asked (-want +got):\n%s", diff)
	}
	delete(env, "KUBERNETES_EXEC_INFO")
	for name := range env {
		if !slices.Contains(exec.Inherited(), name) && name != "MODE" && name != "REGION" {
			t.Errorf("it sees %s=%s", name, env[name])
		}
	}
	if env["MODE"] != "a b" || env["REGION"] != "north" || env["HOME"] != "/nowhere" {
		t.Errorf("got %v", env)
	}
	if args := read(t, p.Command+".args"); args != "--role reader; touch /tmp/x\n" {
		t.Errorf("arguments %q", args)
	}
	if dir, stdin := read(t, p.Command+".dir"), read(t, p.Command+".stdin"); dir != "/\n" || stdin != "" {
		t.Errorf("in %q with %q on stdin", dir, stdin)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAPluginThatHangsIsKilledWithItsChildren(t *testing.T) {
	p := script(t, `sleep 600 & echo $! >"$0.child"`, "wait")
	s, _ := source(p)
	s.Timeout = 500 * time.Millisecond
	began := time.Now()
	_, err := s.Obtain(t.Context())
	if input, ok := errors.AsType[*credential.InputError](err); !ok || input.Reason != v1alpha1.ReasonPluginFailed ||
		!strings.Contains(err.Error(), `running plugin "test": it did not end within 500ms`) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	child, err := strconv.Atoi(strings.TrimSpace(read(t, p.Command+".child")))
	if err != nil {
		t.Fatal(err)
	}
	if !gone(t, child) {
		t.Error("its child lives on")
	}
}

// gone reports whether a process has ended, also while nobody has collected it.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(stat), ") Z ") {
			return true
		}
		<-tick.C
	}
	return false
}

func TestOneThatHangsHarmsNoOther(t *testing.T) {
	release := make(chan struct{})
	hung, _ := source(script(t, "sleep 600"))
	hung.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(release)
		_, _ = hung.Obtain(ctx)
	}()
	for i := range 5 {
		s, _ := source(script(t, answer(fmt.Sprint("token-", i), start.Add(time.Hour))))
		if got := obtained(t, s).Token.Reveal(); got != fmt.Sprint("token-", i) {
			t.Errorf("cluster %d got %q", i, got)
		}
	}
	select {
	case <-release:
		t.Error("the first one should still hang")
	default:
	}
	cancel()
	<-release
}

func TestWhatAPluginLeavesBehindDoesNotHoldUpItsAnswer(t *testing.T) {
	p := script(t, `sleep 600 & echo $! >"$0.child"`, answer("t0ken", start.Add(time.Hour)))
	s, _ := source(p)
	c := obtained(t, s)
	child, err := strconv.Atoi(strings.TrimSpace(read(t, p.Command+".child")))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(child, syscall.SIGKILL)
	if c.Token.Reveal() != "t0ken" {
		t.Errorf("got %+v", c)
	}
}

func TestWhatIsWrongWithAPlugin(t *testing.T) {
	const leak = "Vk9QbkRkc2Fkc2Fkc2Fkc2Fkc2Fkc2Fkc2Fkc2Fkc2E"
	writable := script(t, answer("t", time.Time{}))
	if err := os.Chmod(writable.Command, 0o720); err != nil {
		t.Fatal(err)
	}
	linked := writable
	linked.Command = filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(writable.Command, linked.Command); err != nil {
		t.Fatal(err)
	}
	directory := writable
	directory.Command = t.TempDir()
	missing := writable
	missing.Command = "/nowhere/plugin"
	unknown := writable
	unknown.Command = "hawser-no-such-plugin"
	big := script(t, answer("t", time.Time{}))
	tooMuch := script(t, `while :; do echo "a line that never ends"; done`)

	cases := []struct {
		name    string
		plugin  exec.Plugin
		cluster exec.Cluster
		reason  string
		want    string
	}{
		{"one that its group may write", writable, exec.Cluster{}, v1alpha1.ReasonInputInvalid, "may be written by others than its owner (mode 0720)"},
		{"a link to one that its group may write", linked, exec.Cluster{}, v1alpha1.ReasonInputInvalid, "may be written by others than its owner (mode 0720)"},
		{"a directory", directory, exec.Cluster{}, v1alpha1.ReasonInputInvalid, "finding program"},
		{"one that is missing", missing, exec.Cluster{}, v1alpha1.ReasonInputInvalid, `finding program "/nowhere/plugin": stat /nowhere/plugin: no such file or directory`},
		{"one that is not on the PATH", unknown, exec.Cluster{}, v1alpha1.ReasonInputInvalid, `finding program "hawser-no-such-plugin": executable file not found in $PATH`},
		{"one that fails says why", script(t, "echo 'access denied: ask for role reader' >&2", "exit 3"), exec.Cluster{}, v1alpha1.ReasonPluginFailed, `running plugin "test": exit status 3: access denied: ask for role reader`},
		{"and never shows a secret", script(t, "echo 'bad answer to "+leak+" eyJhbGciOiJub25lIn0.e30.x password=hunter2' >&2", "exit 1"), exec.Cluster{}, v1alpha1.ReasonPluginFailed, "exit status 1: bad answer to [redacted] [redacted] [redacted]"},
		{"one that complains at length", script(t, "i=0; while [ $i -lt 5000 ]; do echo 'again and again' >&2; i=$((i+1)); done", "exit 1"), exec.Cluster{}, v1alpha1.ReasonPluginFailed, "again again and ag…"},
		{"one that prints without end", tooMuch, exec.Cluster{}, v1alpha1.ReasonPluginFailed, "it printed more than 256 KiB"},
		{"one that prints no JSON", script(t, "echo "+leak), exec.Cluster{}, v1alpha1.ReasonPluginFailed, `reading what plugin "test" printed: it is no ExecCredential in JSON`},
		{"one whose credential is over", script(t, answer("t", start.Add(-time.Minute))), exec.Cluster{}, v1alpha1.ReasonPluginFailed, "it gives a credential that expired"},
		{"one that prints nothing", script(t, "true"), exec.Cluster{}, v1alpha1.ReasonPluginFailed, "it is no ExecCredential in JSON"},
		{"a configuration that is too long", big, exec.Cluster{Config: json.RawMessage(`"` + strings.Repeat("x", 100<<10) + `"`)}, v1alpha1.ReasonInputInvalid, "what it would be told of the cluster is too long"},
		{"a configuration that is no JSON", big, exec.Cluster{Config: json.RawMessage(`{`)}, v1alpha1.ReasonInputInvalid, "the configuration of the cluster for the plugin is no JSON"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := source(tc.plugin)
			s.Cluster = tc.cluster
			_, err := s.Obtain(t.Context())
			input, ok := errors.AsType[*credential.InputError](err)
			if !ok || input.Reason != tc.reason || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %#v (%v), want %s: …%s…", input, err, tc.reason, tc.want)
			}
			if strings.Contains(fmt.Sprint(err), leak) {
				t.Errorf("a secret shows: %v", err)
			}
			_, err = s.Renew(t.Context(), credential.Credential{}, nil)
			if input, ok := errors.AsType[*credential.InputError](err); !ok || input.Reason != tc.reason {
				t.Errorf("renewing it says %v, want %s", err, tc.reason)
			}
		})
	}
}

func TestAFailureLeavesWhatIsGood(t *testing.T) {
	p := script(t, `if [ -e "$0.broken" ]; then exit 1; fi`, answer("endless", time.Time{}))
	s, clock := source(p)
	obtained(t, s)
	if err := os.WriteFile(p.Command+".broken", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.SetTime(start.Add(time.Hour))
	list, err := s.Obtain(t.Context())
	if err == nil || len(list) != 1 || list[0].Token.Reveal() != "endless" {
		t.Errorf("got %v (%v), want what there is together with what is wrong", list, err)
	}
}

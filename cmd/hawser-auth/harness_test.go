package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/authcache"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/cli"
)

// runsVariable names the file in which each run of hawser is noted.
const runsVariable = "HAWSER_TEST_RUNS"

// TestMain makes this program hawser where it is called that. The plugin itself is built as it is shipped.
func TestMain(m *testing.M) {
	if runs := os.Getenv(runsVariable); runs != "" && os.Args[0] == "hawser" {
		playHawser(runs)
	}
	log.SetLogger(logr.Discard())
	code := awstest.Run(m, fleettest.Options{Clusters: []string{"primary", "alpha"}}, "alpha")
	_ = os.RemoveAll(built)
	os.Exit(code)
}

func playHawser(runs string) {
	file, err := os.OpenFile(runs, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, strings.Join(os.Args[1:], " "))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(70)
	}
	_ = file.Close()
	os.Exit(cli.Run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

const waitFor = 30 * time.Second

var built string // by programs

// programs is a folder with hawser-auth, as it is shipped, and hawser, which is this program.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hawser-auth-test-")
	if err != nil {
		return "", err
	}
	built = dir
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "hawser-auth"), ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building hawser-auth: %w: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return dir, os.Symlink(self, filepath.Join(dir, "hawser"))
})

// plugin is hawser-auth in the hands of one user.
type plugin struct {
	t    testing.TB
	path string
	home string
	env  map[string]string
}

func newPlugin(t testing.TB) *plugin {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	p := &plugin{t: t, path: filepath.Join(dir, "hawser-auth"), home: t.TempDir()}
	p.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": p.home, "XDG_CACHE_HOME": filepath.Join(p.home, "cache"), "XDG_RUNTIME_DIR": "",
		runsVariable: filepath.Join(p.home, "runs"), "KUBECONFIG": os.DevNull,
	}
	return p
}

func (p *plugin) setenv(more map[string]string) {
	for name, value := range more {
		p.env[name] = value
	}
}

func (p *plugin) environ() []string {
	var env []string
	for name, value := range p.env {
		env = append(env, name+"="+value)
	}
	return env
}

// runs are the command lines of hawser so far.
func (p *plugin) runs() []string {
	p.t.Helper()
	text, err := os.ReadFile(p.env[runsVariable])
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// outcome is what one run of the plugin came to.
type outcome struct {
	token  string
	end    time.Time
	stderr string
	err    error
}

const (
	asked       = `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}`
	askedByHand = `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":true}}`
)

func (p *plugin) start(info string, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	p.t.Helper()
	return p.startAs(p.path, info, args...)
}

// startAs starts the program under another name.
func (p *plugin) startAs(name, info string, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.path, args...)
	cmd.Args[0] = name
	var out, stderr bytes.Buffer
	cmd.Env = append(p.environ(), authcache.InfoVariable+"="+info)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return cmd, &out, &stderr
}

// run runs the plugin as client-go does.
func (p *plugin) run(info string, args ...string) outcome {
	p.t.Helper()
	cmd, out, stderr := p.start(info, args...)
	err := cmd.Wait()
	o := outcome{stderr: stderr.String(), err: err}
	if err != nil {
		if out.Len() > 0 {
			p.t.Errorf("it failed and printed %d bytes", out.Len())
		}
		return o
	}
	var answer clientauthenticationv1.ExecCredential
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.Status == nil || answer.APIVersion != authcache.V1 || answer.Kind != "ExecCredential" {
		p.t.Fatalf("what it printed is no ExecCredential of %s: %v", authcache.V1, err)
	}
	o.token = answer.Status.Token
	if answer.Status.ExpirationTimestamp != nil {
		o.end = answer.Status.ExpirationTimestamp.Time
	}
	return o
}

// must runs the plugin, which has to succeed.
func (p *plugin) must(info string, args ...string) outcome {
	p.t.Helper()
	o := p.run(info, args...)
	if o.err != nil {
		p.t.Fatalf("hawser-auth %s: %v: %s", strings.Join(args, " "), o.err, o.stderr)
	}
	return o
}

func (p *plugin) cacheDir() string { return filepath.Join(p.env["XDG_CACHE_HOME"], "hawser-auth") }

// only returns the one entry that there is, by its key.
func (p *plugin) only() (*authcache.Cache, string) {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.cacheDir(), "*.entry"))
	if err != nil || len(files) != 1 {
		p.t.Fatalf("there are %d entries (%v), want 1", len(files), err)
	}
	cache, err := authcache.OpenAt(p.cacheDir())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = cache.Close() })
	return cache, strings.TrimSuffix(filepath.Base(files[0]), ".entry")
}

// edit changes the one entry that there is.
func (p *plugin) edit(change func(*authcache.Entry)) {
	p.t.Helper()
	cache, key := p.only()
	entry, ok := cache.Read(key, time.Now())
	if !ok {
		p.t.Fatal("the entry is of no use")
	}
	change(&entry)
	lock, err := cache.Lock(key, waitFor)
	if err != nil {
		p.t.Fatal(err)
	}
	defer lock.Release()
	if err := cache.Write(lock, entry); err != nil {
		p.t.Fatal(err)
	}
}

// due makes the entry one that should be renewed, with the given time left.
func (p *plugin) due(left time.Duration) {
	p.t.Helper()
	p.edit(func(e *authcache.Entry) {
		e.RefreshAfter, e.ExpiresAt = time.Now().Add(-time.Second), time.Now().Add(left)
	})
}

// gate answers token exchanges.
type gate struct {
	*httptest.Server
	ca string // a file

	mu     sync.Mutex
	answer func(form map[string]string) (token string, life time.Duration, err error)
	forms  []map[string]string
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{ca: filepath.Join(t.TempDir(), "gate.pem")}
	g.answer = func(map[string]string) (string, time.Duration, error) {
		return fmt.Sprintf("token-%d", len(g.forms)), time.Hour, nil
	}
	g.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form := map[string]string{}
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.RawQuery != "" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		for name := range r.PostForm {
			form[name] = r.PostForm.Get(name)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.forms = append(g.forms, form)
		token, life, err := g.answer(form)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_request", "error_description": err.Error()})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": token, "token_type": "Bearer", "expires_in": int(life.Seconds()),
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		})
	}))
	t.Cleanup(g.Close)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})
	if err := os.WriteFile(g.ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// set changes how it answers.
func (g *gate) set(answer func(map[string]string) (string, time.Duration, error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = answer
}

func (g *gate) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.forms)
}

// jobToken is an unsigned JWT, as far as a client looks at it.
func jobToken(audience any, life time.Duration) string {
	encode := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return encode(map[string]any{"alg": "ES256"}) + "." + encode(map[string]any{"sub": "job", "aud": audience, "exp": time.Now().Add(life).Unix()}) + ".c2ln"
}

// byGate are the arguments for a token from the gate.
func (p *plugin) byGate(g *gate) []string {
	p.env["JOB_TOKEN"] = jobToken("hawser:alpha", time.Hour)
	return []string{"oidc", "--token-env", "JOB_TOKEN", "--audience", "hawser:alpha", "--gate-url", g.URL, "--gate-ca-file", g.ca}
}

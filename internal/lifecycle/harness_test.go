package lifecycle

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/charttest"
	"github.com/hawser-io/hawser/internal/kinds"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	code := fleettest.RunWith(m, fleettest.Options{Clusters: []string{"hub", "spoke", "hub-2", "spoke-2"}, Nodes: 1})
	_ = os.RemoveAll(programs.dir)
	os.Exit(code)
}

// programs are hawser of two releases, built once.
var programs struct {
	once sync.Once
	dir  string
	err  error
}

// program is hawser of a version.
func program(t *testing.T, version string) string {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "hawser-lifecycle-"); programs.err != nil {
			return
		}
		for _, v := range []string{older, newer} {
			flags := "-s -w -X github.com/hawser-io/hawser/internal/version.version=" + v
			out, err := exec.Command("go", "build", "-ldflags", flags, "-o", filepath.Join(programs.dir, v), filepath.Join(charttest.Root(t), "cmd", "hawser")).CombinedOutput()
			if err != nil {
				programs.err = fmt.Errorf("building hawser %s: %w\n%s", v, err, out)
				return
			}
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, version)
}

// Of two releases that follow each other.
const older, newer = "v0.1.0", "v0.2.0"

// side is a cluster with a release of the chart, or without.
type side struct {
	*testing.T
	cluster *fleettest.Cluster
	helm    *charttest.Helm
	admin   client.Client
	before  everything
}

func newSide(t *testing.T, name string) *side {
	t.Helper()
	c := fleettest.Use(t, name)
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(c.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &side{T: t, cluster: c, helm: charttest.New(t, c.Kubeconfig(t)), admin: admin, before: look(t, c)}
}

// run runs Helm, and fails the test where Helm fails or hangs.
func (s *side) run(values string, args ...string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if out, err := s.helm.Run(ctx, values, append(args, "--namespace", "hawser")...); err != nil {
		s.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (s *side) install(values string) {
	s.Helper()
	s.run(values, "install", "hawser", charttest.Chart(s.T), "--create-namespace", "--values", "-", "--wait", "--timeout", "40s")
}

func (s *side) upgrade(values string) {
	s.Helper()
	s.run(values, "upgrade", "hawser", charttest.Chart(s.T), "--values", "-")
}

// refuses tries an upgrade that Helm has to refuse for a reason.
func (s *side) refuses(values, why string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	_, err := s.helm.Run(ctx, values, "upgrade", "hawser", charttest.Chart(s.T), "--values", "-", "--namespace", "hawser")
	if err == nil || !strings.Contains(err.Error(), why) {
		s.Errorf("an upgrade that should fail: %v, want %q", err, why)
	}
}

func (s *side) uninstall() {
	s.Helper()
	s.run("", "uninstall", "hawser", "--wait", "--timeout", "40s")
}

// process is a container of a Deployment of the chart, as a process: its arguments, and its service account's token.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *log
}

func (s *side) start(version, deployment string) *process {
	s.Helper()
	cmd, err := charttest.Process(s.Context(), s.cluster, program(s.T, version), s.TempDir(), deployment)
	if err != nil {
		s.Fatal(err)
	}
	if slices.Contains(cmd.Args, "--endpoints") { // the port of its pod is one for all that run here
		cmd.Args = append(cmd.Args, "--query-bind-address=0")
	}
	p := &process{cmd: cmd, done: make(chan struct{}), log: &log{}}
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	go func() { // ends with the process, which the clean-up kills
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	s.Cleanup(func() {
		p.kill()
		if s.Failed() {
			s.Logf("%s %s:\n%s", version, deployment, p.log.String())
		}
	})
	return p
}

// kill is the end of a pod that was told nothing.
func (p *process) kill() { _ = p.cmd.Process.Kill(); <-p.done }

// kubectl runs kubectl in the cluster.
func (s *side) kubectl(args ...string) (string, error) {
	s.Helper()
	return s.cluster.Kubectl(s.Context(), "", append([]string{"--context", s.cluster.Name}, args...)...)
}

// killLeader kills the one that acts, and what it cannot give back any more, and which else ends a quarter of a minute later.
func (s *side) killLeader(p *process) {
	s.Helper()
	p.kill()
	if err := s.cluster.Client().CoordinationV1().Leases(v1alpha1.Namespace).Delete(s.Context(), "hawser-manager", metav1.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
}

// stop is the end of a pod that is told.
func (p *process) stop() { _ = p.cmd.Process.Signal(syscall.SIGTERM); <-p.done }

// object is a RemoteCluster as it is.
func (s *side) object(name string) *v1alpha1.RemoteCluster {
	s.Helper()
	rc := &v1alpha1.RemoteCluster{}
	if err := s.admin.Get(s.Context(), client.ObjectKey{Name: name}, rc); err != nil {
		s.Fatal(err)
	}
	return rc
}

// ready waits until the connection to a cluster is Ready, as seen after a moment, at a server.
func (s *side) ready(name, server string, since time.Time) *v1alpha1.RemoteCluster {
	s.Helper()
	var rc *v1alpha1.RemoteCluster
	fleettest.Eventually(s, patience, func() error {
		rc = s.object(name)
		c := meta.FindStatusCondition(rc.Status.Conditions, v1alpha1.Ready)
		switch {
		case c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != rc.Generation:
			return fmt.Errorf("RemoteCluster %s is %+v at generation %d", name, c, rc.Generation)
		case rc.Status.Endpoint == nil || rc.Status.Endpoint.Server != server:
			return fmt.Errorf("RemoteCluster %s is at %+v, not at %s", name, rc.Status.Endpoint, server)
		case rc.Status.Credential == nil || rc.Status.Credential.RenewedAt == nil || rc.Status.Credential.RenewedAt.Time.Before(since.Truncate(time.Second)):
			return fmt.Errorf("the credential of RemoteCluster %s is %+v, not of after %s", name, rc.Status.Credential, since)
		}
		return nil
	})
	return rc
}

// renew asks for another token, and waits for it.
func (s *side) renew(name, server string) {
	s.Helper()
	before := s.kept(name)
	asked := time.Now().Add(time.Second)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.RenewAnnotation, asked.Format(time.RFC3339Nano))
	if err := s.admin.Patch(s.Context(), s.object(name), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		s.Fatal(err)
	}
	fleettest.Eventually(s, patience, func() error {
		if string(s.kept(name)) == string(before) {
			return fmt.Errorf("the token that is kept for %s is the old one", name)
		}
		return nil
	})
}

func (s *side) kept(name string) []byte {
	s.Helper()
	var kept corev1.Secret
	_ = s.admin.Get(s.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.CredentialSecretName(name)}, &kept)
	return kept.Data[v1alpha1.BearerTokenKey]
}

// log is what a process says.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all of it.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

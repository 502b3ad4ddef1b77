// Package examples_test builds the examples and runs them on real API servers.
package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/fleettest"
)

// programs is where the examples are built.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(context.Background(), "go", "build", "-o", dir+"/", "./...")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the examples: %v\n%s", err, out)
		return 1
	}
	programs = dir
	ctrl.SetLogger(logr.Discard())
	return fleettest.Run(m, "local", "alpha", "beta")
}

const patience = 30 * time.Second

// kubeconfigs is a directory with a kubeconfig for each cluster.
func kubeconfigs(t *testing.T, clusters ...*fleettest.Cluster) string {
	t.Helper()
	dir := t.TempDir()
	for _, c := range clusters {
		write(t, filepath.Join(dir, c.Name+".kubeconfig"), c.Kubeconfig(t))
	}
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// program is an example that runs.
type program struct {
	t       *testing.T
	command *exec.Cmd

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
}

// start starts an example, whose local cluster is the cluster "local".
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	local := filepath.Join(t.TempDir(), "config")
	write(t, local, fleettest.Use(t, "local").Kubeconfig(t))
	p := &program{t: t, command: exec.CommandContext(context.Background(), filepath.Join(programs, name), args...)}
	p.command.Env = append(os.Environ(), "KUBECONFIG="+local)
	p.command.Stdout, p.command.Stderr = writer{p, &p.stdout}, writer{p, &p.stderr}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// controller starts an example that runs until it is told to end, which has to be a good end.
func controller(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := start(t, name, args...)
	t.Cleanup(func() {
		_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended, which Wait tells
		if err := p.command.Wait(); err != nil {
			t.Errorf("%s ended with %v", name, err)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.stderr.String())
		}
	})
	return p
}

// writer writes to a buffer that is read meanwhile.
type writer struct {
	p  *program
	to *bytes.Buffer
}

func (w writer) Write(data []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.to.Write(data)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// gone turns "not found" around.
func gone(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err == nil:
		return errors.New("it is still there")
	}
	return err
}

func TestExamplesAreShort(t *testing.T) {
	files, err := filepath.Glob("*/main.go")
	if err != nil || len(files) != 4 {
		t.Fatalf("the examples are %v: %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(text, []byte("\n")); lines >= 60 {
			t.Errorf("%s has %d lines: less than 60 are read at a glance", file, lines)
		}
	}
}

func TestUniform(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	controller(t, "uniform", kubeconfigs(t, alpha, beta))
	for _, c := range []*fleettest.Cluster{alpha, beta} {
		namespace, client := c.Namespace(t), c.Client()
		label := func(value string) {
			patch := []byte(`{"metadata":{"labels":{"example.com/isolated":` + value + `}}}`)
			if _, err := client.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		policy := func() error {
			_, err := client.NetworkingV1().NetworkPolicies(namespace).Get(t.Context(), "isolated", metav1.GetOptions{})
			return err
		}
		label(`"true"`)
		fleettest.Eventually(t, patience, policy)
		if err := client.NetworkingV1().NetworkPolicies(namespace).Delete(t.Context(), "isolated", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		fleettest.Eventually(t, patience, policy) // made again: it is owned
		label("null")
		fleettest.Eventually(t, patience, func() error { return gone(policy()) })
	}
}

func TestSync(t *testing.T) {
	local, alpha, beta := fleettest.Use(t, "local"), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	namespace := local.Namespace(t)
	inNamespace := func(c *fleettest.Cluster) {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := c.Client().CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	inNamespace(alpha)
	controller(t, "sync", kubeconfigs(t, alpha, beta))

	originals := local.Client().CoreV1().ConfigMaps(namespace)
	original := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings", Labels: map[string]string{"example.com/sync": "true"}},
		Data:       map[string]string{"colour": "green"},
	}
	original, err := originals.Create(t.Context(), original, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	copied := func(c *fleettest.Cluster, colour string) {
		t.Helper()
		fleettest.Eventually(t, patience, func() error {
			got, err := c.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), "settings", metav1.GetOptions{})
			if err == nil && got.Data["colour"] != colour {
				err = fmt.Errorf("in %s it is %q, want %q", c.Name, got.Data["colour"], colour)
			}
			return err
		})
	}
	copied(alpha, "green")
	inNamespace(beta) // which comes later
	copied(beta, "green")
	original.Data["colour"] = "blue"
	if _, err := originals.Update(t.Context(), original, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	copied(alpha, "blue")
	copied(beta, "blue")
	if err := originals.Delete(t.Context(), "settings", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*fleettest.Cluster{alpha, beta} {
		fleettest.Eventually(t, patience, func() error {
			_, err := c.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), "settings", metav1.GetOptions{})
			return gone(err)
		})
	}
}

func TestFleetlist(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/main"}}},
	}
	if _, err := beta.Client().CoreV1().Pods(beta.Namespace(t)).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := kubeconfigs(t, alpha, beta)
	entry := func(c *fleettest.Cluster) string {
		return filepath.Join(dir, c.Name+".kubeconfig") + "+" + c.Name
	}
	line := func(c *fleettest.Cluster) string {
		pods, err := c.Client().CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s\t%d pods", entry(c), len(pods.Items))
	}
	check := func(wantErr string, want ...string) {
		t.Helper()
		p := start(t, "fleetlist", dir)
		err := p.command.Wait()
		var exit *exec.ExitError
		if failed := errors.As(err, &exit) && exit.ExitCode() == 1; failed != (wantErr != "") || (err != nil && !failed) {
			t.Errorf("it ended with %v", err)
		}
		if got := strings.Split(strings.TrimSpace(p.said()), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("it printed %q, want %q", got, want)
		}
		if got := p.stderr.String(); !strings.HasPrefix(got, wantErr) || (wantErr == "" && got != "") || strings.Count(got, "\n") > 1 {
			t.Errorf("on stderr it printed %q, want %q", got, wantErr)
		}
	}
	check("", line(alpha), line(beta))

	dead := alpha.Proxy(t)
	dead.Cut()
	write(t, filepath.Join(dir, "alpha.kubeconfig"), bytes.ReplaceAll(alpha.Kubeconfig(t), []byte(alpha.Server), []byte(dead.URL)))
	check(fmt.Sprintf("cluster %q: not ready yet: DialFailed", entry(alpha)), line(beta))
}

func TestInventory(t *testing.T) {
	local, alpha := fleettest.Use(t, "local"), fleettest.Use(t, "alpha")
	namespace, there := local.Namespace(t), alpha.Namespace(t)
	alpha.ServiceAccount(t, there, "visitor")
	p := controller(t, "inventory", namespace)
	secrets := local.Client().CoreV1().Secrets(namespace)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "alpha"},
		Type:       "example.com/cluster",
		Data: map[string][]byte{
			"server": []byte(alpha.Server), "ca.crt": alpha.CA(), "token": []byte(alpha.Token(t, there, "visitor", time.Hour)),
		},
	}
	if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		fleettest.Eventually(t, patience, func() error {
			if got := p.said(); got != want {
				return fmt.Errorf("it printed %q, want %q", got, want)
			}
			return nil
		})
	}
	says("alpha has come\n")
	if err := secrets.Delete(t.Context(), "alpha", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	says("alpha has come\nalpha has left\n")
}

package connection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	goruntime "runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
)

func TestMain(m *testing.M) {
	os.Exit(fleettest.RunWith(m, fleettest.Options{Clusters: []string{"pods"}, Pods: 1}))
}

const patience = 30 * time.Second

// admin is a source of tokens for one account, each a new one.
type admin struct {
	t *testing.T
	c *fleettest.Cluster
	n int
}

// Obtain implements credential.Source.
func (a *admin) Obtain(context.Context) ([]credential.Credential, error) {
	c, err := a.Renew(a.t.Context(), credential.Credential{}, nil)
	return []credential.Credential{c}, err
}

// Renew implements credential.Source.
func (a *admin) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	a.n++
	return credential.NewToken(a.c.Token(a.t, "default", "default", time.Hour), "origin"), nil
}

// connect makes a connection to the cluster as an account that may do everything.
func connect(t *testing.T) (*connection.Connection, *fleettest.Cluster) {
	t.Helper()
	return connectBy(t, func(c *fleettest.Cluster) credential.Source { return &admin{t: t, c: c} })
}

func connectBy(t *testing.T, source func(*fleettest.Cluster) credential.Source) (*connection.Connection, *fleettest.Cluster) {
	t.Helper()
	c := fleettest.Use(t, "pods")
	grantAll(t, c)
	conn := connection.New(connection.Spec{Name: "pods", Endpoint: credential.Endpoint{Server: c.Server, CAData: c.CA()}}, source(c), connection.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); conn.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	fleettest.Eventually(t, patience, func() error {
		if c := conn.State().Condition(v1alpha1.Ready); c.Status != metav1.ConditionTrue {
			return fmt.Errorf("not ready: %s", c.Message)
		}
		return nil
	})
	return conn, c
}

func grantAll(t *testing.T, c *fleettest.Cluster) {
	t.Helper()
	_, err := c.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: "default"}},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// rotate swaps the credential of a connection.
func rotate(t *testing.T, conn *connection.Connection) {
	t.Helper()
	before := conn.State().Renewals
	conn.Renew()
	fleettest.Eventually(t, patience, func() error {
		if conn.State().Renewals == before {
			return fmt.Errorf("still the same: %v", conn.State().Conditions)
		}
		return nil
	})
}

// pod returns the address of a subresource of the one running pod, over the connection.
func pod(t *testing.T, conn *connection.Connection, subresource string, options runtime.Object) *url.URL {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(conn.Config())
	if err != nil {
		t.Fatal(err)
	}
	pods, err := clientset.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("no pod: %v", err)
	}
	request := clientset.CoreV1().RESTClient().Post().Namespace(pods.Items[0].Namespace).Resource("pods").Name(pods.Items[0].Name).SubResource(subresource)
	return request.VersionedParams(options, scheme.ParameterCodec).URL()
}

func TestAnExecStreamSurvivesARotation(t *testing.T) {
	conn, _ := connect(t)
	rt, upgrader := conn.Upgrader()
	executor, err := remotecommand.NewSPDYExecutorForTransports(rt, upgrader, "POST", pod(t, conn, "exec", &corev1.PodExecOptions{Command: []string{"cat"}, Stdin: true, Stdout: true}))
	if err != nil {
		t.Fatal(err)
	}
	in, feed := io.Pipe()
	var out lockedBuffer
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: &out})
		_ = in.CloseWithError(fmt.Errorf("the stream ended: %w", err)) // nobody reads any more
		ended <- err
	}()
	say := func(line string) {
		t.Helper()
		if _, err := io.WriteString(feed, line+"\n"); err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		fleettest.Eventually(t, patience, func() error {
			if !strings.Contains(out.String(), line) {
				return fmt.Errorf("output %q", out.String())
			}
			return nil
		})
	}
	say("before")
	rotate(t, conn)
	say("after one")
	rotate(t, conn)
	say("after two")
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended by itself: %v", err)
	}
}

func TestAPortForwardSurvivesARotationAndEndsWithAnInterruption(t *testing.T) {
	conn, _ := connect(t)
	rt, upgrader := conn.Upgrader()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: rt}, "POST", pod(t, conn, "portforward", &corev1.PodPortForwardOptions{Ports: []int32{80}}))
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("it did not start: %v", err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	rotate(t, conn)
	if err := ask(); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	conn.Interrupt()
	if err := <-ended; err == nil {
		t.Error("the interrupted port-forward ended as if nothing had happened")
	}
}

func TestAnInterruptionEndsWatchesAndTheConnectionGoesOn(t *testing.T) {
	conn, _ := connect(t)
	clientset, err := kubernetes.NewForConfig(conn.Config())
	if err != nil {
		t.Fatal(err)
	}
	watch, err := clientset.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Interrupt()
	for range watch.ResultChan() {
		continue // until it ends
	}
	if _, err := clientset.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Errorf("a new request after an interruption: %v", err)
	}
}

// lockedBuffer is written by a stream while the test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// certs is a source of certificates, each for a user of its own.
type certs struct {
	t *testing.T
	c *fleettest.Cluster
	n int
}

// Obtain implements credential.Source.
func (s *certs) Obtain(context.Context) ([]credential.Credential, error) {
	c, err := s.Renew(s.t.Context(), credential.Credential{}, nil)
	return []credential.Credential{c}, err
}

// Renew implements credential.Source.
func (s *certs) Renew(context.Context, credential.Credential, credential.Link) (credential.Credential, error) {
	s.n++
	cert, key := s.c.ClientCert(s.t, fmt.Sprintf("user-%d", s.n), []string{"system:masters"}, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	return credential.NewCertificate(cert, credential.NewSecret(string(key)), "origin")
}

func TestReplacedGenerationsLeaveNothingBehind(t *testing.T) {
	conn, _ := connectBy(t, func(c *fleettest.Cluster) credential.Source { return &certs{t: t, c: c} })
	clientset, err := kubernetes.NewForConfig(conn.Config())
	if err != nil {
		t.Fatal(err)
	}
	rotateUnderAWatch := func() {
		watch, err := clientset.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{TimeoutSeconds: new(int64(1))})
		if err != nil {
			t.Fatal(err)
		}
		rotate(t, conn)
		for range watch.ResultChan() {
			continue // until the server ends it
		}
	}
	rotateUnderAWatch()
	settled := goroutines()
	for range 5 {
		rotateUnderAWatch()
	}
	fleettest.Eventually(t, patience, func() error {
		if now := goroutines(); now > settled+1 {
			return fmt.Errorf("%d goroutines, %d before five rotations:\n%s", now, settled, stacks())
		}
		return nil
	})
}

func goroutines() int { return goruntime.NumGoroutine() }

func stacks() string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

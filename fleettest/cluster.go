package fleettest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// A Cluster is one API server with its controllers. All methods may be called at the same time.
type Cluster struct {
	// Name is its name in the fleet, its context in the fleet's kubeconfig, and part of its certificate.
	Name string
	// Server is its URL, https://127.0.0.1:PORT, which is the issuer of its service-account tokens, too.
	Server string
	// PodCIDR is the range that its pods, where there are nodes, have their addresses from. No two clusters share one.
	PodCIDR string

	fleet *Fleet
	dir   string
	ca    []byte
	admin keyPair
}

// keyPair is a certificate with its key, both PEM.
type keyPair struct{ cert, key []byte }

func openCluster(f *Fleet, name string) (*Cluster, error) {
	c := &Cluster{Name: name, fleet: f, dir: filepath.Join(f.dir, name)}
	data, err := os.ReadFile(filepath.Join(c.dir, "cluster.json"))
	if err != nil {
		return nil, fmt.Errorf("reading cluster %q: %w", name, err)
	}
	var spec struct {
		Server  string `json:"server"`
		PodCIDR string `json:"podCIDR"`
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("reading cluster %q: %w", name, err)
	}
	c.Server, c.PodCIDR = spec.Server, spec.PodCIDR
	if c.ca, err = os.ReadFile(filepath.Join(c.dir, "ca.crt")); err != nil {
		return nil, fmt.Errorf("reading CA of cluster %q: %w", name, err)
	}
	c.admin, err = c.keyPair("admin")
	return c, err
}

func (c *Cluster) keyPair(name string) (keyPair, error) {
	cert, err := os.ReadFile(filepath.Join(c.dir, name+".crt"))
	if err != nil {
		return keyPair{}, fmt.Errorf("reading certificate of cluster %q: %w", c.Name, err)
	}
	key, err := os.ReadFile(filepath.Join(c.dir, name+".key"))
	if err != nil {
		return keyPair{}, fmt.Errorf("reading key of cluster %q: %w", c.Name, err)
	}
	return keyPair{cert, key}, nil
}

// Dir holds the cluster's log, its audit log (if asked for) and its keys.
func (c *Cluster) Dir() string { return c.dir }

// CA is the PEM certificate that clients verify the API server by.
func (c *Cluster) CA() []byte { return c.ca }

// AdminConfig authenticates as a member of system:masters, by certificate. Each call returns a new one.
func (c *Cluster) AdminConfig() *rest.Config {
	config := c.AnonymousConfig()
	config.CertData, config.KeyData = c.admin.cert, c.admin.key
	return config
}

// AnonymousConfig holds the address and the CA, and no credential: add one.
func (c *Cluster) AnonymousConfig() *rest.Config {
	return &rest.Config{
		Host:            c.Server,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca},
		QPS:             -1, // a test waits for the server, not for its own limiter
	}
}

// TokenConfig authenticates by a token.
func (c *Cluster) TokenConfig(token string) *rest.Config {
	config := c.AnonymousConfig()
	config.BearerToken = token
	return config
}

// Client is a client with admin rights.
func (c *Cluster) Client() kubernetes.Interface { return kubernetes.NewForConfigOrDie(c.AdminConfig()) }

// Kubeconfig is a kubeconfig file for this cluster with admin rights, everything inline.
func (c *Cluster) Kubeconfig(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, "kubeconfig"))
	if err != nil {
		t.Fatalf("reading kubeconfig of cluster %q: %v", c.Name, err)
	}
	return data
}

// Namespace makes a namespace that is deleted when the test ends. Its default service account exists already.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	client := c.Client()
	prefix := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	prefix = strings.Trim(prefix[:min(len(prefix), 40)], "-")
	ns, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("making namespace in cluster %q: %v", c.Name, err)
	}
	Eventually(t, 30*time.Second, func() error {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	t.Cleanup(func() {
		// t.Context() has ended; and a cluster that the test has stopped is no reason to fail.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{})
	})
	return ns.Name
}

// ServiceAccount makes a service account.
func (c *Cluster) ServiceAccount(t testing.TB, namespace, name string) *corev1.ServiceAccount {
	t.Helper()
	sa, err := c.Client().CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("making service account in cluster %q: %v", c.Name, err)
	}
	return sa
}

// Stop ends the cluster's process; its data, keys and ports are kept. Start it again when the test ends, as
// other tests of the package share it: t.Cleanup(func() { c.Start(t) }).
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := c.fleet.run(ctx, "stop", c.Name); err != nil {
		t.Fatal(err)
	}
}

// Start starts the cluster after Stop, and returns when it is ready. A cluster that runs is left alone.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if c.running() {
		return
	}
	args := []string{"start", c.Name}
	if c.fleet.temporary {
		args = append(args, "--ephemeral")
	}
	if err := c.fleet.run(ctx, args...); err != nil {
		t.Fatal(err)
	}
}

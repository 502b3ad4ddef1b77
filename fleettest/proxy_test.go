package fleettest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/fleettest"
)

// get is one small request that must be answered within the timeout.
func get(config *rest.Config, timeout time.Duration) error {
	config = rest.CopyConfig(config)
	config.Timeout = timeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	_, err = client.Discovery().ServerVersion()
	return err
}

func TestProxyPassesEverythingOn(t *testing.T) {
	c := fleettest.Use(t, "primary")
	p := c.Proxy(t)
	if user, err := whoami(t.Context(), p.AdminConfig()); user != "devfleet-admin" {
		t.Errorf("user %q (%v), want the one of the client certificate", user, err)
	}
	if s := p.Stats(); s.Accepted == 0 || s.FromClient == 0 || s.ToClient == 0 {
		t.Errorf("counters %+v, want none of them zero", s)
	}
}

func TestCutAndRestore(t *testing.T) {
	p := fleettest.Use(t, "primary").Proxy(t)
	watch, err := kubernetes.NewForConfigOrDie(p.AdminConfig()).CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Cut()
	for range watch.ResultChan() { // ends with the connection
	}
	if err := get(p.AdminConfig(), time.Second); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v, want connection refused", err)
	}
	p.Restore()
	if err := get(p.AdminConfig(), 5*time.Second); err != nil {
		t.Errorf("after Restore: %v", err)
	}
}

func TestDropConnectionsIsOnce(t *testing.T) {
	p := fleettest.Use(t, "primary").Proxy(t)
	watch, err := kubernetes.NewForConfigOrDie(p.AdminConfig()).CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.DropConnections()
	for range watch.ResultChan() { // ends with the connection
	}
	if err := get(p.AdminConfig(), 5*time.Second); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

func TestDelay(t *testing.T) {
	p := fleettest.Use(t, "primary").Proxy(t)
	p.Delay(100 * time.Millisecond)
	start := time.Now()
	if err := get(p.AdminConfig(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	// TLS takes a round trip and the request another.
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("took %s, want four delays at least", took)
	}
}

func TestBlackHoleTCP(t *testing.T) {
	p := fleettest.Use(t, "primary").Proxy(t)
	p.BlackHoleTCP()
	before := p.Stats()
	err := get(p.AdminConfig(), 300*time.Millisecond)
	if err == nil || strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v, want a timeout", err)
	}
	if s := p.Stats(); s.Accepted == before.Accepted || s.ToClient != 0 {
		t.Errorf("counters %+v, want an accepted connection and no byte", s)
	}
	// A request that waits in the hole goes on when it closes.
	done := make(chan error, 1)
	go func() { done <- get(p.AdminConfig(), 10*time.Second) }()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if p.Stats().Accepted < 2 {
			return fmt.Errorf("the second connection has not come")
		}
		return nil
	})
	p.Restore()
	if err := <-done; err != nil {
		t.Errorf("after Restore: %v", err)
	}
}

func TestSlowRead(t *testing.T) {
	c := fleettest.Use(t, "primary")
	ns := c.Namespace(t)
	const size = 40_000
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "big"}, Data: map[string]string{"a": strings.Repeat("x", size)}}
	if _, err := c.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := c.Proxy(t)
	slow := p.AdminConfig()
	slow.DisableCompression = true
	client := kubernetes.NewForConfigOrDie(slow)
	if _, err := client.Discovery().ServerVersion(); err != nil { // connect at full speed
		t.Fatal(err)
	}
	p.SlowRead(40_000)
	start := time.Now()
	if _, err := client.CoreV1().ConfigMaps(ns).Get(t.Context(), "big", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 700*time.Millisecond {
		t.Errorf("%d bytes took %s, want about a second", size, took)
	}
}

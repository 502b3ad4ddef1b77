package fleettest_test

import (
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/hawser-io/hawser/fleettest"
)

// A test that loses its cluster for a moment. TestMain has called fleettest.Run.
func Example() {
	_ = func(t *testing.T) {
		proxy := fleettest.Use(t, "alpha").Proxy(t)
		client := kubernetes.NewForConfigOrDie(proxy.AdminConfig())

		proxy.Cut()
		if _, err := client.Discovery().ServerVersion(); err == nil {
			t.Error("a cluster that is cut off answered")
		}
		proxy.Restore()
		fleettest.Eventually(t, 30*time.Second, func() error {
			_, err := client.Discovery().ServerVersion()
			return err
		})
	}
}

package inventorytest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/inventory"
)

// Connect runs a connection to what an inventory has told, until the test ends. It probes twice a second.
func Connect(t testing.TB, c inventory.Cluster) *connection.Connection {
	t.Helper()
	conn := connection.New(c.Spec, c.Source, connection.Options{ProbeInterval: 500 * time.Millisecond})
	fleettest.Background(t, "the connection", func(ctx context.Context) error { conn.Run(ctx); return nil })
	return conn
}

// Ready is nil when a connection is Ready, and otherwise says what its conditions are.
func Ready(conn *connection.Connection) error {
	if state := conn.State(); !meta.IsStatusConditionTrue(state.Conditions, v1alpha1.Ready) {
		return fmt.Errorf("it is not ready: %+v", state.Conditions)
	}
	return nil
}

package fleet_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

func TestLogsNameTheIDOfTheCluster(t *testing.T) {
	alpha := fleettest.Use(t, "alpha")
	var mu sync.Mutex
	var lines []string
	w := newWorld(t, func(o *fleet.Options) {
		o.Manager.Logger = funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, args)
		}, funcr.Options{})
	})
	says := reconcile.TypedFunc[fleet.Request](func(ctx context.Context, _ fleet.Request) (reconcile.Result, error) {
		logf.FromContext(ctx).Info("hello")
		return reconcile.Result{}, reconcile.TerminalError(errors.New("enough"))
	})
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.Namespace{}).Complete(says); err != nil {
		t.Fatal(err)
	}
	c := w.run().join("alpha", alpha, alpha.Server)
	eventually(t, "its id is known", func() bool { return c.ID() != "" })
	makeIn(t, alpha, &corev1.Namespace{ObjectMeta: configMap("", alpha.Namespace(t)+"-late").ObjectMeta})
	for _, what := range []string{`"msg"="hello"`, `"msg"="Reconciler error"`} {
		eventually(t, what+" names the cluster", func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, line := range lines {
				if strings.Contains(line, what) && strings.Contains(line, `"cluster"="alpha"`) && strings.Contains(line, `"clusterID"="`+c.ID()+`"`) {
					if strings.Count(line, `"clusterID"`) != 1 {
						t.Fatalf("it is named more than once: %s", line)
					}
					return true
				}
			}
			return false
		})
	}
}

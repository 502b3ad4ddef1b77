package fleet_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
)

func TestAControllerSeesEveryCluster(t *testing.T) {
	alpha, beta := fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	nsA, nsB := alpha.Namespace(t), beta.Namespace(t)
	w := newWorld(t)
	var got seen
	if err := fleet.NewControllerManagedBy(w.Fleet).For(&corev1.ConfigMap{}).Complete(&got); err != nil {
		t.Fatal(err)
	}
	w.told.set(clusterAt("ns/alpha", alpha, alpha.Server, token(t, alpha)))
	w.run()
	makeIn(t, alpha, configMap(nsA, "one"))
	eventually(t, "alpha's object is reconciled", func() bool { return got.of("ns/alpha", nsA, "one") > 0 })
	w.join("b#/etc/kubeconfig+beta", beta, beta.Server)
	makeIn(t, beta, configMap(nsB, "two"))
	eventually(t, "beta's object is reconciled", func() bool { return got.of("b#/etc/kubeconfig+beta", nsB, "two") > 0 })
	if c := w.ready("ns/alpha"); c.Age() != 0 {
		t.Errorf("age %s", c.Age())
	}
}

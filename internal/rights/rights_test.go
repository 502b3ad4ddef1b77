package rights_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	// As with API servers that cannot stream what there is (before Kubernetes 1.34): informers list, and then watch.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	os.Exit(awstest.Run(m, fleettest.Options{Clusters: []string{"primary", "alpha", "beta"}, Trust: []string{"beta=primary"}, Audit: true}, "beta"))
}

// TestEveryFeatureUnderExactlyItsRoles drives everything that asks an API server for something, in the order in which one
// builds on another, and then reads who asked for what.
func TestEveryFeatureUnderExactlyItsRoles(t *testing.T) {
	w := &world{t: t, dir: t.TempDir(), running: map[string]*fleettest.Running{}, logs: map[string]*output{}}
	w.primary, w.alpha, w.beta = fleettest.Use(t, "primary"), fleettest.Use(t, "alpha"), fleettest.Use(t, "beta")
	w.admin, w.far, w.farther = clientOf(t, w.primary.AdminConfig()), clientOf(t, w.alpha.AdminConfig()), clientOf(t, w.beta.AdminConfig())
	w.shop, w.theirs = w.primary.Namespace(t), w.alpha.Namespace(t)
	ada, vera, rita, gus := person(t, w.primary, "ada"), person(t, w.primary, "vera"), person(t, w.primary, "rita"), person(t, w.alpha, "gus")
	cloud := w.cloud()

	w.plugins()
	w.install()
	w.bind(w.admin, "ada", "hawser-viewer", "hawser-admin")
	w.bind(w.admin, "vera", "hawser-viewer")
	w.startManager()

	w.others()
	w.identities(clientOf(t, ada), cloud)
	w.inventories(clientOf(t, ada), cloud) // before the cluster is connected by another name
	w.join(ada)
	w.look(vera)
	w.write(clientOf(t, ada), ownKinds("default")...)
	w.otherWays(cloud)
	w.grants(clientOf(t, gus))
	w.requests(clientOf(t, rita))
	w.changes(clientOf(t, gus))
	w.profiles()
	w.endpoints()
	w.write(clientOf(t, rita), ownKinds(w.shop)[3])
	w.read(clientOf(t, rita), &v1alpha1.AccessRequestList{}, client.InNamespace(w.shop))
	w.write(clientOf(t, gus), w.ownGrant())
	w.read(clientOf(t, gus), &v1alpha1.AccessGrantList{})
	w.end(ada)
	w.shards(vera)
	w.stop()

	var events []event
	for _, c := range []*fleettest.Cluster{w.primary, w.alpha, w.beta} {
		events = append(events, readAudit(t, c)...)
	}
	events = slices.DeleteFunc(events, func(e event) bool { return !ours(e) })
	t.Logf("%d requests of our identities", len(events))
	t.Run("and nothing of ours is refused", func(t *testing.T) { nothingIsRefused(t, events) })
	t.Run("and no verb is there that nothing uses", func(t *testing.T) { nothingIsUnused(t, events) })
}

func nothingIsRefused(t *testing.T, events []event) {
	seen := map[string]bool{}
	for _, e := range events {
		if !e.refused() || seen[e.String()] {
			continue
		}
		seen[e.String()] = true
		if expectedRefusals[e.String()] == "" {
			t.Errorf("%s: %s", e, e.Annotations["authorization.k8s.io/reason"])
		}
	}
	for line := range expectedRefusals {
		if !seen[line] {
			t.Errorf("this was not refused, or not asked for: take it off the list: %s", line)
		}
	}
}

func nothingIsUnused(t *testing.T, events []event) {
	for _, r := range tables() {
		used := slices.ContainsFunc(events, r.usedBy)
		switch {
		case !used && !listed(r):
			t.Errorf("no request used it: take it out of the table: %s", r)
		case used && listed(r):
			t.Errorf("a request used it: take it off the list: %s", r)
		}
	}
	for line := range unseen {
		if !slices.ContainsFunc(tables(), func(r right) bool { return strings.HasPrefix(r.String(), line) }) {
			t.Errorf("no table has this: take it off the list: %s", line)
		}
	}
}

// listed tells what no request can show: by the beginning of its line.
func listed(r right) bool {
	for line := range unseen {
		if strings.HasPrefix(r.String(), line) {
			return true
		}
	}
	return false
}

package rights_test

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/cli"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	// As with API servers that cannot stream what there is (before Kubernetes 1.34): informers list, and then watch.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	chooseLogger()
	os.Exit(awstest.Run(m, fleettest.Options{Clusters: []string{"primary", "alpha", "beta"}, Trust: []string{"beta=primary"}, Audit: true}, "beta"))
}

// chooseLogger lets a command that fails give the libraries their one logger, before anything else runs that reads it.
func chooseLogger() {
	nowhere := clientcmdapi.NewConfig()
	nowhere.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	nowhere.Contexts["c"], nowhere.CurrentContext = &clientcmdapi.Context{Cluster: "c"}, "c"
	dir, err := os.MkdirTemp("", "rights-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*nowhere, file); err != nil {
		panic(err)
	}
	if cli.Run(context.Background(), []string{"hawser", "--kubeconfig", file, "member", "controllers"}, strings.NewReader(""), io.Discard, io.Discard) == 0 {
		panic("there is an API server at port 1")
	}
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
	w.write(w.admin, clientOf(t, ada), ownKinds("default")...)
	w.otherWays(cloud)
	w.grants(clientOf(t, gus))
	w.requests(clientOf(t, rita))
	w.changes(clientOf(t, gus))
	w.profiles()
	w.endpoints()
	w.write(w.admin, clientOf(t, rita), ownKinds(w.shop)[3])
	w.read(clientOf(t, rita), &v1alpha1.AccessRequestList{}, client.InNamespace(w.shop))
	w.write(clientOf(t, gus), clientOf(t, gus), w.ownGrant())
	w.read(clientOf(t, gus), &v1alpha1.AccessGrantList{})
	w.end(ada)
	w.shards(vera)
	w.federation(ada, vera)
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
	seen, allowed := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		if !e.refused() {
			allowed[e.String()] = true
		}
	}
	for _, e := range events {
		if !e.refused() || seen[e.String()] {
			continue
		}
		if allowed[e.String()] && early[e.String()] != "" {
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
	table := tables()
	for _, r := range table {
		used := slices.ContainsFunc(events, r.usedBy)
		switch {
		case listed(sometimes, r):
		case !used && !listed(unseen, r):
			t.Errorf("no request used it: take it out of the table: %s", r)
		case used && listed(unseen, r):
			t.Errorf("a request used it: take it off the list: %s", r)
		}
	}
	for _, line := range slices.Concat(slices.Collect(maps.Keys(unseen)), slices.Collect(maps.Keys(sometimes))) {
		if !slices.ContainsFunc(table, func(r right) bool { return strings.HasPrefix(r.String(), line) }) {
			t.Errorf("no table has this: take it off the list: %s", line)
		}
	}
}

// listed reports whether a list has a right: by the beginning of its line.
func listed(list map[string]string, r right) bool {
	for line := range list {
		if strings.HasPrefix(r.String(), line) {
			return true
		}
	}
	return false
}

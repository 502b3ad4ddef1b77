package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/manager"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", strconv.Itoa(len(homes.Names()))) // they wait more than they compute; -parallel has the last word
	clusters := append([]string{"alpha", "beta"}, homes.Names()...)
	os.Exit(awstest.Run(m, fleettest.Options{Clusters: clusters}, "beta")) // beta plays EKS clusters, too
}

// patience is how long a test waits for what should take a second or two, on a machine that others use, too.
const patience = time.Minute

// homes are the local clusters of tests that run aside.
var homes = fleettest.NewPool("primary", "second", "third")

// desk is where somebody sits who runs commands: with admin rights in each cluster, and a manager that
// runs in the primary one under the roles that we ship.
type desk struct {
	t     *testing.T
	local string
	home  string // the local cluster; empty is primary
	here  *cluster
	links *fleet.Links
}

var desks atomic.Int32

// newDesk starts a manager. Each has a local name of its own, and so a member install of its own everywhere.
func newDesk(t *testing.T) *desk {
	t.Helper()
	return newDeskIn(t, "primary")
}

func newDeskIn(t *testing.T, home string) *desk {
	t.Helper()
	d := &desk{t: t, local: fmt.Sprintf("desk-%d", desks.Add(1)), home: home, here: asAdmin(t, home)}
	fleettest.Use(t, home).Install(t, "../../config/crd/*.yaml", "../../config/rbac/*.yaml")
	t.Cleanup(d.removeClusters) // while the manager still runs: cleanups run last to first
	d.startManager()
	return d
}

// use is a cluster by its context: primary is the local one, whatever it is called.
func (d *desk) use(context string) *fleettest.Cluster {
	d.t.Helper()
	if context == "" || context == "primary" {
		context = cmp.Or(d.home, "primary")
	}
	return fleettest.Use(d.t, context)
}

func (d *desk) startManager() {
	primary := d.use("primary")
	started := make(chan *fleet.Links, 1)
	running := fleettest.Background(d.t, "the manager", func(ctx context.Context) error {
		return manager.Run(ctx, manager.Options{
			ClusterName: d.local, ManagementOnly: true, ProbeInterval: time.Second, MetricsAddr: "0", ProbeAddr: "0",
			Config: primary.TokenConfig(primary.Token(d.t, v1alpha1.Namespace, "hawser", time.Hour)), Log: logr.Discard(),
			Started: func(f *fleet.Links) { started <- f },
		})
	})
	select {
	case d.links = <-started:
	case <-running.Ended():
		d.t.Fatal("the manager did not start")
	}
	d.t.Cleanup(d.removeClusters)
	fleettest.Eventually(d.t, patience, func() error {
		var cm corev1.ConfigMap
		err := d.here.Client.Get(d.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.ManagerConfigMap}, &cm)
		if err == nil && cm.Data[v1alpha1.ClusterNameKey] != d.local {
			err = errors.New("the manager has not said its name yet")
		}
		return err
	})
}

// removeClusters leaves nothing for the next test.
func (d *desk) removeClusters() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var list v1alpha1.RemoteClusterList
	if err := d.here.Client.List(ctx, &list); err != nil {
		d.t.Errorf("cleaning up: %v", err)
	}
	for _, rc := range list.Items {
		d.runCtx(ctx, "leave", rc.Name, "--force", "--local-name", d.local)
	}
}

func asAdmin(t *testing.T, name string) *cluster {
	t.Helper()
	return reach(t, fleettest.Use(t, name).AdminConfig())
}

func reach(t *testing.T, config *rest.Config) *cluster {
	t.Helper()
	c, err := newCluster(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run runs a command; contexts are the names of clusters.
func (d *desk) run(args ...string) outcome {
	d.t.Helper()
	got := d.runCtx(d.t.Context(), args...)
	d.t.Logf("$ hawser %s\n%s%s", strings.Join(args, " "), got.Out, got.Err)
	d.refuseSecrets(got)
	return got
}

func (d *desk) runCtx(ctx context.Context, args ...string) outcome {
	var out, stderr bytes.Buffer
	surroundings := &deps{
		in: strings.NewReader(""), out: &out, err: &stderr, clock: clock.RealClock{},
		connect: func(_, context string) (*cluster, error) {
			return newCluster(d.use(context).AdminConfig())
		},
	}
	code := surroundings.run(ctx, append([]string{"hawser"}, args...))
	return outcome{out.String(), stderr.String(), code}
}

// must runs a command that has to succeed.
func (d *desk) must(args ...string) outcome {
	d.t.Helper()
	got := d.run(args...)
	if got.Code != exitOK {
		d.t.Fatalf("hawser %s: exit code %d\n%s%s", strings.Join(args, " "), got.Code, got.Out, got.Err)
	}
	return got
}

// refuseSecrets fails if a command printed what lies in any Secret of Hawser's.
func (d *desk) refuseSecrets(got outcome) {
	d.t.Helper()
	var secrets corev1.SecretList
	if err := d.here.Client.List(d.t.Context(), &secrets, client.InNamespace(v1alpha1.Namespace)); err != nil {
		d.t.Fatal(err)
	}
	for _, s := range secrets.Items {
		for _, key := range []string{v1alpha1.BearerTokenKey, v1alpha1.TLSKeyKey} {
			if value := string(s.Data[key]); value != "" && strings.Contains(got.Out+got.Err, value) {
				d.t.Errorf("the output holds key %s of Secret %s", key, s.Name)
			}
		}
	}
}

func (d *desk) get(name string) *v1alpha1.RemoteCluster {
	d.t.Helper()
	rc, err := getCluster(d.t.Context(), d.here.Client, name)
	if err != nil {
		d.t.Fatal(err)
	}
	return rc
}

func (d *desk) secret(name string) *corev1.Secret {
	d.t.Helper()
	var s corev1.Secret
	if err := d.here.Client.Get(d.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, &s); err != nil {
		d.t.Fatal(err)
	}
	return &s
}

func wantText(t *testing.T, where, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", where, part, text)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/manager"
)

const (
	primary        = "primary"
	managerLog     = "manager.log"
	controllersLog = "member-controllers.log"
	// probeInterval is short, so that nobody has to wait long until a lost cluster is noticed.
	probeInterval = 2 * time.Second
)

// remotes are the clusters that are joined, and how.
var remotes = []struct {
	name string
	args []string
}{
	{"alpha", nil},
	{"beta", []string{"--auth", "mtls", "--renew", "csr"}},
	{"gamma", []string{"--auth", "kubeconfig"}},
	{eksCluster, nil}, // joined by connectEKS
	{gated, nil},      // joined by connectOIDC
}

// world is everything that runs.
type world struct {
	dir      string
	program  string
	fleetDir *fleettest.Fleet
	primary  *fleettest.Cluster
	cloud    *cloud
	gate     gateway
	clusters map[string]*fleettest.Cluster
	proxies  map[string]*fleettest.HTTPProxy
	watches  map[string]*watch
	fleet    *fleet.Links // of the manager

	processes []*exec.Cmd
	cancel    context.CancelFunc // of the manager and the watches
	running   sync.WaitGroup
}

// newWorld brings up the clusters, installs what Hawser needs, and starts it.
func newWorld(ctx context.Context) (*world, error) {
	program, err := findProgram()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Join(stateDir, "demo")) // API servers run in folders of their own
	if err != nil {
		return nil, fmt.Errorf("finding the demo's directory: %w", err)
	}
	w := &world{
		dir: dir, program: program,
		clusters: map[string]*fleettest.Cluster{}, proxies: map[string]*fleettest.HTTPProxy{}, watches: map[string]*watch{},
	}
	heading("Start six clusters: real API servers, on this machine")
	if err := w.startClusters(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	heading("Install Hawser into the primary cluster and start its manager")
	for _, install := range []func(context.Context) error{w.startManager, w.startControllers} {
		if err := install(ctx); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *world) startClusters(ctx context.Context) error {
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("removing what an earlier demo left: %w", err)
	}
	names := []string{primary}
	for _, remote := range remotes {
		names = append(names, remote.name)
	}
	var err error
	if w.cloud, err = newCloud(w.dir); err != nil {
		return err
	}
	options := fleettest.Options{Clusters: names, Dir: w.dir, APIServerArgs: awstest.APIServerArgs(eksCluster, webhookFile(w.dir))}
	if w.fleetDir, err = fleettest.Start(ctx, options); err != nil {
		return err
	}
	for _, name := range names {
		began := time.Now()
		c, err := w.fleetDir.Cluster(ctx, name)
		if err != nil {
			return err
		}
		said("%-8s %s, ready after %.1fs", name, c.Server, time.Since(began).Seconds())
		if name == primary {
			w.primary = c
			continue
		}
		w.clusters[name] = c
		if w.proxies[name], err = c.NewHTTPProxy(); err != nil {
			return err
		}
		if name == eksCluster {
			w.cloud.serve(c)
		}
	}
	return nil
}

// startManager runs the manager in this program, so that watches can run over its connections. It has the
// rights of the shipped roles, by a token of its own account.
func (w *world) startManager(ctx context.Context) error {
	if err := w.primary.ApplyFiles(ctx, "config/crd/*.yaml", "config/rbac/*.yaml"); err != nil {
		return fmt.Errorf("%w; run make demo in the root of the repository", err)
	}
	config, err := accountConfig(ctx, w.primary, "hawser")
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(w.dir, managerLog))
	if err != nil {
		return fmt.Errorf("making the manager's log: %w", err)
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(file, nil))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	started := make(chan *fleet.Links, 1)
	failed := make(chan error, 1)
	w.running.Go(func() {
		failed <- manager.Run(running, manager.Options{
			ClusterName: primary, Config: config, Log: log, LeaderElect: true, ProbeInterval: probeInterval,
			MetricsAddr: "0", ProbeAddr: "0",
			Started: func(f *fleet.Links) { started <- f },
		})
	})
	select {
	case w.fleet = <-started:
	case err := <-failed:
		return fmt.Errorf("running the manager: %w", err)
	}
	said("the manager runs as service account %q in namespace %q, with the roles of config/rbac", "hawser", "hawser")
	return w.awaitName(ctx)
}

// awaitName waits until the manager has said who the local cluster is: join asks for that.
func (w *world) awaitName(ctx context.Context) error {
	return await(ctx, "for the manager", func(ctx context.Context) error {
		_, err := w.primary.Client().CoreV1().ConfigMaps("hawser").Get(ctx, "hawser-manager", getOptions)
		return err
	})
}

// startControllers runs the member controllers of beta, which approve the renewals of certificates there, and
// those of epsilon with its gate.
func (w *world) startControllers(ctx context.Context) error {
	beta, epsilon := w.clusters["beta"], w.clusters[gated]
	if err := w.startMember(ctx, beta, "--auth", "mtls", "--renew", "csr"); err != nil {
		return err
	}
	if err := w.startMember(ctx, epsilon, "--gate"); err != nil {
		return err
	}
	return w.startGate(ctx, epsilon)
}

// startMember installs the member side of a cluster and runs its controllers, as their own account.
func (w *world) startMember(ctx context.Context, c *fleettest.Cluster, args ...string) error {
	manifests, err := w.command(ctx, append([]string{"member", "manifests", "--local", primary, "--controllers"}, args...)...).Output()
	if err != nil {
		return fmt.Errorf("running hawser member manifests: %w", err)
	}
	if err := c.Apply(ctx, manifests); err != nil {
		return err
	}
	config, err := accountConfig(ctx, c, "hawser-member")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(w.dir, c.Name+"-controllers.kubeconfig")
	if err := writeKubeconfig(kubeconfig, config); err != nil {
		return err
	}
	err = w.start(c.Name+"-"+controllersLog, "member", "controllers", "--kubeconfig", kubeconfig, "--metrics-bind-address", "0", "--health-probe-bind-address", "0")
	if err != nil {
		return err
	}
	said("hawser member controllers runs in %s: it approves renewals, makes grants, and watches over trusted issuers", c.Name)
	return awaitLease(ctx, c)
}

// start runs a part of Hawser until the demo ends; its output goes to a file.
func (w *world) start(log string, args ...string) error {
	file, err := os.Create(filepath.Join(w.dir, log))
	if err != nil {
		return fmt.Errorf("making %s: %w", log, err)
	}
	cmd := exec.Command(w.program, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting hawser %s: %w", args[0], err)
	}
	w.processes = append(w.processes, cmd)
	return nil
}

// close ends everything that runs, in the order in which it depends on each other.
func (w *world) close() error {
	if w.cancel != nil {
		w.cancel()
		w.running.Wait()
	}
	for _, cmd := range w.processes {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	for _, p := range w.proxies {
		p.Close()
	}
	if w.cloud != nil {
		w.cloud.server.Close()
	}
	if w.fleetDir == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.fleetDir.Stop(ctx)
}

// accountConfig reaches a cluster as a service account of namespace hawser.
func accountConfig(ctx context.Context, c *fleettest.Cluster, account string) (*rest.Config, error) {
	token, err := mint(ctx, c.Client(), account)
	if err != nil {
		return nil, err
	}
	config := c.TokenConfig(token)
	config.QPS = 0 // as a manager in a pod has it
	return config, nil
}

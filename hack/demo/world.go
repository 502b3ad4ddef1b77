package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
	"github.com/hawser-io/hawser/internal/charttest"
	"github.com/hawser-io/hawser/internal/cli"
)

const (
	primary    = "primary"
	managerLog = "primary-hawser.log"
	// probeInterval is short, so that nobody has to wait long until a lost cluster is noticed.
	probeInterval = 2 * time.Second
)

// world is everything that runs.
type world struct {
	dir      string
	program  string
	fleetDir *fleettest.Fleet
	primary  *fleettest.Cluster
	cloud    *cloud
	gate     gateway
	values   map[string]any            // of the primary's release
	entries  map[string]map[string]any // its clusters
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
	for _, install := range []func(context.Context) error{w.installRemotes, w.letIn, w.installPrimary} {
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
	options := fleettest.Options{Clusters: names, Dir: w.dir, Nodes: 1, APIServerArgs: awstest.APIServerArgs(eksCluster, webhookFile(w.dir))}
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

// startManager runs the manager's container in this program, so that watches can run over its connections.
func (w *world) startManager(ctx context.Context) error {
	process, err := charttest.Process(ctx, w.primary, w.program, w.dir, "hawser")
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(w.dir, managerLog))
	if err != nil {
		return fmt.Errorf("making the manager's log: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	started := make(chan *fleet.Links, 1)
	failed := make(chan int, 1)
	w.running.Go(func() {
		failed <- cli.RunManager(running, process.Args, file, func(f *fleet.Links) { started <- f })
	})
	select {
	case w.fleet = <-started:
	case code := <-failed:
		return fmt.Errorf("the manager ended with exit code %d", code)
	}
	said("the manager runs with the arguments, the service account and the roles that the chart gives it")
	return w.awaitName(ctx)
}

// awaitName waits until the manager has said who the local cluster is: join asks for that.
func (w *world) awaitName(ctx context.Context) error {
	return await(ctx, "for the manager", func(ctx context.Context) error {
		_, err := w.primary.Client().CoreV1().ConfigMaps("hawser").Get(ctx, "hawser-manager", getOptions)
		return err
	})
}

// start runs the container of a Deployment until the demo ends; its output goes to a file.
func (w *world) start(ctx context.Context, cluster, deployment string, args ...string) error {
	cmd, err := charttest.Process(ctx, w.clusters[cluster], w.program, w.dir, deployment, args...)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(w.dir, cluster+"-"+deployment+".log"))
	if err != nil {
		return fmt.Errorf("making the log of %s: %w", deployment, err)
	}
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s of %s: %w", deployment, cluster, err)
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

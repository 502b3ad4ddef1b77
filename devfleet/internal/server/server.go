// Package server runs one cluster inside this process: etcd, kube-apiserver, kube-controller-manager and, if the
// cluster has nodes, kwok. It reads its orders from cluster.json and reports through state.json.
package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/hawser-io/hawser/devfleet/internal/fleet"
)

const (
	// stopGrace is how long the API server may finish its requests. An API server waits up to a minute for open
	// watches; nobody wants that from a development cluster.
	stopGrace = 1500 * time.Millisecond
	// etcdGrace is for etcd after that. Its data is in the page cache in any case, which a process's end does not lose.
	etcdGrace = time.Second
)

// Options are what the supervisor passes on the command line of `serve`.
type Options struct {
	Dir       string // of this cluster
	OwnerLock string // end when nobody holds it; "" for a cluster that lives until it is stopped
	Ephemeral bool   // remove the directory when the owner is gone
}

// cluster is one running cluster. Paths are relative to its directory, which is the working directory.
type cluster struct {
	spec  fleet.Spec
	admin *rest.Config
	// failed receives the error of a component that ended by itself.
	failed chan error
}

// Run runs the cluster until ctx ends or the owner is gone.
func Run(ctx context.Context, opts Options) error {
	// Unix sockets have short paths (108 bytes), directories of tests have long ones: everything is relative.
	if err := os.Chdir(opts.Dir); err != nil {
		return fmt.Errorf("entering cluster directory: %w", err)
	}
	lock, err := fleet.TryLock(fleet.LockFile)
	if err != nil {
		return fmt.Errorf("locking cluster directory: %w", err)
	}
	defer lock.Close()

	spec, err := fleet.Dir("..").Spec(filepath.Base(opts.Dir))
	if err != nil {
		return err
	}
	admin, err := clientcmd.BuildConfigFromFlags("", fleet.ConfigFile)
	if err != nil {
		return fmt.Errorf("reading admin kubeconfig: %w", err)
	}
	admin.QPS, admin.Burst = -1, -1 // a client-side limit only delays the seeding of pods

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if opts.OwnerLock != "" {
		go watchOwner(opts, cancel)
	}
	c := &cluster{spec: spec, admin: admin, failed: make(chan error, 8)}
	if err := c.run(ctx); err != nil {
		writeState(fleet.State{Phase: "failed", Error: err.Error()})
		return err
	}
	writeState(fleet.State{Phase: "stopped"})
	return nil
}

var errOwnerGone = errors.New("the program that this cluster belongs to has ended")

func watchOwner(opts Options, cancel context.CancelCauseFunc) {
	if err := fleet.WaitReleased(opts.OwnerLock); err != nil {
		klog.ErrorS(err, "Watching the owner")
	}
	if opts.Ephemeral {
		// Nobody will read this data. And an API server that is told to stop while it starts ends the whole
		// process from within, which would leave the directory behind.
		removeTraces(opts.Dir)
		os.Exit(0)
	}
	cancel(errOwnerGone)
}

// run starts the pieces in the order in which they need each other, and stops them in the reverse order.
func (c *cluster) run(ctx context.Context) error {
	phase("starting etcd")
	etcd, err := startEtcd()
	if err != nil {
		return err
	}
	defer closeWithin(etcdGrace, etcd.Close)
	go c.watch("etcd", func() error { return <-etcd.Err() })

	phase("starting API server")
	apiserver, err := c.newAPIServer()
	if err != nil {
		return err
	}
	manager, err := c.newControllerManager()
	if err != nil {
		return err
	}
	if err := completeFlags(); err != nil {
		return err
	}
	apiDone := c.start("kube-apiserver", func() error { return apiserver(ctx) })
	defer waitWithin(stopGrace, apiDone)
	if err := c.waitFor(ctx, c.apiReady); err != nil {
		return err
	}

	phase("starting controllers")
	if err := c.forgetRootCA(ctx); err != nil {
		return err
	}
	c.start("kube-controller-manager", func() error { return manager(ctx) })
	if c.spec.Kwok {
		if err := c.startKwok(ctx); err != nil {
			return err
		}
	}
	if err := c.waitFor(ctx, c.namespacesReady); err != nil {
		return err
	}
	if c.spec.Kwok {
		phase("making nodes and pods")
		if err := c.populate(ctx); err != nil {
			return err
		}
	}
	writeState(fleet.State{Phase: "ready", Ready: true})
	select {
	case <-ctx.Done():
		klog.InfoS("Stopping", "reason", context.Cause(ctx))
		phase("stopping")
		return nil
	case err := <-c.failed:
		if ctx.Err() != nil { // the component only obeyed
			return nil
		}
		return err
	}
}

// start runs a component; its end before ctx's is the end of the cluster.
func (c *cluster) start(name string, run func() error) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.watch(name, run)
	}()
	return done
}

func (c *cluster) watch(name string, run func() error) {
	err := run()
	if err == nil {
		err = errors.New("ended by itself")
	}
	c.failed <- fmt.Errorf("running %s: %w", name, err)
}

// waitFor polls until check succeeds. The last answer is part of the error, because it says what is missing.
func (c *cluster) waitFor(ctx context.Context, check func(context.Context) error) error {
	const within = 90 * time.Second
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case failure := <-c.failed:
			return failure
		case <-ctx.Done():
			return fmt.Errorf("waiting for cluster: %w (%w)", err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func closeWithin(d time.Duration, end func()) {
	done := make(chan struct{})
	go func() {
		end()
		done <- struct{}{}
	}()
	waitWithin(d, done)
}

func waitWithin(d time.Duration, done <-chan struct{}) {
	select {
	case <-done:
	case <-time.After(d):
	}
}

func phase(name string) { writeState(fleet.State{Phase: name}) }

// writeState may fail when an ephemeral directory was removed under us; nobody waits for the state then.
func writeState(s fleet.State) {
	if err := fleet.WriteState(".", s); err != nil {
		klog.ErrorS(err, "Reporting state")
	}
}

// removeTraces removes the cluster's directory, and the fleet's with the last of its clusters: the owner, which
// would have done it, is gone. The servers still write while we remove, so it may take more than one attempt.
func removeTraces(dir string) {
	const attempts = 20
	for range attempts {
		if err := os.RemoveAll(dir); err == nil {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	parent := fleet.Dir(filepath.Dir(dir))
	specs, err := parent.Specs()
	if err != nil {
		return
	}
	for _, s := range specs {
		if parent.Running(s.Name) {
			return
		}
	}
	_ = os.RemoveAll(string(parent))
}

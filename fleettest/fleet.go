package fleettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// Options say what fleet to make. The zero value of each field is a good one, except for Clusters.
type Options struct {
	// Clusters are the names that may be used. They start on first use.
	Clusters []string
	// Dir keeps the fleet's keys, data and logs, also after Stop. Default: a temporary directory that Stop removes.
	Dir string
	// Pods is the number of running pods in each cluster, Nodes the number of nodes that kwok plays for them.
	Pods, Nodes int
	// Trust lists "CLUSTER=ISSUER": CLUSTER believes service-account tokens of ISSUER that were issued for the
	// audience "hawser:CLUSTER", and calls their users "ISSUER:system:serviceaccount:NAMESPACE:NAME".
	Trust []string
	// APIServerArgs lists "CLUSTER=--flag=value" for kube-apiserver; CLUSTER may be "*".
	APIServerArgs []string
	// Audit writes who did what to DIR/CLUSTER/audit.log.
	Audit bool
}

// A Fleet is some clusters that live as long as this program, or until Stop.
type Fleet struct {
	opts      Options
	dir       string
	binary    string
	owner     *os.File // its lock is what the clusters' processes live by
	temporary bool
	attached  bool // somebody else's fleet: never stopped here

	mu       sync.Mutex
	clusters map[string]*start
}

// Start prepares a fleet. No cluster runs yet: see [Fleet.Cluster]. ctx bounds only the preparation.
func Start(ctx context.Context, opts Options) (*Fleet, error) {
	if len(opts.Clusters) == 0 {
		return nil, errors.New("starting fleet: Options.Clusters is empty")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting fleet: %w", err)
	}
	binary, err := findBinary()
	if err != nil {
		return nil, err
	}
	f := &Fleet{opts: opts, dir: opts.Dir, binary: binary, clusters: map[string]*start{}}
	if f.dir == "" {
		f.temporary = true
		if f.dir, err = os.MkdirTemp("", "fleettest-"); err != nil {
			return nil, fmt.Errorf("making fleet directory: %w", err)
		}
	} else if f.dir, err = filepath.Abs(f.dir); err != nil {
		return nil, fmt.Errorf("finding fleet directory: %w", err)
	}
	if err := f.own(); err != nil {
		return nil, err
	}
	return f, nil
}

// attach uses a fleet that is up already.
func attach(dir string) (*Fleet, error) {
	binary, err := findBinary()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("finding fleet directory: %w", err)
	}
	return &Fleet{dir: dir, binary: binary, attached: true, clusters: map[string]*start{}}, nil
}

// own takes the lock that the clusters watch: the kernel drops it when this program ends, also by SIGKILL.
func (f *Fleet) own() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("making fleet directory: %w", err)
	}
	file, err := os.OpenFile(f.ownerLock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("making owner's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return fmt.Errorf("owning fleet in %s: another program does (%w)", f.dir, err)
	}
	f.owner = file
	return nil
}

func (f *Fleet) ownerLock() string { return filepath.Join(f.dir, "owner.lock") }

// Dir is the fleet's directory.
func (f *Fleet) Dir() string { return f.dir }

// Kubeconfig is the file with an admin context for each cluster that was used.
func (f *Fleet) Kubeconfig() string { return filepath.Join(f.dir, "kubeconfig") }

// start is a cluster that somebody was the first to ask for.
type start struct {
	done    chan struct{} // closed when it has started, or has not
	cluster *Cluster
	err     error
}

// Cluster returns a cluster of the fleet, and starts it if nobody has used it yet. Several may start at the same time.
func (f *Fleet) Cluster(ctx context.Context, name string) (*Cluster, error) {
	f.mu.Lock()
	s, ok := f.clusters[name]
	if !ok {
		s = &start{done: make(chan struct{})}
		f.clusters[name] = s
	}
	f.mu.Unlock()
	if ok {
		select {
		case <-s.done:
			return s.cluster, s.err
		case <-ctx.Done():
		}
		select {
		case <-s.done: // a clean-up, whose test has ended, may use what has started
			return s.cluster, s.err
		default:
			return nil, fmt.Errorf("waiting for cluster %q to start: %w", name, ctx.Err())
		}
	}
	defer close(s.done)
	if s.cluster, s.err = f.start(ctx, name); s.err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.clusters, name) // the next may have more luck
	}
	return s.cluster, s.err
}

func (f *Fleet) start(ctx context.Context, name string) (*Cluster, error) {
	if !f.attached {
		if !slices.Contains(f.opts.Clusters, name) {
			return nil, fmt.Errorf("starting cluster %q: it is not one of %v", name, f.opts.Clusters)
		}
		if err := f.run(ctx, f.upArgs(name)...); err != nil {
			return nil, err
		}
	}
	return openCluster(f, name)
}

func (f *Fleet) upArgs(name string) []string {
	args := []string{"up", "--clusters", name, "--detach", "--owner-lock", f.ownerLock()}
	if f.temporary {
		args = append(args, "--ephemeral")
	}
	if f.opts.Pods > 0 {
		args = append(args, "--pods", strconv.Itoa(f.opts.Pods))
	}
	if f.opts.Nodes > 0 {
		args = append(args, "--nodes", strconv.Itoa(f.opts.Nodes))
	}
	if f.opts.Audit {
		args = append(args, "--audit")
	}
	for flag, values := range map[string][]string{"--trust": f.opts.Trust, "--apiserver-arg": f.opts.APIServerArgs} {
		for _, value := range values {
			if cluster, _, _ := bytes.Cut([]byte(value), []byte("=")); string(cluster) == name || string(cluster) == "*" {
				args = append(args, flag, value)
			}
		}
	}
	return args
}

// Stop ends every cluster, and removes the directory if Start had made it.
func (f *Fleet) Stop(ctx context.Context) error {
	if f.attached {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.run(ctx, "down")
	f.owner.Close() // whatever still runs ends now
	clear(f.clusters)
	if f.temporary && err == nil {
		err = os.RemoveAll(f.dir)
	}
	return err
}

// run runs devfleet. What it printed becomes part of the error only.
func (f *Fleet) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, f.binary, append([]string{"--dir", f.dir}, args...)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// A Ctrl-C on the terminal is for this program, which then stops the fleet.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running devfleet %s: %w\n%s", args[0], err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

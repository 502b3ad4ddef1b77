package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// How long a cluster may take to end by itself. It needs well under three seconds; see server.stopGrace.
const killAfter = 10 * time.Second

const pollEvery = 25 * time.Millisecond

// Running reports whether the process of a cluster lives.
func (d Dir) Running(name string) bool { return Held(filepath.Join(d.Cluster(name), LockFile)) }

// PID is the process of a running cluster; 0 if there is none.
func (d Dir) PID(name string) int {
	p, h, err := process(filepath.Join(d.Cluster(name), LockFile))
	if p == nil || err != nil {
		return 0
	}
	return h.PID
}

// Launch starts the process of a cluster and returns at once; see WaitReady. The process is in a session of its
// own, so that a Ctrl-C on the terminal reaches only the program in the foreground, which then stops the
// clusters in order. With an owner's lock it ends as soon as nobody holds that lock.
func (d Dir) Launch(name, ownerLock string, ephemeral bool) (*Launched, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding own program: %w", err)
	}
	path := d.Cluster(name)
	log, err := os.OpenFile(filepath.Join(path, LogFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening log of cluster %q: %w", name, err)
	}
	defer log.Close()
	offset, err := log.Seek(0, 2)
	if err != nil {
		return nil, fmt.Errorf("opening log of cluster %q: %w", name, err)
	}
	// What an earlier process left behind must not be taken for this one's.
	if err := os.Remove(filepath.Join(path, StateFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("starting cluster %q: %w", name, err)
	}
	args := []string{"serve", "--dir", path}
	if ownerLock != "" {
		args = append(args, "--owner-lock", ownerLock)
	}
	if ephemeral {
		args = append(args, "--ephemeral")
	}
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting cluster %q: %w", name, err)
	}
	l := &Launched{dir: d, name: name, logOffset: offset, done: make(chan struct{})}
	go func() {
		l.exit = cmd.Wait()
		close(l.done)
	}()
	return l, nil
}

// Launched is a cluster whose process was started by this program.
type Launched struct {
	dir       Dir
	name      string
	logOffset int64
	done      chan struct{}
	exit      error // valid once done is closed
}

// Done is closed when the process has ended.
func (l *Launched) Done() <-chan struct{} { return l.done }

// Name is the cluster's.
func (l *Launched) Name() string { return l.name }

// WaitReady returns when the cluster can be used. report is called with each phase that is reached.
func (l *Launched) WaitReady(ctx context.Context, report func(phase string)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := ""
	for {
		state, err := l.dir.State(l.name)
		if err == nil && state.Phase != last {
			last = state.Phase
			report(last)
		}
		if err == nil && state.Ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for cluster %q, now at %q: %w", l.name, last, ctx.Err())
		case <-l.done:
			return l.died()
		case <-tick.C:
		}
	}
}

func (l *Launched) died() error {
	reason := "its process ended"
	if l.exit != nil {
		reason += " (" + l.exit.Error() + ")"
	}
	if state, err := l.dir.State(l.name); err == nil && state.Error != "" {
		reason = state.Error
	}
	path := filepath.Join(l.dir.Cluster(l.name), LogFile)
	return fmt.Errorf("starting cluster %q: %s\n--- last lines of %s\n%s", l.name, reason, path, tail(path, l.logOffset, 15))
}

// tail returns the last lines of a log, but nothing from before offset: that was another run.
func tail(path string, offset int64, lines int) string {
	const most = 16 << 10
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size()-most > offset {
		offset = info.Size() - most
	}
	buf := make([]byte, most)
	n, _ := f.ReadAt(buf, offset)
	all := strings.Split(strings.TrimRight(string(buf[:n]), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		if len(line) > 200 {
			all[i] = line[:200] + "…"
		}
	}
	return strings.Join(all, "\n")
}

// Stop ends a cluster's process and returns when it is gone. A cluster that does not run is no error.
func (d Dir) Stop(ctx context.Context, name string) (stopped bool, err error) {
	lock := filepath.Join(d.Cluster(name), LockFile)
	p, _, err := process(lock)
	if p == nil || err != nil {
		return false, err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("stopping cluster %q: %w", name, err)
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	kill := time.NewTimer(killAfter)
	defer kill.Stop()
	for Held(lock) {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("stopping cluster %q: %w", name, ctx.Err())
		case <-kill.C:
			_ = p.Kill() // it may have ended in this moment
		case <-tick.C:
		}
	}
	return true, nil
}

// WaitStarted waits for the process of a cluster that another program started.
func (d Dir) WaitStarted(ctx context.Context, name string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if state, err := d.State(name); err == nil && state.Ready && d.Running(name) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for cluster %q: %w", name, ctx.Err())
		case <-tick.C:
		}
	}
}

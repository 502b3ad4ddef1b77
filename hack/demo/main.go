// Command demo shows Hawser at work on clusters of its own: a primary and five
// remote clusters that are reached with five kinds of credentials, one of them
// through roles of two AWS accounts, and one by the primary's own identity, through a
// gate. Both sides are releases of the chart, but for one cluster that is joined. There are
// no nodes: what the releases would run runs here, with the arguments and the accounts that the
// chart gives it. The demo rotates the credentials underneath running watches, hands out
// narrow access by an upgrade, lets a cluster vanish and come back, revokes one, and lets a policy follow a pod of
// another cluster. What it prints at the end, and writes into .devfleet/demo.json, it has counted at proxies in front of the API servers.
//
// With KEEP=1 it leaves everything running until Ctrl-C.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	stateDir   = ".devfleet"
	resultFile = "demo.json"
)

// result is what was counted.
type result struct {
	Clusters       int     `json:"clusters"`
	Ready          int     `json:"ready"`
	Rotations      int     `json:"rotations"`
	WatchesDropped int     `json:"watchesDropped"`
	Relists        int     `json:"relists"`
	Seconds        float64 `json:"seconds"`
}

func (r *result) add(h harm) {
	r.WatchesDropped += h.dropped
	r.Relists += h.relists
}

func main() {
	log.SetLogger(logr.Discard()) // of clients; what happens, the demo says itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %s\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	started := time.Now()
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	var r result
	r.Clusters = len(remotes)
	for _, step := range []func(context.Context, *world, *result) error{connect, rotate, handOut, blackHole, revoke, federate} {
		if err := step(ctx, w, &r); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return fmt.Errorf("%w (logs are in %s)", err, w.dir)
		}
	}
	r.Seconds = float64(time.Since(started).Round(100*time.Millisecond)) / float64(time.Second)
	if err := conclude(r); err != nil {
		return err
	}
	if os.Getenv("KEEP") == "" {
		return nil
	}
	w.lookAround()
	<-ctx.Done()
	return nil
}

// conclude writes the result down and judges it.
func conclude(r result) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	file := filepath.Join(stateDir, resultFile)
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	heading("Summary, as counted at proxies in front of the API servers")
	fmt.Printf("  %d of %d clusters were Ready\n  %d credentials were replaced underneath running watches\n  %d watches were dropped, and %d times anything was listed again\n  %.1f seconds; %s has the figures\n",
		r.Ready, r.Clusters, r.Rotations, r.WatchesDropped, r.Relists, r.Seconds, file)
	switch {
	case r.Ready != r.Clusters:
		return errors.New("not every cluster was Ready")
	case r.Rotations == 0:
		return errors.New("no credential was replaced")
	case r.WatchesDropped != 0 || r.Relists != 0:
		return errors.New("watches were disturbed")
	}
	return nil
}

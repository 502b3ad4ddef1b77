package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hawser-io/hawser/internal/cli/install"
)

// patience is how long a step of the demo may take. It is generous, because machines differ.
const patience = 40 * time.Second

// connect waits for the clusters of the values, joins the other one, and counts how many became Ready.
func connect(ctx context.Context, w *world, r *result) error {
	heading("Connect five clusters, with five kinds of credentials")
	declared := len(remotes) - 1
	if err := w.until(ctx, fmt.Sprintf("the %d clusters of the values are Ready", declared), func(ready []string) bool { return len(ready) == declared }); err != nil {
		return err
	}
	said("the fifth has no release: hawser join does both of its sides, by the rights of whoever runs it")
	if err := w.hawser(ctx, onlyLast, "join", joined, "--remote-context", joined, "--capabilities", "endpoints", "--server", w.proxies[joined].URL, "--auth", "kubeconfig"); err != nil {
		return err
	}
	if err := w.hawser(ctx, everything, "clusters"); err != nil {
		return err
	}
	ready, err := w.ready(ctx)
	r.Ready = len(ready)
	if err != nil {
		return err
	}
	if err := w.hawser(ctx, onlyFirst, "check"); err != nil {
		return err
	}
	return w.hawser(ctx, everything, "aws", "check", eksCluster)
}

// rotate replaces credentials underneath watches and counts what that did to them.
func rotate(ctx context.Context, w *world, r *result) error {
	heading("Replace each credential underneath a running watch")
	for _, remote := range remotes {
		if err := w.watch(ctx, remote.name); err != nil {
			return err
		}
	}
	said("a watch on the Services of each cluster runs over the manager's connections")
	rotations := [][]string{
		{"alpha", "rotate", "alpha"},
		{"beta", "rotate", "beta"},
		// Nobody renews a kubeconfig: joining again puts another one in its place.
		{joined, "join", joined, "--remote-context", joined, "--server", w.proxies[joined].URL, "--lifetime", "48h"},
		{"alpha", "rotate", "alpha"},
		{"beta", "rotate", "beta"},
		{eksCluster, "rotate", eksCluster},
		{gated, "rotate", gated},
	}
	for _, rotation := range rotations {
		name, args := rotation[0], rotation[1:]
		conn, err := w.fleet.Get(name)
		if err != nil {
			return err
		}
		before := conn.State()
		if err := w.hawser(ctx, onlyLast, args...); err != nil {
			return err
		}
		after := conn.State()
		if after.RenewedAt.Equal(before.RenewedAt) {
			return fmt.Errorf("the connection to %q still uses the old credential", name)
		}
		r.Rotations++
		took, err := w.watches[name].delivers(ctx)
		if err != nil {
			return err
		}
		said("a Service made in %s now shows up in the old watch after %s", name, took.Round(time.Millisecond))
	}
	for _, remote := range remotes {
		r.add(w.watches[remote.name].take())
	}
	said("watches dropped: %d; listed again: %d", r.WatchesDropped, r.Relists)
	return nil
}

// blackHole makes one cluster vanish and come back, and counts what the others noticed.
func blackHole(ctx context.Context, w *world, r *result) error {
	heading("Lose a cluster, and get it back")
	proxy := w.proxies[joined]
	proxy.BlackHoleTCP()
	said("%s takes connections and answers nothing from now on", joined)
	if err := w.until(ctx, joined+" is reported as lost", func(ready []string) bool { return len(ready) == len(remotes)-1 }); err != nil {
		return err
	}
	if err := w.hawserFails(ctx, everything, "clusters"); err != nil {
		return err
	}
	for _, name := range []string{"alpha", "beta", eksCluster, gated} {
		took, err := w.watches[name].delivers(ctx)
		if err != nil {
			return err
		}
		said("%s is not disturbed: an event took %s", name, took.Round(time.Millisecond))
		r.add(w.watches[name].take())
	}
	proxy.Restore()
	said("%s answers again", joined)
	if err := w.until(ctx, joined+" is Ready again", func(ready []string) bool { return len(ready) == len(remotes) }); err != nil {
		return err
	}
	took, err := w.watches[joined].delivers(ctx)
	if err != nil {
		return err
	}
	said("an event of %s took %s", joined, took.Round(time.Millisecond))
	return w.hawser(ctx, everything, "clusters")
}

// revoke cuts one connection off, and lets it in again.
func revoke(ctx context.Context, w *world, _ *result) error {
	heading("Cut a connection off")
	if err := w.hawser(ctx, everything, "revoke", "alpha", "--remote-context", "alpha"); err != nil {
		return err
	}
	lost := func(ready []string) bool {
		return len(ready) == len(remotes)-1 && !strings.Contains(strings.Join(ready, " "), "alpha")
	}
	if err := w.until(ctx, "alpha is reported as refused", lost); err != nil {
		return err
	}
	if err := w.hawserFails(ctx, everything, "clusters"); err != nil {
		return err
	}
	token, err := w.first(ctx, "alpha", install.Token)
	if err != nil {
		return err
	}
	w.entries["alpha"]["bearerToken"] = token.Token.Reveal()
	if err := w.releasePrimary(ctx, "upgrade"); err != nil {
		return err
	}
	return w.until(ctx, "alpha is Ready again, by a new first token in the values", func(ready []string) bool { return len(ready) == len(remotes) })
}

// until waits for a set of remote clusters that are Ready.
func (w *world) until(ctx context.Context, what string, reached func(ready []string) bool) error {
	started := time.Now()
	err := await(ctx, "until "+what, func(ctx context.Context) error {
		ready, err := w.ready(ctx)
		if err == nil && !reached(ready) {
			err = fmt.Errorf("after %s, Ready are %v", time.Since(started), ready)
		}
		return err
	})
	if err == nil {
		said("%s, after %.1fs", what, time.Since(started).Seconds())
	}
	return err
}

// ready are the remote clusters that hawser reports as Ready.
func (w *world) ready(ctx context.Context) ([]string, error) {
	out, _ := w.command(ctx, "clusters", "-o", "json").Output() // exits with 1 if one is not Ready
	var clusters []struct {
		Name, Ready string
		Local       bool
	}
	if err := json.Unmarshal(out, &clusters); err != nil {
		return nil, fmt.Errorf("reading hawser clusters -o json: %w", err)
	}
	var ready []string
	for _, c := range clusters {
		if c.Ready == "True" && !c.Local {
			ready = append(ready, c.Name)
		}
	}
	return ready, nil
}

// Command mutate takes away, one after the other, the guards that the attempts of internal/attempts are held off by, and
// shows that the named attempt then succeeds, which is that its test fails:
//
//	go run ./internal/attempts/mutate [-list] [-together N] [PART OF A NAME…]
//
// A run takes about half a minute, mostly for the clusters, and all of them the better part of an hour. -together takes
// the guards of N attempts away at once, which is quicker and shows less: an attempt may succeed for want of another's guard.
//
// It changes no file: `go test -overlay` is given others. It exits 1 if a test passes without its guard, if what is
// to be taken away is not found, or if there is an attempt that no guard in its table is for.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	overlayVariable = "HAWSER_ATTEMPTS_OVERLAY"
	// deadline of one run of the tests: clusters start, and what fails is waited for.
	deadline = 8 * time.Minute
)

func main() {
	list := flag.Bool("list", false, "print the table, and take nothing away")
	together := flag.Int("together", 1, "how many guards to take away at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) //nolint:forbidigo // of the process
	defer stop()
	if err := run(ctx, *list, *together, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, list bool, together int, names []string) error {
	chosen := slices.DeleteFunc(slices.Clone(table), func(m mutation) bool { return !m.is(names) })
	if list {
		for _, m := range chosen {
			fmt.Printf("%s\n\t%s\n\t%s\n", m.attempt, m.guard, strings.Join(m.files(), ", "))
		}
		return nil
	}
	if len(chosen) == 0 {
		return fmt.Errorf("finding guards: none has %s in its name", strings.Join(names, " or "))
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		if err := whole(ctx, root); err != nil {
			return err
		}
	}
	failed := 0
	for _, group := range groupsOf(chosen, together) {
		begin := time.Now()
		errs := try(ctx, root, group)
		for i, m := range group {
			verdict := "held off"
			if errs[i] != nil {
				failed++
				verdict = "NOT SHOWN: " + errs[i].Error()
			}
			fmt.Printf("%3.0fs %s\n\tby %s: %s\n", time.Since(begin).Seconds(), m.attempt, m.guard, verdict)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d attempts are not shown to be held off by their guards", failed, len(chosen))
	}
	fmt.Printf("%d guards: without any of them, its attempt succeeds\n", len(chosen))
	return nil
}

// groupsOf puts together what is taken away at once: attempts of one package and different names, in different lines.
func groupsOf(chosen []mutation, most int) [][]mutation {
	var groups [][]mutation
	for _, m := range chosen {
		at := slices.IndexFunc(groups, func(group []mutation) bool {
			return len(group) < most && !m.lonely() && !slices.ContainsFunc(group, func(other mutation) bool {
				return other.lonely() || m.tests() != other.tests() || m.attempt == other.attempt || m.touches(other)
			})
		})
		if at < 0 {
			groups = append(groups, []mutation{m})
			continue
		}
		groups[at] = append(groups[at], m)
	}
	return groups
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// whole runs all attempts with all guards in place, and finds those that no guard of the table is for.
func whole(ctx context.Context, root string) error {
	var lone []string
	for _, tests := range []string{table[0].tests(), table[len(table)-1].tests()} {
		out, err := test(ctx, root, "", "^TestAttempts", tests)
		if err != nil {
			return fmt.Errorf("running the attempts with all guards in place: %w\n%s", err, tail(out))
		}
		for _, name := range leaves(out) {
			if !slices.ContainsFunc(table, func(m mutation) bool { return within(name, m.name()) }) {
				lone = append(lone, name)
			}
		}
	}
	if len(lone) > 0 {
		return fmt.Errorf("no guard of the table is for:\n\t%s", strings.Join(lone, "\n\t"))
	}
	return nil
}

// within reports whether a test is another one or a part of it.
func within(name, of string) bool { return name == of || strings.HasPrefix(name, of+"/") }

var passed = regexp.MustCompile(`(?m)^\s*--- PASS: (\S+) \(`)

// leaves are the names of the tests that have no part.
func leaves(out []byte) []string {
	var all []string
	for _, found := range passed.FindAllSubmatch(out, -1) {
		all = append(all, string(found[1]))
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		return slices.ContainsFunc(all, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}

// try takes guards away, and returns for each nil if its attempt then succeeds.
func try(ctx context.Context, root string, group []mutation) []error {
	out, err := without(ctx, root, group)
	errs := make([]error, len(group))
	for i, m := range group {
		errs[i] = m.judge(out, err)
	}
	return errs
}

// judge reads what a run printed, and how it ended.
func (m mutation) judge(out []byte, err error) error {
	var exit *exec.ExitError
	made := bytes.Contains(out, []byte("=== RUN   "+m.name()+"\n"))
	switch {
	case err == nil:
		return errors.New("the test passes without the guard, too")
	case !errors.As(err, &exit):
		return err
	case !made && slices.Contains(noWorld, m.attempt) && bytes.Contains(out, []byte("--- FAIL: TestAttempts")):
		return nil
	case !made:
		return fmt.Errorf("the attempt was not made:\n%s", tail(out))
	case !regexp.MustCompile(`(?m)^\s*--- FAIL: ` + regexp.QuoteMeta(m.name()) + ` \(`).Match(out):
		return fmt.Errorf("the test passes without the guard, too, while another fails:\n%s", tail(out))
	}
	return nil
}

// without runs the attempts of a group without its guards.
func without(ctx context.Context, root string, group []mutation) ([]byte, error) {
	dir, err := os.MkdirTemp("", "hawser-mutate-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var edits []edit
	for _, m := range group {
		edits = append(edits, m.edits...)
	}
	overlay, err := overlayOf(edits, root, dir)
	if err != nil {
		return nil, err
	}
	return test(ctx, root, overlay, patternOf(group), group[0].tests())
}

// overlayOf writes the changed files and the list of them that `go test -overlay` takes.
func overlayOf(edits []edit, root, dir string) (string, error) {
	replace := map[string]string{}
	for i, path := range filesOf(edits) {
		full := filepath.Join(root, path)
		text, err := os.ReadFile(full)
		if err != nil {
			return "", fmt.Errorf("taking the guard away: %w", err)
		}
		changed, err := apply(edits, path, string(text))
		if err != nil {
			return "", err
		}
		replace[full] = filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(path)))
		if err := os.WriteFile(replace[full], []byte(changed), 0o600); err != nil { //nolint:gosec // in a folder of ours
			return "", fmt.Errorf("taking the guard away: %w", err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// test runs tests and returns what they printed.
func test(ctx context.Context, root, overlay, pattern, tests string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	args := []string{"test", "-vet=off", "-ldflags=-w", "-count=1", "-v", "-timeout", deadline.String(), "-run", pattern}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, tests)...) //nolint:gosec // of the table
	cmd.Dir, cmd.Env = root, append(os.Environ(), overlayVariable+"="+overlay)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test then ends the test, and that the clusters
	cmd.WaitDelay = 30 * time.Second
	return cmd.CombinedOutput()
}

func tail(out []byte) string {
	const most = 2000
	return string(out[max(0, len(out)-most):])
}

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/authcache"
)

func TestItLinksTheStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "github.com/hawser-io/hawser/internal/authcache\ngithub.com/hawser-io/hawser/cmd/hawser-auth\n"
	if string(out) != want {
		t.Errorf("it links\n%s, and it starts for every kubectl: want\n%s", out, want)
	}
}

func TestTheSecondAnswerIsFromTheCache(t *testing.T) {
	t.Parallel()
	p, g := newPlugin(t), newGate(t)
	args := p.byGate(g)
	first := p.must(asked, args...)
	if left := time.Until(first.end); first.token != "token-1" || left > 59*time.Minute || left < 55*time.Minute {
		t.Errorf("got a token that is said to end in %s, want a minute less than an hour", left)
	}
	if again := p.must(asked, args...); again != first || g.asked() != 1 {
		t.Errorf("got %+v after %+v, and the gate was asked %d times", again, first, g.asked())
	}
	if runs := p.runs(); len(runs) != 1 || !strings.HasPrefix(runs[0], "auth --cache-key=") {
		t.Errorf("hawser ran as %q", runs)
	}
}

func TestAnotherQuestionHasAnotherAnswer(t *testing.T) {
	t.Parallel()
	p, g := newPlugin(t), newGate(t)
	args := p.byGate(g)
	first := p.must(asked, args...)
	about := func(server string) string {
		return `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"cluster":{"server":"` + server + `"}}}`
	}
	ca, err := os.ReadFile(g.ca)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{first.token: "the first question"}
	for _, other := range []struct {
		name string
		ask  func() outcome
	}{
		{"a cluster that it is for", func() outcome { return p.must(about("https://a"), args...) }},
		{"another cluster", func() outcome { return p.must(about("https://b"), args...) }},
		{"another grant", func() outcome { return p.must(asked, append(args, "--grant", "deploy")...) }},
		{"another identity", func() outcome { p.env["JOB_TOKEN"] += "x"; return p.must(asked, args...) }},
		{"another home", func() outcome { p.env["HOME"] = t.TempDir(); return p.must(asked, args...) }},
		{"another file of the same name", func() outcome {
			if err := os.WriteFile(g.ca, append(ca, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
			return p.must(asked, args...)
		}},
	} {
		got := other.ask()
		if before, ok := seen[got.token]; ok {
			t.Errorf("%s gets the answer to %s", other.name, before)
		}
		seen[got.token] = other.name
	}
}

func TestManyAtOnceAskOnce(t *testing.T) {
	t.Parallel()
	p, g := newPlugin(t), newGate(t)
	args := p.byGate(g)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := p.run(asked, args...); got.token != "token-1" {
				t.Errorf("got %q, %v: %s", got.token, got.err, got.stderr)
			}
		})
	}
	wg.Wait()
	if g.asked() != 1 {
		t.Errorf("the gate was asked %d times", g.asked())
	}
}

func TestATornFileIsAMiss(t *testing.T) {
	t.Parallel()
	p, g := newPlugin(t), newGate(t)
	args := p.byGate(g)
	p.must(asked, args...)
	_, key := p.only()
	file := filepath.Join(p.cacheDir(), key+".entry")
	for want, size := range map[string]int64{"token-2": 100, "token-3": 0} {
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
		got := p.must(asked, args...)
		if again := p.must(asked, args...); again.token != got.token || got.stderr != "" {
			t.Errorf("after a torn file (%s) it does not recover: %+v, then %+v", want, got, again)
		}
	}
	if g.asked() != 3 {
		t.Errorf("the gate was asked %d times, want 3", g.asked())
	}
}

// A holder that is killed leaves its lock behind if anything but the kernel keeps it.
func TestAKilledHolderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	token := filepath.Join(p.home, "token")
	if err := syscall.Mkfifo(token, 0o600); err != nil {
		t.Fatal(err)
	}
	holder, _, _ := p.start(asked, "token", "--file", token) // waits for somebody to write
	fleettest.Eventually(t, waitFor, func() error {
		locks, err := filepath.Glob(filepath.Join(p.cacheDir(), "*.lock"))
		if err != nil || len(locks) != 1 || len(p.runs()) != 1 {
			return errors.New("hawser does not run yet")
		}
		cache, err := authcache.OpenAt(p.cacheDir())
		if err != nil {
			return err
		}
		defer cache.Close()
		if lock, free := cache.TryLock(strings.TrimSuffix(filepath.Base(locks[0]), ".lock")); free {
			lock.Release()
			return errors.New("nobody holds the lock")
		}
		return nil
	})
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	if err := os.WriteFile(token+".new", []byte("good"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(token+".new", token); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if got := p.must(asked, "token", "--file", token); got.token != "good" || time.Since(begin) > 10*time.Second {
		t.Errorf("got %+v after %s", got, time.Since(begin))
	}
}

func TestAnAnswerIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	broken := func(map[string]string) (string, time.Duration, error) { return "", 0, errors.New("come back later") }
	tests := map[string]struct {
		info     string
		left     time.Duration
		broken   bool
		want     string // "" is a failure
		complain string
		later    string // what the next one gets
	}{
		"one that is fresh is given as it is":                                 {asked, time.Hour, false, "token-1", "", "token-1"},
		"at a terminal it is given at once, and renewed in the background":    {askedByHand, 10 * time.Minute, false, "token-1", "", "token-2"},
		"at a terminal it is waited for in its last minute":                   {askedByHand, 50 * time.Second, false, "token-2", "", "token-2"},
		"where nobody sits it is waited for, and nothing is left behind":      {asked, 10 * time.Minute, false, "token-2", "", "token-2"},
		"one that cannot be renewed is given until its end, with a complaint": {asked, 10 * time.Minute, true, "token-1", "using what was obtained before", ""},
		"one that cannot be renewed is given in its last minute, too":         {askedByHand, 50 * time.Second, true, "token-1", "using what was obtained before", ""},
		"one that has ended is not given, though it cannot be renewed":        {asked, -time.Second, true, "", "come back later", ""},
		"one that has ended is not given":                                     {askedByHand, -time.Second, false, "token-2", "", "token-2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, g := newPlugin(t), newGate(t)
			args := p.byGate(g)
			p.must(asked, args...)
			if test.left != time.Hour {
				p.due(test.left)
			}
			if test.broken {
				g.set(broken)
			}
			got := p.run(test.info, args...)
			if got.token != test.want || !strings.Contains(got.stderr, test.complain) || strings.Contains(got.stderr, p.env["JOB_TOKEN"]) || (test.complain == "" && got.stderr != "") {
				t.Errorf("got %q and %q (%v)", got.token, got.stderr, got.err)
			}
			if test.later == "" {
				return
			}
			fleettest.Eventually(t, waitFor, func() error {
				if next := p.must(askedByHand, args...); next.token != test.later {
					return errors.New("the next answer is " + next.token)
				}
				return nil
			})
		})
	}
}

func TestABackgroundRenewalIsOneAndEnds(t *testing.T) {
	t.Parallel()
	p, g := newPlugin(t), newGate(t)
	args := p.byGate(g)
	p.must(asked, args...)
	p.due(10 * time.Minute)
	hold, held := make(chan struct{}), make(chan struct{})
	g.set(func(map[string]string) (string, time.Duration, error) {
		close(held)
		<-hold
		return "late", time.Hour, nil
	})
	p.must(askedByHand, args...)
	<-held
	for range 3 {
		if got := p.must(askedByHand, args...); got.token != "token-1" {
			t.Errorf("while the next one is on its way: %+v", got)
		}
	}
	if got := p.must(asked, args...); got.token != "token-1" {
		t.Errorf("a build server gets %+v", got)
	}
	close(hold)
	fleettest.Eventually(t, waitFor, func() error {
		cache, key := p.only()
		entry, ok := cache.Read(key, time.Now())
		if !ok || !bytes.Contains(entry.Status.Reveal(), []byte("late")) {
			return errors.New("it has not been renewed")
		}
		lock, free := cache.TryLock(key)
		if !free {
			return errors.New("somebody is still at work on it")
		}
		lock.Release()
		return nil
	})
	if len(p.runs()) != 2 || !strings.Contains(p.runs()[1], "--background") {
		t.Errorf("hawser ran as %q", p.runs())
	}
}

func TestItWorksWithoutACache(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(t *testing.T, p *plugin)
		want  string
	}{
		"there is no home": {func(_ *testing.T, p *plugin) { p.env["HOME"], p.env["XDG_CACHE_HOME"] = "", "" }, "answering without a cache: finding the cache directory"},
		"it is a file": {func(t *testing.T, p *plugin) {
			if err := os.WriteFile(p.env["XDG_CACHE_HOME"], nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "answering without a cache: making the cache directory"},
		"others may write there": {func(t *testing.T, p *plugin) {
			if err := errors.Join(os.MkdirAll(p.cacheDir(), 0o700), os.Chmod(p.cacheDir(), 0o777)); err != nil {
				t.Fatal(err)
			}
		}, "others than its owner may use it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, g := newPlugin(t), newGate(t)
			args := p.byGate(g)
			test.spoil(t, p)
			for i, want := range []string{"token-1", "token-2"} {
				if got := p.must(asked, args...); got.token != want || !strings.Contains(got.stderr, test.want) {
					t.Errorf("run %d: got %q and %q", i, got.token, got.stderr)
				}
			}
		})
	}
}

func TestHelpAndErrorsAreThoseOfHawserAuth(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	cmd, out, _ := p.start("", "eks", "--help")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "--role-arn") || strings.Contains(out.String(), "--cache-") {
		t.Errorf("%v: %s", err, out)
	}
	if got := p.run(asked, "eks", "--region", "eu-north-1"); got.err == nil || !strings.Contains(got.stderr, "--cluster-name is missing") {
		t.Errorf("got %+v", got)
	}
	if got := p.run(`{"kind":"Pod"}`, "eks"); got.err == nil || !strings.Contains(got.stderr, "hawser-auth: reading KUBERNETES_EXEC_INFO") {
		t.Errorf("got %+v", got)
	}
	if got := p.run(asked, "token", "--file", "token"); got.err == nil || !strings.Contains(got.stderr, "use an absolute path") {
		t.Errorf("got %+v", got)
	}
}

func TestWhatAProgramDecidesIsNotKept(t *testing.T) {
	t.Parallel()
	p := newPlugin(t)
	program, config := filepath.Join(p.home, "keys"), filepath.Join(p.home, "aws")
	err := errors.Join(
		os.WriteFile(program, []byte("#!/bin/sh\necho '{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}'\n"), 0o700),
		os.WriteFile(config, []byte("[default]\ncredential_process = "+program+"\n"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	p.env["AWS_CONFIG_FILE"] = config
	for range 2 {
		if got := p.must(asked, "eks", "--cluster-name", "prod", "--region", "eu-north-1"); got.token == "" {
			t.Error("there is no token")
		}
	}
	if len(p.runs()) != 2 {
		t.Errorf("hawser ran %d times, want 2: nobody knows what the program depends on", len(p.runs()))
	}
}

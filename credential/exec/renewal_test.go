package exec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/exec"
	"github.com/hawser-io/hawser/fleettest"
)

// cluster is one that accepts a single token, and the connection to it.
type cluster struct {
	mu     sync.Mutex
	good   string
	inUse  credential.Credential
	proofs int
}

func (c *cluster) Prove(_ context.Context, cred credential.Credential) (credential.Identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proofs++
	if cred.Token.Reveal() != c.good {
		return credential.Identity{}, credential.ErrRefused
	}
	return credential.Identity{User: "plugin"}, nil
}

func (c *cluster) Elsewhere(credential.Credential) bool { return false }

func (c *cluster) Config(credential.Credential) (*rest.Config, func(), error) {
	return nil, nil, errors.New("a plugin needs no way to the cluster")
}

func (c *cluster) swap(cred credential.Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse = cred
}

func (c *cluster) accept(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = token
}

// uses waits until a token is in use.
func (c *cluster) uses(t *testing.T, token string) credential.Credential {
	t.Helper()
	var now credential.Credential
	fleettest.Eventually(t, 30*time.Second, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if now = c.inUse; now.Token.Reveal() != token {
			return fmt.Errorf("after %d proofs another token than %s is in use", c.proofs, token)
		}
		return nil
	})
	return now
}

// keep runs a Renewer of a plugin until the test ends.
func (c *cluster) keep(t *testing.T, p exec.Plugin) *credential.Renewer {
	t.Helper()
	r := &credential.Renewer{Link: c, Clock: clock.RealClock{}, Swap: c.swap, Report: func(credential.State) {}}
	r.SetSource(&exec.Source{Plugin: p, Clock: clock.RealClock{}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// prints makes a plugin that prints whatever is said last.
func prints(t *testing.T) (p exec.Plugin, say func(token string, expires time.Time)) {
	t.Helper()
	p = script(t, count, `cat "$0.out"`)
	return p, func(token string, expires time.Time) {
		t.Helper()
		line := strings.TrimSuffix(strings.TrimPrefix(answer(token, expires), "echo '"), "'")
		if err := os.WriteFile(p.Command+".new", []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(p.Command+".new", p.Command+".out"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAConnectionRunsThePluginBeforeATokenEnds(t *testing.T) {
	c := &cluster{good: "one"}
	p, say := prints(t)
	say("one", time.Now().Add(4*time.Second))
	c.keep(t, p)
	first := c.uses(t, "one")
	c.accept("two")
	say("two", time.Now().Add(time.Hour))
	second := c.uses(t, "two")
	if !second.ObtainedAt.Before(first.ExpiresAt) {
		t.Errorf("it was renewed at %s, and had ended at %s", second.ObtainedAt, first.ExpiresAt)
	}
}

func TestATokenWithoutAnEndIsReplacedWhenItIsRefused(t *testing.T) {
	c := &cluster{good: "one"}
	p, say := prints(t)
	say("one", time.Time{})
	r := c.keep(t, p)
	first := c.uses(t, "one")
	r.Renew() // there is nothing to renew
	c.accept("two")
	say("two", time.Time{})
	r.Refused(first)
	c.uses(t, "two")
	if n := runs(t, p); n != 2 {
		t.Errorf("the plugin was run %d times, want once for each token", n)
	}
}

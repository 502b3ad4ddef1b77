package kubeconfigfile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/kubeconfigfile"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// contexts is one kubeconfig file with a context for each cluster. It is written in place, as kubectl does:
// truncated, then filled.
type contexts struct{ path string }

func (f contexts) edit(t testing.TB, change func(*clientcmdapiv1.Config)) {
	t.Helper()
	var config clientcmdapiv1.Config
	text, err := os.ReadFile(f.path)
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	change(&config)
	text, err = json.Marshal(config)
	if err == nil {
		err = os.WriteFile(f.path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f contexts) add(t testing.TB, name string, access inventorytest.Access) {
	t.Helper()
	f.remove(t, name)
	f.edit(t, func(c *clientcmdapiv1.Config) {
		c.Contexts = append(c.Contexts, clientcmdapiv1.NamedContext{Name: name, Context: clientcmdapiv1.Context{Cluster: name, AuthInfo: name}})
		c.Clusters = append(c.Clusters, clientcmdapiv1.NamedCluster{Name: name, Cluster: clientcmdapiv1.Cluster{Server: access.Server, CertificateAuthorityData: access.CAData}})
		c.AuthInfos = append(c.AuthInfos, clientcmdapiv1.NamedAuthInfo{Name: name, AuthInfo: clientcmdapiv1.AuthInfo{Token: access.Token}})
	})
}

func (f contexts) remove(t testing.TB, name string) {
	t.Helper()
	f.edit(t, func(c *clientcmdapiv1.Config) {
		c.Contexts = without(c.Contexts, func(x clientcmdapiv1.NamedContext) bool { return x.Name == name })
		c.Clusters = without(c.Clusters, func(x clientcmdapiv1.NamedCluster) bool { return x.Name == name })
		c.AuthInfos = without(c.AuthInfos, func(x clientcmdapiv1.NamedAuthInfo) bool { return x.Name == name })
	})
}

// without keeps an empty list a list: that is how kubectl writes it.
func without[T any](list []T, gone func(T) bool) []T {
	kept := []T{}
	for _, x := range list {
		if !gone(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

func TestConformanceOfContextsInAFile(t *testing.T) {
	t.Parallel()
	f := contexts{filepath.Join(t.TempDir(), "config")}
	each := func(c *clientcmdapiv1.Config, name string, change func(*clientcmdapiv1.NamedContext, *clientcmdapiv1.AuthInfo)) {
		for i := range c.Contexts {
			if c.Contexts[i].Name == name {
				change(&c.Contexts[i], &c.AuthInfos[i].AuthInfo)
			}
		}
	}
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: fleettest.Use(t, "primary"),
		Name:    func(name string) string { return f.path + "+" + name },
		New: func(testing.TB) inventory.Inventory {
			return &kubeconfigfile.Inventory{Files: []string{f.path}}
		},
		Add:    f.add,
		Remove: f.remove,
		Rotate: func(t testing.TB, name string, access inventorytest.Access) {
			f.edit(t, func(c *clientcmdapiv1.Config) {
				each(c, name, func(_ *clientcmdapiv1.NamedContext, user *clientcmdapiv1.AuthInfo) { user.Token = access.Token })
			})
		},
		Break: func(t testing.TB, name string) {
			f.edit(t, func(c *clientcmdapiv1.Config) {
				each(c, name, func(_ *clientcmdapiv1.NamedContext, user *clientcmdapiv1.AuthInfo) { user.Token = "" })
			})
		},
		Rename: func(t testing.TB, from, to string) {
			f.edit(t, func(c *clientcmdapiv1.Config) {
				each(c, from, func(context *clientcmdapiv1.NamedContext, _ *clientcmdapiv1.AuthInfo) { context.Name = to })
			})
		},
	})
}

func TestConformanceOfFilesInADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name+".kubeconfig") }
	write := func(t testing.TB, name string, text []byte) {
		if err := os.WriteFile(path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(t testing.TB, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	add := func(t testing.TB, name string, access inventorytest.Access) { write(t, name, access.Kubeconfig()) }
	inventorytest.Run(t, inventorytest.Subject{
		Cluster: fleettest.Use(t, "primary"),
		Name:    func(name string) string { return path(name) + "@cluster" },
		New: func(testing.TB) inventory.Inventory {
			return &kubeconfigfile.Inventory{Directories: []string{dir}, Separator: "@"}
		},
		Add: add,
		Remove: func(t testing.TB, name string) {
			if err := os.Remove(path(name)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		},
		// As a program that takes care does: write beside it, and rename.
		Rotate: func(t testing.TB, name string, access inventorytest.Access) {
			add(t, name+".new", access)
			rename(t, path(name+".new"), path(name))
		},
		Hide:   func(t testing.TB, name string) { rename(t, path(name), path(name)+".off") },
		Show:   func(t testing.TB, name string) { rename(t, path(name)+".off", path(name)) },
		Rename: func(t testing.TB, from, to string) { rename(t, path(from), path(to)) },
	})
}

func TestATokenFileElsewhereIsWatched(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "token")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(elsewhere, "one")
	path := filepath.Join(dir, "config")
	write(path, `{"clusters":[{"name":"c","cluster":{"server":"https://example.com"}}],"users":[{"name":"u","user":{"tokenFile":"`+elsewhere+`"}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}]}`)
	r := inventorytest.Start(t, &kubeconfigfile.Inventory{Files: []string{path}, PollInterval: time.Hour})
	version := func() string { return r.Clusters()[path+"+x"].Version }
	fleettest.Eventually(t, patience, func() error {
		if version() == "" {
			return fmt.Errorf("it told %v", r.Events())
		}
		return nil
	})
	old := version()
	write(elsewhere, "two")
	fleettest.Eventually(t, patience, func() error {
		if version() == old {
			return errors.New("the new token has not been seen")
		}
		return nil
	})
}

const patience = 30 * time.Second

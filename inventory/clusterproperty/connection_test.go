package clusterproperty_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/fleettest/inventorytest"
	"github.com/hawser-io/hawser/inventory/clusterproperty"
)

// still is a source with one token.
type still struct{ token string }

func (s still) Obtain(context.Context) ([]credential.Credential, error) {
	c := credential.NewToken(s.token, "test")
	c.Watched = true
	return []credential.Credential{c}, nil
}

func (still) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

// connect connects to the cluster, each of whose probes is a full one, until the test ends.
func (w *world) connect(config *rest.Config) *connection.Connection {
	w.t.Helper()
	spec := connection.Spec{Name: "primary", Endpoint: credential.Endpoint{Server: w.Server, CAData: w.CA()}}
	conn := connection.New(spec, still{config.BearerToken}, connection.Options{ProbeInterval: 200 * time.Millisecond, FullEvery: 1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { conn.Run(ctx); close(ended) }() // ends with the test
	w.t.Cleanup(func() { cancel(); <-ended })
	return conn
}

// said is what a connection knows of what its cluster says about itself.
type said struct {
	ID, Set string
	Known   bool
}

func (w *world) learns(conn *connection.Connection, want said) {
	w.t.Helper()
	fleettest.Eventually(w.t, 20*time.Second, func() error {
		s := conn.State()
		if diff := cmp.Diff(want, said{s.ClusterProperty, s.ClusterSet, s.AboutKnown}); diff != "" || s.KubernetesVersion == "" {
			return fmt.Errorf("(-want +got)\n%s%+v", diff, s.Conditions)
		}
		return nil
	})
}

func TestWhatMayNotBeReadIsNotTakenForNothing(t *testing.T) {
	w := newWorld(t, "v1beta1", "v1alpha1")
	w.put("v1beta1", clusterproperty.ClusterID, "alpha.example.com")
	w.put("v1beta1", clusterproperty.ClusterSet, "prod")
	only := bytes.ReplaceAll(clusterproperty.Role, []byte("[cluster.clusterset.k8s.io, clusterset.k8s.io]"), []byte("[cluster.clusterset.k8s.io]"))
	account := inventorytest.NewAccount(t, w.Cluster, w.Namespace(t), only)
	w.learns(w.connect(account.Config()), said{"alpha.example.com", "", false})
}

func TestAConnectionReadsWhatItsClusterSays(t *testing.T) {
	for _, versions := range [][]string{{"v1beta1", "v1alpha1"}, {"v1alpha1"}} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			w := newWorld(t, versions...)
			conn := w.connect(w.config)
			w.learns(conn, said{Known: true})
			w.put(versions[0], clusterproperty.ClusterID, "alpha.example.com")
			if _, err := w.client().EnsureSet(t.Context(), "prod"); err != nil {
				t.Fatal(err)
			}
			w.learns(conn, said{"alpha.example.com", "prod", true})
			if _, err := w.client().LeaveSet(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.learns(conn, said{"alpha.example.com", "", true})
			w.put(versions[0], clusterproperty.ClusterSet, strings.Repeat("long", 300)) // it would end up in the local cluster
			for range 2 {                                                               // the first probe may have begun before
				last := conn.State().ProbedAt
				fleettest.Eventually(t, 30*time.Second, func() error {
					if !conn.State().ProbedAt.After(last) {
						return errors.New("it was not probed again")
					}
					return nil
				})
			}
			w.learns(conn, said{"alpha.example.com", "", true})
		})
	}
}

func TestWithoutTheKind(t *testing.T) {
	w := newWorld(t)
	fleettest.Eventually(t, 30*time.Second, func() error { // it takes a moment until discovery knows
		_, err := w.client().Read(t.Context())
		if err == nil {
			return errors.New("it is still there")
		}
		if !errors.Is(err, clusterproperty.ErrNotInstalled) {
			t.Fatal(err)
		}
		return nil
	})
	if _, _, err := w.client().EnsureID(t.Context()); !errors.Is(err, clusterproperty.ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
	w.learns(w.connect(w.config), said{Known: true})
}

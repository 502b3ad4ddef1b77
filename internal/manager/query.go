package manager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/endpoint/query"
)

// DefaultQueryPort is where a manager answers questions about endpoints.
const DefaultQueryPort = 8082

// DefaultQueryAddr is reached from inside of the pod alone, and so by port-forward.
var DefaultQueryAddr = net.JoinHostPort("127.0.0.1", strconv.Itoa(DefaultQueryPort))

// Times of a question: what is slower is no question.
const (
	queryHeaderTimeout = 5 * time.Second
	queryTimeout       = 2 * time.Minute
)

// queries answers questions about endpoints (package endpoint/query). It asks nobody who they are: it is served where
// only those come who may forward a port to the pod.
type queries struct {
	addr    string
	catalog query.Catalog
}

// checkQueryAddr refuses an address that others than the pod's own processes reach.
func checkQueryAddr(addr string) error {
	if addr == "" || addr == "0" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--query-bind-address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("--query-bind-address %q: it has to be a loopback address such as %s: whoever reaches it may ask for the labels and addresses of all clusters, so that it is reached by port-forward alone", addr, DefaultQueryAddr)
	}
	return nil
}

// setUpQueries serves what answers questions about endpoints, where those are followed.
func (o Options) setUpQueries(mgr ctrl.Manager, f *federation) error {
	if f == nil || o.QueryAddr == "" || o.QueryAddr == "0" {
		return nil
	}
	if err := mgr.Add(&queries{addr: o.QueryAddr, catalog: f.catalog}); err != nil {
		return fmt.Errorf("setting up the answers to questions about endpoints: %w", err)
	}
	return nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: each replica tells what it knows, and one that stands by
// knows nothing.
func (*queries) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (q *queries) Start(ctx context.Context) error {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", q.addr)
	if err != nil {
		return fmt.Errorf("listening for questions about endpoints: %w", err)
	}
	server := &http.Server{Handler: query.Handler(q.catalog), ReadHeaderTimeout: queryHeaderTimeout, ReadTimeout: queryTimeout, WriteTimeout: queryTimeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // the answers are for people: they ask again
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answering questions about endpoints: %w", err)
	}
	return nil
}

package federatedservice_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/controller/federatedservice"
)

// way is the way to a cluster, as a connection is: the same for its users, whichever cluster is behind it.
type way struct {
	w *world

	mu   sync.Mutex
	name string // of the cluster behind it
	to   http.RoundTripper
	host string
	hold func(*http.Request) bool
	free chan struct{}
	seen []string
}

func (w *world) wayTo(cluster string) *way {
	w.t.Helper()
	s := &way{w: w}
	s.turn(cluster)
	return s
}

func (s *way) config() *rest.Config {
	return &rest.Config{Host: "https://cluster.invalid", Transport: s, QPS: -1}
}

// turn lets another cluster answer. What runs is cut.
func (s *way) turn(cluster string) {
	s.w.t.Helper()
	config := s.w.config[cluster]
	to, err := rest.TransportFor(config)
	if err != nil {
		s.w.t.Fatal(err)
	}
	u, err := url.Parse(config.Host)
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.mu.Lock()
	before := s.name
	s.name, s.to, s.host = cluster, to, u.Host
	s.mu.Unlock()
	if before != "" {
		s.w.proxy[before].DropConnections()
	}
}

// holding holds the requests that match, until release is called.
func (s *way) holding(match func(*http.Request) bool) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := make(chan struct{})
	s.hold, s.free, s.seen = match, free, nil
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		close(free)
	})
}

// asked says whether something was asked for since holding.
func (s *way) asked(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uri := range s.seen {
		if strings.Contains(uri, part) {
			return true
		}
	}
	return false
}

func (s *way) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.seen = append(s.seen, r.URL.RequestURI())
	hold, free := s.hold, s.free
	s.mu.Unlock()
	if hold != nil && hold(r) {
		select {
		case <-free:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	s.mu.Lock()
	to, host := s.to, s.host
	s.mu.Unlock()
	r = r.Clone(r.Context())
	r.URL.Host = host
	return to.RoundTrip(r)
}

// refusing is a way to an API server that refuses some of what it is asked.
type refusing struct {
	to      http.RoundTripper
	refuses func(*http.Request) *apierrors.StatusError // nil: not this
}

func (s refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	err := s.refuses(r)
	if err == nil {
		return s.to.RoundTrip(r)
	}
	status := err.Status()
	status.APIVersion, status.Kind = "v1", "Status"
	text, failed := json.Marshal(status)
	if failed != nil {
		return nil, failed
	}
	return &http.Response{StatusCode: int(status.Code), Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
}

// TestAnImportFollowsItsEndpointsWhereExportsCannotBeListed, and says so: what was exported last may be exported still.
func TestAnImportFollowsItsEndpointsWhereExportsCannotBeListed(t *testing.T) {
	for name, test := range map[string]struct {
		err  *apierrors.StatusError
		says string
	}{
		"forbidden": {apierrors.NewForbidden(schema.GroupResource{Resource: "serviceexports"}, "", errors.New("no")), "the connection may not list and watch serviceexports"},
		"broken":    {apierrors.NewInternalError(errors.New("a webhook")), "its serviceexports cannot be listed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.installKinds("home", "alpha")
			w.backing("alpha", "db", "10.1.0.1")
			w.export("alpha", "db")
			var refuses atomic.Bool
			way := func() *rest.Config {
				return &rest.Config{Host: "https://cluster.invalid", QPS: -1, Transport: refusing{w.wayTo("alpha"), func(r *http.Request) *apierrors.StatusError {
					if refuses.Load() && strings.HasSuffix(r.URL.Path, "/serviceexports") {
						return test.err
					}
					return nil
				}}}
			}
			ready := func(part string, not ...string) {
				t.Helper()
				fleettest.Eventually(t, patience, func() error {
					im := w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")
					for _, text := range not {
						if conditionIs(im.Status.Conditions, "Ready", metav1.ConditionTrue, "Ready", text) == nil {
							return fmt.Errorf("it says %q", text)
						}
					}
					return conditionIs(im.Status.Conditions, "Ready", metav1.ConditionTrue, "Ready", part)
				})
			}
			c, running := w.start()
			w.followAs(c, "alpha", w.id("alpha"), way())
			const written = "import db of alpha metrics:19100,sql:15432 = "
			w.is(written + "10.1.0.1")
			ready("", test.says)

			running.Stop()
			refuses.Store(true)
			c, _ = w.start()
			w.followAs(c, "alpha", w.id("alpha"), way())
			w.endpoints("alpha", "db", "10.1.0.2", "10.1.0.3")
			w.is(written + "10.1.0.2 10.1.0.3")
			ready(`cluster "alpha": ` + test.says)
			w.calm(w.everything)
			w.is(written + "10.1.0.2 10.1.0.3")

			w.unexport("alpha", "db")
			w.calm(w.everything) // nobody can know
			refuses.Store(false)
			w.is("")
			w.imported("db", "")

			w.export("alpha", "db")
			w.is(written + "10.1.0.2 10.1.0.3")
			ready("", test.says)
			refuses.Store(true) // while they are known
			w.proxy["alpha"].DropConnections()
			ready(`cluster "alpha": ` + test.says)
			refuses.Store(false)
			ready("", test.says)
		})
	}
}

// TestTakesNothingFromAnotherClusterUnderTheName, as when a load balancer is turned to the next cluster: it has other
// endpoints, and exports nothing.
func TestTakesNothingFromAnotherClusterUnderTheName(t *testing.T) {
	w := newWorld(t)
	w.installKinds("home", "alpha")
	w.federated("all")
	w.backing("alpha", "db", "10.1.0.1")
	w.export("alpha", "db")
	w.backing("beta", "db", "10.2.0.1")
	c, _ := w.start(func(o *federatedservice.Options) { o.Look = time.Minute })
	at := w.wayTo("alpha")
	w.followAs(c, "alpha", w.id("alpha"), at.config())
	const federated, imported = "all of alpha sql:15432 = 10.1.0.1", "import db of alpha metrics:19100,sql:15432 = 10.1.0.1"
	w.is(federated, imported)
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")

	at.turn("beta")
	w.condition("all", metav1.ConditionTrue, service.ReasonPartial, "another cluster answers under this name")
	w.calm(w.everything)
	w.is(federated, imported)
	w.imported("db", "ClusterSetIP sql:5432,metrics:9100 of alpha")

	at = w.wayTo("beta") // nor over a new connection, of what it lacks
	w.followAs(c, "alpha", w.id("alpha"), at.config())
	fleettest.Eventually(t, patience, func() error {
		if !at.asked("/serviceexports") {
			return errors.New("it was not asked for its exports")
		}
		return nil
	})
	w.calm(w.everything)
	at.turn("alpha")
	c.Clusters().Doubt("alpha", endpoint.Gap{}) // as its probe says
	w.endpoints("alpha", "db", "10.1.0.2")
	w.is("all of alpha sql:15432 = 10.1.0.2", "import db of alpha metrics:19100,sql:15432 = 10.1.0.2")
	w.condition("all", metav1.ConditionTrue, service.ReasonFederated, "alpha")

	// And nothing is taken from one that was never the right one.
	w.followAs(c, "beta", w.id("alpha"), w.config["beta"])
	fleettest.Eventually(t, patience, func() error {
		if s, _ := c.Clusters().State("beta"); s.Services || len(s.Gaps) == 0 {
			return errors.New("nothing is said of it")
		}
		return nil
	})
	w.is("all of alpha sql:15432 = 10.1.0.2", "import db of alpha metrics:19100,sql:15432 = 10.1.0.2")
}

// TestNothingGoesBeforeAListHasEnded: over another connection everything is listed anew, and what is not in the list goes
// when that has ended.
func TestNothingGoesBeforeAListHasEnded(t *testing.T) {
	const both, one, imported = "all of alpha sql:15432 = 10.1.0.1 10.1.0.2", "all of alpha sql:15432 = 10.1.0.1", "import goes of alpha metrics:19100,sql:15432 = 10.1.0.2"
	for resource, meanwhile := range map[string][]string{
		"endpointslices": {both, imported}, "services": {both, imported},
		"serviceexports": {one, "import goes of alpha  = -"}, // it may be exported still, and has nothing
	} {
		t.Run(resource, func(t *testing.T) {
			w := newWorld(t)
			w.installKinds("home", "alpha")
			w.federated("all")
			w.backing("alpha", "stays", "10.1.0.1")
			w.backing("alpha", "goes", "10.1.0.2")
			w.export("alpha", "goes")
			c, _ := w.start()
			first := w.wayTo("alpha")
			w.followAs(c, "alpha", w.id("alpha"), first.config())
			w.is(both, imported)

			w.proxy["alpha"].Cut()
			w.silent(c, "alpha")
			w.unbacked("alpha", "goes")
			w.unexport("alpha", "goes")
			second := w.wayTo("alpha")
			release := second.holding(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/"+resource) })
			defer release()
			w.proxy["alpha"].Restore()
			w.followAs(c, "alpha", w.id("alpha"), second.config())
			fleettest.Eventually(t, patience, func() error {
				for _, r := range []string{"endpointslices", "services", "serviceexports"} {
					if !second.asked("/" + r) {
						return fmt.Errorf("%s was not asked for", r)
					}
				}
				return nil
			})
			w.calm(w.versions)
			w.is(meanwhile...)
			release()
			w.is(one)
		})
	}
}

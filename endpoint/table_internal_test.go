package endpoint

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/endpoint/wire"
	"github.com/hawser-io/hawser/fleettest"
)

// calico is an API server with one set of addresses, as far as a table asks.
type calico struct {
	mu      sync.Mutex
	lacks   bool // the group of its kind
	looks   int  // for it
	watches []*io.PipeWriter
}

func (c *calico) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := func(code int, body io.ReadCloser) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
	}
	say := func(code int, body string) (*http.Response, error) {
		return answer(code, io.NopCloser(strings.NewReader(body)))
	}
	group := strings.HasSuffix(r.URL.Path, "/crd.projectcalico.org/v1")
	if group {
		c.looks++
	}
	switch query := r.URL.Query(); {
	case c.lacks || strings.Contains(r.URL.Path, "/projectcalico.org/"):
		return say(http.StatusNotFound, "404 page not found")
	case group:
		return say(http.StatusOK, `{"kind":"APIResourceList","resources":[{"name":"globalnetworksets"}]}`)
	case query.Get("sendInitialEvents") != "": // an old one
		return say(http.StatusUnprocessableEntity, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
	case query.Get("watch") != "":
		body, w := io.Pipe()
		c.watches = append(c.watches, w)
		return answer(http.StatusOK, body)
	}
	return say(http.StatusOK, `{"kind":"GlobalNetworkSetList","apiVersion":"crd.projectcalico.org/v1","metadata":{"resourceVersion":"1"},
		"items":[{"metadata":{"name":"partners","resourceVersion":"1"},"spec":{"nets":["10.4.9.0/26"]}}]}`)
}

// set says whether the cluster has the group, and ends what watches.
func (c *calico) set(lacks bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lacks = lacks
	for _, w := range c.watches {
		_ = w.Close()
	}
	c.watches = nil
}

func (c *calico) looked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.looks
}

// run runs one table of a feed until the test ends, or what it returns is called, which waits until it has.
func run(t *testing.T, f *Feed, resource string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		f.table(resource).Run(ctx)
	}()
	end = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the table goes on")
		}
	})
	t.Cleanup(end)
	return end
}

// eventually steps a clock until something is so.
func eventually(t *testing.T, clock *clocktesting.FakeClock, step time.Duration, what string, so func() bool) {
	t.Helper()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if so() {
			return nil
		}
		if step > 0 && clock.HasWaiters() {
			clock.Step(step)
		}
		return fmt.Errorf("in vain: %s", what)
	})
}

// An API server that begins may say, for a moment, that it has none of these kinds.
func TestCalicosKindsGoWhenTheyWereLookedForTwice(t *testing.T) {
	clock, server, x := clocktesting.NewFakeClock(time.Now()), &calico{}, index.New()
	part, err := x.Cluster("alpha", "id")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFeed(Options{Config: &rest.Config{Host: "https://cluster.invalid", Transport: server, QPS: -1}, Part: part, Bounds: bounds("10.4.0.0/16"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	run(t, f, "globalnetworksets")
	there := func() bool { return slices.Equal(addressesOf(x, "alpha"), []string{"10.4.9.0/26"}) }
	watched := func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return len(server.watches) > 0
	}
	eventually(t, clock, 0, "it has the set, and watches", func() bool { return there() && watched() })

	for range 2 { // each time the doubt is a new one
		looks := server.looked()
		server.set(true)
		eventually(t, clock, 100*time.Millisecond, "it looks for the kind", func() bool { return server.looked() > looks })
		server.set(false)
		if !there() {
			t.Fatal("what there was of it has gone as it was missing once")
		}
		begin := clock.Now()
		eventually(t, clock, 100*time.Millisecond, "it is found again", watched)
		if took := clock.Since(begin); took > 10*time.Second {
			t.Errorf("it was found after %v", took)
		}
	}
	looks := server.looked()
	server.set(true)
	eventually(t, clock, 100*time.Millisecond, "what there was goes", func() bool { return !there() })
	if n := server.looked() - looks; n != 2 {
		t.Errorf("it went after %d looks", n)
	}
	server.set(false)
	eventually(t, clock, time.Second, "it is there again", there)
}

// refusing refuses connections, or answers that there are too many requests.
type refusing struct {
	mu    sync.Mutex
	busy  bool
	asked int
}

func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if !r.busy {
		return nil, fmt.Errorf("dialling: %w", syscall.ECONNREFUSED)
	}
	return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`))}, nil
}

// Whoever takes a cluster over waits until its former follower has ended. The clock stands still: nobody who waits for it
// comes to an end.
func TestEndsAtOnceWhileConnectionsAreRefused(t *testing.T) {
	for name, busy := range map[string]bool{"refused": false, "too many requests": true} {
		t.Run(name, func(t *testing.T) {
			part, err := index.New().Cluster("alpha", "id")
			if err != nil {
				t.Fatal(err)
			}
			server, clock := &refusing{busy: busy}, clocktesting.NewFakeClock(time.Now())
			f, err := NewFeed(Options{Config: &rest.Config{Host: "https://cluster.invalid", Transport: server, QPS: -1}, Part: part, Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			end := run(t, f, "pods")
			eventually(t, clock, 0, "it has asked", func() bool {
				_, fault := f.table("pods").state()
				return fault.Err != nil
			})
			begin := time.Now()
			end()
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What went while nobody followed a cluster goes when the next one who does has listed it. Calico's sets of namespaces and
// those of none are listed each by themselves.
func TestSetsThatWentMeanwhileAreGoneWhenTheyWereListed(t *testing.T) {
	f, x := still(t, Bounds{Local: true})
	set := func(namespace, name, net string) *wire.Object {
		return &wire.Object{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, IPs: []string{net}}
	}
	tell := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tell(f.table("namespaces").Add(&wire.Object{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}))
	tell(f.table("networksets").Add(set("shop", "partners", "10.4.9.0/26")))
	tell(f.table("globalnetworksets").Add(set("", "partners", "10.4.9.64/26")))
	tell(f.table("globalnetworksets").Add(set("", "others", "10.4.9.128/26")))
	next, err := NewFeed(f.options)
	tell(err)
	for _, c := range []struct {
		resource string
		listed   []any
		want     []string
	}{
		{"globalnetworksets", []any{set("", "others", "10.4.9.128/26")}, []string{"10.4.9.0/26", "10.4.9.128/26"}},
		{"networksets", nil, []string{"10.4.9.128/26"}},
		{"globalnetworksets", nil, nil},
	} {
		tell(next.table(c.resource).Replace(c.listed, ""))
		if got := addressesOf(x, "alpha"); !slices.Equal(got, c.want) {
			t.Errorf("when %d %s are listed there is %q, want %q", len(c.listed), c.resource, got, c.want)
		}
	}
}

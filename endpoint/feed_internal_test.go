package endpoint

import (
	"io"
	"math"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/endpoint/index"
)

// TestBoundsThatAllowTheSameAskForNothing: as one of our nodes comes that the cluster could not claim anyway. A feed that
// does not run leaves what it was asked for where it is.
func TestBoundsThatAllowTheSameAskForNothing(t *testing.T) {
	part, err := index.New().Cluster("alpha", "id")
	if err != nil {
		t.Fatal(err)
	}
	bounds := func(never ...string) Bounds {
		b := Bounds{Within: []netip.Prefix{netip.MustParsePrefix("10.4.5.0/24")}}
		for _, a := range never {
			b.Never = append(b.Never, Prefixes(netip.MustParseAddr(a))...)
		}
		return b
	}
	told := 0
	f, err := NewFeed(Options{Config: &rest.Config{Host: "https://cluster.invalid"}, Part: part, Bounds: bounds("10.4.5.1", "192.0.2.1"), Changed: func() { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bounds Bounds
		asks   int
	}{
		"the same":                              {bounds("10.4.5.1", "192.0.2.1"), 0},
		"another node outside comes":            {bounds("10.4.5.1", "192.0.2.1", "192.0.2.2"), 0},
		"a node outside goes":                   {bounds("10.4.5.1"), 0},
		"they are told in another order, twice": {bounds("192.0.2.1", "10.4.5.1", "10.4.5.1"), 0},
		"a node inside comes":                   {bounds("10.4.5.1", "10.4.5.2"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			told = 0
			f.SetBounds(c.bounds)
			asked := len(f.rebound)
			for range asked {
				<-f.rebound
			}
			if asked != c.asks || told != c.asks {
				t.Errorf("it is to be listed anew %d times, and has told %d times, want %d", asked, told, c.asks)
			}
			f.SetBounds(bounds("10.4.5.1"))
			select {
			case <-f.rebound:
			default:
			}
		})
	}
}

// failing is an API server that answers some requests with an error, and notes when.
type failing struct {
	calico
	clock clock.PassiveClock
	code  func(*http.Request) int // 0: it does not fail

	noting sync.Mutex
	at     []time.Time // each once
}

func (f *failing) RoundTrip(r *http.Request) (*http.Response, error) {
	code := f.code(r)
	if code == 0 {
		return f.calico.RoundTrip(r)
	}
	f.noting.Lock()
	defer f.noting.Unlock()
	if now := f.clock.Now(); len(f.at) == 0 || !now.Equal(f.at[len(f.at)-1]) {
		f.at = append(f.at, now)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":` + strconv.Itoa(code) + `}`))}, nil
}

// gaps are the times between what failed.
func (f *failing) gaps() (all []time.Duration) {
	f.noting.Lock()
	defer f.noting.Unlock()
	for i := 1; i < len(f.at); i++ {
		all = append(all, f.at[i].Sub(f.at[i-1]))
	}
	return all
}

func (f *failing) feed(t *testing.T, clock clock.WithTicker) *Feed {
	t.Helper()
	part, err := index.New().Cluster("alpha", "id")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := NewFeed(Options{Config: &rest.Config{Host: "https://cluster.invalid", Transport: f, QPS: -1}, Part: part, Bounds: bounds("10.4.0.0/16"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// pauseBefore is how long a try waits at least, without jitter: longer each time, up to five seconds.
func pauseBefore(try int) time.Duration {
	return min(time.Duration(float64(500*time.Millisecond)*math.Pow(1.6, float64(try))), 5*time.Second)
}

// TestWhatFailsIsTriedLessOften: each time later, up to a bound, and not by all at once.
func TestWhatFailsIsTriedLessOften(t *testing.T) {
	for name, code := range map[string]func(*http.Request) int{
		"looking for a kind": func(*http.Request) int { return http.StatusInternalServerError },
		"listing": func(r *http.Request) int {
			if !strings.HasSuffix(r.URL.Path, "/globalnetworksets") || r.URL.Query().Get("watch") != "" {
				return 0
			}
			return http.StatusInternalServerError
		},
		"watching": func(r *http.Request) int {
			if q := r.URL.Query(); q.Get("watch") == "" || q.Get("sendInitialEvents") != "" {
				return 0
			}
			return http.StatusTooManyRequests
		},
	} {
		t.Run(name, func(t *testing.T) {
			const step, tries = 20 * time.Millisecond, 12
			clock := clocktesting.NewFakeClock(time.Now())
			server := &failing{clock: clock, code: code}
			run(t, server.feed(t, clock), "globalnetworksets")
			for deadline := time.Now().Add(20 * time.Second); len(server.gaps()) < tries; {
				switch {
				case time.Now().After(deadline):
					t.Fatalf("it was tried after %v, and no more", server.gaps())
				case clock.HasWaiters():
					clock.Step(step)
				default:
					runtime.Gosched()
				}
			}
			jittered := false
			for i, gap := range server.gaps()[:tries] {
				least := pauseBefore(i)
				jittered = jittered || gap > least+2*step
				if gap < least || gap > least+least/5+2*step {
					t.Errorf("try %d came after %v, want %v and up to a fifth more", i+1, gap, least)
				}
			}
			if !jittered {
				t.Errorf("they came after %v: all that fail at once try again at once", server.gaps())
			}
		})
	}
}

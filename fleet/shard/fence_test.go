package shard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"
)

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func request(t *testing.T, method, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://alpha"+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func answer(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestTheFenceStopsWritesAndNothingElse(t *testing.T) {
	clk := testingclock.NewFakeClock(time.Unix(1e9, 0))
	f := newFence(clk, 10*time.Second, 2*time.Second)
	through := f.Wrap(trip(answer))
	tests := []struct {
		name, method, path string
		writes             bool
	}{
		{"a read", http.MethodGet, "/api/v1/secrets", false},
		{"a review of who we are", http.MethodPost, "/apis/authentication.k8s.io/v1/selfsubjectreviews", false},
		{"a review of what we may", http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", false},
		{"a review below a prefix", http.MethodPost, "/k8s/clusters/c-1/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", false},
		{"somebody's own kind that is called reviews", http.MethodPost, "/apis/shop.example.com/v1/reviews", true},
		{"a token", http.MethodPost, "/api/v1/namespaces/x/serviceaccounts/y/token", true},
		{"an update", http.MethodPut, "/api/v1/namespaces/x/secrets/y", true},
		{"a patch", http.MethodPatch, "/apis/hawser.io/v1alpha1/remoteclusters/a/status", true},
		{"a deletion", http.MethodDelete, "/api/v1/namespaces/x", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := through.RoundTrip(request(t, test.method, test.path))
			if errors.Is(err, ErrFenced) != test.writes {
				t.Errorf("with the fence closed: %v", err)
			}
		})
	}

	f.renewed(clk.Now())
	clk.Step(8*time.Second - 1)
	if _, err := through.RoundTrip(request(t, http.MethodPut, "/x")); err != nil {
		t.Errorf("a write before the margin: %v", err)
	}
	clk.Step(1)
	if _, err := through.RoundTrip(request(t, http.MethodPut, "/x")); !errors.Is(err, ErrFenced) {
		t.Errorf("a write within the margin: %v", err)
	}
	f.renewed(clk.Now().Add(-9 * time.Second)) // a renewal that took too long to count
	if f.Open() {
		t.Error("a renewal counts from its end, not from its beginning")
	}
}

func TestAWriteUnderWayIsBrokenOff(t *testing.T) {
	clk := testingclock.NewFakeClock(time.Unix(1e9, 0))
	f := newFence(clk, 10*time.Second, 2*time.Second)
	f.renewed(clk.Now())
	under := make(chan struct{})
	through := f.Wrap(trip(func(r *http.Request) (*http.Response, error) {
		close(under)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	failed := make(chan error, 1)
	go func() {
		_, err := through.RoundTrip(request(t, http.MethodPut, "/x"))
		failed <- err
	}()
	<-under
	clk.Step(8 * time.Second)
	if err := <-failed; !errors.Is(err, ErrFenced) {
		t.Errorf("it ended with %v", err)
	}
}

// A process that is stopped between the look at the fence and the sending of what it writes, and goes on much later.
func TestABodyIsNotSentThroughAFenceThatClosedMeanwhile(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(time.Unix(1e9, 0))
	f := newFence(standing{testingclock.NewFakeClock(clk.Now()), clk}, 10*time.Second, 2*time.Second)
	f.renewed(clk.Now())
	through := f.Wrap(trip(func(r *http.Request) (*http.Response, error) {
		clk.SetTime(clk.Now().Add(time.Minute))
		if text, err := io.ReadAll(r.Body); err == nil {
			t.Errorf("%q is sent", text)
		}
		return nil, context.Canceled
	}))
	if _, err := through.RoundTrip(request(t, http.MethodPut, "/x")); err == nil {
		t.Error("it succeeded")
	}
}

// standing is a clock whose timers do not fire, as those of a stopped process.
type standing struct {
	*testingclock.FakeClock
	now *testingclock.FakePassiveClock
}

func (s standing) Now() time.Time { return s.now.Now() }

func TestAMachineThatSleptMayNotWrite(t *testing.T) {
	// The monotonic clock stood still, and the other one went on.
	since := time.Now()
	woken := since.Round(0).Add(time.Hour)
	if got := elapsed(since, woken); got < time.Hour {
		t.Errorf("after an hour of sleep %s have passed", got)
	}
}

func TestTheFenceAndTheWorkAreForManyAtOnce(t *testing.T) {
	clk := testingclock.NewFakeClock(time.Unix(1e9, 0))
	f, w := newFence(clk, 10*time.Second, 2*time.Second), newWork()
	through := f.Wrap(trip(answer))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				f.renewed(clk.Now())
				_, _ = through.RoundTrip(request(t, http.MethodPut, "/x"))
				w.own("a")
				if leave, ok := w.enter("a"); ok {
					leave()
					leave() // twice is once
				}
				w.disown("a")
				f.close()
			}
		})
	}
	all.Wait()
}

func TestAClusterEndsWhenWhatIsUnderWayHas(t *testing.T) {
	w := newWork()
	if _, ok := w.enter("a"); ok {
		t.Fatal("work may begin on a cluster that is not owned")
	}
	w.own("a")
	leave, ok := w.enter("a")
	if !ok {
		t.Fatal("work may not begin on a cluster that is owned")
	}
	idle := w.disown("a")
	if _, ok := w.enter("a"); ok {
		t.Error("work may begin on a cluster that was taken")
	}
	select {
	case <-idle:
		t.Error("it has ended while work is under way")
	default:
	}
	leave()
	<-idle
}

package fleettest_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/fleettest"
)

func TestHTTPProxyPassesEverythingOn(t *testing.T) {
	c := fleettest.Use(t, "primary")
	p := c.HTTPProxy(t)
	if user, err := whoami(t.Context(), p.AdminConfig()); user != "devfleet-admin" {
		t.Errorf("by certificate: user %q (%v)", user, err)
	}
	token := c.Token(t, "default", "default", 10*time.Minute)
	if user, err := whoami(t.Context(), p.Through(c.TokenConfig(token))); user != "system:serviceaccount:default:default" {
		t.Errorf("by token: user %q (%v)", user, err)
	}
	if user, err := whoami(t.Context(), p.Through(c.AnonymousConfig())); err == nil {
		t.Errorf("without a credential: user %q, want none", user)
	}
	requests := p.Requests()
	if len(requests) != 3 || !requests[0].ClientCert || requests[0].Authorization || !requests[1].Authorization || requests[2].Authorization {
		t.Errorf("the record is wrong: %+v", requests)
	}
	if n := p.Count()["POST /apis/authentication.k8s.io/v1/selfsubjectreviews"]; n != 3 {
		t.Errorf("counted %d reviews, want 3", n)
	}
}

func TestHTTPProxyBelievesNoHeader(t *testing.T) {
	c := fleettest.Use(t, "primary")
	p := c.HTTPProxy(t)
	config := p.Through(c.TokenConfig(c.Token(t, "default", "default", 10*time.Minute)))
	config.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("X-Remote-User", "admin")
			r.Header.Set("X-Remote-Group", "system:masters")
			return next.RoundTrip(r)
		})
	}
	if user, err := whoami(t.Context(), config); user != "system:serviceaccount:default:default" {
		t.Errorf("user %q (%v), want the token's", user, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWatchEventsAreNotHeldBack(t *testing.T) {
	c := fleettest.Use(t, "primary")
	ns := c.Namespace(t)
	p := c.HTTPProxy(t)
	watch, err := kubernetes.NewForConfigOrDie(p.AdminConfig()).CoreV1().ServiceAccounts(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	c.ServiceAccount(t, ns, "robot")
	timeout := time.After(5 * time.Second)
	for {
		select {
		case event := <-watch.ResultChan():
			if sa, ok := event.Object.(metav1.Object); ok && sa.GetName() == "robot" {
				return
			}
		case <-timeout:
			t.Fatal("the event did not come")
		}
	}
}

func TestBlackHoleHTTP(t *testing.T) {
	p := fleettest.Use(t, "primary").HTTPProxy(t)
	p.BlackHoleHTTP()
	if err := get(p.AdminConfig(), 300*time.Millisecond); err == nil {
		t.Error("the black hole answered")
	}
	if s := p.Stats(); s.ToClient == 0 {
		t.Error("no byte of TLS came back")
	}
	done := make(chan error, 1)
	go func() { done <- get(p.AdminConfig(), 10*time.Second) }()
	fleettest.Eventually(t, 30*time.Second, func() error {
		if len(p.Requests()) < 2 {
			return fmt.Errorf("the second request has not come")
		}
		return nil
	})
	p.RestoreHTTP()
	if err := <-done; err != nil {
		t.Errorf("after RestoreHTTP: %v", err)
	}
}

func TestShiftDate(t *testing.T) {
	p := fleettest.Use(t, "primary").HTTPProxy(t)
	p.ShiftDate(-2 * time.Hour)
	client, err := rest.HTTPClientFor(p.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(p.URL + "/version")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if off := time.Since(date); err != nil || off < 119*time.Minute || off > 121*time.Minute || len(resp.Header["Date"]) != 1 {
		t.Errorf("Date %v is %s ago (%v), want two hours", resp.Header["Date"], off, err)
	}
}

func TestFailOnlyWhatMatches(t *testing.T) {
	p := fleettest.Use(t, "primary").HTTPProxy(t)
	var seen atomic.Int32
	p.OnRequest(func(*http.Request) { seen.Add(1) })
	p.Fail(http.StatusUnauthorized, func(r *http.Request) bool { return r.Method == http.MethodPost })
	if _, err := whoami(t.Context(), p.AdminConfig()); !apierrors.IsUnauthorized(err) {
		t.Errorf("a POST: error %v, want Unauthorized", err)
	}
	if err := get(p.AdminConfig(), 5*time.Second); err != nil {
		t.Errorf("a GET: %v", err)
	}
	p.RestoreHTTP()
	if _, err := whoami(t.Context(), p.AdminConfig()); err != nil {
		t.Errorf("after RestoreHTTP: %v", err)
	}
	if n := seen.Load(); n != 3 {
		t.Errorf("the hook saw %d requests, want 3", n)
	}
}

func TestWatchesAreRecordedByTheirEnd(t *testing.T) {
	p := fleettest.Use(t, "primary").HTTPProxy(t)
	cases := []struct {
		name string
		end  func(stop func())
		want fleettest.WatchEnd
	}{
		{"ended by the server", nil, fleettest.WatchEnded},
		{"cut", func(func()) { p.DropConnections() }, fleettest.WatchBroken},
		{"left by the client", func(stop func()) { stop() }, fleettest.WatchCancelled},
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.end == nil {
				p.ForceWatchTimeout(time.Second)
				defer p.RestoreHTTP()
			}
			watch, err := kubernetes.NewForConfigOrDie(p.AdminConfig()).CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Watches()[i]; got.End != fleettest.WatchOpen || got.Status != http.StatusOK {
				t.Errorf("at first %+v, want it open", got)
			}
			if tc.end != nil {
				tc.end(watch.Stop)
			}
			for range watch.ResultChan() { // until it ends
			}
			fleettest.Eventually(t, 30*time.Second, func() error {
				if got := p.Watches()[i].End; got != tc.want {
					return fmt.Errorf("ended %q, want %q", got, tc.want)
				}
				return nil
			})
		})
	}
}

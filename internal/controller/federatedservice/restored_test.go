package federatedservice_test

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// past is the way to a cluster that is in an earlier state from some time on: its API server ends all watches as one does
// that goes down, and a watch that goes on from a later state is told nothing.
type past struct {
	*way
	restored chan struct{}          // closed then
	version  atomic.Pointer[string] // of the state that it is in then
}

func (p *past) restore(version string) {
	p.version.Store(&version)
	close(p.restored)
}

func (p *past) RoundTrip(r *http.Request) (*http.Response, error) {
	q, version := r.URL.Query(), p.version.Load()
	watches := q.Get("watch") != ""
	switch {
	case version != nil && watches && q.Get("sendInitialEvents") == "":
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: until(r.Context().Done(), nil), Request: r}, nil
	case version != nil && q.Get("fieldSelector") == "metadata.name=kube-system": // who is asked which cluster he is answers as he was
		r = r.Clone(r.Context())
		q.Set("resourceVersion", *version)
		q.Set("resourceVersionMatch", "Exact")
		r.URL.RawQuery = q.Encode()
	}
	resp, err := p.way.RoundTrip(r)
	if err == nil && watches && version == nil {
		resp.Body = until(p.restored, resp.Body)
	}
	return resp, err
}

// until is what can be read of a body until something is over, and then its end.
func until(over <-chan struct{}, body io.ReadCloser) io.ReadCloser {
	to, from := io.Pipe()
	go func() { // ends when that is over
		<-over
		_ = from.Close()
		if body != nil {
			_ = body.Close()
		}
	}()
	if body != nil {
		go func() { // ends with the body
			_, err := io.Copy(from, body)
			_ = from.CloseWithError(err)
		}()
	}
	return to
}

// TestListsAClusterAnewThatWasRestoredFromABackup: it counts its versions again from an earlier one.
func TestListsAClusterAnewThatWasRestoredFromABackup(t *testing.T) {
	w := newWorld(t)
	w.federated("all")
	var then corev1.NamespaceList
	if err := w.admin["alpha"].List(t.Context(), &then); err != nil {
		t.Fatal(err)
	}
	w.backing("alpha", "db", "10.1.0.1")
	c, _ := w.start()
	at := &past{way: w.wayTo("alpha"), restored: make(chan struct{})}
	w.followAs(c, "alpha", w.id("alpha"), &rest.Config{Host: "https://cluster.invalid", Transport: at, QPS: -1})
	w.is("all of alpha sql:15432 = 10.1.0.1")
	w.endpoints("alpha", "db", "10.1.0.2") // a watch that ends without having told anything is not trusted anyway
	w.is("all of alpha sql:15432 = 10.1.0.2")

	at.restore(then.ResourceVersion)
	w.endpoints("alpha", "db", "10.1.0.3")
	w.is("all of alpha sql:15432 = 10.1.0.3")
}

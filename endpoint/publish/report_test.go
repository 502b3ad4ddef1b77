package publish

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// TestAnEntryIsWrittenOnChangeAndNotTooOften, whatever happens.
func TestAnEntryIsWrittenOnChangeAndNotTooOften(t *testing.T) {
	var said []int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Metadata struct{ UID string }
			Status   v1alpha1.FederationStatus
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPatch || body.Metadata.UID != "u" ||
			r.URL.Path != "/apis/hawser.io/v1alpha1/endpointsets/shop/status" || r.URL.Query().Get("fieldManager") != "hawser-cluster-a" {
			t.Errorf("%s %s: %+v (%v)", r.Method, r.URL, body, err)
		}
		said = append(said, body.Status.Clusters[0].Endpoints)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"hawser.io/v1alpha1","kind":"EndpointSet","metadata":{"name":"shop"}}`))
	}))
	defer server.Close()
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	clock := testingclock.NewFakeClock(time.Unix(1000, 0))
	p, err := New(Options{Objects: &Objects{client: client}, Clock: clock, StatusEvery: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	at := owner{Key{Kind: EndpointSet, Name: "shop"}, "a"}
	item := &live{Item: Item{Key: at.key}}
	item.Owner.UID = "u"
	p.items[at.key], p.progress[at] = item, &progress{}
	report := func(after time.Duration, endpoints int64, want ...int64) {
		t.Helper()
		clock.Step(after)
		p.progress[at].entry = &v1alpha1.FederatedCluster{Name: "a", Endpoints: endpoints}
		if err := p.report(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if len(said) != len(want) || len(want) > 0 && said[len(said)-1] != want[len(want)-1] {
			t.Errorf("it said %v, want %v", said, want)
		}
	}
	report(0, 1, 1)
	report(time.Hour, 1, 1)
	report(0, 2, 1, 2)
	report(time.Second, 3, 1, 2)
	report(time.Second, 4, 1, 2)
	report(time.Second, 5, 1, 2, 5)
	report(2*time.Second, 2, 1, 2, 5)
	report(0, 5, 1, 2, 5)
	sees := func(want bool, entries ...v1alpha1.FederatedCluster) {
		t.Helper()
		p.Saw(at.key, entries)
		p.reports.mu.Lock()
		defer p.reports.mu.Unlock()
		if _, noted := p.reports.noted[task{at.key, "a", reporting}]; noted != want {
			t.Errorf("it is said again: %t", noted)
		}
	}
	delete(p.reports.noted, task{at.key, "a", reporting})
	sees(false, *p.progress[at].reported)
	sees(true) // somebody has taken it away
	report(time.Hour, 5, 1, 2, 5, 5)
	delete(p.reports.noted, task{at.key, "a", reporting})
	delete(p.progress, at) // it is another replica's
	sees(false)
	p.items[at.key].Owner.UID = "another"
	p.Drop(at.key)
	if len(p.told) > 0 {
		t.Errorf("it remembers %v", p.told)
	}
}

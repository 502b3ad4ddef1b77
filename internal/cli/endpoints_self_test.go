package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/fleettest"
)

// lines hands on what is written.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestWhatIsWaitedForIsSaid(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(0, 0))
	said := make(lines)
	d := &deps{clock: clock, err: said}
	expected := []v1alpha1.RemoteCluster{{ObjectMeta: metav1.ObjectMeta{Name: "alpha"}}, {ObjectMeta: metav1.ObjectMeta{Name: "beta"}}}
	catalog := endpoint.NewCatalog(endpoint.CatalogOptions{Clock: clock})
	defer catalog.Close()
	catalog.Suspend(endpoint.Cluster{Name: "beta"}, endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "it does not answer"})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		d.awaitListed(ctx, catalog, expected, nil)
	}()
	fleettest.Eventually(t, patience, func() error {
		if !clock.HasWaiters() {
			return errors.New("it does not wait")
		}
		return nil
	})
	for range 2 {
		clock.Step(progressEvery)
		select {
		case line := <-said:
			if !strings.Contains(line, "alpha") || strings.Contains(line, "beta") {
				t.Errorf("it says %q, and waits for alpha", line)
			}
		case <-time.After(patience):
			t.Fatal("it says nothing")
		}
	}
	cancel()
	<-ended
}

func TestWhatMoreIsToBeLearnedOfACluster(t *testing.T) {
	listing := endpoint.Gap{Reason: endpoint.ReasonNotListed}
	for _, test := range []struct {
		name  string
		state endpoint.ClusterState
		late  bool
		want  bool
	}{
		{"one that has listed everything", endpoint.ClusterState{Synced: true, Gaps: []endpoint.Gap{{Reason: endpoint.ReasonOutside}}}, false, false},
		{"one that lists", endpoint.ClusterState{Gaps: []endpoint.Gap{listing}}, true, true},
		{"one that lists, with addresses that are refused", endpoint.ClusterState{Gaps: []endpoint.Gap{{Reason: endpoint.ReasonOutside}, listing}}, true, true},
		{"one that does not answer for now", endpoint.ClusterState{Gaps: []endpoint.Gap{listing, {Reason: endpoint.ReasonUnreachable}}}, true, true},
		{"one that refuses a list may still answer others", endpoint.ClusterState{Gaps: []endpoint.Gap{{Reason: endpoint.ReasonForbidden}, listing}}, false, true},
		{"but not for long", endpoint.ClusterState{Gaps: []endpoint.Gap{{Reason: endpoint.ReasonForbidden}, listing}}, true, false},
		{"one that could not be reached", endpoint.ClusterState{Gaps: []endpoint.Gap{{Reason: endpoint.ReasonNotConnected}}}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := unsettled(test.state, test.late); got != test.want {
				t.Errorf("unsettled is %t, want %t", got, test.want)
			}
		})
	}
}

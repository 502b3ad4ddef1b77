package calico

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
)

// server answers what it is told to: a version that is not in it is not served, and one with an error is away.
type server map[schema.GroupVersion]any

func (s server) ServerResourcesForGroupVersionWithContext(_ context.Context, gv string) (*metav1.APIResourceList, error) {
	for v, answer := range s {
		if v.String() != gv {
			continue
		}
		switch answer := answer.(type) {
		case error:
			return nil, answer
		case string:
			return &metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: answer}}}, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{}, gv)
}

var errAway = apierrors.NewServiceUnavailable("the server is currently unable to handle the request")

// verdicts are what may be done with a kind: the version, or the cause why not.
func verdicts(s Served, k Kind) [2]string {
	say := func(gvk schema.GroupVersionKind, err error) string {
		switch {
		case errors.Is(err, ErrNotServed):
			return "not served"
		case errors.Is(err, ErrUnknown):
			return "unknown"
		case err != nil:
			return err.Error()
		}
		return gvk.GroupVersion().String()
	}
	return [2]string{say(s.ToRead(k)), say(s.ToWrite(k))}
}

func TestWhatAClusterServes(t *testing.T) {
	sets := GlobalNetworkSets
	for name, c := range map[string]struct {
		before, now server
		kind        Kind
		want        [2]string // to read, to write
	}{
		"nothing":                                       {nil, server{}, sets, [2]string{"not served", "not served"}},
		"another kind of the group":                     {nil, server{V3: "networksets"}, sets, [2]string{"not served", "not served"}},
		"the API":                                       {nil, server{V3: "globalnetworksets"}, sets, [2]string{"projectcalico.org/v3", "projectcalico.org/v3"}},
		"the storage is for reading":                    {nil, server{Storage: "globalnetworksets"}, sets, [2]string{"crd.projectcalico.org/v1", "not served"}},
		"the API comes before the storage":              {nil, server{V3: "globalnetworksets", Storage: "globalnetworksets"}, sets, [2]string{"projectcalico.org/v3", "projectcalico.org/v3"}},
		"an API that was there and is away":             {server{V3: "globalnetworksets"}, server{V3: errAway, Storage: "globalnetworksets"}, sets, [2]string{"projectcalico.org/v3", "projectcalico.org/v3"}},
		"an API that was there and is gone":             {server{V3: "globalnetworksets"}, server{Storage: "globalnetworksets"}, sets, [2]string{"crd.projectcalico.org/v1", "not served"}},
		"an API that was never seen and is away":        {nil, server{V3: errAway}, sets, [2]string{"unknown", "unknown"}},
		"an API that was never seen, above the storage": {nil, server{V3: errAway, Storage: "globalnetworksets"}, sets, [2]string{"crd.projectcalico.org/v1", "unknown"}},
		"an API that comes":                             {server{Storage: "globalnetworksets"}, server{V3: "globalnetworksets", Storage: "globalnetworksets"}, sets, [2]string{"projectcalico.org/v3", "projectcalico.org/v3"}},
		"an API server that says nothing":               {nil, server{V3: errors.New("connection refused"), Storage: errors.New("connection refused")}, sets, [2]string{"unknown", "unknown"}},
		"an earlier Cilium":                             {nil, server{ciliumV2alpha1: "ciliumcidrgroups"}, CIDRGroups, [2]string{"cilium.io/v2alpha1", "cilium.io/v2alpha1"}},
		"a later Cilium":                                {nil, server{ciliumV2alpha1: "ciliumcidrgroups", ciliumV2: "ciliumcidrgroups"}, CIDRGroups, [2]string{"cilium.io/v2", "cilium.io/v2"}},
		"ClusterNetworkPolicies of another version":     {nil, server{{Group: "policy.networking.k8s.io", Version: "v1alpha1"}: "adminnetworkpolicies"}, ClusterNetworkPolicies, [2]string{"not served", "not served"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDiscovery(c.before, testingclock.NewFakeClock(time.Now()))
			if got := verdicts(d.Served(), c.kind); got != [2]string{"unknown", "unknown"} {
				t.Errorf("before anything was asked it is %v", got)
			}
			if c.before != nil {
				d.Look(t.Context())
			}
			told := 0
			stop := d.Notify(func() { told++ })
			before := verdicts(d.Served(), c.kind)
			d.lister = c.now
			d.Look(t.Context())
			if diff := cmp.Diff(c.want, verdicts(d.Served(), c.kind)); diff != "" {
				t.Errorf("to read and to write (-want +got):\n%s", diff)
			}
			if before != c.want && told != 1 {
				t.Errorf("it changed, and was told %d times", told)
			}
			d.Look(t.Context())
			stop()
			d.lister = server{V3: "hostendpoints"}
			d.Look(t.Context())
			if told > 1 {
				t.Errorf("told %d times of one change", told)
			}
		})
	}
}

// TestDiscoveryAsksAgain follows what comes, without a restart, and however often somebody asks, it asks once in a while.
func TestDiscoveryAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		d := NewDiscovery(counting{&asked}, clock.RealClock{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }() // until stop
		looks := func(after time.Duration, want int32) {
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			if got := asked.Swap(0); got != 5*want {
				t.Errorf("after %s it has asked for %d versions, in place of %d times for 5", after, got, want)
			}
		}
		looks(0, 1)
		looks(recheck, 1)
		looks(recheck, 1)
		d.Await() // it has just asked
		looks(recheck-1, 0)
		looks(1, 1)
		for range 3 {
			d.Again()
			looks(1, 0)
		}
		looks(pause-4, 0)
		d.Again() // which the same look answers
		looks(1, 1)
		looks(recheck-pause-1, 0)
		d.Again()
		looks(0, 1)
		looks(1, 0) // the time has come, but it has just asked
		looks(pause, 0)
		d.Await()
		looks(0, 1)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// counting counts the versions that are asked for.
type counting struct{ asked *atomic.Int32 }

func (c counting) ServerResourcesForGroupVersionWithContext(_ context.Context, gv string) (*metav1.APIResourceList, error) {
	c.asked.Add(1)
	return nil, apierrors.NewNotFound(schema.GroupResource{}, gv)
}

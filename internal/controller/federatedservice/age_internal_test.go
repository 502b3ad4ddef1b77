package federatedservice

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/endpoint/staleness"
)

// TestUntilAClusterIsHeardOfTheSlicesTellHowItWasLeft, also where the watch tells late what another replica has written.
func TestUntilAClusterIsHeardOfTheSlicesTellHowItWasLeft(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }
	hour := staleness.Policy{ExpireAfter: time.Hour, Settle: 10 * time.Minute}
	unheard := service.State{Contact: staleness.Contact{StaleSince: now, Unheard: true}}
	heard := service.State{Services: true, Contact: staleness.Contact{LiveSince: now}}
	silent := service.State{Services: true, Contact: staleness.Contact{StaleSince: now.Add(-time.Minute)}}
	type look struct {
		of   service.State
		was  service.Source
		want bool          // away
		in   time.Duration // again
	}
	for name, looks := range map[string][]look{
		"nothing is left":                    {{unheard, service.Source{}, false, time.Hour}},
		"it was silent":                      {{unheard, service.Source{StaleSince: ago(50 * time.Minute)}, false, 10 * time.Minute}},
		"it was silent for too long":         {{unheard, service.Source{StaleSince: ago(time.Hour)}, true, 0}},
		"it was away":                        {{unheard, service.Source{Expired: true}, true, 0}, {heard, service.Source{Expired: true}, true, 10 * time.Minute}},
		"it was away, and is back":           {{unheard, service.Source{Expired: true}, true, 0}, {unheard, service.Source{}, false, time.Hour}, {heard, service.Source{}, false, 0}},
		"it fell silent meanwhile":           {{unheard, service.Source{}, false, time.Hour}, {unheard, service.Source{StaleSince: ago(50 * time.Minute)}, false, 10 * time.Minute}},
		"it is heard of, and the slices lag": {{heard, service.Source{}, false, 0}, {heard, service.Source{Expired: true, StaleSince: ago(time.Hour)}, false, 0}},
		"what was seen here counts":          {{heard, service.Source{}, false, 0}, {silent, service.Source{Expired: true, StaleSince: ago(time.Hour)}, false, 59 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Controller{memory: map[service.Key]*staleness.Memory{}}
			for i, l := range looks {
				_, away, again := c.judge(service.Key{Cluster: "a"}, l.of, hour, l.was, now)
				if away != l.want || again.IsZero() != (l.in == 0) || l.in != 0 && again.Sub(now) != l.in {
					t.Errorf("look %d: away: %t, and again at %s; want %t, in %s", i, away, again, l.want, l.in)
				}
			}
		})
	}
}

// TestAClusterThatIsListedIsNotSilent: as long as nothing is wrong with it, a list may take its time, and the next process does
// not count from when this one began.
func TestAClusterThatIsListedIsNotSilent(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	minute := staleness.Policy{ExpireAfter: time.Minute, Settle: time.Minute}
	listing := service.State{Contact: staleness.Contact{StaleSince: start, Unheard: true, Beginning: true}}
	starting, fault := listing, listing
	starting.Why = endpoint.Gap{Reason: endpoint.ReasonNotConnected, Message: "starting"}
	fault.Contact.Beginning, fault.Gaps = false, []string{"forbidden"}
	for name, tt := range map[string]struct {
		of    service.State
		after time.Duration
		says  string // since when, and what is missing
		again time.Duration
	}{
		"it has just begun":                {listing, time.Second, "", 29 * time.Second},
		"it takes longer":                  {listing, 2 * time.Minute, " was missing, not everything was listed yet", 3 * time.Minute},
		"there is no connection":           {starting, 2 * time.Minute, " was missing, starting", 3 * time.Minute},
		"it takes too long":                {listing, 5 * time.Minute, "12:00:00 away ", 0},
		"something is wrong":               {fault, 40 * time.Second, "12:00:00 was missing, forbidden", 20 * time.Second},
		"something was wrong all the time": {fault, time.Minute, "12:00:00 away forbidden", 0},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(start.Add(tt.after))
			c := &Controller{options: Options{Clock: clock, Grace: 30 * time.Second}, memory: map[service.Key]*staleness.Memory{}}
			w := &service.Wanted{Key: service.Key{Cluster: "a"}, Source: service.Source{Gaps: []string{"was missing"}}}
			again := c.age(w, tt.of, minute, service.Source{})
			got := ""
			if w.Source.StaleSince != nil {
				got = w.Source.StaleSince.Format(time.TimeOnly)
			}
			if w.Source.Expired {
				got += " away"
			}
			if tt.says != "" {
				got += " " + strings.Join(w.Source.Gaps, ", ")
			}
			if got != tt.says || again != tt.again {
				t.Errorf("it says %q, and again in %s; want %q, in %s", got, again, tt.says, tt.again)
			}
			c.age(w, tt.of, minute, service.Source{}) // on top of what was said
			if n := len(w.Source.Gaps); n > 2 {
				t.Errorf("the second time it says %q", w.Source.Gaps)
			}
		})
	}
}

package federatedservice

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

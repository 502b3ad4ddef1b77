package aws

import (
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestRenewAt(t *testing.T) {
	tests := []struct {
		name   string
		life   time.Duration // zero: for ever
		jitter float64
		want   time.Duration // since it was obtained
	}{
		{"an hour is renewed with a quarter of an hour left", time.Hour, 0, 45 * time.Minute},
		{"and up to a tenth of an hour earlier", time.Hour, 1, 39 * time.Minute},
		{"twelve hours are renewed with three left", 12 * time.Hour, 0, 9 * time.Hour},
		{"a quarter of an hour is renewed in its second half", 15 * time.Minute, 0, 7*time.Minute + 30*time.Second},
		{"and later by jitter", 15 * time.Minute, 1, 9 * time.Minute},
		{"what ends at once is not renewed before a minute", 30 * time.Second, 0, time.Minute},
		{"what never ends is read again", 0, 0, time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := grant{obtainedAt: start, creds: awssdk.Credentials{CanExpire: test.life > 0, Expires: start.Add(test.life)}}
			if got := renewAt(g, start, test.jitter).Sub(start); got != test.want {
				t.Errorf("renewed after %s, want %s", got, test.want)
			}
		})
	}
	if at := renewAt(grant{}, start, 0); !at.IsZero() {
		t.Errorf("keys from a Secret are renewed at %s: others replace them", at)
	}
}

func TestBackoffGrows(t *testing.T) {
	tests := []struct {
		name, reason string
		tries        int
		want         time.Duration
	}{
		{"an unreachable AWS is asked again after a second", v1alpha1.ReasonAWSUnreachable, 1, time.Second},
		{"then two", v1alpha1.ReasonAWSUnreachable, 2, 2 * time.Second},
		{"at last a minute", v1alpha1.ReasonAWSUnreachable, 1000, time.Minute},
		{"throttling waits longer", v1alpha1.ReasonThrottled, 1, 5 * time.Second},
		{"up to five minutes", v1alpha1.ReasonThrottled, 12, 5 * time.Minute},
		{"a denial waits for a person", v1alpha1.ReasonAssumeRoleDenied, 1, 5 * time.Second},
		{"up to two minutes", v1alpha1.ReasonAssumeRoleDenied, 12, 2 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := backoff(test.reason, test.tries, 0); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if got := backoff(test.reason, test.tries, 0.999); got < test.want || got > test.want*5/4 {
				t.Errorf("with jitter %s, want a quarter more at most", got)
			}
		})
	}
}

package aws

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// TestSessionsLiveOn is the trap of frozen sources: for a day, every hop is signed by a live session.
func TestSessionsLiveOn(t *testing.T) {
	s, fake, clk := newSessions(t)
	p := s.Provider(twoHops())
	for range 24 * 12 {
		creds := retrieve(t, p)
		settled(t, s)
		if left := creds.Expires.Sub(clk.Now()); left < 10*time.Minute {
			t.Fatalf("after %s there are %s left", clk.Since(start), left)
		}
		clk.Step(5 * time.Minute)
	}
	expires := map[string]time.Duration{}
	for i, c := range fake.heard() {
		if c.Role == "target" && c.At >= expires[c.Signer] {
			t.Errorf("target was assumed at %s with %s, which had ended", c.At, c.Signer)
		}
		expires[fmt.Sprintf("ASIA-%s-%d", c.Role, i+1)] = c.At + time.Hour
	}
	if n := len(fake.heard()); n > 2*33 {
		t.Errorf("%d calls in a day for two roles", n)
	}
}

func TestRenewalHappensBehindTheBack(t *testing.T) {
	s, fake, clk := newSessions(t)
	p := s.Provider(twoHops().prefix(1))
	retrieve(t, p)
	clk.Step(44*time.Minute + 59*time.Second)
	retrieve(t, p)
	settled(t, s)
	if n := len(fake.heard()); n != 1 {
		t.Fatalf("renewed with a quarter of the life left: %d calls", n)
	}
	fake.hold = make(chan struct{})
	clk.Step(time.Second)
	s.mu.Lock()
	s.sessions[twoHops().prefix(1).Fingerprint()].grant.creds.Expires = clk.Now().Add(renewBefore + time.Second) // not yet pressing
	s.mu.Unlock()
	if creds := retrieve(t, p); creds.AccessKeyID != "ASIA-hub-1" { // hangs if it waits
		t.Errorf("got %s", creds.AccessKeyID)
	}
	close(fake.hold)
	settled(t, s)
	if creds := retrieve(t, p); creds.AccessKeyID != "ASIA-hub-2" {
		t.Errorf("got %s after the renewal", creds.AccessKeyID)
	}
}

func TestSurvivesLate(t *testing.T) {
	s, fake, clk := newSessions(t)
	chain := twoHops().prefix(1)
	p := s.Provider(chain)
	retrieve(t, p)
	fake.fail = func(string) error {
		return apiError("AccessDenied", "User: x is not authorized to perform: sts:AssumeRole")
	}

	clk.Step(50 * time.Minute)
	if creds := retrieve(t, p); creds.AccessKeyID != "ASIA-hub-1" {
		t.Errorf("got %s: the old ones were good", creds.AccessKeyID)
	}
	state := s.Session(chain)
	if !state.ExpiresAt.Equal(start.Add(time.Hour)) {
		t.Errorf("ends at %s", state.ExpiresAt)
	}
	wantError(t, state.Err, Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonAssumeRoleDenied})

	clk.Step(10 * time.Minute)
	_, err := p.Retrieve(t.Context())
	got := wantError(t, err, Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonAssumeRoleDenied})
	for _, part := range []string{"arn:aws:iam::111122223333:role/hub", "the manager's own identity", "ExternalId", "hawser aws bootstrap target"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in: %s", part, got)
		}
	}

	fake.fail = nil
	clk.Step(time.Hour)
	retrieve(t, p)
	if state := s.Session(chain); state.Err != nil {
		t.Errorf("after a success there is still %v", state.Err)
	}
}

func TestPressingRenewalIsWaitedForWithPatience(t *testing.T) {
	s, fake, clk := newSessions(t)
	p := s.Provider(twoHops().prefix(1))
	retrieve(t, p)
	clk.Step(50 * time.Minute)
	fake.hold, fake.begun = make(chan struct{}), make(chan string, 8)
	got := make(chan awssdk.Credentials)
	ask := func() {
		creds, err := p.Retrieve(t.Context())
		if err != nil {
			t.Error(err)
		}
		got <- creds
	}
	go ask()
	<-fake.begun
	for !clk.HasWaiters() {
		runtime.Gosched()
	}
	clk.Step(patience)
	if creds := <-got; creds.AccessKeyID != "ASIA-hub-1" {
		t.Errorf("got %s, want the old ones", creds.AccessKeyID)
	}
	go ask()
	for !clk.HasWaiters() {
		runtime.Gosched()
	}
	close(fake.hold)
	if creds := <-got; creds.AccessKeyID != "ASIA-hub-2" {
		t.Errorf("got %s, want the new ones", creds.AccessKeyID)
	}
}

func TestBackOff(t *testing.T) {
	tests := []struct {
		name, code, reason string
		most               int // calls in ten minutes of asking every second
	}{
		{"throttling", "Throttling", v1alpha1.ReasonThrottled, 7},
		{"denial", "AccessDenied", v1alpha1.ReasonAssumeRoleDenied, 10},
		{"trouble of AWS", "InternalFailure", v1alpha1.ReasonAWSError, 16},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, fake, clk := newSessions(t)
			fake.fail = func(string) error { return apiError(test.code, "no") }
			p := s.Provider(twoHops())
			for range 600 {
				_, err := p.Retrieve(t.Context())
				wantError(t, err, Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: test.reason})
				clk.Step(time.Second)
			}
			var gaps []time.Duration
			calls := fake.heard()
			for i, c := range calls[1:] {
				gaps = append(gaps, c.At-calls[i].At)
				if i > 0 && gaps[i] < gaps[i-1] {
					t.Errorf("the gaps shrink: %v", gaps)
				}
			}
			if len(calls) > test.most {
				t.Errorf("%d calls, want at most %d: %v", len(calls), test.most, gaps)
			}
			fake.fail = nil
			clk.Step(10 * time.Minute)
			retrieve(t, p)
		})
	}
}

func TestASourceThatFailsDoesNotHoldUpTheNextHop(t *testing.T) {
	s, fake, clk := newSessions(t)
	fake.fail = func(role string) error {
		if role == "hub" {
			return apiError("ServiceUnavailable", "later")
		}
		return nil
	}
	p := s.Provider(twoHops())
	for range 100 {
		_, _ = p.Retrieve(t.Context())
		clk.Step(time.Second)
	}
	fake.fail = nil
	clk.Step(2 * time.Minute) // the back-off of hub
	if creds := retrieve(t, p); !strings.HasPrefix(creds.AccessKeyID, "ASIA-target") {
		t.Errorf("got %s", creds.AccessKeyID)
	}
}

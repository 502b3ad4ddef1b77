package aws

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestSessionsWalkTheChain(t *testing.T) {
	s, fake, _ := newSessions(t)
	p := s.Provider(twoHops())
	if got := s.Session(twoHops()); got != (SessionState{}) {
		t.Errorf("nobody asked yet, and the state is %+v", got)
	}
	creds := retrieve(t, p)
	if creds.AccessKeyID != "ASIA-target-2" || !creds.CanExpire || !creds.Expires.Equal(start.Add(time.Hour)) {
		t.Errorf("got %s until %s", creds.AccessKeyID, creds.Expires)
	}
	retrieve(t, p)
	retrieve(t, s.Provider(twoHops()))
	retrieve(t, s.Provider(twoHops().prefix(1)))
	want := []call{{Role: "hub", Signer: "AKIDOWN", Region: "eu-north-1"}, {Role: "target", Signer: "ASIA-hub-1", Region: "eu-north-1"}}
	if diff := cmp.Diff(want, fake.heard()); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	wantState := SessionState{ARN: "arn:aws:sts::111122223333:assumed-role/target/hawser-target", AccountID: "111122223333", ExpiresAt: start.Add(time.Hour)}
	if diff := cmp.Diff(wantState, s.Session(twoHops())); diff != "" {
		t.Errorf("state (-want +got)\n%s", diff)
	}
}

func TestRegionOfSTS(t *testing.T) {
	tests := []struct{ name, own, wanted, partition, want string }{
		{"what the identity names", "eu-north-1", "us-west-2", "aws", "us-west-2"},
		{"the manager's own", "eu-north-1", "", "aws", "eu-north-1"},
		{"not the manager's own in another partition", "eu-north-1", "", "aws-cn", "cn-northwest-1"},
		{"the default one of the partition", "", "", "aws-us-gov", "us-gov-west-1"},
		{"the manager's own where the partition is not known", "cn-north-1", "", "", "cn-north-1"},
		{"the default one where nothing is known", "", "", "", "us-east-1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (&Sessions{Region: test.own}).regionFor(test.wanted, test.partition); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestOneCallIsInFlight(t *testing.T) {
	s, fake, _ := newSessions(t)
	fake.hold, fake.begun = make(chan struct{}), make(chan string, 8)
	p := s.Provider(twoHops())
	var wait sync.WaitGroup
	results := make(chan error, 50)
	for range 50 {
		wait.Go(func() {
			_, err := p.Retrieve(t.Context())
			results <- err
		})
	}
	<-fake.begun
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Retrieve(impatient)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a caller without patience got %v", err)
	}
	close(fake.hold)
	wait.Wait()
	close(results)
	for err := range results {
		if err != nil {
			t.Error(err)
		}
	}
	if got := len(fake.heard()); got != 2 {
		t.Errorf("%d calls for two roles", got)
	}
}

func TestTheCallOutlivesWhoAskedFirst(t *testing.T) {
	s, fake, _ := newSessions(t)
	fake.hold, fake.begun = make(chan struct{}), make(chan string, 8)
	p := s.Provider(twoHops().prefix(1))
	first, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := p.Retrieve(first)
		failed <- err
	}()
	<-fake.begun
	cancel()
	wantError(t, <-failed, Error{Hop: 1, Hops: 1, Ref: ours("hub"), Reason: v1alpha1.ReasonAWSUnreachable})
	close(fake.hold)
	if creds := retrieve(t, p); creds.AccessKeyID != "ASIA-hub-1" {
		t.Errorf("got %s: the first call was lost", creds.AccessKeyID)
	}
}

func TestEvict(t *testing.T) {
	s, fake, clk := newSessions(t)
	other := Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []Identity{roleIdentity("other", "111122223333", Ref{})}}
	used, unused := s.Provider(twoHops()), s.Provider(other)
	retrieve(t, used)
	retrieve(t, unused)
	clk.Step(20 * time.Minute)
	retrieve(t, used) // keeps what it is made from
	s.Evict(10 * time.Minute)
	if len(s.sessions) != 3 {
		t.Errorf("%d sessions are kept, want ground, hub and target", len(s.sessions))
	}
	retrieve(t, unused) // works again
	if n := len(fake.heard()); n != 4 {
		t.Errorf("%d calls, want one more than the three roles", n)
	}
	clk.Step(20 * time.Minute)
	s.Evict(10 * time.Minute)
	if len(s.sessions) != 0 {
		t.Errorf("%d sessions are kept that nobody uses", len(s.sessions))
	}
}

func TestCallerIdentity(t *testing.T) {
	s, fake, _ := newSessions(t)
	fake.ask = func(signer string) (string, error) {
		if signer == "AKIDOWN" {
			return "arn:aws:iam::111122223333:user/manager", nil
		}
		return "", apiError("InvalidClientTokenId", "The security token included in the request is invalid")
	}
	arn, account, err := s.CallerIdentity(t.Context(), twoHops(), 0)
	if err != nil || arn != "arn:aws:iam::111122223333:user/manager" || account != "111122223333" {
		t.Errorf("got %s, %s, %v", arn, account, err)
	}
	if got := s.Session(twoHops().prefix(0)); got.ARN != arn || got.AccountID != account {
		t.Errorf("what STS said is not remembered: %+v", got)
	}
	_, _, err = s.CallerIdentity(t.Context(), twoHops(), 1)
	wantError(t, err, Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonCredentialsInvalid})
	if _, _, err = s.CallerIdentity(t.Context(), twoHops(), 3); err == nil {
		t.Error("there is no third hop")
	}
	fake.fail = func(role string) error { return apiError("AccessDenied", "no") }
	_, _, err = s.CallerIdentity(t.Context(), twoHops(), 2)
	wantError(t, err, Error{Hop: 2, Hops: 2, Ref: ours("target"), Reason: v1alpha1.ReasonAssumeRoleDenied})
}

func TestPace(t *testing.T) {
	s, fake, clk := newSessions(t)
	s.PerSecond = 4
	var wait sync.WaitGroup
	for i := range 20 {
		chain := Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []Identity{roleIdentity(fmt.Sprint("r", i), "111122223333", Ref{})}}
		wait.Go(func() {
			if _, err := s.Provider(chain).Retrieve(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for n := 0; n < 20; n = len(fake.heard()) {
		if clk.Waiters()+n == 20 { // nobody is between the queue and STS
			clk.Step(50 * time.Millisecond)
		}
		runtime.Gosched()
	}
	wait.Wait()
	seconds := map[int]int{}
	for _, c := range fake.heard() {
		seconds[int(c.At/time.Second)]++
	}
	for second, n := range seconds {
		if n > 5 {
			t.Errorf("%d calls in second %d", n, second)
		}
	}
}

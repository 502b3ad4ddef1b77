package aws

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// call is one AssumeRole that the fake STS heard of.
type call struct {
	Role, Signer string // the name of the role, and the access key that signed
	Region       string
	At           time.Duration // since start
}

// fakeSTS counts calls and gives sessions on the injected clock. Signatures are not its business.
type fakeSTS struct {
	clock *clocktesting.FakeClock
	life  time.Duration                               // of sessions, if it is not what was asked for
	fail  func(role string) error                     // consulted at every call
	hold  chan struct{}                               // where set, calls wait for it to be closed
	begun chan string                                 // where set, told of every call
	last  *sts.AssumeRoleInput                        // of the last call
	ask   func(signer string) (arn string, err error) // GetCallerIdentity

	mu    sync.Mutex
	calls []call
	made  int
}

func (f *fakeSTS) client(region string, creds awssdk.CredentialsProvider) STSClient {
	return &fakeClient{f, region, creds}
}

func (f *fakeSTS) heard() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

type fakeClient struct {
	sts    *fakeSTS
	region string
	creds  awssdk.CredentialsProvider
}

func (c *fakeClient) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	f, now := c.sts, c.sts.clock.Now()
	signer, err := c.creds.Retrieve(ctx) // as the SDK does when it signs
	if err != nil {
		return nil, fmt.Errorf("operation error STS: AssumeRole: %w", err)
	}
	role := (*in.RoleArn)[strings.LastIndex(*in.RoleArn, "/")+1:]
	f.mu.Lock()
	f.calls = append(f.calls, call{Role: role, Signer: signer.AccessKeyID, Region: c.region, At: now.Sub(start)})
	f.made++
	key, hold, fail := fmt.Sprintf("ASIA-%s-%d", role, f.made), f.hold, f.fail
	f.last = in
	f.mu.Unlock()
	if f.begun != nil {
		f.begun <- role
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(role); err != nil {
			return nil, err
		}
	}
	life := time.Duration(*in.DurationSeconds) * time.Second
	if f.life != 0 {
		life = f.life
	}
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &ststypes.AssumedRoleUser{Arn: awssdk.String("arn:aws:sts::111122223333:assumed-role/" + role + "/" + *in.RoleSessionName)},
		Credentials: &ststypes.Credentials{
			AccessKeyId: &key, SecretAccessKey: awssdk.String("secret-of-" + key), SessionToken: awssdk.String("token-of-" + key),
			Expiration: awssdk.Time(now.Add(life)),
		},
	}, nil
}

func (c *fakeClient) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput, _ ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	signer, err := c.creds.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	arn, err := c.sts.ask(signer.AccessKeyID)
	if err != nil {
		return nil, err
	}
	return &sts.GetCallerIdentityOutput{Arn: &arn, Account: awssdk.String(accountOf(arn))}, nil
}

// apiError is an answer of STS as the SDK hands it over.
func apiError(code, message string) error {
	return &smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole", Err: &smithy.GenericAPIError{Code: code, Message: message}}
}

func ownKeys(context.Context) (awssdk.CredentialsProvider, error) {
	return awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
		return awssdk.Credentials{AccessKeyID: "AKIDOWN", SecretAccessKey: "own-secret"}, nil
	}), nil
}

// newSessions are sessions on a clock that stands still, without jitter.
func newSessions(t *testing.T) (*Sessions, *fakeSTS, *clocktesting.FakeClock) {
	t.Helper()
	clk := clocktesting.NewFakeClock(start)
	fake := &fakeSTS{clock: clk}
	return &Sessions{Clock: clk, Ground: ownKeys, STS: fake.client, Region: "eu-north-1", Jitter: func() float64 { return 0 }}, fake, clk
}

// twoHops is hub, then target.
func twoHops() Chain {
	return Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []Identity{
		roleIdentity("hub", "111122223333", Ref{}), roleIdentity("target", "444455556666", ours("hub")),
	}}
}

func retrieve(t *testing.T, p awssdk.CredentialsProvider) awssdk.Credentials {
	t.Helper()
	creds, err := p.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// settled waits until no attempt is under way: renewals happen behind the back of who asked.
func settled(t *testing.T, s *Sessions) {
	t.Helper()
	s.mu.Lock()
	var flights []chan struct{}
	for _, known := range s.sessions {
		known.mu.Lock()
		if known.flight != nil {
			flights = append(flights, known.flight)
		}
		known.mu.Unlock()
	}
	s.mu.Unlock()
	for _, flight := range flights {
		select {
		case <-flight:
		case <-time.After(10 * time.Second):
			t.Fatal("an attempt does not end")
		}
	}
}

func wantError(t *testing.T, err error, want Error) *Error {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want an *Error", err)
	}
	bare := *got
	bare.Err, bare.Repair = nil, ""
	if diff := cmp.Diff(want, bare); diff != "" {
		t.Errorf("%v (-want +got)\n%s", got, diff)
	}
	return got
}

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

func TestAssumeRoleIsAskedForWhatTheIdentitySays(t *testing.T) {
	s, fake, _ := newSessions(t)
	id := changed(roleIdentity("hub", "111122223333", Ref{}), func(id *Identity) {
		id.Role = &Role{ARN: id.Role.ARN, SessionName: "named", ExternalID: "ext", InlinePolicy: `{"a":1}`, PolicyARNs: []string{"arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"},
			Region: "us-west-2", Duration: 15 * time.Minute}
	})
	retrieve(t, s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}, Roles: []Identity{id}}))
	want := &sts.AssumeRoleInput{
		RoleArn: awssdk.String("arn:aws:iam::111122223333:role/hub"), RoleSessionName: awssdk.String("named"), ExternalId: awssdk.String("ext"), Policy: awssdk.String(`{"a":1}`),
		PolicyArns:      []ststypes.PolicyDescriptorType{{Arn: awssdk.String("arn:aws:iam::aws:policy/A")}, {Arn: awssdk.String("arn:aws:iam::aws:policy/B")}},
		DurationSeconds: awssdk.Int32(900),
	}
	if diff := cmp.Diff(want, fake.last, cmp.AllowUnexported(sts.AssumeRoleInput{}, ststypes.PolicyDescriptorType{})); diff != "" {
		t.Errorf("AssumeRole (-want +got)\n%s", diff)
	}
	if got := fake.heard()[0].Region; got != "us-west-2" {
		t.Errorf("asked the STS of %s", got)
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

func TestSessionName(t *testing.T) {
	tests := map[string]struct {
		id   Identity
		want string
	}{
		"what the identity says": {Identity{Ref: ours("a"), Role: &Role{SessionName: "s"}}, "s"},
		"by default its name":    {Identity{Ref: ours("eu.staging"), Role: &Role{}}, "hawser-eu.staging"},
		"no foreign characters":  {Identity{Ref: ours("a:b/ß"), Role: &Role{}}, "hawser-a-b-"},
		"64 characters":          {Identity{Ref: ours(strings.Repeat("x", 100)), Role: &Role{}}, "hawser-" + strings.Repeat("x", 57)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := SessionName(test.id); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

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
		if !strings.Contains(got.Message(), part) {
			t.Errorf("%q is not in: %s", part, got.Message())
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

func TestDeadSourceCredentialsAreTheFaultOfTheSource(t *testing.T) {
	s, fake, clk := newSessions(t)
	keys := staticIdentity("keys", "AKIDEXPIRED")
	static := Chain{Ground: keys, Roles: []Identity{roleIdentity("hub", "111122223333", keys.Ref)}}
	fake.fail = func(string) error {
		return apiError("ExpiredToken", "The security token included in the request is expired")
	}
	_, err := s.Provider(static).Retrieve(t.Context())
	wantError(t, err, Error{Hop: 0, Hops: 1, Ref: keys.Ref, Reason: v1alpha1.ReasonCredentialsExpired})

	// A session of ours that STS calls dead is renewed, though it is good by our clock.
	fake.fail = nil
	retrieve(t, s.Provider(twoHops()))
	clk.Step(50 * time.Minute)
	dead := "ASIA-hub-2"
	fake.fail = func(role string) error {
		if calls := fake.heard(); role == "target" && calls[len(calls)-1].Signer == dead {
			return apiError("InvalidClientTokenId", "The security token included in the request is invalid")
		}
		return nil
	}
	retrieve(t, s.Provider(twoHops()))
	settled(t, s)
	clk.Step(9 * time.Minute)
	if creds := retrieve(t, s.Provider(twoHops())); !creds.Expires.After(start.Add(time.Hour)) {
		t.Errorf("the chain did not recover: %s ends at %s", creds.AccessKeyID, creds.Expires)
	}
}

func TestSkewedSessions(t *testing.T) {
	s, fake, _ := newSessions(t)
	fake.life = -time.Minute // STS is more than an hour behind
	_, err := s.Provider(twoHops()).Retrieve(t.Context())
	wantError(t, err, Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonClockSkew})

	fake.life = 3 * time.Hour // STS is two hours ahead
	s2, fake2, _ := newSessions(t)
	fake2.life = fake.life
	if creds := retrieve(t, s2.Provider(twoHops())); !creds.Expires.Equal(start.Add(time.Hour)) {
		t.Errorf("ends at %s by our clock, want an hour from now", creds.Expires)
	}
}

func TestManagersOwnIdentity(t *testing.T) {
	s, _, clk := newSessions(t)
	asked := 0
	s.Ground = func(context.Context) (awssdk.CredentialsProvider, error) {
		asked++
		switch {
		case asked == 1:
			return nil, errors.New("no EC2 IMDS role found")
		case asked == 2:
			return credentialsOf(awssdk.Credentials{AccessKeyID: "OLD", SecretAccessKey: "s", CanExpire: true, Expires: clk.Now().Add(-time.Second)}), nil
		}
		return credentialsOf(awssdk.Credentials{AccessKeyID: fmt.Sprintf("OWN%d", asked), SecretAccessKey: "s", CanExpire: true, Expires: clk.Now().Add(6 * time.Hour), AccountID: "111122223333"}), nil
	}
	own := Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}}
	p := s.Provider(own)
	_, err := s.Provider(twoHops()).Retrieve(t.Context())
	got := wantError(t, err, Error{Hop: 0, Hops: 2, Reason: v1alpha1.ReasonNoAWSCredentials})
	if want := "before hop 1 of 2, the manager's own identity: finding AWS credentials: no EC2 IMDS role found"; got.Error() != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !strings.Contains(got.Message(), "IRSA") {
		t.Errorf("no repair: %s", got.Message())
	}
	clk.Step(time.Minute)
	_, err = p.Retrieve(t.Context())
	wantError(t, err, Error{Reason: v1alpha1.ReasonCredentialsExpired})
	clk.Step(time.Minute)
	if creds := retrieve(t, p); creds.AccessKeyID != "OWN3" {
		t.Errorf("got %s", creds.AccessKeyID)
	}
	if state := s.Session(own); state.AccountID != "111122223333" {
		t.Errorf("state %+v", state)
	}
	clk.Step(5 * time.Hour)
	retrieve(t, p)
	settled(t, s)
	if creds := retrieve(t, p); creds.AccessKeyID != "OWN4" {
		t.Errorf("got %s", creds.AccessKeyID)
	}
}

func credentialsOf(creds awssdk.Credentials) awssdk.CredentialsProvider {
	return awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return creds, nil })
}

// TestOwnIdentityThatEndsSoonIsNotAskedForAllTheTime is an agent that hands out the same credentials until they end.
func TestOwnIdentityThatEndsSoonIsNotAskedForAllTheTime(t *testing.T) {
	s, _, clk := newSessions(t)
	asked := 0
	s.Ground = func(context.Context) (awssdk.CredentialsProvider, error) {
		asked++
		return credentialsOf(awssdk.Credentials{AccessKeyID: "OWN", SecretAccessKey: "s", CanExpire: true, Expires: start.Add(10 * time.Minute)}), nil
	}
	p := s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}})
	for range 590 {
		retrieve(t, p)
		settled(t, s)
		clk.Step(time.Second)
	}
	if asked > 10 {
		t.Errorf("asked %d times in ten minutes", asked)
	}
}

func TestKeysOfTheManagerAreReadAgain(t *testing.T) {
	s, _, clk := newSessions(t)
	asked := 0
	own := s.Ground
	s.Ground = func(ctx context.Context) (awssdk.CredentialsProvider, error) { asked++; return own(ctx) }
	p := s.Provider(Chain{Ground: Identity{Type: v1alpha1.AWSControllerIdentity}})
	for range 5 {
		retrieve(t, p)
		settled(t, s)
		clk.Step(61 * time.Minute)
	}
	if asked != 5 {
		t.Errorf("asked %d times in five hours", asked)
	}
}

func TestStaticKeysAreHandedOutAsTheyAre(t *testing.T) {
	s, fake, clk := newSessions(t)
	keys := staticIdentity("keys", "AKID")
	keys.Keys.SessionToken = credential.NewSecret("token")
	p := s.Provider(Chain{Ground: keys})
	for range 3 {
		creds := retrieve(t, p)
		if creds.AccessKeyID != "AKID" || creds.SecretAccessKey != "secret-of-AKID" || creds.SessionToken != "token" || creds.CanExpire {
			t.Errorf("got %s, expiring %t", creds.AccessKeyID, creds.CanExpire)
		}
		clk.Step(24 * time.Hour)
	}
	if len(fake.heard()) != 0 {
		t.Error("nobody has to be asked for static keys")
	}
}

func TestManagersRegionTellsItsPartition(t *testing.T) {
	s, fake, _ := newSessions(t)
	chain := twoHops()
	for i := range chain.Roles {
		chain.Roles[i] = changed(chain.Roles[i], func(id *Identity) { id.Role.ARN = strings.Replace(id.Role.ARN, "arn:aws:", "arn:aws-cn:", 1) })
	}
	_, err := s.Provider(chain).Retrieve(t.Context())
	wantError(t, err, Error{Hop: 1, Hops: 2, Ref: ours("hub"), Reason: v1alpha1.ReasonCrossPartition})
	if len(fake.heard()) != 0 {
		t.Error("AWS was asked for what it does not do")
	}
	s2, fake2, _ := newSessions(t)
	s2.Region = ""
	retrieve(t, s2.Provider(chain))
	if got := fake2.heard()[0].Region; got != "cn-northwest-1" {
		t.Errorf("asked the STS of %s", got)
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

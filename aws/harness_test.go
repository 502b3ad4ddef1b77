package aws

import (
	"context"
	"errors"
	"fmt"
	"os"
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
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestMain fails where an attempt outlives the tests: each has a deadline of its own.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(10 * time.Second); code == 0; {
		stacks := make([]byte, 1<<20)
		if stacks = stacks[:runtime.Stack(stacks, true)]; !strings.Contains(string(stacks), "aws.(*session).begin") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "an attempt to obtain credentials is still under way:\n%s\n", stacks)
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}

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

// wantError compares an error but for its words, which it returns.
func wantError(t *testing.T, err error, want Error) (message string) {
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
	return got.Message()
}

package awstest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

func TestThrottleCountsDown(t *testing.T) {
	w := newWorld(t)
	other := w.target.Role("other", awstest.Trust{Principals: []string{w.user.ARN()}})
	w.user.Allow("sts:AssumeRole")
	w.Throttle("AssumeRole", 2, w.role.ARN())
	var got []string
	for range 3 {
		_, err := w.assume(t, w.user.Keys(), other, nil)
		got = append(got, "other "+code(err))
		_, err = w.assume(t, w.user.Keys(), w.role, fleetID)
		got = append(got, "role "+code(err))
	}
	want := []string{"other ", "role Throttling", "other ", "role Throttling", "other ", "role "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got)\n%s", diff)
	}
}

func TestFaultsEndWhenTheyAreHealed(t *testing.T) {
	w := newWorld(t)
	for name, begin := range map[string]func() func(){
		"denial": func() func() { return w.Deny("*") },
		"drop":   func() func() { return w.Drop("GetCallerIdentity") },
		"failure": func() func() {
			return w.Fail("GetCallerIdentity", -1, awstest.Failure{Status: 503, Code: "ServiceUnavailable"})
		},
	} {
		heal := begin()
		for range 2 {
			if _, err := w.whoami(t, w.user.Keys()); err == nil {
				t.Errorf("%s: got an answer", name)
			}
		}
		heal()
		heal() // once more does nothing
		if _, err := w.whoami(t, w.user.Keys()); err != nil {
			t.Errorf("%s, healed: %v", name, err)
		}
		begin()
		w.Heal()
		if _, err := w.whoami(t, w.user.Keys()); err != nil {
			t.Errorf("%s, all healed: %v", name, err)
		}
	}
}

func TestHangingRequests(t *testing.T) {
	w := newWorld(t)
	heal := w.Hang("GetCallerIdentity")
	client := w.STS(region, static(w.user.Keys()))
	ask := func(ctx context.Context) <-chan error {
		answer := make(chan error, 1)
		go func() {
			_, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			answer <- err
		}()
		return answer
	}
	hanging := func(n int) {
		t.Helper()
		fleettest.Eventually(t, 30*time.Second, func() error {
			if got := w.InFlight("GetCallerIdentity"); got != n {
				return errors.New("the requests have not come")
			}
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	impatient, patient := ask(ctx), ask(t.Context())
	hanging(2)
	cancel()
	if err := <-impatient; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	hanging(1)
	heal()
	if err := <-patient; err != nil {
		t.Errorf("healed: %v", err)
	}
	w.Hang("*")
	forgotten := ask(t.Context())
	hanging(1)
	w.Close() // does not wait for it
	if err := <-forgotten; err == nil {
		t.Error("a request that hung got an answer from a closed server")
	}
}

func TestCallsAreRecordedByIdentity(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	creds := w.mustAssume(t, w.user.Keys(), w.role, fleetID)
	w.step(time.Minute)
	_, _ = w.describe(t, creds, "alpha")
	caller := "arn:aws:sts::444455556666:assumed-role/hawser/test"
	want := []awstest.Call{
		{Time: start, Service: "sts", Op: "AssumeRole", Region: region, Caller: w.user.ARN(), Account: hubID, Resource: w.role.ARN(), Done: true},
		{Time: start.Add(time.Minute), Service: "eks", Op: "DescribeCluster", Region: region, Caller: caller, Account: targetID,
			Resource: cluster.ARN(), Code: "AccessDenied", Done: true},
	}
	if diff := cmp.Diff(want, w.Calls()); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
	w.ResetCalls()
	if got := w.Calls(); got != nil {
		t.Errorf("after a reset: %+v", got)
	}
}

func TestTheDefaultChainComesHere(t *testing.T) {
	s := awstest.Start(t, awstest.Options{})
	account := s.Account(hubID)
	role := account.Role("manager", awstest.Trust{})
	role.Allow("eks:ListClusters")
	s.Setenv(t, role.Session("pod", time.Hour))
	loaded, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	who, err := sts.NewFromConfig(loaded).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::111122223333:assumed-role/manager/pod" {
		t.Errorf("is %v (%v), want the manager", who, err)
	}
	if _, err := eks.NewFromConfig(loaded).ListClusters(t.Context(), &eks.ListClustersInput{}); err != nil {
		t.Error(err)
	}
}

func TestTheSDKCorrectsAClockThatIsWrong(t *testing.T) {
	s := awstest.Start(t, awstest.Options{})
	s.Setenv(t, s.Account(hubID).User("bootstrapper").Keys())
	s.SkewClock(20 * time.Minute)
	loaded, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sts.NewFromConfig(loaded).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Errorf("the SDK learns the time from the Date of a refusal, got %v", err)
	}
	var codes []string
	for _, c := range s.Calls() {
		codes = append(codes, c.Code)
	}
	if want := []string{"SignatureDoesNotMatch", ""}; !cmp.Equal(want, codes) {
		t.Errorf("answers %q, want a refusal and a success", codes)
	}
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	cluster := w.target.EKS(region, "alpha", awstest.EKSOptions{})
	cluster.Entry(w.role.ARN(), nil, "")
	admin := w.admin()
	w.Throttle("AssumeRole", 3)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				creds, err := w.assume(t, w.user.Keys(), w.role, fleetID)
				if err != nil && !strings.Contains(err.Error(), "Throttling") {
					t.Error(err)
				}
				_, _ = w.describe(t, admin, "alpha")
				_, _ = cluster.Review(token(t, creds, "alpha", start, nil))
				cluster.SetTags(map[string]string{"a": "b"})
				cluster.Entries()
				w.role.Sessions()
				w.ExpireSessions(w.role)
				w.Calls()
			}
		})
	}
	group.Wait()
	throttled := 0
	for _, c := range w.CallsOf("AssumeRole") {
		if c.Code == "Throttling" {
			throttled++
		}
	}
	if throttled != 3 {
		t.Errorf("%d calls were throttled, want 3", throttled)
	}
}

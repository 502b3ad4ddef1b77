package eks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/eks"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/awstest"
)

const (
	account = "111122223333"
	region  = "eu-north-1"
)

// world is an EKS cluster that knows a role, and a source of tokens for it.
type world struct {
	*awstest.Server
	clock   *clocktesting.FakeClock
	role    *awstest.Role
	cluster *awstest.Cluster
	source  *eks.Source
	ca      []byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC))
	w := &world{Server: awstest.Start(t, awstest.Options{Clock: clock}), clock: clock, ca: fleettest.ForeignCA(t).PEM()}
	own := w.Account(account)
	pod := own.Role("manager", awstest.Trust{Services: []string{"pods.eks.amazonaws.com"}})
	w.role = own.Role("member", awstest.Trust{Principals: []string{pod.ARN()}})
	w.cluster = own.EKS(region, "prod", awstest.EKSOptions{Server: "https://eks.example", CA: w.ca})
	w.cluster.Entry(w.role.ARN(), []string{v1alpha1.MembersGroup}, "")
	keys := pod.Session("pod", time.Hour)
	member := aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: "member"}
	w.source = &eks.Source{
		Cluster: "prod", Region: region, Clock: clock, Token: member,
		Resolve: func(ctx context.Context, ref aws.Ref) (aws.Chain, error) {
			return aws.Resolve(ctx, reader{member: {Version: "1", Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: w.role.ARN()}}}, ref, aws.Namespace{})
		},
		Sessions: &aws.Sessions{
			Clock: clock,
			Ground: func(context.Context) (awssdk.CredentialsProvider, error) {
				return credentials.StaticCredentialsProvider{Value: keys}, nil
			},
			STS: func(region string, creds awssdk.CredentialsProvider) aws.STSClient { return w.STS(region, creds) },
		},
		Clusters: aws.Clusters{API: func(region string, creds awssdk.CredentialsProvider) aws.EKSClient { return w.EKS(region, creds) }},
	}
	return w
}

// reader knows some identities.
type reader map[aws.Ref]aws.Identity

func (r reader) Identity(_ context.Context, ref aws.Ref) (aws.Identity, error) {
	id, ok := r[ref]
	if !ok {
		return id, &aws.Error{Ref: ref, Reason: v1alpha1.ReasonIdentityNotFound, Err: errors.New("it does not exist")}
	}
	return id, nil
}

func (w *world) obtain(t *testing.T) credential.Credential {
	t.Helper()
	list, err := w.source.Obtain(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("obtaining a token: %d, %v", len(list), err)
	}
	return list[0]
}

func reasonOf(err error) string {
	var in *credential.InputError
	if errors.As(err, &in) {
		return in.Reason
	}
	return ""
}

func TestATokenIsGoodFor14MinutesAndRenewedAfter10(t *testing.T) {
	w := newWorld(t)
	c := w.obtain(t)
	if got := c.ExpiresAt.Sub(w.clock.Now()); got != 14*time.Minute {
		t.Errorf("it is good for %s", got)
	}
	if at, ok := c.RenewAt(0.5); !ok || at.Sub(w.clock.Now()).Round(time.Second) != 10*time.Minute {
		t.Errorf("it is renewed after %s", at.Sub(w.clock.Now()))
	}
	if who, err := w.cluster.Review(c.Token.Reveal()); err != nil || !cmp.Equal(who.Groups, []string{v1alpha1.MembersGroup}) {
		t.Errorf("the cluster knows %v, %v", who, err)
	}
	w.clock.Step(10 * time.Minute)
	next, err := w.source.Renew(t.Context(), c, nil)
	if err != nil || next.Equal(c) || next.Origin != c.Origin {
		t.Errorf("the next token: %v, another: %v, of the same origin: %v", err, !next.Equal(c), next.Origin == c.Origin)
	}
	if n := len(w.CallsOf("AssumeRole")); n != 1 {
		t.Errorf("the role was assumed %d times", n)
	}
}

func TestATokenEndsWithItsSession(t *testing.T) {
	w := newWorld(t)
	w.obtain(t)
	w.Hang("AssumeRole") // the session cannot be renewed, and is used to its end
	w.clock.Step(54 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody waits for STS
	list, err := w.source.Obtain(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := list[0].ExpiresAt.Sub(w.clock.Now()); got != 6*time.Minute {
		t.Errorf("it is good for %s", got)
	}
	if at, _ := list[0].RenewAt(0.5); at.Sub(w.clock.Now()) > 5*time.Minute {
		t.Errorf("it is renewed after %s", at.Sub(w.clock.Now()))
	}
}

func TestAnotherAccountIsRefusedWhereEKSMayBeAsked(t *testing.T) {
	w := newWorld(t)
	w.source.AccountID = "999988887777"
	w.obtain(t) // nobody may ask
	w.source.API = &w.source.Token
	w.obtain(t) // it may ask, and is denied
	w.role.Allow("eks:DescribeCluster")
	w.clock.Step(12 * time.Minute)
	if _, err := w.source.Obtain(t.Context()); reasonOf(err) != v1alpha1.ReasonAccountMismatch {
		t.Errorf("got %v", err)
	}
	w.source.AccountID = account
	w.obtain(t)
	if n := len(w.CallsOf("DescribeCluster")); n != 2 {
		t.Errorf("EKS was asked %d times", n)
	}
}

func TestATokenIsBoundToWhatEKSVouchesFor(t *testing.T) {
	w := newWorld(t)
	earlier := &credential.Binding{Server: "https://earlier"}
	w.source.Binding = earlier
	first := w.obtain(t)
	if first.Binding != earlier {
		t.Errorf("it is bound to %+v, want where it was proved before the restart", first.Binding)
	}
	w.role.Allow("eks:DescribeCluster")
	w.source.API = &w.source.Token
	c := w.obtain(t)
	if c.Binding == nil || c.Binding.Server != "https://eks.example" || c.Origin == first.Origin {
		t.Errorf("it is bound to %+v, of another origin: %v", c.Binding, c.Origin != first.Origin)
	}
	described := credential.Endpoint{Server: "https://eks.example", CAData: w.ca}
	if !c.Binding.Admits(described, credential.RootSums(described.CAData)) || c.Binding.Admits(credential.Endpoint{Server: "https://stranger"}, []string{"x"}) {
		t.Error("it admits others than what EKS describes")
	}
}

func TestATokenThatGrowsFromSomethingElseStaysBound(t *testing.T) {
	w := newWorld(t)
	first := w.obtain(t)
	proved := &credential.Binding{Server: "https://eks.example"}
	first.Binding = proved
	if err := w.source.Keep(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.source.Cluster = "prod-2" // as a changed identity, it makes another origin
	if next := w.obtain(t); next.Origin == first.Origin || next.Binding != proved {
		t.Errorf("of another origin: %v, bound to %+v", next.Origin != first.Origin, next.Binding)
	}
}

func TestAFirstTokenWaitsForEKSWhereItMayBeAsked(t *testing.T) {
	w := newWorld(t)
	w.role.Allow("eks:DescribeCluster")
	w.source.API = &w.source.Token
	w.Throttle("DescribeCluster", 1)
	if _, err := w.source.Obtain(t.Context()); reasonOf(err) != v1alpha1.ReasonThrottled {
		t.Errorf("the account and the CA are not known yet: %v", err)
	}
	w.clock.Step(30 * time.Second)
	w.obtain(t)
	w.Throttle("DescribeCluster", 1)
	w.clock.Step(11 * time.Minute)
	w.obtain(t) // what EKS said before still counts
}

func TestManyRefusalsAskEKSOnce(t *testing.T) {
	w := newWorld(t)
	w.role.Allow("eks:DescribeCluster")
	w.source.API = &w.source.Token
	w.obtain(t)
	for range 5 {
		_ = w.source.Explain(t.Context(), credential.ErrRefused)
		w.clock.Step(10 * time.Second)
	}
	if n := len(w.CallsOf("DescribeCluster")); n != 1 {
		t.Errorf("EKS was asked %d times", n)
	}
}

func TestARefusalIsExplained(t *testing.T) {
	cases := map[string]struct {
		arrange func(*world)
		reason  string
		message string
	}{
		"EKS may not be asked": {func(w *world) { w.source.API = nil }, v1alpha1.ReasonRefused, "another name"},
		"no entry":             {func(*world) {}, v1alpha1.ReasonAccessEntryMissing, "hawser aws grant"},
		"CONFIG_MAP mode":      {func(w *world) { w.cluster.SetAuthenticationMode("CONFIG_MAP") }, v1alpha1.ReasonAuthModeConfigMap, "API_AND_CONFIG_MAP"},
		"a cluster that goes":  {func(w *world) { w.cluster.SetStatus("DELETING") }, v1alpha1.ReasonEKSClusterNotActive, "DELETING"},
		"another name":         {func(w *world) { w.source.Cluster = "test" }, v1alpha1.ReasonEKSClusterNotFound, "clusterName"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.role.Allow("eks:DescribeCluster")
			w.source.API = &w.source.Token
			c.arrange(w)
			err := w.source.Explain(t.Context(), credential.ErrRefused)
			if reasonOf(err) != c.reason || !errors.Is(err, credential.ErrRefused) || !strings.Contains(err.Error(), c.message) {
				t.Errorf("got %s: %v", reasonOf(err), err)
			}
		})
	}
}

func TestABrokenLinkKeepsItsReason(t *testing.T) {
	w := newWorld(t)
	w.source.Token = aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: "missing"}
	if _, err := w.source.Obtain(t.Context()); reasonOf(err) != v1alpha1.ReasonIdentityNotFound || !strings.Contains(err.Error(), `AWSIdentity "missing"`) {
		t.Errorf("got %v", err)
	}
}

package aws_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/internal/awstest"
)

const (
	hubID    = "111122223333"
	targetID = "444455556666"
	region   = "eu-north-1"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is an AWS that verifies, with the manager's user and a role hub in one account, and a role
// target in another, which trusts hub with an external id.
type world struct {
	*awstest.Server
	clock       *clocktesting.FakeClock
	user        *awstest.User
	hub, target *awstest.Role
	cluster     *awstest.Cluster
	sessions    *aws.Sessions
	clusters    aws.Clusters
	ids         map[aws.Ref]aws.Identity
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clk := clocktesting.NewFakeClock(start)
	w := &world{Server: awstest.Start(t, awstest.Options{Clock: clk, Region: region}), clock: clk}
	hub, target := w.Account(hubID), w.Account(targetID)
	w.user = hub.User("manager")
	w.hub = hub.Role("hub", awstest.Trust{Principals: []string{w.user.ARN()}})
	w.target = target.Role("target", awstest.Trust{Principals: []string{w.hub.ARN()}, ExternalID: "fleet"})
	w.hub.Allow("sts:AssumeRole", w.target.ARN())
	w.cluster = target.EKS(region, "checkout", awstest.EKSOptions{})
	w.cluster.Entry(w.target.ARN(), []string{"hawser-members"}, "")
	w.Setenv(t, w.user.Keys())

	cfg, err := aws.LoadConfig(t.Context(), clk)
	if err != nil {
		t.Fatal(err)
	}
	// Without jitter a renewal is always waited for, and not under way while the clock leaps.
	w.sessions = &aws.Sessions{Clock: clk, Region: region, STS: aws.STSFrom(cfg), Jitter: func() float64 { return 0 }}
	w.clusters = aws.Clusters{API: aws.EKSFrom(cfg)}
	w.ids = map[aws.Ref]aws.Identity{
		ours("hub"):    {Version: "1", Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: w.hub.ARN()}},
		ours("target"): {Version: "1", Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: w.target.ARN(), ExternalID: "fleet"}, Source: ours("hub")},
	}
	return w
}

func ours(name string) aws.Ref { return aws.Ref{Kind: v1alpha1.KindAWSIdentity, Name: name} }

// Identity implements aws.Reader.
func (w *world) Identity(_ context.Context, ref aws.Ref) (aws.Identity, error) {
	id, ok := w.ids[ref]
	if !ok {
		return aws.Identity{}, &aws.Error{Reason: v1alpha1.ReasonIdentityNotFound, Err: errors.New("it does not exist")}
	}
	return id, nil
}

// change changes an identity as an edit of its object does.
func (w *world) change(name string, change func(*aws.Identity)) {
	id := w.ids[ours(name)]
	if id.Role != nil {
		role := *id.Role
		id.Role = &role
	}
	change(&id)
	id.Version += "+"
	w.ids[ours(name)] = id
}

func (w *world) chain(t *testing.T, name string) aws.Chain {
	t.Helper()
	chain, err := aws.Resolve(t.Context(), w, ours(name), aws.Namespace{})
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func (w *world) provider(t *testing.T, name string) awssdk.CredentialsProvider {
	t.Helper()
	return w.sessions.Provider(w.chain(t, name))
}

// user that the cluster takes a new token for.
func (w *world) review(t *testing.T, name string) (username string, err error) {
	t.Helper()
	token, err := aws.NewToken(t.Context(), w.provider(t, name), region, "checkout", w.clock.Now())
	if err != nil {
		return "", err
	}
	info, err := w.cluster.Review(token.Value.Reveal())
	return info.Username, err
}

// broken says where a chain has to be broken, and returns the words.
func broken(t *testing.T, err error, hop, hops int, ref aws.Ref, reason string) (message string) {
	t.Helper()
	var got *aws.Error
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want an *aws.Error", err)
	}
	if got.Hop != hop || got.Hops != hops || got.Ref != ref || got.Reason != reason {
		t.Errorf("got hop %d of %d, %s, %s: %v\nwant hop %d of %d, %s, %s", got.Hop, got.Hops, got.Ref, got.Reason, got, hop, hops, ref, reason)
	}
	return got.Message()
}

func TestTwoHopsAcrossAccounts(t *testing.T) {
	w := newWorld(t)
	w.change("target", func(id *aws.Identity) {
		id.Role.SessionName = "prod"
		id.Role.InlinePolicy = `{"Version":"2012-10-17","Statement":[]}`
		id.Role.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}
		id.Role.Duration = 15 * time.Minute
	})
	name, err := w.review(t, "target")
	if err != nil || name != "arn:aws:sts::444455556666:assumed-role/target/prod" {
		t.Errorf("the cluster takes the token for %q, %v", name, err)
	}
	want := []awstest.Session{{ARN: name, Name: "prod", Issued: start, Expires: start.Add(15 * time.Minute), Chained: true, ExternalID: "fleet",
		Policy: `{"Version":"2012-10-17","Statement":[]}`, PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}}}
	if diff := cmp.Diff(want, w.target.Sessions()); diff != "" {
		t.Errorf("sessions (-want +got)\n%s", diff)
	}
	if got := w.hub.Sessions(); len(got) != 1 || got[0].Name != "hawser-hub" || got[0].Expires != start.Add(time.Hour) {
		t.Errorf("sessions of hub: %+v", got)
	}
	state := w.sessions.Session(w.chain(t, "target"))
	if state.ARN != name || state.AccountID != targetID || !state.ExpiresAt.Equal(start.Add(15*time.Minute)) || state.Err != nil {
		t.Errorf("state %+v", state)
	}
	for hop, want := range []string{w.user.ARN(), "arn:aws:sts::111122223333:assumed-role/hub/hawser-hub", name} {
		arn, account, err := w.sessions.CallerIdentity(t.Context(), w.chain(t, "target"), hop)
		if err != nil || arn != want || !strings.Contains(arn, account) {
			t.Errorf("hop %d is %s in %s, %v; want %s", hop, arn, account, err, want)
		}
	}
	if n := len(w.CallsOf("AssumeRole")); n != 2 {
		t.Errorf("%d roles were assumed, want each once", n)
	}
}

// TestTokensForADay is the trap of frozen sources, on a server that knows when sessions end.
func TestTokensForADay(t *testing.T) {
	w := newWorld(t)
	for range 24 * 6 {
		if _, err := w.review(t, "target"); err != nil {
			t.Fatalf("after %s: %v", w.clock.Since(start), err)
		}
		w.clock.Step(10 * time.Minute)
	}
	if n := len(w.CallsOf("AssumeRole")); n > 2*37 {
		t.Errorf("%d calls in a day", n)
	}
}

func TestFirstFailingHop(t *testing.T) {
	const denied = v1alpha1.ReasonAssumeRoleDenied
	tests := []struct {
		name  string
		spoil func(t *testing.T, w *world)
		hop   int
		ref   aws.Ref
		want  string // reason
		text  string // in the message
	}{
		{"the external id is wrong", func(_ *testing.T, w *world) {
			w.change("target", func(id *aws.Identity) { id.Role.ExternalID = "other" })
		}, 2, ours("target"), denied, "ExternalId"},
		{"the external id is missing", func(_ *testing.T, w *world) { w.change("target", func(id *aws.Identity) { id.Role.ExternalID = "" }) }, 2, ours("target"), denied,
			"admit arn:aws:sts::111122223333:assumed-role/hub/hawser-hub"},
		{"the role is missing", func(_ *testing.T, w *world) { w.target.Delete() }, 2, ours("target"), denied, "see that the role exists"},
		{"the trust is missing", func(_ *testing.T, w *world) { w.target.SetTrust(awstest.Trust{Principals: []string{w.user.ARN()}}) }, 2, ours("target"), denied, "trust policy of role arn:aws:iam::444455556666:role/target"},
		{"the permission is missing", func(_ *testing.T, w *world) { w.hub.RemovePolicies() }, 2, ours("target"), denied, "allow sts:AssumeRole"},
		{"the first trust is missing", func(_ *testing.T, w *world) { w.hub.SetTrust(awstest.Trust{Services: []string{"ec2.amazonaws.com"}}) }, 1, ours("hub"), denied, "role/hub"},
		{"the trusted role was made anew", func(_ *testing.T, w *world) {
			w.hub.Delete()
			w.Account(hubID).Role("hub", awstest.Trust{Principals: []string{w.user.ARN()}}).Allow("sts:AssumeRole", w.target.ARN())
		}, 2, ours("target"), denied, "trust policy"},
		{"the manager's keys are inactive", func(_ *testing.T, w *world) { w.user.Disable() }, 0, aws.Ref{}, v1alpha1.ReasonCredentialsInvalid, "InvalidClientTokenId"},
		{"a clock that is slow", func(_ *testing.T, w *world) { w.SkewClock(20 * time.Minute) }, 1, ours("hub"), v1alpha1.ReasonClockSkew, "Set the clock"},
		{"a clock that is fast", func(_ *testing.T, w *world) { w.SkewClock(-20 * time.Minute) }, 1, ours("hub"), v1alpha1.ReasonClockSkew, "Set the clock"},
		{"the region is off", func(_ *testing.T, w *world) { w.DisableRegion(region) }, 1, ours("hub"), v1alpha1.ReasonRegionDisabled, "role.region"},
		{"the second region is off", func(_ *testing.T, w *world) {
			w.DisableRegion("ap-south-2")
			w.change("target", func(id *aws.Identity) { id.Role.Region = "ap-south-2" })
		}, 2, ours("target"), v1alpha1.ReasonRegionDisabled, "ap-south-2"},
		{"STS asks for less", func(_ *testing.T, w *world) { w.Throttle("AssumeRole", 1, w.target.ARN()) }, 2, ours("target"), v1alpha1.ReasonThrottled, "Rate exceeded"},
		{"STS hangs up", func(_ *testing.T, w *world) { w.Drop("AssumeRole", w.target.ARN()) }, 2, ours("target"), v1alpha1.ReasonAWSUnreachable, "EOF"},
		{"a session that is longer than the role allows", func(_ *testing.T, w *world) {
			w.ids[ours("keys")] = staticKeys(w.user.Keys())
			w.change("hub", func(id *aws.Identity) { id.Source, id.Role.Duration = ours("keys"), 2*time.Hour })
		}, 1, ours("hub"), v1alpha1.ReasonDurationTooLong, "MaxSessionDuration"},
		{"a policy that is none", func(_ *testing.T, w *world) { w.change("hub", func(id *aws.Identity) { id.Role.InlinePolicy = "{]}" }) }, 1, ours("hub"), v1alpha1.ReasonSpecInvalid, "inlinePolicy"},
		{"static keys that have ended", func(_ *testing.T, w *world) {
			keys := w.user.SessionKeys(time.Hour)
			w.clock.Step(2 * time.Hour)
			w.ids[ours("keys")] = staticKeys(keys)
			w.change("hub", func(id *aws.Identity) { id.Source = ours("keys") })
		}, 0, ours("keys"), v1alpha1.ReasonCredentialsExpired, "Secret of the static identity"},
		{"static keys with a wrong secret", func(_ *testing.T, w *world) {
			keys := w.user.Keys()
			keys.SecretAccessKey = "not-the-secret"
			w.ids[ours("keys")] = staticKeys(keys)
			w.change("hub", func(id *aws.Identity) { id.Source = ours("keys") })
		}, 0, ours("keys"), v1alpha1.ReasonCredentialsInvalid, "secret access key"},
		{"the manager has no credentials", func(t *testing.T, w *world) { w.Setenv(t, awssdk.Credentials{}) }, 0, aws.Ref{}, v1alpha1.ReasonNoAWSCredentials, "IRSA"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.spoil(t, w)
			_, err := w.review(t, "target")
			got := broken(t, err, test.hop, 2, test.ref, test.want)
			if !strings.Contains(got, test.text) {
				t.Errorf("%q is not in: %s", test.text, got)
			}
			if test.hop == 2 {
				if _, err := w.provider(t, "hub").Retrieve(t.Context()); err != nil {
					t.Errorf("the first hop is not broken: %v", err)
				}
			}
			again := len(w.Calls())
			_, err = w.review(t, "target")
			broken(t, err, test.hop, 2, test.ref, test.want)
			if asked := len(w.Calls()) - again; asked > 0 {
				t.Errorf("AWS was asked %d times again before the back-off was over", asked)
			}
			for _, secret := range []string{w.user.Keys().SecretAccessKey, "not-the-secret"} {
				if strings.Contains(got, secret) {
					t.Errorf("the message holds a secret: %s", got)
				}
			}
		})
	}
}

func staticKeys(keys awssdk.Credentials) aws.Identity {
	return aws.Identity{Version: "1", Type: v1alpha1.AWSStaticIdentity, Keys: &aws.Keys{
		AccessKeyID: keys.AccessKeyID, SecretAccessKey: credential.NewSecret(keys.SecretAccessKey), SessionToken: credential.NewSecret(keys.SessionToken),
	}}
}

func TestThrottlingIsBackedOff(t *testing.T) {
	w := newWorld(t)
	w.Throttle("AssumeRole", 3)
	asked := 0
	for ; asked < 120; asked++ {
		if _, err := w.review(t, "target"); err == nil {
			break
		}
		w.clock.Step(time.Second)
	}
	var gaps []time.Duration
	calls := w.CallsOf("AssumeRole")
	for i := range calls[1:] {
		gaps = append(gaps, calls[i+1].Time.Sub(calls[i].Time))
	}
	if len(calls) != 5 || gaps[0] < 5*time.Second || gaps[1] < 10*time.Second || gaps[2] < 20*time.Second {
		t.Errorf("calls at distances of %v", gaps)
	}
}

func TestSessionsSurviveAnOutage(t *testing.T) {
	w := newWorld(t)
	if _, err := w.review(t, "target"); err != nil {
		t.Fatal(err)
	}
	heal := w.Fail("AssumeRole", -1, awstest.Failure{Status: 400, Code: "InternalFailure", Message: "x"})
	for range 11 {
		w.clock.Step(5 * time.Minute)
		if _, err := w.review(t, "target"); err != nil {
			t.Fatalf("after %s: %v", w.clock.Since(start), err)
		}
	}
	if w.sessions.Session(w.chain(t, "target")).Err == nil {
		t.Error("the failed renewal is not told")
	}
	w.clock.Step(6 * time.Minute)
	_, err := w.review(t, "target")
	broken(t, err, 1, 2, ours("hub"), v1alpha1.ReasonAWSError)
	heal()
	w.clock.Step(2 * time.Minute)
	if _, err := w.review(t, "target"); err != nil {
		t.Error(err)
	}
}

func TestSessionsThatAWSEndedAreReplaced(t *testing.T) {
	w := newWorld(t)
	if _, err := w.review(t, "target"); err != nil {
		t.Fatal(err)
	}
	w.clock.Step(10 * time.Minute)
	w.ExpireSessions(w.hub)
	w.change("target", func(*aws.Identity) {}) // its next session has to be made from hub's, which is dead
	_, err := w.review(t, "target")
	broken(t, err, 1, 2, ours("hub"), v1alpha1.ReasonCredentialsExpired)
	w.clock.Step(time.Minute)
	if _, err := w.review(t, "target"); err != nil {
		t.Error(err)
	}
}

func TestAHangingSTSHoldsUpNobodyElse(t *testing.T) {
	w := newWorld(t)
	heal := w.Hang("AssumeRole", w.target.ARN())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := w.provider(t, "target").Retrieve(ctx)
	broken(t, err, 2, 2, ours("target"), v1alpha1.ReasonAWSUnreachable)
	if _, err := w.provider(t, "hub").Retrieve(t.Context()); err != nil {
		t.Error(err)
	}
	heal()
	if _, err := w.provider(t, "target").Retrieve(t.Context()); err != nil {
		t.Errorf("the call that hung is not used: %v", err)
	}
}

func TestTokenOfAnotherClusterIsRefused(t *testing.T) {
	w := newWorld(t)
	token, err := aws.NewToken(t.Context(), w.provider(t, "target"), region, "payments", w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.cluster.Review(token.Value.Reveal()); err == nil {
		t.Error("a token for payments came in at checkout")
	}
}

func TestClustersOfAnAccount(t *testing.T) {
	w := newWorld(t)
	api := w.provider(t, "target")
	_, err := w.clusters.Describe(t.Context(), api, region, "checkout")
	got := broken(t, err, 0, 0, ours("target"), v1alpha1.ReasonEKSDenied)
	if !strings.Contains(got, `describing EKS cluster "checkout" in eu-north-1: AccessDeniedException`) || !strings.Contains(got, "eks:DescribeCluster") {
		t.Errorf("got %s", got)
	}
	w.target.Allow("eks:*")
	cluster, err := w.clusters.Describe(t.Context(), api, region, "checkout")
	if err != nil || cluster.AccountID != targetID || cluster.Status != "ACTIVE" || cluster.AuthenticationMode != "API" {
		t.Errorf("got %+v, %v", cluster, err)
	}
	_, err = w.clusters.Describe(t.Context(), api, region, "nothing")
	broken(t, err, 0, 0, ours("target"), v1alpha1.ReasonEKSClusterNotFound)
	w.Account(targetID).EKS(region, "payments", awstest.EKSOptions{Status: "CREATING"})
	names, err := w.clusters.List(t.Context(), api, region)
	if diff := cmp.Diff([]string{"checkout", "payments"}, names); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if cluster, err = w.clusters.Describe(t.Context(), api, region, "payments"); err != nil || cluster.Active() || cluster.Server != "" || cluster.CAData != nil {
		t.Errorf("a cluster that is being made: %+v, %v", cluster, err)
	}
	w.Throttle("ListClusters", 1)
	_, err = w.clusters.List(t.Context(), api, region)
	broken(t, err, 0, 0, ours("target"), v1alpha1.ReasonThrottled)
	w.SkewClock(20 * time.Minute)
	_, err = w.clusters.List(t.Context(), api, region)
	broken(t, err, 0, 0, ours("target"), v1alpha1.ReasonClockSkew)
}

func TestOtherPartitions(t *testing.T) {
	for _, test := range []struct{ partition, region string }{{"aws-cn", "cn-north-1"}, {"aws-us-gov", "us-gov-west-1"}, {"aws-eusc", "eusc-de-east-1"}} {
		t.Run(test.partition, func(t *testing.T) {
			w := newWorld(t)
			account := w.AccountIn(test.partition, "777788889999")
			user := account.User("manager")
			role := account.Role("target", awstest.Trust{Principals: []string{user.ARN()}})
			cluster := account.EKS(test.region, "checkout", awstest.EKSOptions{})
			cluster.Entry(role.ARN(), nil, "")
			w.ids[ours("keys")] = staticKeys(user.Keys())
			w.ids[ours("there")] = aws.Identity{Type: v1alpha1.AWSRoleIdentity, Role: &aws.Role{ARN: role.ARN()}, Source: ours("keys")}
			token, err := aws.NewToken(t.Context(), w.provider(t, "there"), test.region, "checkout", w.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cluster.Review(token.Value.Reveal()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestIRSA lets the SDK's default chain take a web identity, as a pod does.
func TestIRSA(t *testing.T) {
	w := newWorld(t)
	issuer := newIssuer(t)
	account := w.Account(hubID)
	manager := account.Role("manager", awstest.Trust{Federated: []awstest.Federated{{Issuer: issuer.url, Subject: "system:serviceaccount:hawser:hawser-manager", Audience: "sts.amazonaws.com"}}})
	manager.Allow("sts:AssumeRole", w.target.ARN())
	w.hub.SetTrust(awstest.Trust{Principals: []string{manager.ARN()}})
	tokenFile := filepath.Join(t.TempDir(), "token")
	w.Setenv(t, awssdk.Credentials{})
	t.Setenv("AWS_ROLE_ARN", manager.ARN())
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", tokenFile)

	_, err := w.review(t, "target")
	broken(t, err, 0, 2, aws.Ref{}, v1alpha1.ReasonNoAWSCredentials)

	issuer.write(t, tokenFile, "system:serviceaccount:hawser:hawser-manager", start)
	w.clock.Step(time.Minute)
	_, err = w.review(t, "target")
	got := broken(t, err, 0, 2, aws.Ref{}, v1alpha1.ReasonCredentialsInvalid)
	if !strings.Contains(got, "OIDC provider") {
		t.Errorf("got %s", got)
	}

	account.OIDCProvider(issuer.url, issuer.ca, "sts.amazonaws.com")
	issuer.write(t, tokenFile, "system:serviceaccount:default:thief", start)
	w.clock.Step(time.Minute)
	_, err = w.review(t, "target")
	broken(t, err, 0, 2, aws.Ref{}, v1alpha1.ReasonAssumeRoleDenied)

	issuer.write(t, tokenFile, "system:serviceaccount:hawser:hawser-manager", start.Add(-24*time.Hour))
	w.clock.Step(time.Minute)
	_, err = w.review(t, "target")
	broken(t, err, 0, 2, aws.Ref{}, v1alpha1.ReasonCredentialsExpired)

	issuer.write(t, tokenFile, "system:serviceaccount:hawser:hawser-manager", w.clock.Now())
	w.clock.Step(5 * time.Minute)
	if _, err := w.review(t, "target"); err != nil {
		t.Error(err)
	}
}

// issuer is an OIDC issuer with one key.
type issuer struct {
	url string
	ca  []byte
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	answer := func(path string, v any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) })
	}
	answer("/.well-known/openid-configuration", map[string]any{"issuer": server.URL, "jwks_uri": server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	answer("/keys", map[string]any{"keys": []map[string]string{{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())}}})
	return &issuer{url: server.URL, key: key, ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
}

// write writes a token that is good for an hour.
func (i *issuer) write(t *testing.T, file, subject string, issued time.Time) {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"iss": i.url, "sub": subject, "aud": []string{"sts.amazonaws.com"}, "iat": issued.Unix(), "exp": issued.Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s.%s", text, base64.RawURLEncoding.EncodeToString(signature)), 0o600); err != nil {
		t.Fatal(err)
	}
}

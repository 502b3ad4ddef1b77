package eksinventory

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdkeks "github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/inventory/eks"
)

// api is an EKS whose accounts are the access key IDs of their credentials. What it answers depends on
// the account, region and cluster: a name is enough for a cluster, unless a failure is given for it.
type api struct {
	clusters map[string][]string // by account/region
	failures map[string]error    // by account/region or account/region/cluster
	mu       sync.Mutex
	asked    []string
}

func (a *api) client(region string, creds awssdk.CredentialsProvider) aws.EKSClient {
	return apiClient{a, region, creds}
}

type apiClient struct {
	api    *api
	region string
	creds  awssdk.CredentialsProvider
}

var errHangs = &smithy.GenericAPIError{Code: "hangs"}

func (c apiClient) ask(ctx context.Context, name string) (place string, err error) {
	creds, err := c.creds.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	place = creds.AccessKeyID + "/" + c.region
	key := strings.TrimSuffix(place+"/"+name, "/")
	c.api.mu.Lock()
	c.api.asked = append(c.api.asked, key)
	c.api.mu.Unlock()
	if errors.Is(c.api.failures[key], errHangs) {
		<-ctx.Done()
		return place, ctx.Err()
	}
	return place, c.api.failures[key]
}

func (c apiClient) ListClusters(ctx context.Context, _ *sdkeks.ListClustersInput, _ ...func(*sdkeks.Options)) (*sdkeks.ListClustersOutput, error) {
	place, err := c.ask(ctx, "")
	if err != nil {
		return nil, &smithy.OperationError{ServiceID: "EKS", OperationName: "ListClusters", Err: err}
	}
	return &sdkeks.ListClustersOutput{Clusters: c.api.clusters[place]}, nil
}

func (c apiClient) DescribeCluster(ctx context.Context, in *sdkeks.DescribeClusterInput, _ ...func(*sdkeks.Options)) (*sdkeks.DescribeClusterOutput, error) {
	if _, err := c.ask(ctx, *in.Name); err != nil {
		return nil, &smithy.OperationError{ServiceID: "EKS", OperationName: "DescribeCluster", Err: err}
	}
	return &sdkeks.DescribeClusterOutput{Cluster: &ekstypes.Cluster{
		Name: in.Name, Arn: awssdk.String("arn:aws:eks:" + c.region + ":111111111111:cluster/" + *in.Name), Status: ekstypes.ClusterStatusCreating,
	}}, nil
}

// identities are static keys, whose ID is the name of the identity.
type identities struct{}

func (identities) Identity(_ context.Context, ref aws.Ref) (aws.Identity, error) {
	if ref.Name == "missing" {
		return aws.Identity{}, &aws.Error{Ref: ref, Reason: v1alpha1.ReasonIdentityNotFound, Err: errors.New("it does not exist")}
	}
	keys, err := aws.KeysOf(map[string][]byte{aws.AccessKeyIDKey: []byte(ref.Name), aws.SecretAccessKeyKey: []byte("hush")})
	return aws.Identity{Ref: ref, Version: "1", Type: v1alpha1.AWSStaticIdentity, Keys: keys}, err
}

// whoami is an STS that takes keys for the account of their name.
type whoami struct {
	aws.STSClient
	creds awssdk.CredentialsProvider
}

func (w whoami) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput, _ ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	creds, err := w.creds.Retrieve(ctx)
	return &sts.GetCallerIdentityOutput{Account: &creds.AccessKeyID, Arn: awssdk.String("arn:aws:iam::" + creds.AccessKeyID + ":user/x")}, err
}

func specOf(regions []string, accounts ...string) v1alpha1.EKSInventorySpec {
	spec := v1alpha1.EKSInventorySpec{Regions: regions}
	for _, a := range accounts {
		spec.Accounts = append(spec.Accounts, v1alpha1.EKSAccount{IdentityRef: &v1alpha1.AWSIdentityRef{Name: a}})
	}
	return spec
}

// answered is an answer in short.
func answered(a eks.Answer) string {
	text := a.Account.IdentityRef.Name + "/" + a.Region
	if a.Complete {
		text += " complete"
	}
	text += " [" + strings.Join(a.Names, " ") + "]"
	for _, c := range a.Clusters {
		text += " +" + c.Name
	}
	for _, g := range a.Gaps {
		text += " -" + g.Reason
		if strings.Contains(g.Message, "not asked about") {
			text += "(more)"
		}
	}
	return text
}

func failure(code string) error { return &smithy.GenericAPIError{Code: code} }

func TestWhatALookBringsBack(t *testing.T) {
	cases := []struct {
		name     string
		spec     v1alpha1.EKSInventorySpec
		failures map[string]error
		want     []string
	}{
		{"answers come in the order of the spec", specOf([]string{"r1", "r2"}, "a", "b"), nil,
			[]string{"a/r1 complete [x y z] +x +y +z", "a/r2 complete []", "b/r1 complete [x] +x", "b/r2 complete []"}},
		{"an identity that is missing is one gap, whatever the number of regions", specOf([]string{"r1", "r2"}, "missing", "b"), nil,
			[]string{"missing/ [] -IdentityNotFound", "b/r1 complete [x] +x", "b/r2 complete []"}},
		{"a region that fails", specOf([]string{"r1", "r2"}, "a"), map[string]error{"a/r1": failure("AccessDeniedException")},
			[]string{"a/r1 [] -EKSDenied", "a/r2 complete []"}},
		{"a cluster that may not be described does not hide the next", specOf([]string{"r1"}, "a"), map[string]error{"a/r1/y": failure("AccessDeniedException")},
			[]string{"a/r1 complete [x y z] +x +z -EKSDenied"}},
		{"a cluster that went between two questions is not there", specOf([]string{"r1"}, "a"), map[string]error{"a/r1/y": failure("ResourceNotFoundException")},
			[]string{"a/r1 complete [x z] +x +z"}},
		{"who is throttled stops asking", specOf([]string{"r1"}, "a"), map[string]error{"a/r1/x": failure("ThrottlingException")},
			[]string{"a/r1 complete [x y z] -Throttled(more)"}},
		{"a cluster whose description never comes is given up", specOf([]string{"r1"}, "b"), map[string]error{"b/r1/x": errHangs},
			[]string{"b/r1 complete [x] -AWSUnreachable"}},
		{"a region that hangs is asked by two accounts and no more", specOf([]string{"r1", "r2"}, "a", "b", "c", "d"),
			map[string]error{"a/r1": errHangs, "b/r1": errHangs, "c/r1": errHangs, "d/r1": errHangs},
			[]string{"a/r1 [] -AWSUnreachable", "a/r2 complete []", "b/r1 [] -AWSUnreachable", "b/r2 complete []",
				"c/r1 [] -AWSUnreachable(more)", "c/r2 complete []", "d/r1 [] -AWSUnreachable(more)", "d/r2 complete []"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a := &api{clusters: map[string][]string{"a/r1": {"x", "y", "z"}, "b/r1": {"x"}}, failures: tc.failures}
			sessions := &aws.Sessions{STS: func(_ string, creds awssdk.CredentialsProvider) aws.STSClient { return whoami{creds: creds} }}
			l := look{identities: identities{}, sessions: sessions, clusters: aws.Clusters{API: a.client}, spec: tc.spec, timeout: 100 * time.Millisecond, parallel: 1}
			var got []string
			for _, answer := range l.run(t.Context()) {
				got = append(got, answered(answer))
				if answer.Region != "" && answer.AccountID != answer.Account.IdentityRef.Name {
					t.Errorf("%s is taken for account %q", answer.Account.IdentityRef.Name, answer.AccountID)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the answers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoMoreCallsAreMadeAtATimeThanAllowed(t *testing.T) {
	var mu sync.Mutex
	running, most, ran := 0, 0, map[int]bool{}
	each(3, 20, func(i int) {
		mu.Lock()
		running++
		most = max(most, running)
		ran[i] = true
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		running--
		mu.Unlock()
	})
	if most > 3 || len(ran) != 20 {
		t.Errorf("%d ran at a time, and %d in all", most, len(ran))
	}
}

func TestPausesBetweenLooks(t *testing.T) {
	hour := v1alpha1.EKSInventorySpec{Interval: &metav1.Duration{Duration: time.Hour}}
	cases := []struct {
		name       string
		spec       v1alpha1.EKSInventorySpec
		incomplete int
		jitter     float64
		want       time.Duration
	}{
		{"the default", v1alpha1.EKSInventorySpec{}, 0, 0, 10 * time.Minute},
		{"the interval of the spec", hour, 0, 0, time.Hour},
		{"a tenth less by jitter", hour, 0, 1, 54 * time.Minute},
		{"sooner while something is missing", hour, 1, 0, time.Minute},
		{"less and less often", hour, 4, 0, 8 * time.Minute},
		{"never later than the interval", hour, 9, 0, time.Hour},
		{"for however long", hour, 1000, 0, time.Hour},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got := pause(tc.spec, tc.incomplete, tc.jitter); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

package eks

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"sigs.k8s.io/aws-iam-authenticator/pkg/token"

	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/internal/awstest"
)

const (
	clusterName = "checkout"
	accountID   = "444455556666"
)

// place is a partition with a region of it.
type place struct{ partition, region string }

// places are all partitions that the authenticator knows, some with more than one region.
var places = []place{
	{"aws", "us-east-1"}, {"aws", "eu-north-1"}, {"aws", "ap-southeast-7"}, {"aws", "mx-central-1"},
	{"aws-cn", "cn-north-1"}, {"aws-cn", "cn-northwest-1"},
	{"aws-us-gov", "us-gov-west-1"}, {"aws-us-gov", "us-gov-east-1"},
	{"aws-iso", "us-iso-east-1"}, {"aws-iso", "us-iso-west-1"},
	{"aws-iso-b", "us-isob-east-1"}, {"aws-iso-e", "eu-isoe-west-1"}, {"aws-iso-f", "us-isof-south-1"},
	{"aws-eusc", "eusc-de-east-1"},
}

// world is an AWS with a role that a cluster lets in, and the two who judge tokens for that cluster: the
// authenticator, whose requests to STS are answered here, and our own server.
type world struct {
	place
	*awstest.Server
	role    *awstest.Role
	user    *awstest.User
	cluster *awstest.Cluster
	judge   token.Verifier
}

func newWorld(t *testing.T, p place) *world {
	t.Helper()
	server := awstest.Start(t, awstest.Options{Region: p.region})
	account := server.AccountIn(p.partition, accountID)
	w := &world{place: p, Server: server, user: account.User("manager")}
	w.role = account.Role("members/hawser", awstest.Trust{Principals: []string{w.user.ARN()}})
	w.cluster = account.EKS(p.region, clusterName, awstest.EKSOptions{})
	w.cluster.Entry(w.role.ARN(), []string{"hawser-members"}, "")
	w.cluster.Entry(w.user.ARN(), []string{"hawser-members"}, "")
	// The client of the authenticator's verifier has no transport of its own: it takes the default one.
	before := http.DefaultTransport
	http.DefaultTransport = server.Transport()
	t.Cleanup(func() { http.DefaultTransport = before })
	w.judge = token.NewVerifier(clusterName, p.partition, p.region)
	return w
}

func provider(creds awssdk.Credentials) awssdk.CredentialsProvider {
	return awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) { return creds, nil })
}

// ours is a token that we make.
func (w *world) ours(t *testing.T, creds awssdk.Credentials, cluster string, at time.Time) string {
	t.Helper()
	made, err := aws.NewToken(t.Context(), provider(creds), w.region, cluster, at)
	if err != nil {
		t.Fatal(err)
	}
	return made.Value.Reveal()
}

// request is the presigned request that a token holds.
func request(t *testing.T, token string) *url.URL {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// encoded is a token that holds a presigned request.
func encoded(request string) string {
	return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(request))
}

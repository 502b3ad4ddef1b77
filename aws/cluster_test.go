package aws

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// fakeEKS answers one DescribeCluster, and ListClusters by pages.
type fakeEKS struct {
	cluster *ekstypes.Cluster
	pages   [][]string
	err     error
}

func (f *fakeEKS) DescribeCluster(context.Context, *eks.DescribeClusterInput, ...func(*eks.Options)) (*eks.DescribeClusterOutput, error) {
	return &eks.DescribeClusterOutput{Cluster: f.cluster}, f.err
}

func (f *fakeEKS) ListClusters(_ context.Context, in *eks.ListClustersInput, _ ...func(*eks.Options)) (*eks.ListClustersOutput, error) {
	if f.err != nil {
		return nil, f.err
	}
	page := len(awssdk.ToString(in.NextToken))
	out := &eks.ListClustersOutput{Clusters: f.pages[page]}
	if page+1 < len(f.pages) {
		out.NextToken = awssdk.String("xxxxxxxx"[:page+1])
	}
	return out, nil
}

func (f *fakeEKS) clusters() Clusters {
	return Clusters{API: func(string, awssdk.CredentialsProvider) EKSClient { return f }}
}

func caPEM(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestDescribe(t *testing.T) {
	ca := caPEM(t)
	tests := []struct {
		name string
		in   ekstypes.Cluster
		want Cluster
	}{
		{"an active cluster", ekstypes.Cluster{
			Name: awssdk.String("checkout"), Arn: awssdk.String("arn:aws:eks:eu-north-1:444455556666:cluster/checkout"),
			Endpoint: awssdk.String("https://ABC.gr7.eu-north-1.eks.amazonaws.com"), Version: awssdk.String("1.34"), Status: ekstypes.ClusterStatusActive,
			CertificateAuthority: &ekstypes.Certificate{Data: awssdk.String(base64.StdEncoding.EncodeToString(ca))},
			AccessConfig:         &ekstypes.AccessConfigResponse{AuthenticationMode: ekstypes.AuthenticationModeApi},
			Identity:             &ekstypes.Identity{Oidc: &ekstypes.OIDC{Issuer: awssdk.String("https://oidc.eks.eu-north-1.amazonaws.com/id/ABC")}},
			ResourcesVpcConfig:   &ekstypes.VpcConfigResponse{EndpointPublicAccess: true}, Tags: map[string]string{"env": "staging"},
		}, Cluster{
			Name: "checkout", ARN: "arn:aws:eks:eu-north-1:444455556666:cluster/checkout", AccountID: "444455556666", Region: "eu-north-1",
			Server: "https://ABC.gr7.eu-north-1.eks.amazonaws.com", CAData: ca, Version: "1.34", Status: "ACTIVE", AuthenticationMode: "API",
			Tags: map[string]string{"env": "staging"}, Issuer: "https://oidc.eks.eu-north-1.amazonaws.com/id/ABC", PublicAccess: true,
		}},
		{"a cluster that is being made has neither address nor CA", ekstypes.Cluster{
			Name: awssdk.String("checkout"), Arn: awssdk.String("arn:aws-cn:eks:cn-north-1:444455556666:cluster/checkout"), Status: ekstypes.ClusterStatusCreating,
			CertificateAuthority: &ekstypes.Certificate{}, AccessConfig: &ekstypes.AccessConfigResponse{AuthenticationMode: ekstypes.AuthenticationModeApiAndConfigMap},
		}, Cluster{Name: "checkout", ARN: "arn:aws-cn:eks:cn-north-1:444455556666:cluster/checkout", AccountID: "444455556666", Region: "eu-north-1", Status: "CREATING", AuthenticationMode: "API_AND_CONFIG_MAP"}},
		{"a cluster that says nothing of its mode has the old one", ekstypes.Cluster{Status: ekstypes.ClusterStatusUpdating}, Cluster{Region: "eu-north-1", Status: "UPDATING", AuthenticationMode: "CONFIG_MAP"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := (&fakeEKS{cluster: &test.in}).clusters().Describe(t.Context(), nil, "eu-north-1", "checkout")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.Active() != (test.want.Status != "CREATING") || got.UsesAccessEntries() != (test.want.AuthenticationMode != "CONFIG_MAP") {
				t.Errorf("active %t, access entries %t", got.Active(), got.UsesAccessEntries())
			}
		})
	}
}

func TestDescribeFails(t *testing.T) {
	s, _, _ := newSessions(t)
	api := s.Provider(twoHops())
	denied := &Error{Hop: 2, Hops: 2, Ref: ours("target"), Reason: v1alpha1.ReasonAssumeRoleDenied, Err: errors.New("x")}
	tests := []struct {
		name string
		eks  fakeEKS
		want Error
		text string
	}{
		{"the cluster is not there", fakeEKS{err: answered("EKS", "DescribeCluster", "ResourceNotFoundException", "No cluster found for name: checkout.")},
			Error{Ref: ours("target"), Reason: v1alpha1.ReasonEKSClusterNotFound}, `AWSIdentity "target": describing EKS cluster "checkout" in eu-north-1: ResourceNotFoundException: No cluster found for name: checkout.`},
		{"the API says no", fakeEKS{err: answered("EKS", "DescribeCluster", "AccessDeniedException", "no")},
			Error{Ref: ours("target"), Reason: v1alpha1.ReasonEKSDenied}, `AWSIdentity "target": describing EKS cluster "checkout" in eu-north-1: AccessDeniedException: no`},
		{"a hop of the chain broke", fakeEKS{err: denied}, Error{Hop: 2, Hops: 2, Ref: ours("target"), Reason: v1alpha1.ReasonAssumeRoleDenied}, `hop 2 of 2, AWSIdentity "target": x`},
		{"there is no cluster in the answer", fakeEKS{}, Error{Ref: ours("target"), Reason: v1alpha1.ReasonAWSError}, `AWSIdentity "target": describing EKS cluster "checkout" in eu-north-1: the answer is empty`},
		{"the CA is no base64", fakeEKS{cluster: &ekstypes.Cluster{CertificateAuthority: &ekstypes.Certificate{Data: awssdk.String("%")}}},
			Error{Ref: ours("target"), Reason: v1alpha1.ReasonAWSError}, `AWSIdentity "target": describing EKS cluster "checkout" in eu-north-1: its certificate authority is no base64 of PEM certificates`},
		{"the CA is no certificate", fakeEKS{cluster: &ekstypes.Cluster{CertificateAuthority: &ekstypes.Certificate{Data: awssdk.String("aGk=")}}},
			Error{Ref: ours("target"), Reason: v1alpha1.ReasonAWSError}, `AWSIdentity "target": describing EKS cluster "checkout" in eu-north-1: its certificate authority is no base64 of PEM certificates`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.eks.clusters().Describe(t.Context(), api, "eu-north-1", "checkout")
			if got := wantError(t, err, test.want); !strings.HasPrefix(got, test.text) {
				t.Errorf("got  %s\nwant %s", got, test.text)
			}
		})
	}
}

func TestList(t *testing.T) {
	got, err := (&fakeEKS{pages: [][]string{{"a", "b"}, {"c"}, {}}}).clusters().List(t.Context(), nil, "eu-north-1")
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	_, err = (&fakeEKS{err: answered("EKS", "ListClusters", "ThrottlingException", "Rate exceeded")}).clusters().List(t.Context(), nil, "eu-north-1")
	wantError(t, err, Error{Reason: v1alpha1.ReasonThrottled})
}

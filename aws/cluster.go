package aws

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	ekstypes "github.com/aws/aws-sdk-go-v2/service/eks/types"
	"k8s.io/utils/clock"
)

// Cluster is what the EKS API says about a cluster. Server and CAData are empty while it is being made.
type Cluster struct {
	Name, ARN, AccountID, Region string
	Server                       string // https://…
	CAData                       []byte // PEM
	Version                      string // of Kubernetes: 1.34
	Status                       string // CREATING, ACTIVE, UPDATING, DELETING, FAILED, PENDING
	AuthenticationMode           string // API, API_AND_CONFIG_MAP, CONFIG_MAP
	Tags                         map[string]string
	Issuer                       string // of its service accounts' tokens
	PublicAccess, PrivateAccess  bool
}

// Active reports whether the cluster has an API server that answers.
func (c Cluster) Active() bool {
	return c.Status == string(ekstypes.ClusterStatusActive) || c.Status == string(ekstypes.ClusterStatusUpdating)
}

// UsesAccessEntries reports whether access entries count for the cluster.
func (c Cluster) UsesAccessEntries() bool {
	return c.AuthenticationMode != string(ekstypes.AuthenticationModeConfigMap)
}

// Clusters asks the EKS API.
type Clusters struct {
	// API makes clients, with EKSFrom. Nil reads the environment anew for each call, which is for
	// commands that ask once.
	API func(region string, creds awssdk.CredentialsProvider) EKSClient
}

// Describe says what EKS knows about a cluster. Its errors are *Errors: EKSClusterNotFound, EKSDenied,
// Throttled, those of the credentials, and others.
func (c Clusters) Describe(ctx context.Context, creds awssdk.CredentialsProvider, region, name string) (Cluster, error) {
	api, err := c.client(ctx, region, creds)
	if err != nil {
		return Cluster{}, err
	}
	answer, err := api.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: awssdk.String(name)})
	if err != nil {
		return Cluster{}, eksError(creds, err, "describing EKS cluster %q in %s", name, region)
	}
	cluster, err := clusterOf(answer.Cluster, region)
	if err != nil {
		return Cluster{}, eksError(creds, err, "describing EKS cluster %q in %s", name, region)
	}
	return cluster, nil
}

// List names the clusters of the account and region. Its errors are those of Describe.
func (c Clusters) List(ctx context.Context, creds awssdk.CredentialsProvider, region string) ([]string, error) {
	api, err := c.client(ctx, region, creds)
	if err != nil {
		return nil, err
	}
	var names []string
	pages := eks.NewListClustersPaginator(api, &eks.ListClustersInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, eksError(creds, err, "listing the EKS clusters of %s", region)
		}
		names = append(names, page.Clusters...)
	}
	return names, nil
}

func (c Clusters) client(ctx context.Context, region string, creds awssdk.CredentialsProvider) (EKSClient, error) {
	if c.API != nil {
		return c.API(region, creds), nil
	}
	cfg, err := LoadConfig(ctx, clock.RealClock{})
	if err != nil {
		return nil, AsError(ProviderRef(creds), err)
	}
	return EKSFrom(cfg)(region, creds), nil
}

// eksError passes on what the credentials reported, and says what the EKS API means otherwise.
func eksError(creds awssdk.CredentialsProvider, err error, format string, args ...any) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return AsError(ProviderRef(creds), err).doing(format, args...)
}

func clusterOf(c *ekstypes.Cluster, region string) (Cluster, error) {
	if c == nil {
		return Cluster{}, errors.New("the answer is empty")
	}
	cluster := Cluster{
		Name:               awssdk.ToString(c.Name),
		ARN:                awssdk.ToString(c.Arn),
		AccountID:          accountOf(awssdk.ToString(c.Arn)),
		Region:             region,
		Server:             awssdk.ToString(c.Endpoint),
		Version:            awssdk.ToString(c.Version),
		Status:             string(c.Status),
		AuthenticationMode: string(ekstypes.AuthenticationModeConfigMap), // what clusters had before there was a choice
		Tags:               c.Tags,
	}
	if c.AccessConfig != nil && c.AccessConfig.AuthenticationMode != "" {
		cluster.AuthenticationMode = string(c.AccessConfig.AuthenticationMode)
	}
	if c.Identity != nil && c.Identity.Oidc != nil {
		cluster.Issuer = awssdk.ToString(c.Identity.Oidc.Issuer)
	}
	if vpc := c.ResourcesVpcConfig; vpc != nil {
		cluster.PublicAccess, cluster.PrivateAccess = vpc.EndpointPublicAccess, vpc.EndpointPrivateAccess
	}
	if c.CertificateAuthority == nil || awssdk.ToString(c.CertificateAuthority.Data) == "" {
		return cluster, nil
	}
	ca, err := base64.StdEncoding.DecodeString(*c.CertificateAuthority.Data)
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return Cluster{}, errors.New("its certificate authority is no base64 of PEM certificates")
	}
	cluster.CAData = ca
	return cluster, nil
}

package aws

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
)

const (
	// tokenPrefix, clusterHeader and maxToken are those of aws-iam-authenticator (pkg/token/token.go).
	tokenPrefix   = "k8s-aws-v1."
	clusterHeader = "X-K8s-Aws-Id"
	maxToken      = 4096 // bytes
	// tokenLife is a minute less than a presigned GetCallerIdentity is good for. The
	// X-Amz-Expires that the verifier asks for does not change that.
	tokenLife = 14 * time.Minute
	// emptyPayload is the SHA-256 of nothing, in hex.
	emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Token is what an EKS cluster takes for the identity that made it: a presigned request to STS, which
// the cluster sends there.
type Token struct {
	Value     credential.Secret
	ExpiresAt time.Time
}

// tokenSigner keeps the keys that it derives for a day and region.
var tokenSigner = v4.NewSigner()

// NewToken makes a token for the EKS cluster of the given name. The name is signed for: another
// cluster refuses the token, unless it has the same name. The token ends after 14 minutes, or with the
// credentials. Nothing is asked of AWS beyond what the provider asks; its errors are passed on.
func NewToken(ctx context.Context, creds awssdk.CredentialsProvider, region, clusterName string, now time.Time) (Token, error) {
	host, err := TokenHost(region)
	if err != nil {
		return Token{}, err
	}
	signer, err := creds.Retrieve(ctx)
	if err != nil {
		return Token{}, err
	}
	expires := now.Add(tokenLife)
	if signer.CanExpire && signer.Expires.Before(expires) {
		expires = signer.Expires
	}
	if !expires.After(now) {
		return Token{}, &Error{Ref: ProviderRef(creds), Reason: v1alpha1.ReasonCredentialsExpired, Err: fmt.Errorf("making a token for EKS cluster %q: the credentials have ended", clusterName)}
	}
	request := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "https", Host: host, Path: "/", RawQuery: "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60"},
		Host:   host,
		Header: http.Header{clusterHeader: {clusterName}},
	}).WithContext(ctx)
	signed, _, err := tokenSigner.PresignHTTP(ctx, signer, request, emptyPayload, "sts", region, now)
	if err != nil {
		return Token{}, fmt.Errorf("signing a token for EKS cluster %q: %w", clusterName, err)
	}
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(signed))
	if len(token) > maxToken {
		return Token{}, &Error{Ref: ProviderRef(creds), Reason: v1alpha1.ReasonAWSError,
			Repair: "shorten inlinePolicy, name fewer policyARNs, or drop session tags: AWS packs them into the session token",
			Err:    fmt.Errorf("making a token for EKS cluster %q: it has %d bytes, and EKS reads %d", clusterName, len(token), maxToken)}
	}
	return Token{Value: credential.NewSecret(token), ExpiresAt: expires}, nil
}

var (
	regionForm = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`)
	tokenHosts sync.Map // by region, which an API field of that form names
)

// TokenHost is the host of the regional STS, as the SDK computes it. No environment variable moves it:
// a token that is signed for another host is one that EKS refuses.
func TokenHost(region string) (string, error) {
	if host, ok := tokenHosts.Load(region); ok {
		return host.(string), nil
	}
	if !regionForm.MatchString(region) {
		return "", fmt.Errorf("computing the host of STS: %q is no region", region)
	}
	endpoint, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), sts.EndpointParameters{ //nolint:forbidigo // it computes, and waits for nothing
		Region:            awssdk.String(region),
		UseDualStack:      awssdk.Bool(false),
		UseFIPS:           awssdk.Bool(false),
		UseGlobalEndpoint: awssdk.Bool(false),
	})
	if err != nil {
		return "", fmt.Errorf("computing the host of STS in %s: %w", region, err)
	}
	tokenHosts.Store(region, endpoint.URI.Host)
	return endpoint.URI.Host, nil
}

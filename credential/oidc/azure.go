package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
)

// Azure is Microsoft Entra ID, by workload identity: the pod's projected token
// (AZURE_FEDERATED_TOKEN_FILE) is shown to the authority (AZURE_AUTHORITY_HOST), as the workload identity
// webhook sets them, and to nobody else.
type Azure struct {
	// TenantID and ClientID of the application. By default AZURE_TENANT_ID and AZURE_CLIENT_ID.
	TenantID, ClientID string
	// Scope of the token, which decides its audience: AKSScope, or one of Scopes.
	Scope string
	// Scopes that the operator allows besides, by no object. Whoever writes a RemoteCluster decides who is shown the
	// token, so one for Azure itself, or for a vault, would be theirs.
	Scopes []string
	// Transport of the requests to the authority. Nil means the SDK's.
	Transport policy.Transporter
	Clock     clock.PassiveClock
}

// AKSScope is that of tokens for AKS with Microsoft Entra ID, which mean something to its API servers only.
const AKSScope = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"

// AzureScopesFromEnvironment are the scopes in HAWSER_AZURE_SCOPES, with commas or spaces between them.
func AzureScopesFromEnvironment() []string {
	return strings.FieldsFunc(os.Getenv("HAWSER_AZURE_SCOPES"), func(r rune) bool { return r == ',' || r == ' ' })
}

// Token implements Tokens. Audience and lifetime are Entra's to decide. Each is made anew: the SDK would
// hand out the last one until shortly before its end.
func (a Azure) Token(ctx context.Context, _ string, _ time.Duration) (credential.Credential, error) {
	if a.Scope != AKSScope && !slices.Contains(a.Scopes, a.Scope) {
		return credential.Credential{}, credential.InvalidInput("the scope %q is not that of AKS (%s): the operator of the manager has to allow it, in the environment variable HAWSER_AZURE_SCOPES", a.Scope, AKSScope)
	}
	federated, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions:            azcore.ClientOptions{Transport: a.Transport, Retry: policy.RetryOptions{MaxRetries: -1}}, // the Renewer tries again
		ClientID:                 a.ClientID,
		TenantID:                 a.TenantID,
		DisableInstanceDiscovery: !publicAuthority(os.Getenv("AZURE_AUTHORITY_HOST")),
	})
	if err != nil {
		return credential.Credential{}, fmt.Errorf("asking Microsoft Entra ID for a token: %w", err)
	}
	token, err := federated.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{a.Scope}})
	if err != nil {
		return credential.Credential{}, fmt.Errorf("asking Microsoft Entra ID for a token: %w", brief(err))
	}
	c := remaining(token.Token, a.Clock.Now())
	if !token.ExpiresOn.IsZero() && (c.ExpiresAt.IsZero() || token.ExpiresOn.Before(c.ExpiresAt)) {
		c.ExpiresAt = token.ExpiresOn.UTC()
	}
	return c, nil
}

// Fingerprint implements Tokens.
func (a Azure) Fingerprint() string { return fingerprint("azure", a.TenantID, a.ClientID, a.Scope) }

// publicAuthority reports whether an authority is one that Microsoft's instance discovery knows. It is asked
// about no other, since it is not reachable from where others are used.
func publicAuthority(host string) bool {
	if host == "" {
		return true
	}
	u, err := url.Parse(host)
	return err == nil && slices.Contains([]string{"login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}, u.Hostname())
}

// brief is an error of the SDK without the whole HTTP response that it quotes.
func brief(err error) error {
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if !ok || failed.RawResponse == nil {
		return err
	}
	text := fmt.Sprintf("it answered %d", failed.RawResponse.StatusCode)
	// The code of the fault (AADSTS70021 and the like) is what people look for; what follows it may quote the assertion.
	if _, after, found := strings.Cut(err.Error(), "AADSTS"); found {
		if code := leadingDigits(after); code != "" {
			text += ": AADSTS" + code
		}
	}
	return errors.New(text)
}

func leadingDigits(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	return text[:min(end, 12)]
}

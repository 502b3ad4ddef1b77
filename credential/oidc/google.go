package oidc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/trust/exchange"
)

// GoogleEndpoints are where Google is asked. The operator may set them, for a private way to Google; objects may not.
type GoogleEndpoints struct {
	// STS exchanges tokens, and IAMCredentials impersonates service accounts: https://host, without a path.
	STS, IAMCredentials string
	// CAData is the CA bundle of both, PEM. Empty means the system's roots.
	CAData []byte
}

// GoogleEndpointsFromEnvironment are Google's own, or what gcloud's variables for private ways say.
func GoogleEndpointsFromEnvironment() GoogleEndpoints {
	return GoogleEndpoints{
		STS:            os.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS"),
		IAMCredentials: os.Getenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS"),
	}
}

func (e GoogleEndpoints) sts() string {
	return strings.TrimSuffix(cmp.Or(e.STS, "https://sts.googleapis.com"), "/")
}

func (e GoogleEndpoints) iam() string {
	return strings.TrimSuffix(cmp.Or(e.IAMCredentials, "https://iamcredentials.googleapis.com"), "/")
}

// cloudPlatform is the scope of the tokens: GKE asks for it, and IAM decides what they may do.
const cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

// maxGoogleAnswer is more than any answer of the IAM Credentials API.
const maxGoogleAnswer = 128 << 10

// Google is workload identity federation: a token of Subject is exchanged at Google's STS for an access
// token, and that, where ServiceAccount is set, for one of a service account in Google Cloud.
type Google struct {
	// Subject makes what Google is shown, with the audience that its provider asks for.
	Subject Tokens
	// Provider is the full name of the workload identity provider.
	Provider string
	// ServiceAccount that is impersonated. Empty: none.
	ServiceAccount string
	Endpoints      GoogleEndpoints
	Clock          clock.PassiveClock
}

// Token implements Tokens: audience is that of the subject's token.
func (g Google) Token(ctx context.Context, audience string, _ time.Duration) (credential.Credential, error) {
	subject, err := g.Subject.Token(ctx, audience, DefaultLifetime) // Google's token lives no longer than this
	if err != nil {
		return credential.Credential{}, err
	}
	sts := exchange.Client{URL: g.Endpoints.sts() + "/v1/token", CAData: g.Endpoints.CAData}
	response, err := sts.Exchange(ctx, exchange.Request{
		SubjectToken: subject.Token, Audience: g.Provider, Scope: cloudPlatform, RequestedTokenType: exchange.TypeAccessToken,
	})
	if err != nil {
		return credential.Credential{}, err
	}
	c := answered(response, g.Clock.Now())
	if g.ServiceAccount == "" {
		return c, nil
	}
	if c, err = g.impersonate(ctx, c.Token); err != nil {
		return credential.Credential{}, fmt.Errorf("impersonating service account %s of Google Cloud: %w", g.ServiceAccount, err)
	}
	return c, nil
}

// Fingerprint implements Tokens.
func (g Google) Fingerprint() string {
	return fingerprint("google", g.Subject.Fingerprint(), g.Provider, g.ServiceAccount)
}

// impersonate is the call generateAccessToken of the IAM Credentials API.
func (g Google) impersonate(ctx context.Context, as credential.Secret) (credential.Credential, error) {
	ask, err := json.Marshal(map[string]any{"scope": []string{cloudPlatform}, "lifetime": fmt.Sprintf("%ds", int(DefaultLifetime.Seconds()))})
	if err != nil {
		return credential.Credential{}, fmt.Errorf("encoding the request: %w", err)
	}
	address := g.Endpoints.iam() + "/v1/projects/-/serviceAccounts/" + url.PathEscape(g.ServiceAccount) + ":generateAccessToken"
	if err := exchange.ValidateURL(address); err != nil {
		return credential.Credential{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, exchange.DefaultTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(ask))
	if err != nil {
		return credential.Credential{}, errors.New("its name makes no URL")
	}
	req.Header.Set("Authorization", "Bearer "+as.Reveal())
	req.Header.Set("Content-Type", "application/json")
	client, err := exchange.HTTPClient(g.Endpoints.CAData)
	if err != nil {
		return credential.Credential{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return credential.Credential{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxGoogleAnswer))
	if err != nil {
		return credential.Credential{}, fmt.Errorf("reading the answer: %w", err)
	}
	return g.impersonated(resp.StatusCode, body)
}

// impersonated reads an answer. Of a refusal only the status is told, since the rest may quote anything.
func (g Google) impersonated(status int, body []byte) (credential.Credential, error) {
	var answer struct {
		AccessToken string    `json:"accessToken"`
		ExpireTime  time.Time `json:"expireTime"`
		Error       struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	err := json.Unmarshal(body, &answer)
	switch {
	case status != http.StatusOK && statusWord(answer.Error.Status):
		return credential.Credential{}, fmt.Errorf("it answered %d %s", status, answer.Error.Status)
	case status != http.StatusOK:
		return credential.Credential{}, fmt.Errorf("it answered %d", status)
	case err != nil:
		return credential.Credential{}, errors.New("the answer is no JSON of the kind")
	case answer.AccessToken == "" || strings.ContainsFunc(answer.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return credential.Credential{}, errors.New("the answer holds no token")
	}
	now := g.Clock.Now()
	return credential.Credential{Token: credential.NewSecret(answer.AccessToken), ObtainedAt: now, IssuedAt: now, ExpiresAt: answer.ExpireTime.UTC()}, nil
}

// statusWord reports whether text is a code such as PERMISSION_DENIED.
func statusWord(text string) bool {
	return text != "" && len(text) <= 40 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// Package exchange is the client side of OAuth 2.0 token exchange (RFC 8693): it shows a token to an
// endpoint and gets another one for it. The gate of a remote cluster is such an endpoint, and so is
// Google's. What tokens are shown, and what becomes of the answer, is the caller's business.
package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hawser-io/hawser/credential"
)

// Names of RFC 8693.
const (
	GrantType       = "urn:ietf:params:oauth:grant-type:token-exchange"
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// LifetimeField is the form field of our gates, beside those of the RFC: the lifetime asked for, in seconds.
const LifetimeField = "lifetime"

const (
	// DefaultTimeout of one exchange: less than what a credential.Renewer gives to each of its steps, so
	// that the endpoint is named as what took too long.
	DefaultTimeout = 15 * time.Second
	// maxAnswer is more than any token that fits into a header.
	maxAnswer = 128 << 10
)

// Client exchanges tokens at one endpoint. It keeps no connection open: exchanges are rare.
type Client struct {
	// URL of the endpoint, https only. Redirects are not followed: they would hand the token on.
	URL string
	// CAData is the CA bundle of the endpoint, PEM. Empty means the system's roots.
	CAData []byte
	// Timeout of one exchange. Zero means DefaultTimeout.
	Timeout time.Duration
}

// Request is what is shown and what is asked for.
type Request struct {
	// SubjectToken is shown to the endpoint. Required.
	SubjectToken credential.Secret
	// SubjectTokenType is TypeJWT where it is empty.
	SubjectTokenType string
	// RequestedTokenType, Audience and Scope are left out where they are empty. For our gates Scope is
	// the name of an AccessGrant.
	RequestedTokenType, Audience, Scope string
	// Lifetime that is asked for, where the endpoint is one of our gates. Zero leaves it to the gate.
	Lifetime time.Duration
}

// Response is what the endpoint answered.
type Response struct {
	// Token is a bearer token.
	Token credential.Secret
	// IssuedTokenType is one of the types of RFC 8693.
	IssuedTokenType string
	// ExpiresIn is how long the token is good for; zero where the endpoint does not say.
	ExpiresIn time.Duration
}

// Exchange shows a token and returns the one that was got for it. Its errors never hold either of them; an
// answer that is no success is an *Error.
func (c *Client) Exchange(ctx context.Context, r Request) (Response, error) {
	response, err := c.exchange(ctx, r)
	if err != nil {
		return Response{}, fmt.Errorf("exchanging a token at %s: %w", c.URL, err)
	}
	return response, nil
}

func (c *Client) exchange(ctx context.Context, r Request) (Response, error) {
	if r.SubjectToken.IsZero() {
		return Response{}, errors.New("there is no token to show")
	}
	if err := ValidateURL(c.URL); err != nil {
		return Response{}, err
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not answer within %s", timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, strings.NewReader(r.form().Encode()))
	if err != nil {
		return Response{}, errors.New("the URL cannot be asked") // the cause would quote it again
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	client, err := HTTPClient(c.CAData)
	if err != nil {
		return Response{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, why(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Response{}, fmt.Errorf("reading the answer: %w", why(ctx, err))
	case len(body) > maxAnswer:
		return Response{}, fmt.Errorf("the answer is longer than %d KiB", maxAnswer>>10)
	}
	return parse(resp.StatusCode, resp.Header.Get("Retry-After"), body, r.SubjectToken)
}

func (r Request) form() url.Values {
	form := url.Values{
		"grant_type":         {GrantType},
		"subject_token":      {r.SubjectToken.Reveal()},
		"subject_token_type": {TypeJWT},
	}
	if r.SubjectTokenType != "" {
		form.Set("subject_token_type", r.SubjectTokenType)
	}
	for field, value := range map[string]string{"requested_token_type": r.RequestedTokenType, "audience": r.Audience, "scope": r.Scope} {
		if value != "" {
			form.Set(field, value)
		}
	}
	if r.Lifetime > 0 {
		form.Set(LifetimeField, strconv.Itoa(int(r.Lifetime/time.Second)))
	}
	return form
}

// HTTPClient returns a client for one request that shows a token: over verified TLS, by a CA bundle (PEM;
// empty means the system's roots), with a transport that keeps no connection, and without following redirects.
func HTTPClient(caData []byte) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(caData) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(caData) {
			return nil, errors.New("the CA bundle holds no certificate")
		}
	}
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// ValidateURL refuses a URL that tokens must not be shown to.
func ValidateURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("it is no URL")
	case u.Scheme != "https" || u.Hostname() == "":
		return errors.New("it must be https:// with a host: tokens are shown over verified TLS only")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("it must have no user, query or fragment")
	}
	return nil
}

// why is the cause of an error without method and URL, which were said already.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

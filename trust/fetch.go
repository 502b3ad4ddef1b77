package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

const (
	// FetchTimeout is the deadline of one fetch: two documents.
	FetchTimeout = 10 * time.Second
	maxRedirects = 3
)

// Fetch asks an issuer which keys it signs with: its discovery document, which must be of exactly this
// issuer, and the keys that this one names. It ends within FetchTimeout. It follows redirects only
// within one host, and never without TLS. No key at all is an error. What the issuer answered is never
// part of an error.
func Fetch(ctx context.Context, spec *v1alpha1.TrustedIssuerSpec) ([]Key, error) {
	ctx, cancel := context.WithTimeout(ctx, FetchTimeout)
	defer cancel()
	client, err := newClient(spec)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	at := spec.DiscoveryURL
	if at == "" {
		at = strings.TrimSuffix(spec.URL, "/") + "/.well-known/openid-configuration"
	}
	text, err := get(ctx, client, at)
	if err != nil {
		return nil, fmt.Errorf("fetching the discovery document: %w", err)
	}
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if json.Unmarshal(text, &discovery) != nil {
		return nil, fmt.Errorf("reading the discovery document of %s: it is no JSON object", at)
	}
	if discovery.Issuer != spec.URL {
		return nil, fmt.Errorf("reading the discovery document of %s: it is that of issuer %.200q, not of %s", at, discovery.Issuer, spec.URL)
	}
	if text, err = get(ctx, client, discovery.JWKSURI); err != nil {
		return nil, fmt.Errorf("fetching the keys that %s names: %w", at, err)
	}
	keys, err := ParseJWKS(text)
	if err == nil && len(keys) == 0 {
		err = errors.New("reading keys: there is none that tokens can be verified with")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", discovery.JWKSURI, err)
	}
	return keys, nil
}

func newClient(spec *v1alpha1.TrustedIssuerSpec) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if spec.CAData != "" {
		bundle, err := CABundle(spec)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(bundle) {
			return nil, errors.New("reading caData: there is no certificate in it")
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) > maxRedirects {
				return fmt.Errorf("it redirects more than %d times", maxRedirects)
			}
			if next.URL.Scheme != "https" || next.URL.Host != before[0].URL.Host {
				return fmt.Errorf("it redirects to %s://%.200s", next.URL.Scheme, next.URL.Host)
			}
			return nil
		},
	}, nil
}

// CABundle is the PEM bundle that an issuer's certificate is verified with, nil for the system's roots.
func CABundle(spec *v1alpha1.TrustedIssuerSpec) ([]byte, error) {
	if spec.CAData == "" {
		return nil, nil
	}
	bundle, err := base64.StdEncoding.DecodeString(spec.CAData)
	if err != nil {
		return nil, errors.New("reading caData: it is no base64")
	}
	return bundle, nil
}

// unknownCA reports whether another bundle is what a server's certificate would be verified with.
func unknownCA(err error) bool {
	var unknown x509.UnknownAuthorityError
	var none x509.SystemRootsError
	return errors.As(err, &unknown) || errors.As(err, &none)
}

func get(ctx context.Context, client *http.Client, at string) ([]byte, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%.200q is not https:// with a host", at)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := client.Do(request)
	if unknownCA(err) {
		return nil, fmt.Errorf("%w: put the CA that vouches for it, PEM in base64, into spec.caData", err)
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("asking %s: it answers %d: an issuer must tell its keys to everybody (a cluster does where the ClusterRole "+
			"system:service-account-issuer-discovery is bound to the group system:unauthenticated); otherwise put them into spec.jwks", at, response.StatusCode)
	default:
		return nil, fmt.Errorf("asking %s: it answers %d", at, response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, MaxJWKSSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", at, err)
	}
	if len(text) > MaxJWKSSize {
		return nil, fmt.Errorf("reading the answer of %s: it has more than %d bytes", at, MaxJWKSSize)
	}
	return text, nil
}

// Package incluster is the credential source of auth.type inCluster: the local
// cluster itself, by the service account that Hawser runs as. Nothing is stored;
// the kubelet renews the token file, and each look finds the newest.
package incluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/credential"
)

// Source yields Hawser's own credential for the local cluster.
type Source struct {
	// Config is what Hawser itself reaches the local cluster with.
	Config *rest.Config
}

// Obtain reads the token or certificate of the configuration, from its files where it names some.
func (s *Source) Obtain(context.Context) ([]credential.Credential, error) {
	c, err := s.credential()
	if err != nil {
		return nil, err
	}
	ca, err := inlineOrFile(s.Config.CAData, s.Config.CAFile)
	if err != nil {
		return nil, credential.InvalidInput("reading the local cluster's CA: %w", err)
	}
	c.Endpoint = &credential.Endpoint{Server: s.Config.Host, CAData: ca, TLSServerName: s.Config.ServerName}
	c.Watched = true
	return []credential.Credential{c}, nil
}

func (s *Source) credential() (credential.Credential, error) {
	token, err := inlineOrFile([]byte(s.Config.BearerToken), s.Config.BearerTokenFile)
	if err != nil {
		return credential.Credential{}, credential.InvalidInput("reading the own service account's token: %w", err)
	}
	if text := strings.TrimSpace(string(token)); text != "" {
		return credential.NewToken(text, credential.Fingerprint([]byte(text))), nil
	}
	cert, err := inlineOrFile(s.Config.CertData, s.Config.CertFile)
	if err != nil {
		return credential.Credential{}, credential.InvalidInput("reading the own client certificate: %w", err)
	}
	key, err := inlineOrFile(s.Config.KeyData, s.Config.KeyFile)
	if err != nil {
		return credential.Credential{}, credential.InvalidInput("reading the own client key: %w", err)
	}
	if len(cert) == 0 || len(key) == 0 {
		return credential.Credential{}, credential.InvalidInput("%w", errors.New("the local cluster is reached with neither a token nor a client certificate"))
	}
	return credential.NewCertificate(cert, credential.NewSecret(string(key)), credential.Fingerprint(cert, key))
}

// Renew is never called: the credential is watched.
func (s *Source) Renew(_ context.Context, current credential.Credential, _ credential.Link) (credential.Credential, error) {
	return current, nil
}

// inlineOrFile prefers the file, as client-go does for tokens: it is the one that is kept fresh.
func inlineOrFile(inline []byte, file string) ([]byte, error) {
	if file == "" {
		return inline, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", file, err)
	}
	return data, nil
}

package kubeconfig

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/credential"
)

// maxSize is what a Secret can hold.
const maxSize = 1 << 20

// Parse reads one context of a kubeconfig: the named one, or the current one if
// name is empty. It takes an address and an inline token or certificate, and
// refuses everything that would run a program, read a file, switch verification
// off, send a password or act as somebody else. Its errors name the field and
// never quote a value.
func Parse(text []byte, name string) (credential.Credential, error) {
	if len(text) > maxSize {
		return credential.Credential{}, errors.New("it is larger than 1 MiB")
	}
	var config clientcmdapiv1.Config
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		return credential.Credential{}, errors.New("it is no kubeconfig: " + syntaxFault(err))
	}
	if name == "" {
		name = config.CurrentContext
	}
	if name == "" {
		return credential.Credential{}, errors.New("it has no current-context, and none is named")
	}
	context, err := find("context", name, config.Contexts, func(c clientcmdapiv1.NamedContext) (string, clientcmdapiv1.Context) { return c.Name, c.Context })
	if err != nil {
		return credential.Credential{}, err
	}
	cluster, err := find("cluster", context.Cluster, config.Clusters, func(c clientcmdapiv1.NamedCluster) (string, clientcmdapiv1.Cluster) { return c.Name, c.Cluster })
	if err != nil {
		return credential.Credential{}, err
	}
	user, err := find("user", context.AuthInfo, config.AuthInfos, func(u clientcmdapiv1.NamedAuthInfo) (string, clientcmdapiv1.AuthInfo) { return u.Name, u.AuthInfo })
	if err != nil {
		return credential.Credential{}, err
	}
	endpoint, err := endpointOf(cluster)
	if err != nil {
		return credential.Credential{}, err
	}
	c, err := credentialOf(user)
	if err != nil {
		return credential.Credential{}, err
	}
	c.Endpoint = &endpoint
	c.Origin = credential.Fingerprint(text, []byte(name))
	c.Watched = true
	return c, nil
}

func find[N, V any](kind, name string, list []N, split func(N) (string, V)) (V, error) {
	var found *V
	for _, entry := range list {
		if n, v := split(entry); n == name {
			if found != nil {
				return *found, fmt.Errorf("it has two entries for %s %q", kind, name)
			}
			found = &v
		}
	}
	if found == nil {
		var none V
		return none, fmt.Errorf("it has no %s %q", kind, name)
	}
	return *found, nil
}

func endpointOf(c clientcmdapiv1.Cluster) (credential.Endpoint, error) {
	switch {
	case c.InsecureSkipTLSVerify:
		return credential.Endpoint{}, errors.New("insecure-skip-tls-verify is refused: put the CA into certificate-authority-data")
	case c.CertificateAuthority != "":
		return credential.Endpoint{}, errors.New("certificate-authority is refused, it names a file: put the CA into certificate-authority-data (kubectl config view --raw --flatten)")
	}
	u, err := url.Parse(c.Server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return credential.Endpoint{}, errors.New("server must be https:// with a host, and no user or query")
	}
	if c.ProxyURL != "" {
		p, err := url.Parse(c.ProxyURL)
		if err != nil || p.Hostname() == "" || (p.Scheme != "http" && p.Scheme != "socks5") {
			return credential.Endpoint{}, errors.New("proxy-url must be http:// or socks5:// with a host")
		}
	}
	return credential.Endpoint{
		Server:        c.Server,
		CAData:        c.CertificateAuthorityData,
		TLSServerName: c.TLSServerName,
		ProxyURL:      c.ProxyURL,
	}, nil
}

func credentialOf(u clientcmdapiv1.AuthInfo) (credential.Credential, error) {
	if err := refuse(u); err != nil {
		return credential.Credential{}, err
	}
	hasCert := len(u.ClientCertificateData) > 0 || len(u.ClientKeyData) > 0
	switch {
	case u.Token != "" && hasCert:
		return credential.Credential{}, errors.New("its user has both a token and a client certificate: keep one")
	case u.Token != "":
		if strings.ContainsFunc(u.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return credential.Credential{}, errors.New("token has characters that no HTTP header can carry")
		}
		return credential.NewToken(u.Token, ""), nil
	case hasCert:
		if len(u.ClientCertificateData) == 0 || len(u.ClientKeyData) == 0 {
			return credential.Credential{}, errors.New("its user has half a pair: client-certificate-data and client-key-data need each other")
		}
		return credential.NewCertificate(u.ClientCertificateData, credential.NewSecret(string(u.ClientKeyData)), "")
	}
	return credential.Credential{}, errors.New("its user has neither token nor client-certificate-data")
}

func refuse(u clientcmdapiv1.AuthInfo) error {
	refusals := []struct {
		present bool
		why     string
	}{
		{u.Exec != nil, "exec is refused, it runs a program: use auth.type exec, or a token"},
		{u.AuthProvider != nil, "auth-provider is refused, it runs code: use a token"},
		{u.TokenFile != "", "tokenFile is refused, it reads a file: use token"},
		{u.ClientCertificate != "", "client-certificate is refused, it reads a file: use client-certificate-data (kubectl config view --raw --flatten)"},
		{u.ClientKey != "", "client-key is refused, it reads a file: use client-key-data (kubectl config view --raw --flatten)"},
		{u.Username != "" || u.Password != "", "username and password are refused: API servers have no basic authentication any more"},
		{u.Impersonate != "" || u.ImpersonateUID != "" || len(u.ImpersonateGroups) > 0 || len(u.ImpersonateUserExtra) > 0, "as (impersonation) is refused: use a credential of that user"},
	}
	for _, r := range refusals {
		if r.present {
			return errors.New(r.why)
		}
	}
	return nil
}

// syntaxFault tells what kind of fault the YAML has. The parser's own words may quote values.
func syntaxFault(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "unknown field"):
		return "it has an unknown field"
	case strings.Contains(text, "already set"):
		return "it sets a field twice"
	case strings.Contains(text, "cannot unmarshal"):
		return "a field has the wrong kind of value"
	case strings.Contains(text, "illegal base64"):
		return "a …-data field is no base64"
	}
	return "it is no YAML"
}

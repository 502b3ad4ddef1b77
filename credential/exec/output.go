package exec

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"

	"github.com/hawser-io/hawser/credential"
)

// parseOutput reads the ExecCredential that a plugin printed: a token, or a certificate with its key. Its errors
// never quote what was printed.
//
// The credential ends when the plugin says, or when the token or certificate itself does, whatever comes first.
// One that names no end is watched.
func parseOutput(out []byte, apiVersion string) (credential.Credential, error) {
	var answer struct {
		metav1.TypeMeta `json:",inline"`
		Status          *clientauthenticationv1.ExecCredentialStatus `json:"status"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return credential.Credential{}, errors.New("it is no ExecCredential in JSON")
	}
	switch {
	case answer.Kind != "ExecCredential":
		return credential.Credential{}, errors.New("its kind is not ExecCredential")
	case answer.APIVersion != apiVersion:
		return credential.Credential{}, errors.New("its apiVersion is not " + apiVersion + ", in which it was asked")
	case answer.Status == nil:
		return credential.Credential{}, errors.New("it has no status")
	}
	c, err := credentialOf(answer.Status)
	if err != nil {
		return credential.Credential{}, err
	}
	if stated := answer.Status.ExpirationTimestamp; stated != nil && !stated.IsZero() {
		if stated.Unix() < 0 || stated.Unix() > maxUnix {
			return credential.Credential{}, errors.New("its expirationTimestamp is no time of ours")
		}
		if c.ExpiresAt.IsZero() || stated.Time.Before(c.ExpiresAt) {
			c.ExpiresAt = stated.UTC()
		}
	}
	// A plugin may answer from a cache. What counts is what is left, and not when the credential was issued.
	c.IssuedAt = time.Time{}
	c.Watched = c.ExpiresAt.IsZero()
	return c, nil
}

// maxUnix is the end of the year 9999: beyond it time.Time cannot be written as RFC 3339.
const maxUnix = 253402300799

func credentialOf(status *clientauthenticationv1.ExecCredentialStatus) (credential.Credential, error) {
	cert, key := status.ClientCertificateData, status.ClientKeyData
	switch {
	case (cert == "") != (key == ""):
		return credential.Credential{}, errors.New("it has half a pair: clientCertificateData and clientKeyData need each other")
	case cert != "" && status.Token != "":
		return credential.Credential{}, errors.New("it has both a token and a client certificate: a connection presents one")
	case cert != "":
		return credential.NewCertificate([]byte(cert), credential.NewSecret(key), "")
	case status.Token == "":
		return credential.Credential{}, errors.New("it has neither a token nor a client certificate")
	case strings.ContainsFunc(status.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return credential.Credential{}, errors.New("its token has characters that no HTTP header can carry")
	}
	return credential.NewToken(status.Token, ""), nil
}

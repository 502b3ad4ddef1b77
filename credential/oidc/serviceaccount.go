package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
)

// Requests asks the local cluster for tokens of a service account, as client-go's
// ServiceAccountInterface for one namespace does.
type Requests interface {
	CreateToken(ctx context.Context, account string, request *authenticationv1.TokenRequest, opts metav1.CreateOptions) (*authenticationv1.TokenRequest, error)
}

// ServiceAccount is the local cluster's own issuer: tokens that the pod was given, or that are asked for.
type ServiceAccount struct {
	Requests Requests
	// Namespace of the accounts.
	Namespace string
	// Name of the account. Empty: a token that the pod was given with the audience, or else one of Own.
	Name string
	// File is the base name of a token in Dir. With it nothing is asked for.
	File string
	// Dir is where the pod's projected tokens are. Empty: it has none.
	Dir string
	// Own tells the name of the account that we run as.
	Own   func(ctx context.Context) (string, error)
	Clock clock.PassiveClock
}

// Token implements Tokens.
func (s ServiceAccount) Token(ctx context.Context, audience string, lifetime time.Duration) (credential.Credential, error) {
	if s.File != "" {
		return s.fromFile(audience)
	}
	if s.Name != "" {
		return s.request(ctx, s.Name, audience, lifetime)
	}
	if c, ok, err := s.given(audience); ok || err != nil {
		return c, err
	}
	own, err := s.Own(ctx)
	if err != nil {
		return credential.Credential{}, fmt.Errorf("finding out which service account we are: %w", err)
	}
	return s.request(ctx, own, audience, lifetime)
}

// Fingerprint implements Tokens.
func (s ServiceAccount) Fingerprint() string {
	return fingerprint("serviceAccount", s.Namespace, s.Name, s.File)
}

// request asks for a token, and refuses one that is for somebody else, too.
func (s ServiceAccount) request(ctx context.Context, account, audience string, lifetime time.Duration) (credential.Credential, error) {
	seconds := int64(lifetime / time.Second)
	answer, err := s.Requests.CreateToken(ctx, account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err):
		return credential.Credential{}, fmt.Errorf("asking for a token of service account %q: %w. Allow it: %s", account, err, s.permit(ctx, account))
	case err != nil:
		return credential.Credential{}, fmt.Errorf("asking for a token of service account %q in namespace %q: %w", account, s.Namespace, err)
	}
	if err := soleAudience(answer.Status.Token, audience); err != nil {
		return credential.Credential{}, fmt.Errorf("asking for a token of service account %q: %w", account, err)
	}
	c := credential.NewToken(answer.Status.Token, "")
	c.ObtainedAt = s.Clock.Now()
	return c, nil
}

// permit is what lets us ask for the tokens of an account.
func (s ServiceAccount) permit(ctx context.Context, account string) string {
	own, err := s.Own(ctx)
	if err != nil {
		own = "NAME"
	}
	return fmt.Sprintf("kubectl -n %[1]s create role hawser-token-%[2]s --verb=create --resource=serviceaccounts/token --resource-name=%[2]s && "+
		"kubectl -n %[1]s create rolebinding hawser-token-%[2]s --role=hawser-token-%[2]s --serviceaccount=%[1]s:%[3]s", s.Namespace, account, own)
}

func (s ServiceAccount) fromFile(audience string) (credential.Credential, error) {
	token, err := s.read(s.File)
	if err == nil {
		err = soleAudience(token, audience)
	}
	if err != nil {
		return credential.Credential{}, fmt.Errorf("reading token file %q: %w", s.File, err)
	}
	return remaining(token, s.Clock.Now()), nil
}

// given finds the token for an audience among those that the pod was given. Of several it takes the one
// that is good for longest.
func (s ServiceAccount) given(audience string) (c credential.Credential, ok bool, err error) {
	if s.Dir == "" {
		return credential.Credential{}, false, nil
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return credential.Credential{}, false, fmt.Errorf("looking for a token with the audience %q: %w", audience, err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || entry.IsDir() { // the volume's own ..data and its like
			continue
		}
		token, err := s.read(entry.Name())
		if err != nil || soleAudience(token, audience) != nil {
			continue // somebody else's
		}
		if next := remaining(token, s.Clock.Now()); c.IsZero() || next.ExpiresAt.After(c.ExpiresAt) {
			c = next
		}
	}
	return c, !c.IsZero(), nil
}

// read reads a file of Dir, which no link leads out of.
func (s ServiceAccount) read(name string) (string, error) {
	if s.Dir == "" {
		return "", errors.New("the manager was started without --token-dir, the directory that such files are in")
	}
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return "", errors.New("it is no base name")
	}
	file, err := os.OpenInRoot(s.Dir, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", errors.New("it is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}

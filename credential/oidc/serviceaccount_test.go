package oidc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential/oidc"
)

func TestATokenIsAskedForForOneAudience(t *testing.T) {
	account, asked, primary := local(t)
	primary.ServiceAccount(t, account.Namespace, "deployer")
	for want, name := range map[string]string{"default": "", "deployer": "deployer"} {
		account.Name = name
		got, err := account.Token(t.Context(), "hawser:1", 20*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		subject, err := verifyLocal(primary, got.Token.Reveal(), "hawser:1")
		if err != nil || subject != "system:serviceaccount:"+account.Namespace+":"+want {
			t.Errorf("the token is for %s (%v)", subject, err)
		}
		if got.Lifetime() != 20*time.Minute || got.ObtainedAt.IsZero() {
			t.Errorf("it is good for %s, and was obtained at %s", got.Lifetime(), got.ObtainedAt)
		}
	}
	if len(asked.asked) != 2 {
		t.Errorf("it asked for %v", asked.asked)
	}
}

func TestAnAnswerForSomebodyElseTooIsRefused(t *testing.T) {
	account, asked, primary := local(t)
	asked.answer = func(r *authenticationv1.TokenRequest) {
		r.Status.Token = primary.Token(t, account.Namespace, "default", time.Hour, "hawser:1", "vault")
	}
	_, err := account.Token(t.Context(), "hawser:1", time.Hour)
	if err == nil || !strings.Contains(err.Error(), `it is for ["hawser:1" "vault"]`) {
		t.Errorf("the error is %v", err)
	}
}

// refusing answers nothing but an error.
type refusing struct{ err error }

func (r refusing) CreateToken(context.Context, string, *authenticationv1.TokenRequest, metav1.CreateOptions) (*authenticationv1.TokenRequest, error) {
	return nil, r.err
}

func TestWhoMayNotAskIsToldWhatIsMissing(t *testing.T) {
	account, asked, _ := local(t)
	account.Requests = refusing{apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts/token"}, "deployer", errors.New("no"))}
	account.Name = "deployer"
	_, err := account.Token(t.Context(), "hawser:1", time.Hour)
	for _, want := range []string{
		"kubectl -n " + account.Namespace + " create role hawser-token-deployer --verb=create --resource=serviceaccounts/token --resource-name=deployer",
		"create rolebinding hawser-token-deployer --role=hawser-token-deployer --serviceaccount=" + account.Namespace + ":default",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	account.Requests, account.Name = asked, "nobody"
	if _, err := account.Token(t.Context(), "hawser:1", time.Hour); err == nil || !strings.Contains(err.Error(), `asking for a token of service account "nobody"`) {
		t.Errorf("the error is %v", err)
	}
}

func TestATokenThatThePodWasGivenIsTaken(t *testing.T) {
	account, asked, _ := local(t)
	from := newIssuer(t, "https://issuer.example.com")
	account.Dir = t.TempDir()
	written(t, account.Dir, "vault", from.sign(t, "vault", time.Hour, "vault"))
	written(t, account.Dir, "both", from.sign(t, "both", 3*time.Hour, "hawser:1", "vault"))
	written(t, account.Dir, "short", from.sign(t, "short", time.Minute, "hawser:1"))
	written(t, account.Dir, "alpha", from.sign(t, "alpha", time.Hour, "hawser:1"))
	written(t, account.Dir, "empty", "")
	written(t, account.Dir, "text", "hello")

	got, err := account.Token(t.Context(), "hawser:1", time.Hour)
	if err != nil || got.Subject != "alpha" || len(asked.asked) > 0 {
		t.Fatalf("the token is that of %q, and %v was asked for (%v)", got.Subject, asked.asked, err)
	}
	if left := time.Until(got.ExpiresAt); !got.IssuedAt.IsZero() || left < 50*time.Minute {
		t.Errorf("the token is %+v", got)
	}
	if got, err := account.Token(t.Context(), "hawser:2", time.Hour); err != nil || len(asked.asked) != 1 {
		t.Errorf("without one for the audience %v was asked for (%v): %s", asked.asked, err, got.Subject)
	}
	account.File = "alpha"
	written(t, account.Dir, "alpha", from.sign(t, "alpha-again", time.Hour, "hawser:1")) // as the kubelet rotates it
	if got, err := account.Token(t.Context(), "hawser:1", time.Hour); err != nil || got.Subject != "alpha-again" {
		t.Errorf("the token is that of %q (%v)", got.Subject, err)
	}
}

func TestAFileThatMustNotBeShownIsNot(t *testing.T) {
	account, asked, _ := local(t)
	from := newIssuer(t, "https://issuer.example.com")
	parent := t.TempDir()
	account.Dir = filepath.Join(parent, "tokens")
	written(t, account.Dir, "vault", from.sign(t, "vault", time.Hour, "vault"))
	written(t, account.Dir, "both", from.sign(t, "both", time.Hour, "hawser:1", "vault"))
	written(t, account.Dir, "text", "eyJ-hello")
	written(t, account.Dir, "long", strings.Repeat("x.", 1<<16))
	if err := os.WriteFile(filepath.Join(parent, "own"), []byte(from.sign(t, "own", time.Hour, "hawser:1")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": "../own", "far": filepath.Join(parent, "own")} {
		if err := os.Symlink(to, filepath.Join(account.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"vault": `it is for ["vault"]`, "both": `it is for ["hawser:1" "vault"]`, "text": "it is no JWT", "long": "it is no JWT", "none": "no such file",
		"out": "escapes", "far": "escapes", "../own": "no base name", "..": "no base name", "..data": "no regular file",
	} {
		account.File = file
		_, err := account.Token(t.Context(), "hawser:1", time.Hour)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("file %s: the error is %v, want one with %q", file, err, want)
		}
	}
	account.File = ""
	if got, err := account.Token(t.Context(), "hawser:1", time.Hour); err != nil || got.Subject == "own" || len(asked.asked) != 1 {
		t.Errorf("a link out of the directory was followed: %s (%v)", got.Subject, err)
	}
	account.Dir, account.File = "", "alpha"
	if _, err := account.Token(t.Context(), "hawser:1", time.Hour); err == nil || !strings.Contains(err.Error(), "--token-dir") {
		t.Errorf("the error is %v", err)
	}
}

func TestATokenThatTheLocalClusterAcceptsIsShownToNobody(t *testing.T) {
	account, _, primary := local(t)
	tried := oidc.Tried{Tokens: account, Local: primary.AdminConfig()}
	if _, err := tried.Token(t.Context(), "hawser:1", time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := tried.Token(t.Context(), primary.Server, time.Hour) // its own issuer is an audience of an API server
	hasReason(t, err, v1alpha1.ReasonAudienceShared, "accepts tokens with the audience", primary.Server)

	// Where nobody can tell, nothing is shown either.
	tried.Local = primary.AnonymousConfig()
	tried.Local.Host = "https://127.0.0.1:1"
	if _, err := tried.Token(t.Context(), "hawser:1", time.Hour); err == nil || !strings.Contains(err.Error(), "trying the token at the local API server") {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tried.Local = primary.AdminConfig()
	if _, err := (oidc.Tried{Tokens: &counted{t: t, issuer: newIssuer(t, "https://issuer.example.com")}, Local: primary.AdminConfig()}).Token(ctx, "hawser:1", time.Hour); err == nil {
		t.Error("no error")
	}
}

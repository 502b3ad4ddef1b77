package oidc_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/oidc"
)

// entra is an authority that federates with an issuer, as Microsoft Entra ID does.
type entra struct {
	t        *testing.T
	url      string
	subject  *issuer // that it federates with
	issued   *issuer
	federate string // the subject that it lets in
	paths    []string
	asked    int
}

func (e *entra) handle(r *http.Request) (any, error) {
	e.paths = append(e.paths, r.URL.Path)
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch rest {
	case "v2.0/.well-known/openid-configuration":
		at := e.url + "/" + tenant
		return map[string]string{"issuer": at + "/v2.0", "authorization_endpoint": at + "/oauth2/v2.0/authorize", "token_endpoint": at + "/oauth2/v2.0/token"}, nil
	case "oauth2/v2.0/token":
		e.asked++
		return e.token(r, tenant)
	}
	return nil, fmt.Errorf("there is nothing at %s", r.URL.Path)
}

func (e *entra) token(r *http.Request, tenant string) (any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	for field, want := range map[string]string{
		"grant_type": "client_credentials", "client_id": "the-client", "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	} {
		if got := r.PostForm.Get(field); got != want {
			return nil, fmt.Errorf("%s is %q", field, got)
		}
	}
	if scope := " " + r.PostForm.Get("scope") + " "; tenant != "the-tenant" || !strings.Contains(scope, " aks/.default ") {
		return nil, fmt.Errorf("tenant %q, scope %q", tenant, scope)
	}
	subject, err := e.subject.verify(r.PostForm.Get("client_assertion"), "api://AzureADTokenExchange")
	if err != nil || subject != e.federate {
		return nil, errors.Join(err, fmt.Errorf("AADSTS700213: No matching federated identity record found for presented assertion %s", r.PostForm.Get("client_assertion")))
	}
	return map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": e.issued.sign(e.t, "object-id", time.Hour, "aks")}, nil
}

// startEntra starts an authority, and sets the environment as the workload identity webhook does.
func startEntra(t *testing.T) (*entra, oidc.Azure) {
	t.Helper()
	e := &entra{t: t, subject: newIssuer(t, "https://local.example.com"), issued: newIssuer(t, "https://sts.windows.net/the-tenant/"), federate: "manager"}
	server, _ := serve(t, e.handle)
	e.url = server.URL
	file := filepath.Join(t.TempDir(), "azure-identity-token")
	if err := os.WriteFile(file, []byte(e.subject.sign(t, "manager", time.Hour, "api://AzureADTokenExchange")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_AUTHORITY_HOST", server.URL+"/")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	t.Setenv("AZURE_TENANT_ID", "the-tenant")
	t.Setenv("AZURE_CLIENT_ID", "the-client")
	return e, oidc.Azure{Scope: "aks/.default", Scopes: []string{"aks/.default"}, Transport: server.Client(), Clock: clk}
}

func TestAzureIsShownTheFederatedToken(t *testing.T) {
	e, azure := startEntra(t)
	got, err := azure.Token(t.Context(), "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if subject, err := e.issued.verify(got.Token.Reveal(), "aks"); err != nil || subject != "object-id" || got.Subject != "object-id" {
		t.Errorf("the token is that of %s (%v)", subject, err)
	}
	if left := time.Until(got.ExpiresAt); left > time.Hour || left < 55*time.Minute || !got.IssuedAt.IsZero() {
		t.Errorf("the token is good for %s", left)
	}
	again, err := azure.Token(t.Context(), "", time.Hour)
	if err != nil || again.Equal(got) || e.asked != 2 {
		t.Errorf("a second token is the first: %t; it was asked %d times (%v)", again.Equal(got), e.asked, err)
	}
	for _, path := range e.paths {
		if u, err := url.Parse(path); err != nil || !strings.HasPrefix(u.Path, "/the-tenant/") {
			t.Errorf("it asked for %s", path)
		}
	}
}

func TestTheObjectMayNameTheApplication(t *testing.T) {
	e, azure := startEntra(t)
	t.Setenv("AZURE_TENANT_ID", "another")
	t.Setenv("AZURE_CLIENT_ID", "another")
	if _, err := azure.Token(t.Context(), "", time.Hour); err == nil {
		t.Error("another application was let in")
	}
	azure.TenantID, azure.ClientID = "the-tenant", "the-client"
	if _, err := azure.Token(t.Context(), "", time.Hour); err != nil || e.asked != 2 {
		t.Errorf("it was asked %d times: %v", e.asked, err)
	}
}

func TestARefusalOfEntraIsNamedByItsCode(t *testing.T) {
	e, azure := startEntra(t)
	e.federate = "somebody else"
	_, err := azure.Token(t.Context(), "", time.Hour)
	if err == nil || !strings.Contains(err.Error(), "it answered 400: AADSTS700213") || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("the error is %v", err)
	}
	if err := os.Unsetenv("AZURE_FEDERATED_TOKEN_FILE"); err != nil {
		t.Fatal(err)
	}
	if _, err := azure.Token(t.Context(), "", time.Hour); err == nil || !strings.Contains(err.Error(), "no token file specified") {
		t.Errorf("the error is %v", err)
	}
}

func TestNoTokenIsAskedForThatMeansSomethingElsewhere(t *testing.T) {
	_, a := startEntra(t)
	t.Setenv("HAWSER_AZURE_SCOPES", "api://gate/.default, api://other/.default")
	a.Scopes = oidc.AzureScopesFromEnvironment()
	for _, scope := range []string{"https://management.azure.com/.default", "https://vault.azure.net/.default", "aks/.default", "api://gate"} {
		a.Scope = scope
		_, err := a.Token(t.Context(), "", 0)
		var in *credential.InputError
		if !errors.As(err, &in) || in.Reason != v1alpha1.ReasonInputInvalid {
			t.Errorf("%s: %v", scope, err)
		}
	}
	for _, scope := range []string{oidc.AKSScope, "api://gate/.default", "api://other/.default"} {
		a.Scope = scope
		if _, err := a.Token(t.Context(), "", 0); errors.As(err, new(*credential.InputError)) {
			t.Errorf("%s: %v", scope, err)
		}
	}
}

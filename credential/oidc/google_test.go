package oidc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/credential/oidc"
	"github.com/hawser-io/hawser/fleettest"
)

const provider = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/primary"

// federation is Google's STS and IAM Credentials API, which verify what they are shown.
type federation struct {
	cluster  *fleettest.Cluster
	account  string // of the cluster, that is let in
	audience string // that its tokens must have
	asked    []string
	life     time.Duration
	spoil    func(answer map[string]any) // may be nil
}

func (f *federation) handle(r *http.Request) (any, error) {
	f.asked = append(f.asked, r.URL.Path)
	switch r.URL.Path {
	case "/v1/token":
		for field, want := range map[string]string{
			"audience": provider, "scope": "https://www.googleapis.com/auth/cloud-platform", "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
			"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		} {
			if got := r.FormValue(field); got != want {
				return nil, fmt.Errorf("%s is %q", field, got)
			}
		}
		subject, err := verifyLocal(f.cluster, r.FormValue("subject_token"), f.audience)
		if err != nil || subject != f.account {
			return nil, fmt.Errorf("%s is not let in: %w", subject, err)
		}
		return map[string]any{"access_token": "ya29.federated", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": int(f.life.Seconds())}, nil
	case "/v1/projects/-/serviceAccounts/fleet@shop.iam.gserviceaccount.com:generateAccessToken":
		var ask struct {
			Scope    []string `json:"scope"`
			Lifetime string   `json:"lifetime"`
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			return nil, err
		}
		if r.Header.Get("Authorization") != "Bearer ya29.federated" || len(ask.Scope) != 1 || ask.Scope[0] != "https://www.googleapis.com/auth/cloud-platform" || ask.Lifetime != "3600s" {
			return nil, fmt.Errorf("it asks for %+v", ask)
		}
		answer := map[string]any{"accessToken": "ya29.impersonated", "expireTime": time.Now().Add(f.life).UTC().Format(time.RFC3339)}
		if f.spoil != nil {
			f.spoil(answer)
		}
		return answer, nil
	}
	return nil, errors.New("there is nothing at " + r.URL.Path)
}

func startGoogle(t *testing.T) (*federation, oidc.Google) {
	t.Helper()
	account, _, primary := local(t)
	f := &federation{cluster: primary, account: "system:serviceaccount:" + account.Namespace + ":default", audience: provider, life: 50 * time.Minute}
	server, ca := serve(t, f.handle)
	return f, oidc.Google{
		Subject: oidc.Tried{Tokens: account, Local: primary.AdminConfig()}, Provider: provider,
		Endpoints: oidc.GoogleEndpoints{STS: server.URL + "/", IAMCredentials: server.URL, CAData: ca}, Clock: clk,
	}
}

func TestGoogleIsShownTheTokenOfAServiceAccount(t *testing.T) {
	f, g := startGoogle(t)
	got, err := g.Token(t.Context(), provider, time.Hour)
	if err != nil || got.Token.Reveal() != "ya29.federated" || got.Lifetime() != f.life {
		t.Fatalf("the token is good for %s (%v)", got.Lifetime(), err)
	}
	g.ServiceAccount = "fleet@shop.iam.gserviceaccount.com"
	if got, err = g.Token(t.Context(), provider, time.Hour); err != nil || got.Token.Reveal() != "ya29.impersonated" {
		t.Fatal(err)
	}
	if left := time.Until(got.ExpiresAt); left > f.life || left < f.life-time.Minute {
		t.Errorf("the token is good for %s", left)
	}
	if len(f.asked) != 3 {
		t.Errorf("Google was asked for %v", f.asked)
	}
}

func TestGoogleIsNotShownWhatTheLocalClusterAccepts(t *testing.T) {
	f, g := startGoogle(t)
	f.audience = f.cluster.Server
	if _, err := g.Token(t.Context(), f.cluster.Server, time.Hour); err == nil || len(f.asked) > 0 {
		t.Errorf("Google was asked for %v (%v)", f.asked, err)
	}
}

func TestARefusalOfGoogleIsTold(t *testing.T) {
	f, g := startGoogle(t)
	f.account = "system:serviceaccount:somebody:else"
	if _, err := g.Token(t.Context(), provider, time.Hour); err == nil || !strings.Contains(err.Error(), "is not let in") || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("the error is %v", err)
	}
	f, g = startGoogle(t)
	g.ServiceAccount = "other@shop.iam.gserviceaccount.com"
	if _, err := g.Token(t.Context(), provider, time.Hour); err == nil || !strings.Contains(err.Error(), "impersonating service account other@shop.iam.gserviceaccount.com of Google Cloud: it answered 400") {
		t.Errorf("the error is %v", err)
	}
	g.ServiceAccount = "fleet@shop.iam.gserviceaccount.com"
	f.spoil = func(answer map[string]any) { answer["accessToken"] = "" }
	if _, err := g.Token(t.Context(), provider, time.Hour); err == nil || !strings.Contains(err.Error(), "holds no token") {
		t.Errorf("the error is %v", err)
	}
	g.Endpoints.IAMCredentials = "http://127.0.0.1:1"
	if _, err := g.Token(t.Context(), provider, time.Hour); err == nil || !strings.Contains(err.Error(), "must be https://") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheOperatorMayNameGooglesEndpoints(t *testing.T) {
	t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "https://sts.internal/")
	t.Setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iam.internal/")
	if got := oidc.GoogleEndpointsFromEnvironment(); got.STS != "https://sts.internal/" || got.IAMCredentials != "https://iam.internal/" {
		t.Errorf("they are %+v", got)
	}
}

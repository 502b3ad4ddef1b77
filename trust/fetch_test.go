package trust

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// site is an issuer's web server.
type site struct {
	*httptest.Server
	mux *http.ServeMux
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{mux: http.NewServeMux()}
	s.Server = httptest.NewTLSServer(s.mux)
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	return s
}

func (s *site) serve(path, text string) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

func (s *site) spec() *v1alpha1.TrustedIssuerSpec {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return &v1alpha1.TrustedIssuerSpec{URL: s.URL, CAData: base64.StdEncoding.EncodeToString(ca)}
}

const discoveryPath, keysPath = "/.well-known/openid-configuration", "/keys"

func (s *site) discovery(issuer, keys string) string {
	return `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}`
}

func TestFetch(t *testing.T) {
	key := rsaSigner(0)
	document := jwks(t, key)
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	tests := []struct {
		name string
		set  func(t *testing.T, s *site, spec *v1alpha1.TrustedIssuerSpec)
		want string // part of the error
	}{
		{"an issuer that publishes its keys", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, s.discovery(s.URL, s.URL+keysPath))
			s.serve(keysPath, document)
		}, ""},
		{"an issuer with a path", func(_ *testing.T, s *site, spec *v1alpha1.TrustedIssuerSpec) {
			spec.URL = s.URL + "/tenant/"
			s.serve("/tenant"+discoveryPath, s.discovery(spec.URL, s.URL+keysPath))
			s.serve(keysPath, document)
		}, ""},
		{"a mirror of the discovery document", func(_ *testing.T, s *site, spec *v1alpha1.TrustedIssuerSpec) {
			spec.URL, spec.DiscoveryURL = issuerURL, s.URL+"/mirror"
			s.serve("/mirror", s.discovery(issuerURL, s.URL+keysPath))
			s.serve(keysPath, document)
		}, ""},
		{"a redirect on the same host", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.mux.Handle(discoveryPath, redirect("/moved"))
			s.serve("/moved", s.discovery(s.URL, s.URL+keysPath))
			s.serve(keysPath, document)
		}, ""},
		{"the document of another issuer", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, s.discovery("https://other.example.com", s.URL+keysPath))
		}, "not of"},
		{"a redirect to another host", func(t *testing.T, s *site, spec *v1alpha1.TrustedIssuerSpec) {
			other := newSite(t) // it has the same certificate: only the redirect stands between
			other.serve(discoveryPath, s.discovery(spec.URL, other.URL+keysPath))
			other.serve(keysPath, document)
			s.mux.Handle(discoveryPath, redirect(other.URL+discoveryPath))
		}, "it redirects to https"},
		{"a redirect to plain http", func(t *testing.T, s *site, spec *v1alpha1.TrustedIssuerSpec) {
			plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(s.discovery(spec.URL, s.URL+keysPath)))
			}))
			t.Cleanup(plain.Close)
			s.mux.Handle(discoveryPath, redirect(plain.URL))
			s.serve(keysPath, document)
		}, "it redirects to http:"},
		{"a redirect to plain http on the same host", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.mux.Handle(discoveryPath, redirect(strings.Replace(s.URL, "https:", "http:", 1)+"/moved"))
		}, "it redirects to http:"},
		{"redirects without an end", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.mux.Handle(discoveryPath, redirect(discoveryPath))
		}, "more than 3 times"},
		{"keys over plain http", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, s.discovery(s.URL, "http://127.0.0.1/keys"))
		}, "is not https"},
		{"keys in a file", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, s.discovery(s.URL, "file:///etc/hostname"))
		}, "is not https"},
		{"no keys at all", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, s.discovery(s.URL, s.URL+keysPath))
			s.serve(keysPath, `{"keys":[]}`)
		}, "there is none"},
		{"a document that is no JSON", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, "hunter2")
		}, "no JSON object"},
		{"a huge document", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, strings.Repeat(" ", MaxJWKSSize+1))
		}, "more than"},
		{"huge keys", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.serve(discoveryPath, s.discovery(s.URL, s.URL+keysPath))
			s.serve(keysPath, strings.Repeat(" ", MaxJWKSSize+1))
		}, "more than"},
		{"an issuer that tells strangers nothing", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.mux.HandleFunc(discoveryPath, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2", http.StatusForbidden) })
		}, "system:service-account-issuer-discovery"},
		{"an issuer that fails", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) {
			s.mux.HandleFunc(discoveryPath, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2", http.StatusInternalServerError) })
		}, "it answers 500"},
		{"another CA", func(_ *testing.T, s *site, spec *v1alpha1.TrustedIssuerSpec) {
			spec.CAData = ""
			s.serve(discoveryPath, s.discovery(s.URL, s.URL+keysPath))
			s.serve(keysPath, document)
		}, "into spec.caData"},
		{"a CA that is none", func(_ *testing.T, _ *site, spec *v1alpha1.TrustedIssuerSpec) { spec.CAData = "AAAA" }, "no certificate"},
		{"nobody there", func(_ *testing.T, s *site, _ *v1alpha1.TrustedIssuerSpec) { s.Close() }, "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			spec := s.spec()
			tt.set(t, s, spec)
			keys, err := Fetch(t.Context(), spec)
			switch {
			case tt.want == "" && (err != nil || len(keys) != 1 || keys[0].ID != key.kid):
				t.Errorf("%d keys and error %v", len(keys), err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("the error is %v, want one with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes what was answered: %v", err)
			}
		})
	}
}

func TestFetchEndsWithItsDeadline(t *testing.T) {
	s, release := newSite(t), make(chan struct{})
	t.Cleanup(func() { close(release) })                                           // before the server is closed, which waits for its handlers
	s.mux.HandleFunc(discoveryPath, func(w http.ResponseWriter, _ *http.Request) { // a drop, and then nothing
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := Fetch(ctx, s.spec()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

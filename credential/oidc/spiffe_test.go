package oidc_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hawser-io/hawser/credential/oidc"
)

// agent is a Workload API that knows one workload with two identities.
type agent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	t      *testing.T
	domain *issuer
	extra  []string // audiences that it adds
	other  bool     // it gives another identity than the one that is asked for
	asked  []*workload.JWTSVIDRequest
}

// FetchJWTSVID implements the Workload API.
func (a *agent) FetchJWTSVID(ctx context.Context, r *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if got := md.Get("workload.spiffe.io"); len(got) != 1 || got[0] != "true" { // the Workload API's guard against forged requests
		return nil, status.Error(codes.InvalidArgument, "security header missing")
	}
	a.asked = append(a.asked, r)
	id := "spiffe://example.org/manager"
	switch r.SpiffeId {
	case "", id:
	case "spiffe://example.org/fleet":
		id = r.SpiffeId
	default:
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	if a.other {
		id = "spiffe://example.org/manager"
	}
	return &workload.JWTSVIDResponse{Svids: []*workload.JWTSVID{{SpiffeId: id, Svid: a.domain.sign(a.t, id, 5*time.Minute, append(r.Audience, a.extra...)...)}}}, nil
}

func startAgent(t *testing.T) (*agent, oidc.SPIFFE) {
	t.Helper()
	a := &agent{t: t, domain: newIssuer(t, "https://oidc.example.org")}
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, a)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return a, oidc.SPIFFE{Socket: "unix://" + socket, Clock: clk}
}

func TestAJWTSVIDIsFetchedForTheAudience(t *testing.T) {
	a, s := startAgent(t)
	for id, want := range map[string]string{"": "spiffe://example.org/manager", "spiffe://example.org/fleet": "spiffe://example.org/fleet"} {
		s.ID = id
		got, err := s.Token(t.Context(), "hawser:1", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if subject, err := a.domain.verify(got.Token.Reveal(), "hawser:1"); err != nil || subject != want {
			t.Errorf("the token is that of %s (%v), want %s", subject, err, want)
		}
		if left := time.Until(got.ExpiresAt); left > 5*time.Minute || left < 4*time.Minute {
			t.Errorf("the token is good for %s", left)
		}
	}
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", s.Socket)
	s.Socket = ""
	if _, err := s.Token(t.Context(), "hawser:1", time.Hour); err != nil || len(a.asked) != 3 {
		t.Errorf("the environment's socket was not asked: %v", err)
	}
}

func TestAJWTSVIDThatWasNotAskedForIsRefused(t *testing.T) {
	a, s := startAgent(t)
	s.ID = "spiffe://example.org/stranger"
	wantError(t, s, "no identity issued")
	s.ID = "not an id"
	wantError(t, s, "fetching a JWT-SVID from the Workload API")
	s.ID, a.other = "spiffe://example.org/fleet", true
	wantError(t, s, "it gives one of spiffe://example.org/manager, and spiffe://example.org/fleet was asked for")
	s.ID, a.other, a.extra = "", false, []string{"vault"}
	wantError(t, s, `it is for ["hawser:1" "vault"]`)
	s.Socket = "unix:///nowhere/agent.sock"
	wantError(t, s, "no such file")
	t.Setenv("SPIFFE_ENDPOINT_SOCKET", "")
	s.Socket = ""
	wantError(t, s, "--spiffe-endpoint-socket")
}

func wantError(t *testing.T, s oidc.SPIFFE, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := s.Token(ctx, "hawser:1", time.Hour)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "eyJ") {
		t.Errorf("the error is %v, want one with %q", err, want)
	}
}

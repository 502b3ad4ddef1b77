package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/credential"
)

// SPIFFE is the Workload API: JWT-SVIDs of the workload that we are.
type SPIFFE struct {
	// Socket of the Workload API: unix:///path or tcp://address:port. Empty means SPIFFE_ENDPOINT_SOCKET.
	Socket string
	// ID of the identity, where the workload has several. Empty: the default one.
	ID    string
	Clock clock.PassiveClock
}

// Token implements Tokens. The lifetime is the Workload API's to decide.
func (s SPIFFE) Token(ctx context.Context, audience string, _ time.Duration) (credential.Credential, error) {
	svid, err := s.fetch(ctx, audience)
	if err != nil {
		return credential.Credential{}, fmt.Errorf("fetching a JWT-SVID from the Workload API: %w", err)
	}
	return remaining(svid.Marshal(), s.Clock.Now()), nil
}

// Fingerprint implements Tokens.
func (s SPIFFE) Fingerprint() string { return fingerprint("spiffe", s.Socket, s.ID) }

func (s SPIFFE) fetch(ctx context.Context, audience string) (*jwtsvid.SVID, error) {
	params := jwtsvid.Params{Audience: audience}
	if s.ID != "" {
		id, err := spiffeid.FromString(s.ID)
		if err != nil {
			return nil, err
		}
		params.Subject = id
	}
	address := s.Socket
	if address == "" {
		var ok bool
		if address, ok = workloadapi.GetDefaultAddress(); !ok || address == "" {
			return nil, errors.New("nobody says where it is: set SPIFFE_ENDPOINT_SOCKET, or start the manager with --spiffe-endpoint-socket")
		}
	}
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	svid, err := client.FetchJWTSVID(ctx, params)
	switch {
	case err != nil:
		return nil, err
	case !params.Subject.IsZero() && svid.ID != params.Subject:
		return nil, fmt.Errorf("it gives one of %s, and %s was asked for", svid.ID, s.ID)
	}
	if err := soleAudience(svid.Marshal(), audience); err != nil {
		return nil, err
	}
	return svid, nil
}

package connection

import (
	"context"
	"fmt"

	"github.com/hawser-io/hawser/credential"
)

// Endpoint is where requests go now: the address that the credential in use was proved at, which may be
// another than the spec's while that has not proved itself. It fails while there is none, and while the
// connection refuses requests.
func (c *Connection) Endpoint() (credential.Endpoint, error) {
	l, err := c.transport.usable()
	if err != nil {
		return credential.Endpoint{}, err
	}
	return l.gen.endpoint, nil
}

// Identify asks the cluster, where requests go now, who the holder of a token is that the cluster itself has
// issued. The token is shown to no other server than the connection's own credential would be, and what
// comes of it has no effect on the connection. It fails with credential.ErrRefused where the cluster does
// not know the token.
func (c *Connection) Identify(ctx context.Context, token credential.Secret) (credential.Identity, error) {
	l, err := c.transport.usable()
	if err != nil {
		return credential.Identity{}, err
	}
	endpoint := l.gen.endpoint
	cred := credential.Credential{Token: token, Binding: l.cred.Binding}
	gen := l.gen
	if !gen.serves(endpoint, cred) { // it shows a certificate, which would count before the token
		if gen, err = newGeneration(endpoint, nil, cred.Binding); err != nil {
			return credential.Identity{}, err
		}
		defer gen.end(ErrClosed)
	}
	who, err := caller{gen, cred, c.timeout(), c.userAgent}.whoAmI(ctx)
	if err != nil {
		return credential.Identity{}, fmt.Errorf("asking cluster %q for whom it takes a token: %w", c.name, withoutToken(err, cred))
	}
	return who, nil
}

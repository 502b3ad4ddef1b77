package bench

import (
	"time"

	"github.com/hawser-io/hawser/fleettest"
)

// Holes makes clusters that swallow everything: half of them accept TCP and stay silent, half finish TLS and
// never answer a request.
func Holes(c *fleettest.Cluster, n int) ([]*fleettest.Cluster, error) {
	var holes []*fleettest.Cluster
	for i := range n {
		hole := *c
		if i%2 == 0 {
			p, err := c.NewProxy()
			if err != nil {
				return nil, err
			}
			p.BlackHoleTCP()
			hole.Server = p.URL
		} else {
			p, err := c.NewHTTPProxy()
			if err != nil {
				return nil, err
			}
			p.BlackHoleHTTP()
			hole.Server = p.URL
		}
		holes = append(holes, &hole)
	}
	return holes, nil
}

// Pair measures something without and with a burden, in either order: API servers remember tokens for ten
// seconds and the runs have a rhythm, so that without the exchange whatever comes second looks slower, also
// without the burden.
func Pair(burdenFirst bool, once func(burden bool) (time.Duration, error)) (free, burdened time.Duration, err error) {
	if burdenFirst {
		if burdened, err = once(true); err != nil {
			return 0, 0, err
		}
	}
	if free, err = once(false); err != nil || burdenFirst {
		return free, burdened, err
	}
	burdened, err = once(true)
	return free, burdened, err
}

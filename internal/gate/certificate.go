package gate

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

// certificateEvery is how often, at most, the files are looked at.
const certificateEvery = time.Second

// servingCertificate is the certificate in two files. They are read again when somebody connects, and so
// by no goroutine, and without a watch, of which a node has only so many. What cannot be read leaves the
// old one in use.
type servingCertificate struct {
	certFile, keyFile string
	clock             clock.PassiveClock
	log               logr.Logger

	mu        sync.Mutex
	current   *tls.Certificate
	cert, key []byte // what was last read, good or bad
	lookedAt  time.Time
}

// readCertificate reads the files for the first time.
func readCertificate(certFile, keyFile string, clk clock.PassiveClock, log logr.Logger) (*servingCertificate, error) {
	c := &servingCertificate{certFile: certFile, keyFile: keyFile, clock: clk, log: log, lookedAt: clk.Now()}
	if _, err := c.read(); err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	return c, nil
}

// get is tls.Config.GetCertificate.
func (c *servingCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.clock.Now(); now.Sub(c.lookedAt) >= certificateEvery {
		c.lookedAt = now
		switch changed, err := c.read(); {
		case err != nil && changed:
			c.log.Error(err, "reading the serving certificate: the old one stays in use", "file", c.certFile)
		case changed:
			c.log.Info("serving certificate is another one", "file", c.certFile, "expiresAt", c.current.Leaf.NotAfter)
		}
	}
	return c.current, nil
}

// read takes the certificate from the files. changed tells whether they hold something else than before.
func (c *servingCertificate) read() (changed bool, err error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return c.cert != nil, c.unreadable(err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return c.key != nil, c.unreadable(err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	c.cert, c.key = cert, key
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return true, err
	}
	c.current = &pair
	return true, nil
}

// unreadable forgets what the files held, so that the trouble is said once.
func (c *servingCertificate) unreadable(err error) error {
	c.cert, c.key = nil, nil
	return err
}

// expiry is when the certificate in use ends.
func (c *servingCertificate) expiry() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

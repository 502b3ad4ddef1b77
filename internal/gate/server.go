package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	toolscache "k8s.io/client-go/tools/cache"
)

const (
	tokenPath = "/token"

	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	// answerTimeout holds a turn's wait and an API server's answer.
	answerTimeout   = patience + mintTimeout + 5*time.Second
	idleTimeout     = 60 * time.Second
	shutdownTimeout = answerTimeout
	maxHeaderBytes  = 8 << 10
	maxStreams      = 64 // requests at the same time on one HTTP/2 connection
)

// server is the HTTPS server in front of the token endpoint. It is a runnable of the manager, which
// starts it when the caches are there, and waits for it at the end.
type server struct {
	address        string
	handler        http.Handler
	getCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	synced         []toolscache.InformerSynced
	log            logr.Logger
	// listening is told the address that the gate answers on. May be nil.
	listening func(address string)

	ready atomic.Bool
}

// Start serves until ctx ends; then it answers what it has begun.
func (s *server) Start(ctx context.Context) error {
	// A gate that knows only half of the grants would refuse what is granted.
	if !toolscache.WaitForCacheSync(ctx.Done(), s.synced...) {
		return nil // the end came first
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	srv := s.http()
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(listener, "", "") }() // ends with Shutdown or Close
	s.ready.Store(true)
	s.log.Info("exchanging tokens", "address", listener.Addr().String())
	if s.listening != nil {
		s.listening(listener.Addr().String())
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		srv.Close()
		return fmt.Errorf("answering the last requests: %w", err)
	}
	return nil
}

func (s *server) http() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("POST "+tokenPath, s.handler)
	return &http.Server{
		Handler:           mux,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.getCertificate},
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		// What port scanners do to TLS is nobody's business.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.log), slog.LevelDebug),
	}
}

// check is the readiness check.
func (s *server) check(*http.Request) error {
	if !s.ready.Load() {
		return errors.New("the gate does not know all issuers and grants yet, or is about to end")
	}
	return nil
}

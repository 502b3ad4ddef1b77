package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

const (
	// inFlight bounds the requests that are worked on at the same time: an API server signs no more anyway.
	inFlight = 128
	// patience is how long a request may wait for its turn.
	patience = 5 * time.Second
	// comeBack is when a client may try again after trouble of ours.
	comeBack = 5 * time.Second
)

// exchanger is the token endpoint.
type exchanger struct {
	issuers *issuers
	grants  *grants
	limits  *limiter
	kube    kubernetes.Interface
	reports *reports
	book    *book
	figures *figures
	clock   clock.Clock
	log     logr.Logger
	turns   chan struct{}
}

// outcome is what became of a request, for the metrics.
type outcome struct{ issuer, result string }

// ServeHTTP implements http.Handler.
func (e *exchanger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := e.clock.Now()
	e.figures.inFlight.Inc()
	defer e.figures.inFlight.Dec()
	did := outcome{result: resultFailed}
	defer func() {
		if broken := recover(); broken != nil { // hostile input must not end the gate, nor go unseen
			e.log.Error(fmt.Errorf("panic: %v", broken), "answering an exchange")
			answerLater(w, http.StatusServiceUnavailable, comeBack)
		}
		e.figures.observe(did.issuer, did.result, e.clock.Since(begin))
	}()
	did = e.serve(w, r)
}

func (e *exchanger) serve(w http.ResponseWriter, r *http.Request) outcome {
	asked, err := e.read(w, r)
	if err != nil {
		var wrong *protocolError
		if !errors.As(err, &wrong) {
			wrong = &protocolError{"invalid_request", "the request could not be read"}
		}
		answerError(w, wrong)
		return outcome{result: resultMalformed}
	}
	if !e.turn(r.Context()) {
		answerLater(w, http.StatusServiceUnavailable, comeBack)
		return outcome{result: resultBusy}
	}
	defer e.done()
	return e.decide(r.Context(), w, asked, remoteOf(r))
}

// read reads the request, and refuses an audience that is not this cluster's.
func (e *exchanger) read(w http.ResponseWriter, r *http.Request) (request, error) {
	form, err := readForm(w, r)
	if err != nil {
		return request{}, err
	}
	asked, err := parse(form)
	if err != nil {
		return request{}, err
	}
	if asked.audience != "" && !e.issuers.believed.Load().audiences[asked.audience] {
		return request{}, &protocolError{"invalid_target", "the audience is not this cluster"}
	}
	return asked, nil
}

// turn waits until there is room for one more request.
func (e *exchanger) turn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case e.turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *exchanger) done() { <-e.turns }

// decide verifies the token, finds the grant, and gives a token of its account away.
func (e *exchanger) decide(ctx context.Context, w http.ResponseWriter, asked request, remote string) outcome {
	now := e.clock.Now()
	id, ti, err := e.issuers.believed.Load().verify(asked.token.Reveal(), now)
	if err != nil {
		return e.refuse(w, remote, trust.Identity{}, err)
	}
	if by, wait := e.limits.take(id.Issuer, id.Subject, now); wait > 0 {
		e.book.refused(remote, id.Issuer, id.Subject, resultRateLimited, fmt.Errorf("the limit of the %s is reached", by), now)
		answerLater(w, http.StatusTooManyRequests, wait)
		return outcome{id.Issuer, resultRateLimited}
	}
	let, err := e.grants.admit(id.Issuer, id.Subject, asked.grant, now)
	if err != nil {
		return e.refuse(w, remote, id, err)
	}
	got, err := mint(ctx, e.kube, let.account, lifetime(asked.lifetime, let.grant, ti, now))
	if err != nil {
		return e.refuse(w, remote, id, err)
	}
	e.book.exchanged(remote, id, let, got)
	e.reports.used(id.Issuer)
	answerToken(w, got.token, let.grant.Name, usableFor(got, let.grant, e.clock.Now()))
	return outcome{id.Issuer, resultOK}
}

// refuse answers that there is no token: always the same where the token or the grants are the reason,
// and that it may be tried again where the trouble is ours.
func (e *exchanger) refuse(w http.ResponseWriter, remote string, id trust.Identity, err error) outcome {
	why, ok := reasonOf(err)
	if !ok {
		e.log.Error(err, "exchanging a token", "issuer", id.Issuer, "subject", id.Subject, "remote", remote)
		answerLater(w, http.StatusServiceUnavailable, comeBack)
		return outcome{id.Issuer, resultFailed}
	}
	issuer := id.Issuer
	if issuer == "" {
		issuer = why.Issuer
	}
	e.book.refused(remote, issuer, id.Subject, why.Reason, why.Err, e.clock.Now())
	if issuer != "" {
		e.reports.failed(issuer, why.Reason, text(why.Err))
	}
	answerError(w, notAccepted)
	return outcome{issuer, why.Reason}
}

// usableFor is how long a token can be used: its account goes when the grant ends.
func usableFor(m minted, ag *v1alpha1.AccessGrant, now time.Time) time.Duration {
	end := m.expiresAt
	if ends := ag.Spec.EndsAt; ends != nil && ends.Time.Before(end) {
		end = ends.Time
	}
	return end.Sub(now)
}

// remoteOf is the other end of the connection. Headers that claim another one are not believed.
func remoteOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

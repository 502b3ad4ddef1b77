package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

const (
	reportEvery = time.Minute // for each issuer and each of the two facts
	// unknownKeyEvery is for the one failure that somebody waits for: the controller of TrustedIssuers
	// fetches the keys anew.
	unknownKeyEvery = 30 * time.Second
	reportTick      = time.Second
	reportTimeout   = 5 * time.Second
	maxMessage      = 256 // characters of status.lastFailure.message
)

// reports writes lastUse and lastFailure into the status of TrustedIssuers, and nothing else there.
// Exchanges only leave a note; one goroutine, that of Start, writes them.
type reports struct {
	client client.Client
	clock  clock.WithTicker
	log    logr.Logger

	mu    sync.Mutex
	notes map[string]*note // by TrustedIssuer: as many as there are
}

// note is what is to be written of an issuer, and when that was last done.
type note struct {
	use     *metav1.Time
	failure *v1alpha1.IssuerFailure

	useWritten, failureWritten, unknownKeyWritten time.Time
}

func newReports(c client.Client, clk clock.WithTicker, log logr.Logger) *reports {
	return &reports{client: c, clock: clk, log: log, notes: map[string]*note{}}
}

func (r *reports) of(issuer string) *note {
	n, ok := r.notes[issuer]
	if !ok {
		n = &note{}
		r.notes[issuer] = n
	}
	return n
}

// used notes that a token of the issuer was exchanged.
func (r *reports) used(issuer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(issuer).use = &metav1.Time{Time: r.clock.Now()}
}

// failed notes that a token of the issuer was refused. An unknown key stays noted until it is written,
// because it makes somebody act.
func (r *reports) failed(issuer, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.of(issuer)
	if n.failure != nil && n.failure.Reason == trust.UnknownKey && reason != trust.UnknownKey {
		return
	}
	n.failure = &v1alpha1.IssuerFailure{Time: metav1.Time{Time: r.clock.Now()}, Reason: reason, Message: truncate(message, maxMessage)}
}

// forget drops the notes of an issuer that was deleted.
func (r *reports) forget(issuer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.notes, issuer)
}

// Start writes what is due until ctx ends. It is a runnable of the manager, which waits for it.
func (r *reports) Start(ctx context.Context) error {
	tick := r.clock.NewTicker(reportTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
			r.write(ctx)
		}
	}
}

// patch is what is sent: a merge patch of the two fields, one or both.
type patch struct {
	LastUse     *metav1.Time            `json:"lastUse,omitempty"`
	LastFailure *v1alpha1.IssuerFailure `json:"lastFailure,omitempty"`
}

func (r *reports) write(ctx context.Context) {
	for issuer, p := range r.due() {
		if err := r.send(ctx, issuer, p); err != nil && ctx.Err() == nil {
			r.log.Error(err, "the last use of an issuer is not in its status", "issuer", issuer)
		}
	}
}

// due takes the notes that may be written now. One that cannot be written is lost: the next token makes another.
func (r *reports) due() map[string]patch {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	due := map[string]patch{}
	for issuer, n := range r.notes {
		var p patch
		if n.use != nil && now.Sub(n.useWritten) >= reportEvery {
			p.LastUse, n.use, n.useWritten = n.use, nil, now
		}
		if n.failure != nil && n.failureDue(now) {
			if n.failure.Reason == trust.UnknownKey {
				n.unknownKeyWritten = now
			}
			p.LastFailure, n.failure, n.failureWritten = n.failure, nil, now
		}
		if p != (patch{}) {
			due[issuer] = p
		}
	}
	return due
}

func (n *note) failureDue(now time.Time) bool {
	if n.failure.Reason == trust.UnknownKey && now.Sub(n.unknownKeyWritten) >= unknownKeyEvery {
		return true
	}
	return now.Sub(n.failureWritten) >= reportEvery
}

func (r *reports) send(ctx context.Context, issuer string, p patch) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]any{"status": p})
	if err != nil {
		return fmt.Errorf("encoding status of issuer %q: %w", issuer, err)
	}
	ti := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: issuer}}
	err = r.client.Status().Patch(ctx, ti, client.RawPatch(types.MergePatchType, body))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("writing status of issuer %q: %w", issuer, err)
	}
	return nil
}

// truncate cuts what others wrote to a length in characters.
func truncate(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

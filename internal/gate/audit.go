package gate

import (
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/hawser-io/hawser/trust"
)

// Refusals are written as long as somebody may read them. More only fill a disk: they are counted.
var refusalsLogged = Limit{PerSecond: 10, Burst: 100}

const maxLogged = 512 // characters of what others wrote

// book is what the gate writes down: a line for each token that it gave away, one for each refusal.
// No token is ever in it.
type book struct {
	log logr.Logger

	mu         sync.Mutex
	refusals   *buckets // by issuer, so that the junk of one does not hide what the others do
	suppressed int
}

func newBook(log logr.Logger) *book {
	return &book{log: log.WithName("audit"), refusals: newBuckets(refusalsLogged, bucketsKept)}
}

// exchanged is the audit line: who got what until when, from where.
func (b *book) exchanged(remote string, id trust.Identity, a admission, m minted) {
	b.log.Info("token exchanged",
		"issuer", id.Issuer, "subject", id.Subject, "user", id.User, "tokenID", truncate(id.TokenID, maxLogged),
		"grant", a.grant.Name, "account", a.account, "credentialID", m.id,
		"expiresAt", m.expiresAt.UTC().Format(time.RFC3339), "remote", remote)
}

// refused says precisely why nothing was given away. subject is empty where none was proved.
func (b *book) refused(remote, issuer, subject, reason string, err error, now time.Time) {
	if b.refusals.take(issuer, now) > 0 {
		b.mu.Lock()
		b.suppressed++
		b.mu.Unlock()
		return
	}
	b.mu.Lock()
	suppressed := b.suppressed
	b.suppressed = 0
	b.mu.Unlock()
	values := []any{"reason", reason, "issuer", issuer, "subject", subject, "error", truncate(text(err), maxLogged), "remote", remote}
	if suppressed > 0 {
		values = append(values, "notLogged", suppressed)
	}
	b.log.Info("token refused", values...)
}

// reasonOf is the reason of a refusal; ok is false where the error is none.
func reasonOf(err error) (r *trust.Refusal, ok bool) {
	ok = errors.As(err, &r)
	return r, ok
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

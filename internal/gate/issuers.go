package gate

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

// issuers are the TrustedIssuers of the cluster, ready to verify with. They are kept by an informer;
// verifying takes no lock.
type issuers struct {
	defaultAudience string
	log             logr.Logger

	mu       sync.Mutex // of those who change them
	all      map[string]issuer
	believed atomic.Pointer[believed]
}

// issuer is a TrustedIssuer. ready is nil where it is not to be believed, and why says why not.
type issuer struct {
	object *v1alpha1.TrustedIssuer
	ready  *trust.Issuer
	why    string
}

// believed is what is looked at for one exchange. It never changes.
type believed struct {
	set       *trust.Set
	objects   map[string]*v1alpha1.TrustedIssuer // by name; only those that are in the set
	audiences map[string]bool
}

func newIssuers(defaultAudience string, log logr.Logger) *issuers {
	i := &issuers{defaultAudience: defaultAudience, log: log, all: map[string]issuer{}}
	i.publish()
	return i
}

// set adds a TrustedIssuer, or replaces the one of the same name. That the gate has noted a use in its
// status changes nothing.
func (i *issuers) set(ti *v1alpha1.TrustedIssuer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	old, known := i.all[ti.Name]
	if known && sameTrust(old.object, ti) {
		return
	}
	now := issuer{object: ti, why: distrusted(ti)}
	if now.why == "" {
		ready, err := trust.New(ti, i.defaultAudience)
		if now.ready = ready; err != nil {
			now.ready, now.why = nil, err.Error()
		}
	}
	i.all[ti.Name] = now
	i.publish()
	switch {
	case now.ready != nil && old.ready == nil:
		i.log.Info("issuer is trusted", "issuer", ti.Name, "url", ti.Spec.URL)
	case now.ready == nil && (old.why != now.why || !known):
		i.log.Info("issuer is not trusted", "issuer", ti.Name, "url", ti.Spec.URL, "why", now.why)
	}
}

func (i *issuers) remove(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.all[name]; !ok {
		return
	}
	delete(i.all, name)
	i.publish()
	i.log.Info("issuer is not trusted any more: it was deleted", "issuer", name)
}

// publish makes what changed the truth for new exchanges.
func (i *issuers) publish() {
	b := &believed{objects: map[string]*v1alpha1.TrustedIssuer{}, audiences: map[string]bool{i.defaultAudience: true}}
	var ready []*trust.Issuer
	for _, name := range slices.Sorted(maps.Keys(i.all)) {
		is := i.all[name]
		if is.ready == nil {
			continue
		}
		ready = append(ready, is.ready)
		b.objects[name] = is.object
		for _, audience := range is.object.Spec.Audiences {
			b.audiences[audience] = true
		}
	}
	b.set = trust.NewSet(ready...)
	i.believed.Store(b)
}

// verify says whose token it is, by what is believed at that moment.
func (b *believed) verify(token string, now time.Time) (trust.Identity, *v1alpha1.TrustedIssuer, error) {
	id, err := b.set.Verify(token, now)
	if err != nil {
		return trust.Identity{}, nil, err
	}
	return id, b.objects[id.Issuer], nil
}

// sameTrust reports whether two states of a TrustedIssuer are believed alike.
func sameTrust(a, b *v1alpha1.TrustedIssuer) bool {
	x, y := a.Status, b.Status
	x.LastUse, x.LastFailure, x.FetchedAt = y.LastUse, y.LastFailure, y.FetchedAt
	return a.UID == b.UID && a.Generation == b.Generation && a.DeletionTimestamp.IsZero() == b.DeletionTimestamp.IsZero() &&
		equality.Semantic.DeepEqual(x, y)
}

// distrusted says why the member controllers let an issuer be believed by nobody; empty where it may be.
func distrusted(ti *v1alpha1.TrustedIssuer) string {
	ready := meta.FindStatusCondition(ti.Status.Conditions, v1alpha1.Ready)
	switch {
	case trust.Usable(ti):
		return ""
	case ti.DeletionTimestamp != nil:
		return "it is being deleted"
	case ready == nil:
		return "the member controllers have not judged it yet"
	}
	return ready.Reason + ": " + ready.Message
}

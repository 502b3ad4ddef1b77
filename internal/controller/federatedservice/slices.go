package federatedservice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
	"github.com/hawser-io/hawser/endpoint/staleness"
)

// reconcileSlices brings the slices of a key with a cluster to what they are to hold.
func (c *Controller) reconcileSlices(ctx context.Context, key service.Key) (again time.Duration, err error) {
	if key.Cluster == "" && len(c.local.Slices(key)) == 0 {
		return 0, nil
	}
	if !c.local.Synced(key.Import) {
		return 0, nil // when it is, everything is looked at
	}
	leave, ok := c.enter(key.Cluster)
	if ok {
		defer leave()
		_, ok = c.clusters.State(key.Cluster)
	}
	if !ok {
		c.lose(key)
		return 0, c.sweep(ctx, key)
	}
	have := c.local.Slices(key)
	want, again := c.want(key, have)
	if want == nil {
		c.forget(key)
	}
	return again, c.write(ctx, key, want, have)
}

// sweep takes away what is of a cluster that there is no more. That is the leader's.
func (c *Controller) sweep(ctx context.Context, key service.Key) error {
	have := c.local.Slices(key)
	if len(have) == 0 || !c.leads() {
		c.wrote(key, "")
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	known, err := c.options.Known(asking, key.Cluster)
	if err != nil {
		return fmt.Errorf("looking for RemoteCluster %q: %w", key.Cluster, err)
	}
	if known {
		c.wrote(key, "")
		return nil // whoever follows it is told
	}
	c.forget(key)
	return c.write(ctx, key, nil, have)
}

// want says what the slices of a key are to hold now; nil: there are to be none. It says when to look again; zero: when
// something changes.
func (c *Controller) want(key service.Key, have []*discoveryv1.EndpointSlice) (w *service.Wanted, again time.Duration) {
	of, told := c.clusters.State(key.Cluster)
	if !told {
		return nil, 0
	}
	was := service.SourceOf(key, have)
	of.Another = of.Another || was.ID != "" && of.Cluster.ID != "" && was.ID != of.Cluster.ID
	w = &service.Wanted{Key: key, Source: service.Source{ID: was.ID}} // unless it is read anew
	var by staleness.Policy
	var ok bool
	if key.Import {
		by, ok = c.wantImport(w, of, have, was)
	} else {
		by, ok = c.wantFederated(w, of, have, was)
	}
	if !ok {
		return nil, 0
	}
	again = c.age(w, of, by, was)
	if key.Import {
		again = sooner(again, c.tellExportsGap(w, of))
	}
	w.Source.Gaps = with(w.Source.Gaps, c.unwrittenOf(key))
	return w, again
}

// left is what is written of a cluster of which nothing else is known, as far as that may contribute it still.
func left(w *service.Wanted, of service.State, have []*discoveryv1.EndpointSlice, was service.Source) {
	found := service.Left(of.Cluster, have)
	w.Groups, w.Source.Gaps = found.Groups, slices.DeleteFunc(was.Gaps, func(gap string) bool { return strings.HasPrefix(gap, notWritten) })
	for _, gap := range found.Gaps {
		w.Source.Gaps = with(w.Source.Gaps, gap)
	}
}

// with adds a gap to others, if it is one, and not among them.
func with(gaps []string, gap string) []string {
	if gap == "" || slices.Contains(gaps, gap) {
		return gaps
	}
	return append(gaps, gap)
}

// wantFederated fills in what a Service that selects gets of a cluster.
func (c *Controller) wantFederated(w *service.Wanted, of service.State, have []*discoveryv1.EndpointSlice, was service.Source) (staleness.Policy, bool) {
	s := c.local.Service(w.Namespace, w.Name)
	if s == nil {
		return staleness.Policy{}, false
	}
	f, _ := service.ReadFederated(s, c.local.LastSelector(w.Whole(), s.UID)) // fold says what is wrong with it
	if f == nil {
		return staleness.Policy{}, false
	}
	w.Source.Selector = f.Text
	w.Owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "Service", Name: s.Name, UID: s.UID}
	switch {
	case of.Barred:
		if of.Why.Reason == endpoint.ReasonUnbounded {
			w.Source.Gaps = []string{"nothing is taken from it: " + of.Why.Message}
		}
	case of.View != nil:
		found := service.Collect(of.Cluster, of.View.Backing(f, of.Cluster), f.Keep)
		w.Groups, w.Source.Gaps, w.Source.ID = found.Groups, found.Gaps, of.Cluster.ID
	case !of.Another: // what is written is all that is known
		left(w, of, have, was)
	}
	return f.Staleness, true
}

// wantImport fills in what an import gets of a cluster.
func (c *Controller) wantImport(w *service.Wanted, of service.State, have []*discoveryv1.EndpointSlice, was service.Source) (staleness.Policy, bool) {
	if of.Barred || !c.local.Imports() || !c.local.HasNamespace(w.Namespace) {
		return staleness.Policy{}, false
	}
	switch {
	case of.View != nil && of.Exports:
		export, backing, _ := of.View.Exported(w.Namespace, w.Name)
		if export == nil {
			return staleness.Policy{}, false
		}
		export.Seen = c.seen(w.Key, of, was.Export)
		found := service.CollectExported(of.Cluster, backing, export, c.exposed(w.Key, export))
		w.Groups, w.Source.Gaps, w.Source.Export, w.Source.ID = found.Groups, found.Gaps, export, of.Cluster.ID
	case was.Export == nil || of.Another:
		return staleness.Policy{}, false
	case of.View != nil: // only what it exports is not known, and is as it was
		found := service.CollectExported(of.Cluster, of.View.SlicesOf(w.Namespace, w.Name), was.Export, c.exposed(w.Key, was.Export))
		w.Groups, w.Source.Gaps, w.Source.Export = found.Groups, found.Gaps, was.Export
	default:
		left(w, of, have, was)
		w.Source.Export = was.Export
	}
	im := c.local.Import(w.Namespace, w.Name)
	if im == nil || !ours(im) {
		return staleness.Policy{}, true
	}
	w.Owner = &metav1.OwnerReference{APIVersion: im.APIVersion, Kind: mcs.ServiceImportKindName, Name: im.Name, UID: im.UID}
	by, err := service.ParseStaleness(im.Annotations[service.StalenessAnnotation])
	if err != nil {
		by = staleness.Policy{} // the import says so
	}
	return by, true
}

// age does to what is wanted what the silence of a cluster asks for.
func (c *Controller) age(w *service.Wanted, of service.State, by staleness.Policy, was service.Source) (again time.Duration) {
	if of.Barred {
		return 0
	}
	now := c.options.Clock.Now()
	m, away, at := c.judge(w.Key, of, by, was, now)
	if away {
		w.Groups, w.Source.Expired, w.Source.Gaps = nil, true, nil
	}
	if !at.IsZero() {
		again = at.Sub(now)
	}
	if of.Contact.StaleSince.IsZero() {
		return again
	}
	begun := m.Since
	if begun.IsZero() { // it only begins to be heard of
		begun = of.Contact.StaleSince
	}
	if left := begun.Add(c.options.Grace).Sub(now); left > 0 && !w.Source.Expired {
		return sooner(again, left)
	}
	switch {
	case !m.Since.IsZero():
		since := metav1.NewTime(m.Since.UTC().Truncate(time.Second))
		w.Source.StaleSince = &since
	case of.Why.Message == "":
		w.Source.Gaps = with(w.Source.Gaps, "not everything was listed yet")
	}
	w.Source.Gaps = with(w.Source.Gaps, of.Why.Message)
	for _, gap := range of.Gaps {
		w.Source.Gaps = with(w.Source.Gaps, gap)
	}
	return again
}

// tellExportsGap says what keeps the exports of a cluster from being followed, when that has lasted for a while: as long as it does,
// they are as they were. It says when to look again; zero: not because of that.
func (c *Controller) tellExportsGap(w *service.Wanted, of service.State) (again time.Duration) {
	if of.ExportsGap == "" {
		return 0
	}
	if left := of.ExportsSince.Add(c.options.Grace).Sub(c.options.Clock.Now()); left > 0 {
		return left
	}
	w.Source.Gaps = with(w.Source.Gaps, of.ExportsGap)
	return 0
}

// sooner is the first of two times to look again, where zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// judge says whether the endpoints of a cluster are to be away, and when to judge again. was is what the slices say, which
// an earlier process, or another replica, has left, and counts until something was heard of the cluster here.
func (c *Controller) judge(key service.Key, of service.State, by staleness.Policy, was service.Source, now time.Time) (m staleness.Memory, away bool, again time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory[key] == nil || of.Contact.Unheard {
		var since time.Time
		if was.StaleSince != nil {
			since = was.StaleSince.Time
		}
		c.memory[key] = new(staleness.Restore(by, since, was.Expired, now))
	}
	away, again = c.memory[key].Judge(by, of.Contact, now)
	return *c.memory[key], away, again
}

// lose drops what is remembered of a key that is another replica's: where it becomes ours again, slices tell what that
// one has made of it.
func (c *Controller) lose(key service.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.memory, key)
	delete(c.first, key)
}

// forget drops what is known of a key that nothing is wanted of any more.
func (c *Controller) forget(key service.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.memory, key)
	delete(c.taken, key)
	delete(c.first, key)
}

package federatedservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/service"
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
	if !ok {
		return 0, c.sweep(ctx, key)
	}
	defer leave()
	if _, told := c.clusters.State(key.Cluster); !told {
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
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	known, err := c.options.Known(asking, key.Cluster)
	if err != nil {
		return fmt.Errorf("looking for RemoteCluster %q: %w", key.Cluster, err)
	}
	if known {
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
	w = &service.Wanted{Key: key}
	var staleness service.Staleness
	var ok bool
	if key.Import {
		staleness, ok = c.wantImport(w, of, have)
	} else {
		staleness, ok = c.wantFederated(w, of, have)
	}
	if !ok {
		return nil, 0
	}
	return w, c.age(w, of, staleness, service.SourceOf(key, have))
}

// wantFederated fills in what a Service that selects gets of a cluster.
func (c *Controller) wantFederated(w *service.Wanted, of service.State, have []*discoveryv1.EndpointSlice) (service.Staleness, bool) {
	s := c.local.Service(w.Namespace, w.Name)
	if s == nil {
		return service.Staleness{}, false
	}
	f, problem := service.ReadFederated(s)
	if f == nil || !problem.None() {
		return service.Staleness{}, false
	}
	w.Owner = &metav1.OwnerReference{APIVersion: "v1", Kind: "Service", Name: s.Name, UID: s.UID}
	switch {
	case of.Barred:
		if of.Why.Reason == endpoint.ReasonUnbounded {
			w.Source.Gaps = []string{"nothing is taken from it: " + of.Why.Message}
		}
	case of.View != nil:
		found := service.Collect(of.Cluster, of.View.Backing(f, of.Cluster), f.Keep)
		w.Groups, w.Source.Gaps = found.Groups, found.Gaps
	case !of.Another: // what is written is all that is known
		w.Groups, w.Source.Gaps = service.GroupsOf(have), service.SourceOf(w.Key, have).Gaps
	}
	return f.Staleness, true
}

// wantImport fills in what an import gets of a cluster.
func (c *Controller) wantImport(w *service.Wanted, of service.State, have []*discoveryv1.EndpointSlice) (service.Staleness, bool) {
	if of.Barred || !c.local.Imports() || !c.local.HasNamespace(w.Namespace) {
		return service.Staleness{}, false
	}
	switch {
	case of.View != nil && of.Exports:
		export, backing, _ := of.View.Exported(w.Namespace, w.Name)
		if export == nil {
			return service.Staleness{}, false
		}
		found := service.Collect(of.Cluster, backing, func(service.Port) bool { return true })
		w.Groups, w.Source.Gaps, w.Source.Export = found.Groups, found.Gaps, export
	case len(have) > 0 && !of.Another:
		was := service.SourceOf(w.Key, have)
		w.Groups, w.Source.Gaps, w.Source.Export = service.GroupsOf(have), was.Gaps, was.Export
		if was.Export == nil {
			return service.Staleness{}, false
		}
	default:
		return service.Staleness{}, false
	}
	im := c.local.Import(w.Namespace, w.Name)
	if im == nil || !ours(im) {
		return service.Staleness{}, true
	}
	w.Owner = &metav1.OwnerReference{APIVersion: im.APIVersion, Kind: mcs.ServiceImportKindName, Name: im.Name, UID: im.UID}
	staleness, err := service.ParseStaleness(im.Annotations[service.StalenessAnnotation])
	if err != nil {
		staleness = service.Staleness{} // the import says so
	}
	return staleness, true
}

// age does to what is wanted what the silence of a cluster asks for.
func (c *Controller) age(w *service.Wanted, of service.State, staleness service.Staleness, was service.Source) (again time.Duration) {
	if of.Barred {
		return 0
	}
	now, contact := c.options.Clock.Now(), of.Contact
	if was.StaleSince != nil && !contact.StaleSince.IsZero() && was.StaleSince.Time.Before(contact.StaleSince) && !of.Services {
		contact.StaleSince = was.StaleSince.Time // nobody has heard of it since
	}
	c.mu.Lock()
	e := c.expiry[w.Key]
	if e == nil {
		e = &service.Expiry{Expired: was.Expired}
		c.expiry[w.Key] = e
	}
	shown, again := e.Judge(staleness, contact, now)
	c.mu.Unlock()
	if !shown {
		w.Groups, w.Source.Expired, w.Source.Gaps = nil, true, nil
	}
	if contact.StaleSince.IsZero() {
		return again
	}
	if left := contact.StaleSince.Add(c.options.Grace).Sub(now); left > 0 && !w.Source.Expired {
		if again == 0 || left < again {
			again = left
		}
		return again
	}
	since := metav1.NewTime(contact.StaleSince.UTC().Truncate(time.Second))
	w.Source.StaleSince = &since
	if of.Why.Message != "" {
		w.Source.Gaps = append(w.Source.Gaps, of.Why.Message)
	}
	if len(of.Gaps) > 0 {
		w.Source.Gaps = append(w.Source.Gaps, of.Gaps...)
	}
	return again
}

// write carries out what brings the slices of a key to what they are to be.
func (c *Controller) write(ctx context.Context, key service.Key, want *service.Wanted, have []*discoveryv1.EndpointSlice) error {
	c.mu.Lock()
	taken := c.taken[key]
	c.mu.Unlock()
	plan, err := service.NewPlan(want, have, c.options.PerSlice, taken)
	if err != nil {
		return fmt.Errorf("planning the EndpointSlices of %s: %w", key, err)
	}
	for _, step := range []struct {
		all []*discoveryv1.EndpointSlice
		do  func(context.Context, service.Key, *discoveryv1.EndpointSlice) error
	}{{plan.Create, c.create}, {plan.Update, c.update}, {plan.Delete, c.remove}} {
		for _, s := range step.all {
			asking, cancel := context.WithTimeout(ctx, callTimeout)
			err := step.do(asking, key, s)
			cancel()
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Controller) create(ctx context.Context, key service.Key, s *discoveryv1.EndpointSlice) error {
	written, err := c.writer.kube.DiscoveryV1().EndpointSlices(s.Namespace).Create(ctx, s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return c.look(ctx, key, s, err)
	}
	if err != nil {
		return fmt.Errorf("creating EndpointSlice %q in namespace %q: %w", s.Name, s.Namespace, err)
	}
	c.local.WroteSlice(written)
	return nil
}

func (c *Controller) update(ctx context.Context, key service.Key, s *discoveryv1.EndpointSlice) error {
	written, err := c.writer.kube.DiscoveryV1().EndpointSlices(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return c.look(ctx, key, s, err)
	}
	if err != nil {
		return fmt.Errorf("writing EndpointSlice %q in namespace %q: %w", s.Name, s.Namespace, err)
	}
	c.local.WroteSlice(written)
	return nil
}

func (c *Controller) remove(ctx context.Context, key service.Key, s *discoveryv1.EndpointSlice) error {
	err := c.writer.kube.DiscoveryV1().EndpointSlices(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &s.UID, ResourceVersion: &s.ResourceVersion},
	})
	if apierrors.IsConflict(err) {
		return c.look(ctx, key, s, err)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting EndpointSlice %q in namespace %q: %w", s.Name, s.Namespace, err)
	}
	c.local.DeletedSlice(s)
	return nil
}

// errAgain says that what is written is not as we thought, and is known now.
var errAgain = errors.New("looking again at what is written")

// look takes in how a slice is that is not as we thought.
func (c *Controller) look(ctx context.Context, key service.Key, s *discoveryv1.EndpointSlice, because error) error {
	found, err := c.writer.kube.DiscoveryV1().EndpointSlices(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		if s.UID != "" {
			c.local.DeletedSlice(s)
		}
	case err != nil:
		return fmt.Errorf("reading EndpointSlice %q in namespace %q: %w", s.Name, s.Namespace, err)
	default:
		if of, ok := service.KeyOf(found); !ok || of != key {
			c.take(key, s.Name)
			c.options.Log.Info("an EndpointSlice with a name of ours is somebody else's: another name is taken", "namespace", s.Namespace, "slice", s.Name, "cause", because.Error())
		}
		c.local.WroteSlice(found)
	}
	return errAgain
}

func (c *Controller) take(key service.Key, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[key] == nil {
		c.taken[key] = map[string]bool{}
	}
	c.taken[key][name] = true
}

// forget drops what is known of a key that nothing is wanted of any more.
func (c *Controller) forget(key service.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.expiry, key)
	delete(c.taken, key)
}

package federatedservice

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/endpoint/service"
)

// write carries out what brings the slices of a key to what they are to be.
func (c *Controller) write(ctx context.Context, key service.Key, want *service.Wanted, have []*discoveryv1.EndpointSlice) error {
	c.mu.Lock()
	taken := c.taken[key]
	c.mu.Unlock()
	plan, err := service.NewPlan(want, have, c.options.PerSlice, taken)
	if err != nil {
		return fmt.Errorf("planning the EndpointSlices of %s: %w", key, err)
	}
	before := map[string]*discoveryv1.EndpointSlice{}
	for _, s := range have {
		before[s.Name] = s
	}
	w := writing{key: key}
	for _, s := range plan.Create {
		w.do(ctx, s, c.create)
	}
	for _, s := range plan.Update {
		if spared := service.Spare(before[s.Name], s, w.unwritten); spared != before[s.Name] {
			w.do(ctx, spared, c.update)
		}
	}
	for _, s := range plan.Delete {
		switch spared := service.Spare(s, nil, w.unwritten); spared {
		case nil:
			w.do(ctx, s, c.remove)
		case s:
		default:
			w.do(ctx, spared, c.update)
		}
	}
	c.tellUnwritten(ctx, &w)
	return w.err()
}

// writing is what is written for one key. What fails does not keep the rest from being written: endpoints that are gone must
// go from the others.
type writing struct {
	key       service.Key
	unwritten []*discoveryv1.EndpointSlice
	errs      []error
	again     bool
	over      bool // the namespace is going
}

func (w *writing) do(ctx context.Context, s *discoveryv1.EndpointSlice, do func(context.Context, service.Key, *discoveryv1.EndpointSlice) error) {
	if w.over || ctx.Err() != nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch err := do(asking, w.key, s); {
	case err == nil:
		return
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		w.over = true
	case errors.Is(err, errAgain):
		w.again = true
	default:
		w.errs = append(w.errs, err)
	}
	w.unwritten = append(w.unwritten, s)
}

// err is what went wrong, before that something is to be looked at again.
func (w *writing) err() error {
	switch {
	case w.over:
		return nil
	case len(w.errs) == 0 && w.again:
		return errAgain
	}
	return errors.Join(w.errs...)
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

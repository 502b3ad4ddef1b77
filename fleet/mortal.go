package fleet

import (
	"context"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
)

// mortal is the informer of one namespace of several. controller-runtime joins those of a kind by goroutines that
// wait until each of them, and each of its handlers, has synced: for ever, where an informer ends before that.
// This one lets them go when ctx ends, and with a handler that is removed. Whether it has synced, HasSynced says.
type mortal struct {
	toolscache.SharedIndexInformer
	ctx context.Context //nolint:containedctx // the life of the informer
}

// HasSyncedChecker implements toolscache.SharedInformer.
func (m mortal) HasSyncedChecker() toolscache.DoneChecker {
	return orEnded{m.SharedIndexInformer.HasSyncedChecker(), m.ctx.Done()}
}

// AddEventHandler implements toolscache.SharedInformer.
func (m mortal) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return m.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
}

// AddEventHandlerWithResyncPeriod implements toolscache.SharedInformer.
func (m mortal) AddEventHandlerWithResyncPeriod(h toolscache.ResourceEventHandler, period time.Duration) (toolscache.ResourceEventHandlerRegistration, error) {
	return m.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{ResyncPeriod: &period})
}

// AddEventHandlerWithOptions implements toolscache.SharedInformer.
func (m mortal) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	inner, err := m.SharedIndexInformer.AddEventHandlerWithOptions(h, o)
	if err != nil {
		return nil, fmt.Errorf("adding a handler: %w", err)
	}
	ctx, end := context.WithCancel(m.ctx)
	return &mortalHandler{inner, ctx.Done(), end}, nil
}

// RemoveEventHandler implements toolscache.SharedInformer.
func (m mortal) RemoveEventHandler(r toolscache.ResourceEventHandlerRegistration) error {
	if ours, ok := r.(*mortalHandler); ok {
		ours.end()
		r = ours.ResourceEventHandlerRegistration
	}
	return m.SharedIndexInformer.RemoveEventHandler(r)
}

// mortalHandler is a handler of such an informer.
type mortalHandler struct {
	toolscache.ResourceEventHandlerRegistration
	ended <-chan struct{}
	end   context.CancelFunc
}

// HasSyncedChecker implements toolscache.ResourceEventHandlerRegistration.
func (h *mortalHandler) HasSyncedChecker() toolscache.DoneChecker {
	return orEnded{h.ResourceEventHandlerRegistration.HasSyncedChecker(), h.ended}
}

// orEnded is done when something has synced, or never will.
type orEnded struct {
	toolscache.DoneChecker
	ended <-chan struct{}
}

// Done implements toolscache.DoneChecker.
func (o orEnded) Done() <-chan struct{} {
	synced := o.DoneChecker.Done()
	select {
	case <-synced:
		return synced
	case <-o.ended:
		return o.ended
	default:
	}
	done := make(chan struct{})
	go func() { // ends with either
		defer close(done)
		select {
		case <-synced:
		case <-o.ended:
		}
	}()
	return done
}

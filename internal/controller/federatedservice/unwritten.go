package federatedservice

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hawser-io/hawser/endpoint/service"
)

// notWritten begins what is said of slices that could not be written.
const notWritten = "not all of its endpoints are written: "

// longestError is as much of an error as that shows.
const longestError = 300

// tellUnwritten says what could not be written of a key, on the first slice of that, if there is one, and in an event: in the
// condition, the leader says what slices say, and what it could not write itself.
func (c *Controller) tellUnwritten(ctx context.Context, w *writing) {
	switch {
	case ctx.Err() != nil || w.again && len(w.errs) == 0: // nobody knows yet
	case w.over || len(w.errs) == 0:
		c.wrote(w.key, "")
	case c.slices.NumRequeues(w.key) > 0: // else it may well pass before it is told
		text := notWritten + why(w.errs[0])
		if len(w.errs) > 1 {
			text = fmt.Sprintf("%s, and %d more", text, len(w.errs)-1)
		}
		c.wrote(w.key, text)
		if about := c.about(w.key); about != nil {
			c.event(w.key, about, corev1.EventTypeWarning, service.Problem{Reason: service.ReasonNotWritten, Message: fmt.Sprintf("cluster %q: %s", w.key.Cluster, text)})
		}
	}
}

// why is what an error says, the same for as long as it is the same trouble.
func why(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return "the API server of the local cluster does not answer"
	}
	return cut(err.Error(), longestError)
}

// wrote keeps why slices of a key could not be written; "" if they are as they are to be. If that is something else than
// before, it is said before long: on slices when they are tried again.
func (c *Controller) wrote(key service.Key, failed string) {
	c.mu.Lock()
	before := c.failed[key]
	if failed == "" {
		delete(c.failed, key)
		delete(c.said, key)
	} else {
		c.failed[key] = failed
	}
	c.mu.Unlock()
	if before == failed {
		return
	}
	if failed == "" {
		c.queueSlices(key)
	}
	c.queueFold(key.Whole())
}

// unwrittenOf says why slices of a key could not be written; "" for no reason.
func (c *Controller) unwrittenOf(key service.Key) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed[key]
}

// unwrittenClusters are those of which slices could not be written.
func (c *Controller) unwrittenClusters(whole service.Key) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.failed {
		if key.Whole() == whole {
			all = append(all, key.Cluster)
		}
	}
	return all
}

// about is the object that the slices of a key are for, or that asks for them: nil where there is none.
func (c *Controller) about(key service.Key) runtime.Object {
	if !key.Import {
		if s := c.local.Service(key.Namespace, key.Name); s != nil {
			return s
		}
		return nil
	}
	if im := c.local.Import(key.Namespace, key.Name); im != nil {
		return im
	}
	if e := c.local.Export(key.Namespace, key.Name); e != nil {
		return e
	}
	return nil
}

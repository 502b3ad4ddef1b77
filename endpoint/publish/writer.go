package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// deadline is that of each request to the local cluster.
const deadline = 10 * time.Second

// outcome is what came of writing.
type outcome struct {
	objects int      // that are as they are to be
	refused []string // what is not, and why
	// again says that something was refused that no watch tells of when it changes: it is to be tried again after a while.
	again bool
}

// refusal is why an object is not written. It names the object and says what to do.
type refusal struct {
	text    string
	watched bool // a change of it is told
}

func (r *refusal) Error() string { return r.text }

func refuse(watched bool, format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...), watched}
}

// errChanged says that an object is not as we knew it.
var errChanged = errors.New("it has changed since it was read")

// write makes the objects of an owner what they are to be. Addresses that move from one object to another are in both
// for a moment, never in neither: what is new is made first, what is not wanted any more goes last, and nothing goes
// while something could not be made for a reason that passes. Such a reason is the error. ours says that the publisher
// writes, which is not told of it.
func (s *Objects) write(ctx context.Context, at owner, wants []wanted, ours bool) (outcome, error) {
	have := s.records.of(at)
	var create, change, remove []func() error
	for _, w := range wants {
		r := have[w.ref]
		delete(have, w.ref)
		put := func() error { return s.put(ctx, at, r, w, ours) }
		if r == nil {
			create = append(create, put)
		} else {
			change = append(change, put)
		}
	}
	for _, r := range have {
		remove = append(remove, func() error { return s.remove(ctx, r, ours) })
	}
	var out outcome
	for _, phase := range [][]func() error{create, change} {
		done, err := out.take(atOnce(phase))
		if err != nil {
			return out, err
		}
		out.objects += done
	}
	slices.Sort(out.refused)
	if at.cluster == "" && len(wants) > 0 && len(out.refused) > 0 { // what is of no cluster closes pods: they stay closed until what is to close them is there
		return out, nil
	}
	_, err := out.take(atOnce(remove))
	slices.Sort(out.refused)
	return out, err
}

// parallel is how many objects of an owner are written at a time.
const parallel = 4

// atOnce does several things, a few at a time, and returns when all are done.
func atOnce(all []func() error) []error {
	errs := make([]error, len(all))
	var next atomic.Int64
	var working sync.WaitGroup
	for range min(parallel, len(all)) {
		working.Go(func() { // ends when nothing is left
			for {
				i := int(next.Add(1)) - 1
				if i >= len(all) {
					return
				}
				errs[i] = all[i]()
			}
		})
	}
	working.Wait()
	return errs
}

// take notes what came of writing several objects: how many are done, and of the others what was refused. The error is
// what is to be tried again soon.
func (o *outcome) take(errs []error) (done int, err error) {
	var again []error
	for _, err := range errs {
		var r *refusal
		switch {
		case err == nil:
			done++
		case errors.As(err, &r):
			o.refused = append(o.refused, r.text)
			o.again = o.again || !r.watched
		default:
			again = append(again, err)
		}
	}
	return done, errors.Join(again...)
}

// verdict tells what is refused from what is to be tried again soon.
func (s *Objects) verdict(doing string, of ref, err error) error {
	switch {
	case apierrors.IsNotFound(err) && doing == "creating" && of.namespace != "":
		s.discovery.Again() // unless it is the kind that is gone
		return refuse(false, "%s cannot be written: the API server does not find namespace %q, or the kind: %s", of, of.namespace, err)
	case apierrors.IsForbidden(err):
		return refuse(false, "%s: %s is forbidden: %s", of, doing, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsMethodNotSupported(err):
		return refuse(false, "%s: the API server does not take it: %s", of, shortened(err.Error()))
	}
	return fmt.Errorf("%s %s: %w", doing, of, err)
}

func shortened(text string) string {
	const long = 300
	if runes := []rune(text); len(runes) > long {
		return string(runes[:long]) + "…"
	}
	return text
}

func describe(at owner) string {
	if at.cluster == "" {
		return at.key.String()
	}
	return fmt.Sprintf("%s of cluster %q", at.key, at.cluster)
}

package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// deadline is that of each request to the local cluster: long enough for its answer that a webhook gave none, for which
// it waits 10 s, unless somebody wants more.
const deadline = 15 * time.Second

// outcome is what came of writing.
type outcome struct {
	objects int      // that are as they are to be
	refused []string // what is not, and why
	failed  []string // what could not be done, and why. It is tried again soon
	// again says that something was refused that no watch tells of when it changes: it is to be tried again after a while.
	again bool
	// soon is when what was put off is to be tried again; zero: nothing was.
	soon time.Duration
	// waiting says that something waits until it is known what there is of its kind, which we are told of.
	waiting bool
	// kept are objects that stay as they are until addresses can be divided anew, by the number of pieces that theirs were
	// divided among.
	kept map[int][]ref
}

// told is what there is to say of what is not as it is to be.
func (o *outcome) told() []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(o.refused, o.failed))))
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

// group are the objects that addresses are divided among: those of a kind and namespace whose names differ in the number
// alone.
type group struct {
	kind            schema.GroupKind
	namespace, name string
}

func groupOf(r ref) group { return group{r.kind, r.namespace, whole(r.name)} }

// divided is how the addresses of a group are divided, and how far we have come.
type divided struct {
	pieces  string // among how many objects, as PiecesAnnotation has it
	lacking bool   // one that is to be made is not there
	stuck   bool   // neither, or one that is to be changed could not be written yet
}

// manner is how objects are written.
type manner struct {
	// ours says that the publisher writes, which is not told of it.
	ours bool
	// empty says that no addresses are wanted, so that none move.
	empty bool
	// stays says that of what is of no cluster nothing goes: it closes pods, and nobody can say which these are to be. It
	// lets nothing through any more.
	stays bool
	// only are the objects that are written, where not all are.
	only []ref
}

// write makes the objects of an owner what they are to be. Addresses that move from one object of a group to another are
// in both for a moment, never in neither: what is new is made first, and what is not wanted any more goes last. Where
// they are divided anew, nothing of a group becomes less while something of it could not be made. Groups do not wait for
// each other, and what is wanted no more of a cluster goes, whatever becomes of the rest. What is of no cluster closes
// pods: until all that is to close them is there, none of it goes, and what is not wanted any more lets nothing through.
// The error is what is to be tried again soon.
func (s *Objects) write(ctx context.Context, at owner, wants []wanted, by manner) (outcome, error) {
	t := s.turn(at, by.ours)
	defer t.end()
	create, change, remove := t.steps(ctx, wants, by)
	var out outcome
	creating := out.do(create, func(g *divided, _ error) { g.lacking, g.stuck = true, true })
	change = out.without(change, func(s step) bool { return s.moves && s.lacking })
	changing := out.do(change, func(g *divided, err error) {
		var r *refusal
		g.stuck = g.stuck || !errors.As(err, &r)
	})
	remove = out.without(remove, func(s step) bool { return s.moves && s.stuck })
	if at.cluster == "" && (by.stays || out.objects < len(wants)) {
		for i, s := range remove {
			remove[i].do = func() error { return t.shut(ctx, s.record) }
		}
	}
	return out, errors.Join(creating, changing, out.gone(remove))
}

// steps are what there is to do.
func (t *turn) steps(ctx context.Context, wants []wanted, by manner) (create, change, remove []step) {
	have := t.records.of(t.at)
	if by.only != nil {
		other := func(r ref) bool { return !slices.Contains(by.only, r) }
		wants = slices.DeleteFunc(slices.Clone(wants), func(w wanted) bool { return other(w.ref) })
		maps.DeleteFunc(have, func(r ref, _ *record) bool { return other(r) })
	}
	groups := map[group]*divided{}
	for _, w := range wants {
		r := have[w.ref]
		delete(have, w.ref)
		g := groups[groupOf(w.ref)]
		if g == nil {
			g = &divided{}
			groups[groupOf(w.ref)] = g
		}
		g.pieces = w.object.GetAnnotations()[PiecesAnnotation]
		do := step{g, r, !by.empty && r != nil && r.annotations[PiecesAnnotation] != g.pieces, func() error { return t.put(ctx, r, w) }}
		if r == nil {
			create = append(create, do)
		} else {
			change = append(change, do)
		}
	}
	for _, r := range have {
		g := groups[groupOf(r.ref)]
		remove = append(remove, step{g, r, !by.empty && g != nil && r.annotations[PiecesAnnotation] != g.pieces, func() error { return t.remove(ctx, r) }})
	}
	return create, change, remove
}

// step is what is done with one object; the record is nil where there is none. moves says that addresses go from it to
// others of its group, or come from them.
type step struct {
	*divided
	*record
	moves bool
	do    func() error
}

// without leaves out those that are to wait, and notes them.
func (o *outcome) without(steps []step, waits func(step) bool) []step {
	return slices.DeleteFunc(steps, func(s step) bool {
		if !waits(s) {
			return false
		}
		if o.kept == nil {
			o.kept = map[int][]ref{}
		}
		n := piecesOf(s.record)
		o.kept[n] = append(o.kept[n], s.ref)
		return true
	})
}

// do does steps, and notes what came of them, for the groups of those that did not succeed, too.
func (o *outcome) do(steps []step, failed func(*divided, error)) error {
	errs := atOnce(steps)
	for i, err := range errs {
		if err != nil {
			failed(steps[i].divided, err)
		}
	}
	done, err := o.take(errs)
	o.objects += done
	return err
}

// gone removes objects, which then are none any more.
func (o *outcome) gone(steps []step) error {
	_, err := o.take(atOnce(steps))
	return err
}

// parallel is how many objects of an owner are written at a time.
const parallel = 4

// atOnce does several things, a few at a time, and returns when all are done.
func atOnce(all []step) []error {
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
				errs[i] = caught(all[i].do)
			}
		})
	}
	working.Wait()
	return errs
}

// take notes what came of writing several objects: how many are done, and of the others what was refused, and what
// could not be done. The error is what is to be tried again soon.
func (o *outcome) take(errs []error) (done int, err error) {
	var again []error
	for _, err := range errs {
		var r *refusal
		var l *later
		switch {
		case err == nil:
			done++
		case errors.As(err, &r):
			o.refused = append(o.refused, r.text)
			o.again = o.again || !r.watched
		case errors.As(err, &l):
			o.soon = soonest(o.soon, l.after)
			if l.text != "" {
				o.failed = append(o.failed, l.text)
			}
		case errors.Is(err, errNotListed):
			o.waiting = true
		default:
			again = append(again, err)
			if passing := errors.Is(err, errChanged) || apierrors.IsConflict(err) || errors.Is(err, context.Canceled); !passing {
				o.failed = append(o.failed, shortened(err.Error()))
			}
		}
	}
	return done, errors.Join(again...)
}

// verdict tells what is refused from what is to be tried again soon.
func (s *Objects) verdict(doing string, of ref, err error) error {
	switch {
	case apierrors.IsNotFound(err) && doing == "creating" && of.namespace != "":
		if k := s.kinds[of.kind]; k != nil && k.foreign != nil && !lacksNamespace(err) { // the kind may be gone
			s.discovery.Again()
		}
		return refuse(false, "%s cannot be written: the API server does not find namespace %q, or the kind: %s", of, of.namespace, err)
	case apierrors.IsForbidden(err):
		return refuse(false, "%s: %s is forbidden: %s", of, doing, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsMethodNotSupported(err):
		return refuse(false, "%s: the API server does not take it: %s", of, shortened(err.Error()))
	}
	return fmt.Errorf("%s %s: %w", doing, of, err)
}

// lacksNamespace says that it is a namespace that was not found.
func lacksNamespace(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
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

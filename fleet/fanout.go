package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// DefaultWithin is how long each cluster may take to answer a question that goes to all of them.
	DefaultWithin = 10 * time.Second
	// atOnce is how many clusters are asked at the same time, which bounds memory, not patience: one that takes
	// longer than lendAfter lends its place to the next, and goes on. So the dead do not keep the living waiting.
	atOnce    = 64
	lendAfter = 250 * time.Millisecond
	// lastWords is how long, after its time is up, a cluster's own account of what was wrong is waited for.
	lastWords = 100 * time.Millisecond
)

// Result is what one cluster of a fleet answered, or why it did not.
type Result[T any] struct {
	// Cluster is its name in the fleet. Empty stands for clusters that the inventory has not told of.
	Cluster string
	// Value is the answer. Where Err is not nil it is whatever was given along with that.
	Value T
	// Err is why there is no answer, or no whole one: a *ClusterError, or an error of the API server or of
	// what was asked.
	Err error
	// Age is how old the answer may be, where it was read from a cache: see Cluster.Age. Zero is current.
	Age time.Duration
}

// FanOutOption is an option of Each, and of List.
type FanOutOption interface {
	client.ListOption
	applyToFanOut(o *fanOut)
}

type fanOut struct {
	within time.Duration
	live   bool
	page   int64
}

// option is one that List finds among options that are for the client.
type option func(o *fanOut)

// ApplyToList implements client.ListOption. It does nothing: the client is not concerned.
func (option) ApplyToList(*client.ListOptions) {}

func (apply option) applyToFanOut(o *fanOut) { apply(o) }

// Within sets how long each cluster may take, from its turn on. Default DefaultWithin. A context that ends
// earlier ends all of it.
func Within(d time.Duration) FanOutOption { return option(func(o *fanOut) { o.within = d }) }

// Each asks every cluster of the fleet, whatever state it is in, all at the same time, and returns when each has
// answered or its time is up. There is one result for each cluster, sorted by name, so that one that is
// missing from the answer is named in it. One that is only just being connected to is waited for, within its time.
//
// That goes for what the inventory cannot read as well: an entry that no cluster could be made of has a result,
// with ErrNotFound and the cause; and as long as the inventory has not told of every cluster, or cannot be
// read, a result without a name says so.
//
// The context of do ends when the time of its cluster is up, and when the cluster leaves the fleet. If do does
// not return then, it is not waited for, and what it returns later is dropped.
func Each[T any](ctx context.Context, f *Fleet, do func(ctx context.Context, c *Cluster) (T, error), opts ...FanOutOption) []Result[T] {
	o := fanOut{within: DefaultWithin}
	for _, option := range opts {
		option.applyToFanOut(&o)
	}
	missing := f.missing() // before the clusters: what joins in between is then in both, and found
	clusters := f.Clusters()
	results := make([]Result[T], len(clusters), len(clusters)+len(missing))
	places := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	for i, c := range clusters {
		asking.Go(func() { // ends with ctx, or o.within after its turn
			results[i] = ask(ctx, c, o.within, places, do)
		})
	}
	asking.Wait()
	for name, err := range missing {
		if there := slices.ContainsFunc(clusters, func(c *Cluster) bool { return c.name == name }); !there {
			results = append(results, Result[T]{Cluster: name, Err: err})
		}
	}
	slices.SortFunc(results, func(a, b Result[T]) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return results
}

// ask asks one cluster when it is its turn.
func ask[T any](ctx context.Context, c *Cluster, within time.Duration, places chan struct{}, do func(context.Context, *Cluster) (T, error)) Result[T] {
	r := Result[T]{Cluster: c.name}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		r.Err, r.Age = context.Cause(ctx), c.Age()
		return r
	}
	leave := sync.OnceFunc(func() { <-places })
	lent := time.AfterFunc(lendAfter, leave)
	defer leave()
	defer lent.Stop()

	type answer struct {
		value T
		err   error
		age   time.Duration
	}
	answered := make(chan answer, 1)
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	go func() { // ends with do, which may be after nobody waits for it any more
		var a answer
		if a.err = c.link.settle(timed); a.err == nil {
			a.age = c.Age()
			a.value, a.err = do(timed, c)
		}
		answered <- a
	}()
	var a answer
	select {
	case a = <-answered:
	case <-timed.Done():
		over := time.NewTimer(lastWords)
		defer over.Stop()
		select {
		case a = <-answered:
		case <-over.C:
			a.err = timed.Err()
		}
	}
	r.Value, r.Err = a.value, c.explain(ctx, a.err, within)
	r.Age = max(a.age, c.Age()) // the link may have come back since the cache was read
	return r
}

// settle waits while the link is being made for the first time.
func (l *link) settle(ctx context.Context) error {
	for {
		changed := l.next()
		if connecting := l.err() != nil && l.hopeless() == nil; !connecting {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// explain makes a typed error of what a request to a cluster ended with, where it is not one already.
func (c *Cluster) explain(ctx context.Context, err error, within time.Duration) error {
	transport, failed := err.(*url.Error) //nolint:errorlint // only then there is nothing around it
	if failed {
		err = transport.Err // without the address, which is none that anybody knows: the connection sends where the cluster is
	}
	var known *ClusterError
	explained := &ClusterError{Cluster: c.name, Cause: err}
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case c.ctx.Err() != nil && errors.Is(err, context.Canceled):
		return context.Cause(c.ctx)
	case ctx.Err() != nil:
		return err
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err):
		explained.Err = ErrUnauthorized
		return explained
	case errors.Is(err, context.DeadlineExceeded):
		explained.Message = fmt.Sprintf("no answer within %s", within)
	case !failed:
		return err
	}
	explained.Err = ErrUnreachable
	if !c.link.reached.Load() {
		explained.Err = ErrNotReady
	}
	return explained
}

// missing are the clusters that the inventory knows of, or may know of, and that nobody could make.
func (f *Fleet) missing() map[string]error {
	missing := map[string]error{}
	select {
	case <-f.Synced():
	default:
		missing[""] = fmt.Errorf("%w: it has not told of every cluster", ErrNotReady)
	}
	for name, fault := range f.Faults() {
		if name == "" { // it speaks of itself
			missing[""] = fmt.Errorf("%w: clusters may be missing: %w", ErrNotReady, fault)
			continue
		}
		e := notFound(name)
		e.Cause = fault
		missing[name] = e
	}
	return missing
}

// GapError names a cluster that is missing from an answer, and says why.
type GapError struct {
	// Cluster is its name. Empty stands for clusters that the inventory has not told of.
	Cluster string
	// Err is the Err of its result.
	Err error
}

// Error implements error. It is one line.
func (e *GapError) Error() string {
	text := strings.ReplaceAll(e.Err.Error(), "\n", "; ")
	if e.Cluster == "" {
		return "inventory: " + text
	}
	if known, ok := e.Err.(*ClusterError); ok && known.Cluster == e.Cluster { //nolint:errorlint // only then its text begins with the name
		return text
	}
	return fmt.Sprintf("cluster %q: %s", e.Cluster, text)
}

// Unwrap returns Err.
func (e *GapError) Unwrap() error { return e.Err }

// Gaps returns what is missing from an answer, as *GapErrors that are joined, one a line; nil if nothing is.
func Gaps[T any](results []Result[T]) error {
	var gaps []error
	for _, r := range results {
		if r.Err != nil {
			gaps = append(gaps, &GapError{Cluster: r.Cluster, Err: r.Err})
		}
	}
	return errors.Join(gaps...)
}

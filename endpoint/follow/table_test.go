package follow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/fleettest"
)

type object = metav1.PartialObjectMetadata

func objectOf(name, uid string) object {
	return object{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid), ResourceVersion: "1"}}
}

// server has objects of one kind, and answers as a test says.
type server struct {
	mu      sync.Mutex
	objects []object
	absent  bool
	lists   func(context.Context) error // how a list fails
	watches func(context.Context) error // how a watch that goes on does
	streams bool                        // it takes watches that come with a list, and never ends that
	asked   map[string]int
	open    []*watch.RaceFreeFakeWatcher
}

func well(context.Context) error { return nil }

func hanging(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

func newServer(objects ...object) *server {
	return &server{objects: objects, lists: well, watches: well, asked: map[string]int{}}
}

// set changes the server.
func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[what]
}

func (s *server) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[what]++
}

// cut ends all watches.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.open {
		w.Stop()
	}
	s.open = nil
}

func (s *server) Open(context.Context) (Source, error) {
	s.note("open")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.absent {
		return Source{}, ErrAbsent
	}
	return Source{List: s.list, Watch: s.watch}, nil
}

func (s *server) list(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	fails := s.lists
	s.asked["list"]++
	s.mu.Unlock()
	if err := fails(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{ResourceVersion: "5"}, Items: slices.Clone(s.objects)}, nil
}

func (s *server) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	fails, streams := s.watches, s.streams
	if o.SendInitialEvents != nil {
		s.asked["stream"]++
		fails = failing(apierrors.NewInvalid(schema.GroupKind{}, "", nil))
		if streams {
			fails = well
		}
	} else {
		s.asked["watch"]++
	}
	s.mu.Unlock()
	if err := fails(ctx); err != nil {
		return nil, err
	}
	w := watch.NewRaceFreeFake()
	context.AfterFunc(ctx, w.Stop)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, w)
	if o.SendInitialEvents != nil {
		for _, o := range s.objects {
			w.Add(&o)
		}
	}
	return w, nil
}

// follower is a table of a server, and what it was told.
type follower struct {
	*Table[*object]
	t     *testing.T
	clock *clocktesting.FakeClock

	mu   sync.Mutex
	has  map[string]types.UID
	told int
}

func follows(t *testing.T, s *server, change ...func(*Table[*object])) *follower {
	t.Helper()
	f := &follower{t: t, clock: clocktesting.NewFakeClock(time.Now()), has: map[string]types.UID{}}
	f.Table = &Table[*object]{
		Resource: "things", Open: s.Open, Clock: f.clock, Look: time.Minute,
		Set: func(o *object) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.has[o.Name] = o.UID
		},
		Drop: func(name types.NamespacedName, uid types.UID) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.has[name.Name] != uid {
				t.Errorf("%s is dropped as %s", name, uid)
			}
			delete(f.has, name.Name)
		},
		Changed: func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.told++
		},
	}
	for _, c := range change {
		c(f.Table)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		f.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("it goes on")
		}
	})
	return f
}

// is waits until something is so. Time passes meanwhile, in steps, unless a step is nothing.
func (f *follower) is(what string, step time.Duration, so func() bool) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	if err := fleettest.Until(ctx, 2*time.Millisecond, func() error {
		if so() {
			return nil
		}
		if step > 0 && f.clock.HasWaiters() {
			f.clock.Step(step)
		}
		return fmt.Errorf("in vain: %s: %+v", what, f.State())
	}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *follower) names() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(f.has)), " ")
}

func (f *follower) toldOf() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}

func (f *follower) hasNames(want string) func() bool {
	return func() bool { return f.names() == want }
}

const tick = 100 * time.Millisecond

func TestTellsOfWhatThereIsAndOfWhatGoes(t *testing.T) {
	s := newServer(objectOf("a", "1"), objectOf("b", "1"))
	f := follows(t, s)
	f.is("it has what is listed", 0, f.hasNames("a b"))
	f.is("it watches", 0, func() bool { return s.count("watch") == 1 && !f.State().Since.IsZero() })
	s.set(func() {
		for name, add := range map[string]func(runtime.Object){"c": s.open[0].Add, "a": s.open[0].Delete} {
			o := objectOf(name, "1")
			o.ResourceVersion = "9"
			add(&o)
		}
	})
	f.is("it has what is watched", 0, f.hasNames("b c"))

	s.set(func() { s.objects, s.lists = []object{objectOf("c", "2")}, failing(errors.New("away")) })
	told, lists := f.toldOf(), s.count("list")
	f.Again()
	f.is("it asks for a list", tick, func() bool { return s.count("list") > lists+1 })
	if got, state := f.names(), f.State(); got != "b c" || !state.Synced || state.Err == nil || f.toldOf() == told {
		t.Errorf("before a list has ended it has %s, and says %+v", got, state)
	}
	s.set(func() { s.lists = well })
	f.is("it has what is listed anew", tick, f.hasNames("c"))
	f.is("it is well", tick, func() bool { return f.State().Err == nil })
}

// TestTriesAgainLaterEachTime, on the clock that it was given, unless somebody knows that it is worth it.
func TestTriesAgainLaterEachTime(t *testing.T) {
	for name, c := range map[string]struct {
		what  string
		fails func(*server, error)
	}{
		"a list":                 {"list", func(s *server, err error) { s.lists = failing(err) }},
		"a watch":                {"watch", func(s *server, err error) { s.watches = failing(err) }},
		"a watch that goes on":   {"watch", func(s *server, err error) { s.watches = failing(apierrors.NewTooManyRequests("busy", 0)) }},
		"a watch, and then none": {"watch", func(s *server, err error) { s.watches = failing(err); s.lists = failing(err) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(objectOf("a", "1"))
			c.fails(s, errors.New("away"))
			f := follows(t, s)
			asked := func() int { return s.count("list") + s.count("watch") }
			waits := func(times int) func() bool {
				return func() bool { return asked() >= times && f.clock.HasWaiters() }
			}
			f.is("it waits", 0, waits(1))
			var passed []time.Duration
			for range 8 {
				before := asked()
				begin := f.clock.Now()
				f.is("it tries again", tick, func() bool { return asked() > before })
				passed = append(passed, f.clock.Since(begin))
				f.is("it waits again", 0, waits(before+1))
			}
			if last := passed[len(passed)-1]; passed[0] > time.Second || last < 4*time.Second || last > 7*time.Second {
				t.Errorf("it tried again after %v", passed)
			}
			before := asked()
			f.Retry()
			f.is("it tries at once", 0, func() bool { return asked() > before })
			f.is("it waits then", 0, waits(before+1))
			s.set(func() { s.lists, s.watches = well, well })
			f.Retry()
			f.is("it is well", tick, func() bool { return f.State().Err == nil && f.State().Synced })
			f.Retry()
			if len(f.retry) > 0 {
				t.Error("the next pause is to end at once, though nothing has failed")
			}
		})
	}
}

// A server may take watches, and end each of them at once.
func TestWatchesThatEndAtOnceAreNoReasonToAskWithoutPause(t *testing.T) {
	s := newServer(objectOf("a", "1"))
	f := follows(t, s)
	asked := func() int { return s.count("list") + s.count("watch") + s.count("stream") }
	for range 3 {
		f.is("it watches", tick, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.open) > 0
		})
		before := asked()
		s.cut()
		f.is("it waits", 0, f.clock.HasWaiters)
		if again := asked() - before; again > 1 {
			t.Fatalf("it has asked %d times", again)
		}
	}
}

func TestWhatHangsIsAFault(t *testing.T) {
	quick := func(t *Table[*object]) { t.Answering = 50 * time.Millisecond }
	for name, hangs := range map[string]func(*server){
		"a list":  func(s *server) { s.lists = hanging },
		"a watch": func(s *server) { s.watches = hanging },
		"both":    func(s *server) { s.lists, s.watches = hanging, hanging },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(objectOf("a", "1"))
			hangs(s)
			f := follows(t, s, quick)
			f.is("it says so", 0, func() bool {
				err := f.State().Err
				return err != nil && strings.Contains(err.Error(), "following things: there was no answer in 50ms")
			})
			s.set(func() { s.lists, s.watches = well, well })
			f.is("it is well again", tick, func() bool { return f.State().Err == nil && f.names() == "a" })
		})
	}
}

// TestAListThatComesWithAWatchAndDoesNotEndIsAskedForPlainly: there are API servers that know nothing of that end.
func TestAListThatComesWithAWatchAndDoesNotEndIsAskedForPlainly(t *testing.T) {
	s := newServer(objectOf("a", "1"))
	s.streams = true
	f := follows(t, s, func(t *Table[*object]) { t.Answering = 20 * time.Millisecond })
	f.is("it has what is listed", tick, f.hasNames("a"))
	if n := s.count("stream"); n != 1 || s.count("list") == 0 {
		t.Errorf("it has asked for %d lists by watches, and for %d lists", n, s.count("list"))
	}
}

// TestAKindThatIsAbsent goes when it was looked for twice, and is there again when it was listed.
func TestAKindThatIsAbsent(t *testing.T) {
	s := newServer(objectOf("a", "1"))
	s.absent = true
	f := follows(t, s)
	f.is("it is absent", 0, func() bool { return f.State().Absent && f.State().Synced })
	if n := s.count("open"); n != 1 {
		t.Errorf("it was looked for %d times", n)
	}
	s.set(func() { s.absent, s.lists = false, failing(errors.New("away")) })
	f.is("it fails", time.Second, func() bool { return f.State().Err != nil })
	if !f.State().Absent {
		t.Error("it is there before it was listed")
	}
	s.set(func() { s.lists = well })
	f.is("it is there", tick, func() bool { return f.names() == "a" && !f.State().Absent && f.State().Err == nil })
	f.is("it watches", tick, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.open) > 0
	})

	looks := s.count("open")
	s.set(func() {
		s.absent, s.watches = true, failing(apierrors.NewNotFound(schema.GroupResource{}, ""))
		s.lists = s.watches
	})
	s.cut()
	f.is("it is doubted", tick, func() bool { return s.count("open") == looks+1 })
	f.is("it waits", 0, f.clock.HasWaiters)
	if f.names() != "a" || f.State().Absent {
		t.Error("it has gone at once")
	}
	f.is("it has gone", tick, f.hasNames(""))
	if n := s.count("open") - looks; n != 2 || !f.State().Absent || f.State().Err != nil {
		t.Errorf("it was looked for %d times; it is %+v", n, f.State())
	}
}

// TestAKindThatIsListedAndNotFoundIsNotAskedForWithoutPause, as while its definition is being deleted.
func TestAKindThatIsListedAndNotFoundIsNotAskedForWithoutPause(t *testing.T) {
	s := newServer()
	s.lists = failing(apierrors.NewNotFound(schema.GroupResource{}, ""))
	f := follows(t, s)
	for looks := 1; looks < 5; looks++ {
		f.is("it waits", 0, func() bool { return s.count("open") == looks && f.State().Err != nil && f.clock.HasWaiters() })
		f.is("it looks again", tick, func() bool { return s.count("open") == looks+1 })
	}
}

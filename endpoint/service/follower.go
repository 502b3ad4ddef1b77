package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	mcs "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/endpoint/follow"
	"github.com/hawser-io/hawser/endpoint/staleness"
)

// Changed is told of what is another now: a service of a namespace, its endpoints or its export. Both are empty where
// it is how much there is of the cluster. It must not wait.
type Changed func(namespace, name string)

// Follower keeps a View of one cluster in step with it.
type Follower struct {
	view    *View
	changed Changed
	clock   clock.PassiveClock
	started time.Time

	mu     sync.Mutex
	live   bool      // services and their endpoints are followed
	mended time.Time // when they began to be, the last time

	services, slices, exports *table
}

// FollowerOptions are what a Follower takes from its surroundings. Config is required.
type FollowerOptions struct {
	Config *rest.Config
	// ID of the cluster, the UID of its namespace kube-system: nothing is taken from another one. Empty: from any.
	ID      string
	Changed Changed
	Look    time.Duration
	Clock   clock.WithTicker
	Log     logr.Logger
}

// NewFollower makes one that does nothing until Run.
func NewFollower(o FollowerOptions) (*Follower, error) {
	c, err := newClients(o.Config)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Look == 0 {
		o.Look = DefaultLook
	}
	if o.Changed == nil {
		o.Changed = func(string, string) {}
	}
	f := &Follower{view: NewView(), changed: o.Changed, clock: o.Clock, started: o.Clock.Now()}
	f.services = &table{Resource: "services", Open: c.services, Set: f.setService, Drop: func(key types.NamespacedName, _ types.UID) { f.tell(key, f.view.SetService(key, nil)) }}
	f.slices = &table{Resource: "endpointslices", Open: c.slices(backingSlices), Set: f.setSlice, Drop: func(key types.NamespacedName, _ types.UID) { f.told(key.Namespace, f.view.SetSlice(key, nil)) }}
	f.exports = &table{Resource: mcs.ServiceExportPluralName, Open: c.multicluster(mcs.ServiceExportPluralName, func(string) {}), Set: f.setExport,
		Drop: func(key types.NamespacedName, _ types.UID) { f.tell(key, f.view.SetExport(key, nil)) }}
	identity := follow.NewIdentity(c.kube.CoreV1().RESTClient(), o.ID)
	for _, t := range f.tables() {
		t.Look, t.Clock, t.Log = o.Look, o.Clock, o.Log
		t.Changed = func() {
			f.look()
			o.Changed("", "")
		}
		t.Identity = identity
	}
	return f, nil
}

func (f *Follower) tables() []*table { return []*table{f.services, f.slices, f.exports} }

// Run follows the cluster until ctx ends. The View stays as it is then.
func (f *Follower) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, t := range f.tables() {
		running.Go(func() { t.Run(ctx) }) // ends with ctx
	}
	running.Wait()
}

// View is what the cluster has, as far as it was told of.
func (f *Follower) View() *View { return f.view }

func (f *Follower) setService(o runtime.Object) {
	if s, ok := o.(*corev1.Service); ok {
		key := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
		f.tell(key, f.view.SetService(key, ReadService(s)))
	}
}

func (f *Follower) setSlice(o runtime.Object) {
	if s, ok := o.(*discoveryv1.EndpointSlice); ok {
		f.told(s.Namespace, f.view.SetSlice(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, ReadSlice(s)))
	}
}

func (f *Follower) setExport(o runtime.Object) {
	if e := read[mcs.ServiceExport](o); e != nil {
		e.ManagedFields, e.Annotations, e.Labels, e.Status = nil, nil, nil, mcs.ServiceExportStatus{}
		key := types.NamespacedName{Namespace: e.Namespace, Name: e.Name}
		f.tell(key, f.view.SetExport(key, e))
	}
}

func (f *Follower) tell(key types.NamespacedName, changed bool) {
	if changed {
		f.changed(key.Namespace, key.Name)
	}
}

func (f *Follower) told(namespace string, services []string) {
	for _, name := range services {
		f.changed(namespace, name)
	}
}

// followed is how much a Follower has.
type followed struct {
	services, exports bool // all of them were listed once
	faulty            bool // something keeps services or their endpoints from being followed
	contact           staleness.Contact
	gaps              []string
	exportsGap        string
	exportsSince      time.Time
}

func (f *Follower) state() followed {
	services, slices, exports := f.services.State(), f.slices.State(), f.exports.State()
	s := followed{services: services.Synced && slices.Synced, exports: exports.Synced}
	for _, t := range []follow.State{services, slices} {
		s.faulty = s.faulty || t.Err != nil
		switch {
		case t.Err != nil || !t.Synced:
			since := t.Since
			if !t.Synced {
				since = f.started
			}
			s.contact.StaleSince = earliest(s.contact.StaleSince, since)
		case t.Since.After(s.contact.LiveSince):
			s.contact.LiveSince = t.Since
		}
	}
	s.gaps = gapsOf(map[string]follow.State{"services": services, "endpointslices": slices})
	s.exportsGap, s.exportsSince = exportsGap(exports, s.contact.StaleSince.IsZero()), exports.Since
	return s
}

// Retry says that the cluster answers again, as somebody knows: what has failed is tried now, rather than when its time has
// come. It does not wait.
func (f *Follower) Retry() {
	for _, t := range f.tables() {
		t.Retry()
	}
}

// look notes when everything is followed again.
func (f *Follower) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	live := f.state().contact.StaleSince.IsZero()
	if live && !f.live {
		f.mended = f.clock.Now()
	}
	f.live = live
}

// since is when services and their endpoints began to be followed, the last time; zero: they never were.
func (f *Follower) since() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mended
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// exportsGap says what keeps exports from being followed; "" for nothing. heard says that services and their endpoints are: where
// they are not either, and there is no answer, the time says so.
func exportsGap(t follow.State, heard bool) string {
	if gaps := gapsOf(map[string]follow.State{mcs.ServiceExportPluralName: t}); len(gaps) > 0 {
		return gaps[0]
	}
	var answer apierrors.APIStatus
	if t.Err != nil && (heard || errors.As(t.Err, &answer)) {
		return "its " + mcs.ServiceExportPluralName + " cannot be listed"
	}
	return ""
}

// gapsOf says what the cluster refuses, or that it is another one. That it does not answer is said by the time.
func gapsOf(of map[string]follow.State) (gaps []string) {
	for what, t := range of {
		switch {
		case apierrors.IsForbidden(t.Err):
			gaps = append(gaps, fmt.Sprintf("the connection may not list and watch %s", what))
		case errors.Is(t.Err, endpoint.ErrOtherCluster):
			gaps = append(gaps, endpoint.ErrOtherCluster.Error())
		}
	}
	slices.Sort(gaps)
	return slices.Compact(gaps)
}

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

	services, slices, exports *Table
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
	f.services = &Table{What: "services", Open: c.services, Set: f.setService, Drop: func(key types.NamespacedName, _ types.UID) { f.tell(key, f.view.SetService(key, nil)) }}
	f.slices = &Table{What: "endpointslices", Open: c.slices(backingSlices), Set: f.setSlice, Drop: func(key types.NamespacedName, _ types.UID) { f.told(key.Namespace, f.view.SetSlice(key, nil)) }}
	f.exports = &Table{What: mcs.ServiceExportPluralName, Open: c.multicluster(mcs.ServiceExportPluralName, func(string) {}), Set: f.setExport,
		Drop: func(key types.NamespacedName, _ types.UID) { f.tell(key, f.view.SetExport(key, nil)) }}
	for _, t := range f.tables() {
		t.Look, t.Clock, t.Log, t.Changed = o.Look, o.Clock, o.Log, func() { o.Changed("", "") }
		t.Verify = c.verify(o.ID)
	}
	return f, nil
}

func (f *Follower) tables() []*Table { return []*Table{f.services, f.slices, f.exports} }

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
	contact           staleness.Contact
	gaps              []string
}

func (f *Follower) state() followed {
	services, slices, exports := f.services.State(), f.slices.State(), f.exports.State()
	s := followed{services: services.Synced && slices.Synced, exports: exports.Synced}
	for _, t := range []TableState{services, slices} {
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
	s.gaps = gapsOf(map[string]TableState{"services": services, "endpointslices": slices})
	return s
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// gapsOf says what the cluster refuses, or that it is another one. That it does not answer is said by the time.
func gapsOf(of map[string]TableState) (gaps []string) {
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

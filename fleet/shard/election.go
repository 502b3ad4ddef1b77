package shard

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// election is how one of the replicas becomes the leader, again and again. Losing it, as when the local API server is
// away, ends what the leader does and nothing else: the replica and its connections stay.
type election struct {
	replica *Replica
	failed  chan error // holds one

	mu   sync.Mutex
	end  context.CancelFunc // of the term; nil while there is none
	term sync.WaitGroup
	over bool // there is no other term
}

// run stands for election until ctx ends.
func (e *election) run(ctx context.Context) {
	r := e.replica
	times := r.options.Times
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &watchedLock{&resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: r.options.Namespace, Name: r.options.LeaderLease},
				Client:     r.electing.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: r.lease.holder},
			}, r},
			Name:            r.options.LeaderLease,
			LeaseDuration:   times.Leader,
			RenewDeadline:   times.Leader * 4 / 7,
			RetryPeriod:     times.Leader / 5,
			ReleaseOnCancel: true, // every term has ended before ctx does
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(term context.Context) { e.lead(term) },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil { // the times are checked, so it cannot be
			e.fail(err)
			return
		}
		elector.Run(ctx)
		e.term.Wait()
	}
}

// lead does what the leader does until the term ends.
func (e *election) lead(ctx context.Context) {
	e.mu.Lock()
	if e.over || ctx.Err() != nil {
		e.mu.Unlock()
		return
	}
	ctx, e.end = context.WithCancel(ctx)
	defer e.end()
	e.term.Add(1)
	e.mu.Unlock()
	defer e.term.Done()

	r := e.replica
	r.options.Log.Info("this replica leads")
	r.leading.Store(true)
	defer func() {
		r.leading.Store(false)
		r.leadFence.close()
		r.options.Log.Info("this replica leads no longer")
	}()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { r.assign.run(ctx) }) // ends with ctx
	r.follow.orphaned(everything)
	if r.lead != nil {
		if err := r.lead(ctx); err != nil && ctx.Err() == nil {
			e.fail(err)
		}
	}
	<-ctx.Done()
}

func (e *election) fail(err error) {
	select {
	case e.failed <- err:
	default: // it is ending already
	}
}

// endTerm ends the term, and lets no other begin.
func (e *election) endTerm() {
	e.mu.Lock()
	e.over = true
	if e.end != nil {
		e.end()
	}
	e.mu.Unlock()
	e.term.Wait()
}

// watchedLock opens the leader's fence with each renewal.
type watchedLock struct {
	resourcelock.Interface
	replica *Replica
}

// Create implements resourcelock.Interface.
func (l *watchedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (l *watchedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.Interface.Update(ctx, record) })
}

func (l *watchedLock) write(record resourcelock.LeaderElectionRecord, write func() error) error {
	start := l.replica.options.Clock.Now()
	if err := write(); err != nil {
		return err
	}
	if record.HolderIdentity == l.Identity() {
		l.replica.leadFence.renewed(start)
	}
	return nil
}

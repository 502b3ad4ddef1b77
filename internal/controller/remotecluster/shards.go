package remotecluster

// Shards says which clusters this replica works for.
type Shards interface {
	// Enter begins work on a cluster; ok is false where that is another replica's. It is nobody else's before leave
	// was called.
	Enter(cluster string) (leave func(), ok bool)
	// Leads reports whether this replica is responsible for what is nobody's, as what a cluster leaves behind.
	Leads() bool
}

func (r *Reconciler) enter(cluster string) (leave func(), ok bool) {
	if r.Shards == nil {
		return func() {}, true
	}
	return r.Shards.Enter(cluster)
}

// Own asks for a reconcile of a cluster, which is this replica's from now on. It does not wait.
func (r *Reconciler) Own(cluster string) {
	if r.bound.Load() { // otherwise the controller is not running yet, and will look at all when it does
		r.Enqueue(cluster)
	}
}

// Disown ends what this process does for a cluster that another replica is to work for. What it returns is closed
// when all of it has ended. It does not wait.
func (r *Reconciler) Disown(cluster string) (ended <-chan struct{}) {
	disconnected := r.disconnect(cluster)
	r.joined.Delete(cluster)
	r.written.Delete(cluster)
	tearing, found := r.teardowns.LoadAndDelete(cluster)
	if !found {
		return disconnected
	}
	t := tearing.(*teardown) //nolint:forcetypeassert // nothing else is stored
	t.disowned.Store(true)
	t.cancel()
	all := make(chan struct{})
	go func() { // ends with both
		defer close(all)
		<-disconnected
		<-t.done
	}()
	return all
}

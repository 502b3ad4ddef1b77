package clusterprofile

// Complete does what SetupWithManager does first.
func (r *Reconciler) Complete() error { return r.complete() }

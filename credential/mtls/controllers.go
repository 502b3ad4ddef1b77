package mtls

import (
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

// ControllersAlive reports whether their Lease says that the member controllers run. One that they gave
// back when they ended has no holder.
func ControllersAlive(lease *coordinationv1.Lease, now time.Time) bool {
	return ptr.Deref(lease.Spec.HolderIdentity, "") != "" && lease.Spec.RenewTime != nil && now.Sub(lease.Spec.RenewTime.Time) < controllersAlive
}

// controllersFresh is how old a Lease may be that somebody is told nothing about: leaders renew theirs every few seconds.
const controllersFresh = time.Minute

// ControllersStopped says to people since when the member controllers do not run, by their Lease: they last renewed it
// at …, 5m0s ago. Empty where they run. It is sooner with that than ControllersAlive, by which something is decided.
func ControllersStopped(lease *coordinationv1.Lease, now time.Time) string {
	if ControllersAlive(lease, now) && now.Sub(lease.Spec.RenewTime.Time) < controllersFresh {
		return ""
	}
	if lease.Spec.RenewTime == nil {
		return "they never held their Lease"
	}
	at, did := lease.Spec.RenewTime.Time, "last renewed their Lease"
	if ptr.Deref(lease.Spec.HolderIdentity, "") == "" {
		did = "gave their Lease back"
	}
	return fmt.Sprintf("they %s at %s, %s ago", did, at.UTC().Format(time.RFC3339), now.Sub(at).Round(time.Second))
}

package fleet

import (
	"errors"
	"fmt"
)

// What keeps a cluster from being used. Tell them apart with errors.Is; [ClusterError] has the particulars.
// ErrNotFound, which Links has in common with a Fleet, is the fifth.
var (
	// ErrNotReady says that a cluster is in the fleet but has never been reached, or that what was asked
	// for has never been read from it.
	ErrNotReady = errors.New("not ready yet")
	// ErrUnauthorized says that a cluster refuses the credential (401), or what it is used for (403).
	ErrUnauthorized = errors.New("unauthorised")
	// ErrUnreachable says that a cluster was reached before and cannot be now. Caches can still be read.
	ErrUnreachable = errors.New("unreachable")
	// ErrStale says that caches are older than Options.StaleAfter allows.
	ErrStale = errors.New("stale")
)

// ClusterError says which cluster cannot be used, and why.
type ClusterError struct {
	// Cluster is its name in the fleet.
	Cluster string
	// Err is ErrNotFound, ErrNotReady, ErrUnauthorized, ErrUnreachable or ErrStale.
	Err error
	// Reason is that of the connection's condition, where there is one: DialFailed, Timeout, Refused, …
	Reason string
	// Message is for people: what was met, and what repairs it.
	Message string
	// Cause is the error behind it, if there is one.
	Cause error
}

// Error implements error.
func (e *ClusterError) Error() string {
	text := fmt.Sprintf("cluster %q: %v", e.Cluster, e.Err)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the sentinel and the cause.
func (e *ClusterError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

func notFound(name string) *ClusterError { return &ClusterError{Cluster: name, Err: ErrNotFound} }

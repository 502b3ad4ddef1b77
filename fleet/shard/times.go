package shard

import (
	"errors"
	"time"
)

// Times are how long things take. All replicas must have the same; the zero value of each means its default.
type Times struct {
	// Duration of a Lease: a replica that has not renewed for so long is given up. Default 10s.
	Duration time.Duration
	// Margin before its end at which writes stop. It covers what was sent already. Default 2s.
	Margin time.Duration
	// Renew is how often a Lease is renewed. Default a third of Duration.
	Renew time.Duration
	// Call is the deadline of each request about Leases and the assignment. Default a fifth of Duration.
	Call time.Duration
	// Settle is for how long no other replica must have joined before clusters are moved to those that have: they tend
	// to come together. Default 1s.
	Settle time.Duration
	// Leader is the duration of the leader's Lease. Default seven tenths of Duration, in whole seconds.
	Leader time.Duration
}

func (t *Times) complete() error {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&t.Duration, 10*time.Second)
	set(&t.Margin, t.Duration/5)
	set(&t.Renew, t.Duration/3)
	set(&t.Call, t.Duration/5)
	set(&t.Settle, time.Second)
	set(&t.Leader, max(t.Duration*7/10, time.Second).Truncate(time.Second))
	if t.Duration%time.Second != 0 || t.Leader%time.Second != 0 || t.Leader <= 0 {
		return errors.New("a Lease lasts for whole seconds")
	}
	if t.Margin < 0 || t.Renew <= 0 || t.Call <= 0 || t.Renew+t.Call >= t.Duration-t.Margin {
		return errors.New("a renewal and one that hangs must fit into the duration of a Lease less the margin")
	}
	return nil
}

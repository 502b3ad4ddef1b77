package main

import (
	"net/netip"

	"github.com/hawser-io/hawser/internal/fedtest"
)

// beside are addresses that nothing has, at which verdicts are compared, too: of the ranges that policies name, and others.
var beside = []string{"192.0.2.1", "192.0.2.200", "198.51.100.7", "10.255.0.1", "10.32.255.1", "172.16.0.1", "2001:db8::1", "fd00:ffff::1"}

// look lists everything anew.
func (r *run) look() (*fedtest.World, error) {
	var all []*fedtest.Cluster
	for _, c := range r.clusters {
		all = append(all, &c.Cluster)
	}
	var others []netip.Addr
	for _, text := range beside {
		others = append(others, netip.MustParseAddr(text))
	}
	return fedtest.Look(r.Ctx, all, others...)
}

// found lists what the replicas have written, or some of it by a selector.
func (r *run) found(selector string) ([]*fedtest.Written, error) {
	return fedtest.Found(r.Ctx, r.clusters[0].Kube, selector, space)
}

// judge compares the union of what is written with what there is.
func (r *run) judge(w *fedtest.World) (*fedtest.Verdict, error) {
	objects, err := r.found("")
	if err != nil {
		return nil, err
	}
	return fedtest.Judge(w, objects, r.sets, r.policies), nil
}

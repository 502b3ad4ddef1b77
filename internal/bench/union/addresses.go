package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
)

// Each cluster has a /12 of its own: its pods below, its nodes above. Some pods of each have an address elsewhere, which
// a remote cluster may not contribute.
const nodesFrom = 0xe0000

// pool hands out the places of a cluster's pods among its addresses. There are twice as many as pods, so that the address
// of one that went is soon that of another, and so that some neighbours are put together and others are not.
type pool struct {
	size int

	mu     sync.Mutex
	random *rand.Rand
	free   []int
}

func newPool(size int, seed uint64) *pool {
	p := &pool{size: size, random: rand.New(rand.NewPCG(seed, 7))}
	p.free = p.random.Perm(size)
	return p
}

// take takes one at random.
func (p *pool) take() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, last := p.random.IntN(len(p.free)), len(p.free)-1
	p.free[i], p.free[last] = p.free[last], p.free[i]
	place := p.free[last]
	p.free = p.free[:last]
	return place
}

// give gives one back. What is no place of the pool is nobody's.
func (p *pool) give(place int) {
	if place < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, place)
}

// v4 is the i-th address of a cluster.
func (c *cluster) v4(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(16*(c.number+1) + i>>16), byte(i >> 8), byte(i)})
}

// v6 is the i-th of the other family.
func (c *cluster) v6(i int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd00:%d::%x", c.number+1, i))
}

// cidrs are where the endpoints of a remote cluster may be.
func cidrs(number int) []string {
	return []string{fmt.Sprintf("10.%d.0.0/12", 16*(number+1)), fmt.Sprintf("fd00:%d::/32", number+1)}
}

// outside is an address that is not within them.
func (c *cluster) outside(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 168, byte(c.number), byte(i)})
}

// at are the addresses of a pod at a place: one in ten has two.
func (c *cluster) at(place int) []netip.Addr {
	all := []netip.Addr{c.v4(place)}
	if place%10 == 0 {
		all = append(all, c.v6(place))
	}
	return all
}

// ever are all addresses that something of the cluster has at any time.
func (c *cluster) ever() (all []netip.Addr) {
	for i := range c.pool.size {
		all = append(all, c.at(i)...)
	}
	for i := range nodes {
		all = append(all, c.v4(nodesFrom+i))
	}
	for i := range 256 {
		all = append(all, c.outside(i))
	}
	return all
}

package shard

import "hash/fnv"

// affinity is how much a cluster is drawn to a replica: rendezvous hashing. Names that differ in their last
// letter alone, as those of a StatefulSet's pods, must come out as far apart as any others, which FNV by itself does
// not achieve; so what it yields is mixed twice more.
func affinity(cluster, replica string) uint64 {
	return mix(mix(sum(replica)) ^ sum(cluster))
}

func sum(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return mix(h.Sum64())
}

// mix is the finalizer of MurmurHash3: each bit of what goes in flips each bit of what comes out in half of all cases.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Package shard divides clusters among the replicas of a program, so that every connection lives in exactly one of
// them, and memory and watches are divided rather than repeated.
//
// Each [Replica] holds one Lease. One of them, the leader, keeps in a single ConfigMap who owns which cluster. What
// makes it safe are compare-and-swap and acknowledgements, not clocks that agree:
//
//   - A replica obeys an assignment only where that names the UID of the Lease that it holds now.
//   - A cluster that is taken from a replica is given to nobody else until that replica has ended its connection and
//     its work, and has written so into its Lease.
//   - A replica is dead when somebody who could write himself has seen its Lease unchanged for its whole duration, on
//     his own clock, and has deleted that Lease at that very resourceVersion. Whoever was only slow finds it gone,
//     drops everything, and begins anew.
//   - Nothing is written, here or in a remote cluster, unless the last renewal began less than the duration less a
//     margin ago: see [Fence].
//
// Where the local API server is away, connections and caches stay; writes stop, and go on after a renewal.
//
// A controller author uses it like this:
//
//	replica, err := shard.New(cfg, shard.Options{Namespace: "tools", Replica: os.Getenv("POD_NAME")})
//	…
//	f, err := fleet.New(cfg, fleet.Options{
//		Inventory:  shard.Inventory(kubeconfigs, replica),
//		Connection: connection.Options{Wrap: replica.Wrap},
//	})
//	…
//	err = f.Manager().Add(replica)
//
// It decides where work is done, not what work there is: clusters are names to it.
package shard

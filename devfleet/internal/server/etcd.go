package server

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// etcd listens on sockets in the cluster's directory (mode 0700) and on no port: it knows no authentication
// here, and on a loopback port every user of the machine could read every Secret.
const (
	etcdSocket     = "etcd.sock"
	etcdPeerSocket = "etcd-peer.sock"
)

func startEtcd() (*embed.Etcd, error) {
	for _, socket := range []string{etcdSocket, etcdPeerSocket} {
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("removing socket of an earlier run: %w", err)
		}
	}
	wal.SegmentSizeBytes = 4 << 20 // etcd allocates two segments of 64 MB otherwise
	cfg := embed.NewConfig()
	cfg.Name = "devfleet"
	cfg.Dir = "etcd"
	cfg.LogLevel = "warn"
	cfg.LogOutputs = []string{"stderr"}
	cfg.ListenClientUrls = []url.URL{{Scheme: "unix", Host: etcdSocket}}
	cfg.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: etcdPeerSocket}}
	// What is advertised must look like host:port, and nobody calls it: the member is alone.
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:2380"}}
	cfg.EnableGRPCGateway = false
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.UnsafeNoFsync = true // only a crash of the machine loses data
	// A single member needs no followers that catch up, so few entries are kept in memory.
	cfg.SnapshotCount = 2000
	cfg.SnapshotCatchUpEntries = 100
	// An election takes between one and two election timeouts; it is most of etcd's start.
	cfg.TickMs, cfg.ElectionMs = 20, 200
	cfg.QuotaBackendBytes = 512 << 20

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting etcd: %w", err)
	}
	const within = 30 * time.Second
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, fmt.Errorf("starting etcd: %w", err)
	case <-time.After(within):
		etcd.Close()
		return nil, fmt.Errorf("starting etcd: not ready after %s", within)
	}
}

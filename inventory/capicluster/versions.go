package capicluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/hawser-io/hawser/inventory/group"
	"github.com/hawser-io/hawser/inventory/objects"
)

const (
	// discoveryTimeout is the deadline of the question which versions are served.
	discoveryTimeout = 10 * time.Second
	// discoveryPause is how long after an answer that was of no use it is asked again.
	discoveryPause = 5 * time.Second
)

// followClusters follows the Clusters until ctx ends, in the best version that is served. When that is served
// no more, as after an upgrade of Cluster API, it goes on with another.
func (s *state) followClusters(ctx context.Context, member *group.Member) error {
	for {
		version, err := s.served(ctx, member)
		if version == "" || err != nil {
			return err
		}
		if err := s.followVersion(ctx, version, member); err != nil || !s.pause(ctx) {
			return err
		}
	}
}

// pause reports whether it is time to ask again; not when ctx has ended.
func (s *state) pause(ctx context.Context) bool {
	timer := s.clock.NewTimer(discoveryPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// followVersion follows the Clusters in one version, until that is served no more.
func (s *state) followVersion(ctx context.Context, version string, member *group.Member) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := map[types.NamespacedName]bool{} // until all were: what only an earlier version had is gone
	follower := objects.Follower[Cluster]{
		Config:    s.Config,
		Resource:  schema.GroupVersionResource{Group: groupName, Version: version, Resource: resource},
		Namespace: s.Namespace,
		Labels:    s.Selector,
		Clock:     s.Inventory.Clock,
	}
	return follower.Run(ctx, objects.Handler[Cluster]{
		Set: func(key types.NamespacedName, c *Cluster) {
			seen[key] = true
			s.setCluster(key, c)
		},
		Malformed: func(key types.NamespacedName, err error) {
			seen[key] = true
			s.malformedCluster(key, err)
		},
		Delete: s.deleteCluster,
		Synced: func() {
			s.retain(seen)
			member.Fault(nil) // also what was told of another version
			member.InSync()
		},
		Fault: func(err error) {
			member.Fault(err)
			if apierrors.IsNotFound(err) {
				cancel()
			}
		},
	})
}

// served waits until a version that is understood is served, and returns the best; none when ctx has ended.
func (s *state) served(ctx context.Context, member *group.Member) (string, error) {
	config := rest.CopyConfig(s.Config)
	config.Timeout = discoveryTimeout
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return "", fmt.Errorf("finding Cluster API: %w", err)
	}
	for {
		var api metav1.APIGroup
		err := client.RESTClient().Get().AbsPath("/apis/" + groupName).Do(ctx).Into(&api)
		switch {
		case err == nil, apierrors.IsNotFound(err):
			err = errNotInstalled
			for _, version := range versions {
				if slices.ContainsFunc(api.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.Version == version }) {
					return version, nil
				}
			}
		default:
			err = fmt.Errorf("finding Cluster API: %w", err)
		}
		if ctx.Err() == nil {
			member.Fault(err)
		}
		if !s.pause(ctx) {
			return "", nil
		}
	}
}

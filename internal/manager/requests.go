package manager

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/internal/controller/accessrequest"
)

// setUpRequests registers the controller of AccessRequests. Whoever calls it ends, with end, what the
// controller has begun in remote clusters.
func setUpRequests(ctx context.Context, mgr ctrl.Manager, links *fleet.Links, o Options) (requests *accessrequest.Reconciler, end func(), err error) {
	minter := accessrequest.NewMinter(ctx, links, o.ClusterName, clock.RealClock{})
	requests = &accessrequest.Reconciler{
		Client: mgr.GetClient(), Fleet: links, Minter: minter, Events: mgr.GetEventRecorder("hawser"), Clock: clock.RealClock{},
		Local: o.ClusterName, Namespace: o.Namespace,
	}
	if err := requests.SetupWithManager(mgr, workers); err != nil {
		minter.Close()
		return nil, nil, fmt.Errorf("setting up the controller of AccessRequests: %w", err)
	}
	return requests, minter.Close, nil
}

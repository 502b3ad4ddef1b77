package manager

import (
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/internal/controller/clusterprofile"
)

// Profiles say where RemoteClusters are published as ClusterProfiles.
type Profiles struct {
	// Namespace of the ClusterProfiles, which must exist. Empty: nothing is published.
	Namespace string
	// Manager is the name of the cluster manager that they have. Empty means clusterprofile.DefaultManager.
	Manager string
}

// setUp registers the controller that publishes. It fails where the kind is not installed.
func (p Profiles) setUp(mgr ctrl.Manager) error {
	if p.Namespace == "" {
		return nil
	}
	publisher := &clusterprofile.Reconciler{
		Client: mgr.GetClient(), Events: mgr.GetEventRecorder("hawser"), Namespace: p.Namespace, Manager: p.Manager,
	}
	if err := publisher.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of ClusterProfiles: %w", err)
	}
	return nil
}

package rights

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/credential/mtls"
)

// StartControllers is what to do where the member controllers do not run.
const StartControllers = "look at them in that cluster: kubectl -n " + v1alpha1.Namespace + " get pods; or start hawser member controllers there, with the rights of hawser member manifests --controllers"

// Stopped says since when the member controllers do not run; empty where they do. It fails where the person may
// not read their Lease.
func (c Cluster) Stopped(ctx context.Context, now time.Time) (string, error) {
	var lease coordinationv1.Lease
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: v1alpha1.MemberControllersLease}, &lease)
	switch {
	case apierrors.IsNotFound(err):
		return "they have never run", nil
	case err != nil:
		return "", fmt.Errorf("reading the Lease of the member controllers: %w", err)
	}
	return mtls.ControllersStopped(&lease, now), nil
}

// Gate says what is wrong with the gate, as far as that can be seen from outside; empty where nothing is, or where the
// person may not look.
func (c Cluster) Gate(ctx context.Context) (what, repair string, err error) {
	missing, err := c.gateIsMissing(ctx)
	if err != nil {
		return "", "", err
	}
	if missing {
		return "there is no gate in that cluster", "hawser member manifests --local NAME --controllers --gate prints what it needs; hawser gate runs it", nil
	}
	var deployment appsv1.Deployment
	there, known, err := c.exists(ctx, &deployment, v1alpha1.Namespace, v1alpha1.GateServiceAccount)
	if err != nil || !known || !there || deployment.Status.ReadyReplicas > 0 { // it may run in another way
		return "", "", err
	}
	return fmt.Sprintf("no replica of Deployment %q in namespace %q is ready", v1alpha1.GateServiceAccount, v1alpha1.Namespace),
		fmt.Sprintf("kubectl -n %s describe deploy/%s, and its log", v1alpha1.Namespace, v1alpha1.GateServiceAccount), nil
}

// Command inventory connects to clusters that it reads from where no inventory of Hawser does: Secrets of a type of
// its own in the namespace that it is given, with an address, a CA and a token. It says who comes and goes.
package main

import (
	"context"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/fleet"
	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/objects"
)

type secrets struct {
	objects.Follower[corev1.Secret]
}

// Run implements inventory.Inventory. It needs to list and watch Secrets in the namespace.
func (s *secrets) Run(ctx context.Context, to inventory.Sink) error {
	return s.Follower.Run(ctx, objects.Handler[corev1.Secret]{
		Set: func(key types.NamespacedName, secret *corev1.Secret) {
			server, token, version := string(secret.Data["server"]), string(secret.Data["token"]), secret.ResourceVersion
			if server == "" || token == "" {
				to.Fault(key.Name, fmt.Errorf("reading Secret %q: it needs a server and a token", key))
				return // the cluster stays what it was
			}
			spec := connection.Spec{Name: key.Name, Endpoint: credential.Endpoint{Server: server, CAData: secret.Data["ca.crt"]}}
			to.Set(inventory.Cluster{Spec: spec, Source: inventory.Fixed(credential.NewToken(token, version)), Version: version})
			to.Fault(key.Name, nil)
		},
		Delete: func(key types.NamespacedName) { to.Remove(key.Name) },
		Synced: to.Synced,
		Fault:  func(err error) { to.Fault("", err) },
	})
}

func main() {
	ctrl.SetLogger(klog.Background())
	from := objects.Follower[corev1.Secret]{Config: ctrl.GetConfigOrDie(), Namespace: os.Args[1], Fields: "type=example.com/cluster"}
	from.Resource = corev1.SchemeGroupVersion.WithResource("secrets")
	o := fleet.Options{Inventory: &secrets{from}}
	o.Manager.Metrics.BindAddress = "0"
	f, err := fleet.New(from.Config, o)
	utilruntime.Must(err)
	f.Watch(fleet.Hook{
		Engaged: func(c *fleet.Cluster) { fmt.Println(c.Name(), "has come") },
		Gone:    func(name string) { fmt.Println(name, "has left") },
	})
	utilruntime.Must(f.Start(ctrl.SetupSignalHandler()))
}

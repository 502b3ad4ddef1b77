package manager

import (
	"context"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/aws"
	"github.com/hawser-io/hawser/credential"
	"github.com/hawser-io/hawser/credential/eks"
	"github.com/hawser-io/hawser/internal/controller/awsidentity"
	capacontroller "github.com/hawser-io/hawser/internal/controller/capa"
	"github.com/hawser-io/hawser/internal/controller/eksinventory"
	inventory "github.com/hawser-io/hawser/inventory/awsidentity"
	"github.com/hawser-io/hawser/inventory/capa"
)

// STSPerSecond is how many roles are assumed in a second: what AWS grants an account is shared with others.
const STSPerSecond = 4

// AWS is what it takes to reach AWS: the identities that the local cluster knows, and their sessions.
type AWS struct {
	// Client reads RemoteClusters and namespaces.
	Client     client.Reader
	Identities aws.Reader
	Sessions   *aws.Sessions
	Clusters   aws.Clusters
}

// NewAWS reads identities by objects, and Secrets in the namespace that Hawser runs in. Cluster API's
// identities are read by foreign, where clusterAPI is the namespace of their Secrets.
func NewAWS(ctx context.Context, objects, foreign client.Reader, secrets credential.Secrets, clusterAPI string, clk clock.WithTicker) (*AWS, error) {
	config, err := aws.LoadConfig(ctx, clk)
	if err != nil {
		return nil, err
	}
	readers := inventory.Readers{AWSIdentity: inventory.Reader{Client: objects, Secrets: secrets}}
	if clusterAPI != "" {
		readers.ClusterAPI = capa.Reader{Client: objects, Identities: foreign, Namespace: clusterAPI}
	}
	return &AWS{
		Client:     objects,
		Identities: readers,
		Sessions:   &aws.Sessions{Clock: clk, STS: aws.STSFrom(config), Region: os.Getenv("AWS_REGION"), PerSecond: STSPerSecond},
		Clusters:   aws.Clusters{API: aws.EKSFrom(config)},
	}, nil
}

// setUp registers the controllers of what is in AWS.
func (a *AWS) setUp(mgr ctrl.Manager, o Options) error {
	recorder, clk := mgr.GetEventRecorder("hawser"), a.Sessions.Clock
	identities := &awsidentity.Reconciler{
		Client: mgr.GetClient(), Reader: a.Identities, Events: recorder,
		Asker: &awsidentity.Asker{Sessions: a.Sessions, Clock: clk},
	}
	if err := identities.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of AWSIdentities: %w", err)
	}
	inventories := &eksinventory.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Clock: clk, Local: o.ClusterName,
		Identities: a.Identities, Sessions: a.Sessions, Clusters: a.Clusters,
	}
	if err := inventories.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of EKSInventories: %w", err)
	}
	if o.ClusterAPI == "" {
		return nil
	}
	provisioned := &capacontroller.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Clock: clk, Local: o.ClusterName,
		Identities: a.Identities, Sessions: a.Sessions, Clusters: a.Clusters,
	}
	if err := provisioned.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the controller of Cluster API's clusters: %w", err)
	}
	return nil
}

func (a *AWS) source(rc *v1alpha1.RemoteCluster, clk clock.PassiveClock) credential.Source {
	auth, name := rc.Spec.Auth.EKS, rc.Name
	s := &eks.Source{
		Cluster: rc.Spec.Auth.EKSClusterName(name), Region: auth.Region, AccountID: auth.AccountID,
		Resolve: func(ctx context.Context, ref aws.Ref) (aws.Chain, error) { return a.resolve(ctx, name, ref) },
		Token:   aws.RefOf(auth.IdentityRef), Sessions: a.Sessions, Clusters: a.Clusters, Binding: credential.BindingOf(rc.Status.Endpoint), Clock: clk,
	}
	if auth.APIIdentityRef != nil {
		ref := aws.RefOf(auth.APIIdentityRef)
		s.API = &ref
	}
	return s
}

// resolve finds the way to an identity for a RemoteCluster, on behalf of the namespace that an inventory recorded.
func (a *AWS) resolve(ctx context.Context, cluster string, ref aws.Ref) (aws.Chain, error) {
	var rc v1alpha1.RemoteCluster
	if err := a.Client.Get(ctx, client.ObjectKey{Name: cluster}, &rc); err != nil { // one that is gone must not read as one without a namespace
		return aws.Chain{}, fmt.Errorf("reading RemoteCluster %q: %w", cluster, err)
	}
	ns := aws.Namespace{Name: rc.Labels[v1alpha1.NamespaceLabel]}
	if source, _, made := strings.Cut(rc.Annotations[capa.SourceAnnotation], "/"); made && source != ns.Name {
		return aws.Chain{}, &aws.Error{Ref: ref, Reason: v1alpha1.ReasonNamespaceNotAllowed, Repair: "put it back: the label is what every identity is asked by",
			Err: fmt.Errorf("RemoteCluster %q was made for namespace %q, and its label %s says %q", cluster, source, v1alpha1.NamespaceLabel, ns.Name)}
	}
	if ns.Name != "" {
		var object corev1.Namespace
		if err := a.Client.Get(ctx, client.ObjectKey{Name: ns.Name}, &object); client.IgnoreNotFound(err) != nil {
			return aws.Chain{}, fmt.Errorf("reading namespace %q of RemoteCluster %q: %w", ns.Name, cluster, err)
		}
		ns.Labels = object.Labels
	}
	return aws.Resolve(ctx, a.Identities, ref, ns)
}

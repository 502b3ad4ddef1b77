package cli

import (
	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/connection"
	"github.com/hawser-io/hawser/internal/controller/clusterprofile"
	"github.com/hawser-io/hawser/internal/manager"
	"github.com/hawser-io/hawser/inventory/capa"
	"github.com/hawser-io/hawser/member"
)

func newManager(d *deps) *cobra.Command {
	var o manager.Options
	var verbose, declareSelf bool
	cmd := &cobra.Command{
		Use:     "manager --cluster-name NAME",
		GroupID: groupRun,
		Short:   "Run the manager: the connections of the local cluster",
		Long: `Run the manager in the local cluster. It holds the connections to all RemoteClusters, renews
their credentials, probes them, and writes what it learns into their status.

The name of the local cluster is what remote clusters know it by: choose it once. The local
cluster is a member of its own fleet unless --management-only is given. Several managers may
run: with --leader-elect one acts and the others stand by, and with --shards each holds a part
of the connections.`,
		Example: `  hawser manager --cluster-name primary
  hawser manager --cluster-name hub --management-only --default-cluster alpha
  # with the EKS clusters that Cluster API provisions; its roles are in config/cluster-api
  hawser manager --cluster-name hub --cluster-api
  # with endpoints of all clusters in policies and services; the role is in config/endpoints
  hawser manager --cluster-name hub --endpoints
  # with a ClusterProfile for each cluster, for others to read; the role is in config/clusterprofile
  hawser manager --cluster-name hub --publish-clusterprofiles hawser-clusterprofiles`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := member.ValidateLocal(o.ClusterName); err != nil {
				return usageError("--cluster-name: %w", err)
			}
			if o.Profiles.Manager != "" && o.Profiles.Namespace == "" {
				return usageError("--cluster-manager-name is only for --publish-clusterprofiles")
			}
			if cmd.Flags().Changed("query-bind-address") && !o.Endpoints {
				return usageError("--query-bind-address is only for --endpoints")
			}
			here, err := d.local()
			if err != nil {
				return err
			}
			o.SelfDeclared = !declareSelf
			o.Namespace, o.Config, o.Log = d.namespace, here.Config, d.logger(verbose)
			o.Started = d.links
			return manager.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.ClusterName, "cluster-name", "", "name of the local cluster, a DNS label of at most 50 characters (required)")
	flags.BoolVar(&o.ManagementOnly, "management-only", false, "leave the local cluster out of the fleet")
	flags.BoolVar(&declareSelf, "declare-self", true, "make the RemoteCluster of the local cluster; false where somebody else declares it, as a Helm release does")
	flags.StringVar(&o.DefaultCluster, "default-cluster", "", "cluster that answers what must have one answer (default: the local one)")
	flags.StringVar(&o.ClusterAPI, "cluster-api", "", "connect to the EKS clusters that Cluster API provisions, too; the value is the namespace of its provider for AWS, where the Secrets of static identities are")
	flags.Lookup("cluster-api").NoOptDefVal = capa.DefaultNamespace
	flags.StringVar(&o.Profiles.Namespace, "publish-clusterprofiles", "", "publish each RemoteCluster as a ClusterProfile in this namespace, for others to read (default: nothing is published)")
	flags.StringVar(&o.Profiles.Manager, "cluster-manager-name", "", "with --publish-clusterprofiles: name of the cluster manager that they have; several in one namespace need names of their own (default \""+clusterprofile.DefaultManager+"\")")
	flags.StringVar(&o.TokenDir, "token-dir", "", "directory of the pod's projected tokens, which auth.type oidc may use")
	flags.StringVar(&o.SPIFFESocket, "spiffe-endpoint-socket", "", "address of the Workload API of SPIFFE, unix:///path (default: $SPIFFE_ENDPOINT_SOCKET)")
	flags.StringVar(&o.ExecProviders, "exec-providers", "", "file that says which plugins auth.type exec may select")
	flags.BoolVar(&o.LeaderElect, "leader-elect", true, "let several managers stand by for one")
	flags.BoolVar(&o.Shards.Enabled, "shards", false, "divide the clusters among all managers, instead of letting all but one stand by")
	flags.StringVar(&o.Shards.Replica, "replica-name", "", "with --shards: name of this manager among them (default: $POD_NAME, or the host's name)")
	flags.DurationVar(&o.Shards.LeaseDuration, "shard-lease-duration", 0, "with --shards: how long a manager may be silent before others take its clusters over, in whole seconds (default 10s)")
	flags.StringVar(&o.MetricsAddr, "metrics-bind-address", ":8080", `address of /metrics; "0" for none`)
	flags.StringVar(&o.ProbeAddr, "health-probe-bind-address", ":8081", `address of /healthz and /readyz; "0" for none`)
	flags.DurationVar(&o.ProbeInterval, "probe-interval", connection.DefaultProbeInterval, "how often each connection is probed")
	flags.BoolVar(&o.Endpoints, "endpoints", false, "follow the endpoints of all clusters that have the capability endpoints, and make of them what EndpointSets, FederatedNetworkPolicies and Services ask for; the role is in config/endpoints")
	flags.StringVar(&o.QueryAddr, "query-bind-address", manager.DefaultQueryAddr, `with --endpoints: address where questions about endpoints are answered, "0" for nowhere. It asks nobody who they are, and so is one of loopback: hawser endpoints comes to it by a port-forward, which takes the right to create pods/portforward`)
	flags.BoolVar(&o.UpgradeCRDs, "upgrade-crds", false, "bring the CustomResourceDefinitions of Hawser to this version before anything else; the role is in config/upgrade")
	flags.BoolVar(&verbose, "verbose", false, "log details")
	_ = cmd.MarkFlagRequired("cluster-name")
	return cmd
}

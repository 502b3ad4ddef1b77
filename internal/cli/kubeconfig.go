package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/authcache"
)

// kubeconfigFlags are those of hawser kubeconfig.
type kubeconfigFlags struct {
	requests              []string
	roles                 []string
	externalID, profile   string
	serviceAccount, grant string
	prefix, command       string
	merge, force, current bool
	into                  string
}

func newKubeconfig(d *deps) *cobra.Command {
	var f kubeconfigFlags
	cmd := &cobra.Command{
		Use:   "kubeconfig NAME...",
		Short: "Print or merge kubeconfig contexts for remote clusters, with hawser-auth",
		Long: `Print a kubeconfig with a context for each of the named remote clusters. There is no credential
in it: kubectl runs hawser-auth, the exec plugin, which has to be on your PATH.

Who you are there depends on the cluster. auth.type eks: your own AWS identity, or --role-arn.
Any other: what an AccessRequest gives (--request; without it, the only one for that cluster that
you may list). auth.type oidc with --service-account: a token of that account, as the manager
shows its own. The connection's own credential is never handed out.

--merge writes into your kubeconfig, as kubectl config does; --into into another file. A context,
cluster or user of the same name that hawser-auth does not serve is left alone without --force.`,
		Example: `  hawser kubeconfig alpha --request team-a/alpha > alpha.yaml
  hawser kubeconfig prod staging --role-arn arn:aws:iam::444455556666:role/ops --merge
  hawser kubeconfig alpha --merge --use && kubectl get pods`,
		GroupID:           groupConnect,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: d.completeClusters(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, cancel := within(cmd, answerTimeout)
			defer cancel()
			return d.writeKubeconfig(ctx, names, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.requests, "request", nil, "AccessRequest for one of the clusters: NAMESPACE/NAME; repeatable")
	flags.StringArrayVar(&f.roles, "role-arn", nil, "with auth.type eks: role to assume; several are a chain, in this order")
	flags.StringVar(&f.externalID, "external-id", "", "with --role-arn: external ID that the last role asks for")
	flags.StringVar(&f.profile, "profile", "", "with auth.type eks: profile of your AWS configuration")
	flags.StringVar(&f.serviceAccount, "service-account", "", "with auth.type oidc: account of the local cluster to be: NAMESPACE/NAME")
	flags.StringVar(&f.grant, "grant", "", "with --service-account: AccessGrant to ask for, where there are several")
	flags.StringVar(&f.prefix, "prefix", "", "put before the names of contexts, clusters and users")
	flags.StringVar(&f.command, "command", "hawser-auth", "the plugin, as a name on the PATH or an absolute path")
	flags.BoolVar(&f.merge, "merge", false, "write into your kubeconfig, instead of printing")
	flags.StringVar(&f.into, "into", "", "write into this file, instead of printing")
	flags.BoolVar(&f.force, "force", false, "replace entries of the same name that others made")
	flags.BoolVar(&f.current, "use", false, "make the first one the current context")
	_ = cmd.MarkFlagFilename("into", "yaml", "yml", "config")
	return cmd
}

func (f kubeconfigFlags) validate() error {
	switch {
	case f.merge && f.into != "":
		return usageError("--merge and --into: choose one")
	case f.force && !f.merge && f.into == "":
		return usageError("--force is only for --merge and --into")
	case f.externalID != "" && len(f.roles) == 0:
		return usageError("--external-id is only for --role-arn")
	case f.grant != "" && f.serviceAccount == "":
		return usageError("--grant is only for --service-account: an AccessRequest names its own")
	case strings.Contains(f.command, "/"):
		return absolute("command", f.command)
	}
	return nil
}

// writeKubeconfig makes what can be made, and names the clusters that are missing from it.
func (d *deps) writeKubeconfig(ctx context.Context, names []string, f kubeconfigFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	here, err := d.local()
	if err != nil {
		return err
	}
	requests, err := readRequests(ctx, here.Client, f.requests)
	if err != nil {
		return err
	}
	for _, areq := range requests {
		if name := areq.Spec.ClusterRef.Name; !slices.Contains(names, name) {
			return usageError("--request %s/%s is for cluster %q, which is not among those that are named", areq.Namespace, areq.Name, name)
		}
	}
	made, missing := clientcmdapi.NewConfig(), false
	for _, name := range names {
		entry, err := d.contextFor(ctx, here.Client, name, requests, f)
		if err != nil {
			fmt.Fprintf(d.err, "hawser: making a context for cluster %q: %s\n", name, err)
			missing = true
			continue
		}
		entry.add(made, f)
	}
	if len(made.Contexts) > 0 {
		if err := d.deliver(made, f); err != nil {
			return err
		}
	}
	if missing {
		return gaps()
	}
	return nil
}

// kubeContext is one context with what belongs to it.
type kubeContext struct {
	name    string
	cluster *clientcmdapi.Cluster
	exec    *clientcmdapi.ExecConfig
}

func (e kubeContext) add(to *clientcmdapi.Config, f kubeconfigFlags) {
	context, own := f.prefix+e.name, f.prefix+"hawser-"+e.name
	to.Clusters[own] = e.cluster
	to.AuthInfos[own] = &clientcmdapi.AuthInfo{Exec: e.exec}
	to.Contexts[context] = &clientcmdapi.Context{Cluster: own, AuthInfo: own}
	if to.CurrentContext == "" && (f.current || !f.merge && f.into == "") {
		to.CurrentContext = context
	}
}

// contextFor chooses how a person gets into a cluster.
func (d *deps) contextFor(ctx context.Context, c client.Reader, name string, requests []v1alpha1.AccessRequest, f kubeconfigFlags) (kubeContext, error) {
	rc, err := getCluster(ctx, c, name)
	if err != nil {
		return kubeContext{}, err
	}
	entry := kubeContext{name: name, exec: &clientcmdapi.ExecConfig{
		APIVersion: authcache.V1, Command: f.command, ProvideClusterInfo: true, InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode,
		InstallHint: "hawser-auth comes with Hawser: put hawser and hawser-auth into one folder of your PATH",
	}}
	if entry.cluster, err = clusterOf(rc); err != nil {
		return kubeContext{}, err
	}
	areq, asked := requestFor(requests, name)
	switch {
	case asked:
		return d.byRequest(ctx, c, entry, &areq)
	case rc.Spec.Auth.Type == v1alpha1.AuthEKS:
		return byEKS(entry, rc, f), nil
	case rc.Spec.Auth.Type == v1alpha1.AuthOIDC && f.serviceAccount != "":
		return d.byAccount(entry, rc, f)
	case f.serviceAccount != "":
		return kubeContext{}, fmt.Errorf("it does not know service accounts of this cluster: its auth.type is %s. Let it trust them (hawser join %s --auth oidc --remote-context CONTEXT), or use --request NAMESPACE/NAME", rc.Spec.Auth.Type, name)
	}
	if areq, err = onlyRequest(ctx, c, name); err != nil {
		return kubeContext{}, err
	}
	return d.byRequest(ctx, c, entry, &areq)
}

// clusterOf is where a RemoteCluster is; nil where only its kubeconfig says so.
func clusterOf(rc *v1alpha1.RemoteCluster) (*clientcmdapi.Cluster, error) {
	if rc.Spec.Server == "" {
		return nil, nil
	}
	ca, err := base64.StdEncoding.DecodeString(rc.Spec.CAData)
	if err != nil {
		return nil, errors.New("its caData is no base64")
	}
	return &clientcmdapi.Cluster{Server: rc.Spec.Server, CertificateAuthorityData: ca, TLSServerName: rc.Spec.TLSServerName, ProxyURL: rc.Spec.ProxyURL}, nil
}

// deliver prints the contexts, or merges them.
func (d *deps) deliver(made *clientcmdapi.Config, f kubeconfigFlags) error {
	if f.merge || f.into != "" {
		return d.mergeKubeconfig(made, f)
	}
	text, err := clientcmd.Write(*made)
	if err != nil {
		return fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	_, err = d.out.Write(text)
	return err
}

package cli

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/member"
)

// Lifetimes of the credentials that join makes, where --lifetime does not say.
const (
	renewedLifetime = 24 * time.Hour      // what renews itself
	watchedLifetime = 30 * 24 * time.Hour // what somebody has to replace
)

type joinFlags struct {
	remote       remoteFlags
	auth         string
	renew        string
	capabilities []string
	// endpointCIDRs are canonical, and each there once, after validate.
	endpointCIDRs []string
	server        string
	caFile        string
	serverName    string
	proxyURL      string
	lifetime      time.Duration
	localName     string
	timeout       time.Duration
	dryRun        bool
	replace       bool
	eks           joinEKSFlags
	oidc          joinOIDCFlags
}

func newJoin(d *deps) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:     "join NAME --remote-context CONTEXT | join NAME --from-eks --region REGION",
		GroupID: groupConnect,
		Short:   "Connect a cluster, or repair the connection to it",
		Long: `Connect a remote cluster under a name, with your own rights on both sides.

In the remote cluster it installs the member side: a namespace, an account and roles for
this connection alone. It makes the connection's first credential there, puts it into a
Secret of the local cluster, declares the RemoteCluster, and waits until it is Ready.

It can be run again at any time: it changes what differs and says what it changed. A
credential that still works is kept; a dead one is replaced, so this is also how a
connection is repaired. A member side that a Helm release installed is used as it is; where
that lacks something, join says which values it takes. With another --auth it moves the cluster to that way to
authenticate, while the connection goes on.

Ways to authenticate:
  bearerToken   a service-account token, which Hawser renews (the default)
  mtls          a client certificate. --renew csr: Hawser renews it, which takes member
                controllers in the remote cluster. --renew watch: somebody replaces it
  kubeconfig    a kubeconfig with such a token, which somebody has to replace
  eks           an identity in AWS, whom an access entry puts into the group
                hawser-members; nothing is stored. --access-entry makes the entry, too
  oidc          the manager's own account here, whom the remote cluster believes by a
                TrustedIssuer and lets in by an AccessGrant; nothing is stored. Its tokens
                are exchanged at the gate there (--gate-url), or its API server trusts the
                issuer itself (hawser trust render). It takes member controllers there

With --capabilities endpoints the cluster contributes endpoints, at addresses within
--endpoint-cidrs alone, and without these none (see hawser check addresses).

--lifetime is 24h for what Hawser renews and 720h for the rest. No secret is ever printed.`,
		Example: `  hawser join alpha --remote-context alpha-admin
  hawser join alpha --remote-context alpha-admin --dry-run
  hawser join beta --remote-context beta-admin --auth mtls --renew csr
  # its pods and nodes are to be selected by policies of this cluster
  hawser join alpha --remote-context alpha-admin --capabilities endpoints --endpoint-cidrs 10.4.0.0/16,198.51.100.0/28
  # the manager reaches it by another address than you do
  hawser join gamma --remote-context gamma-admin --server https://10.0.0.7:6443
  # an EKS cluster, where you are an admin by your own AWS credentials
  hawser join prod --auth eks --region eu-north-1 --identity staging --from-eks --access-entry
  # nothing stored, nothing to renew: that cluster believes this one's own issuer
  hawser join delta --remote-context delta-admin --auth oidc --gate-url https://gate.delta.example.com/token --gate-ca-file gate.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			j := &joining{d: d, flags: f, name: args[0], given: cmd.Flags().Changed}
			ctx, cancel := within(cmd, f.timeout)
			defer cancel()
			return j.run(ctx)
		},
		ValidArgsFunction: d.completeClusters(1),
	}
	f.remote.add(cmd, "where you are an admin (required, or --from-eks)")
	flags := cmd.Flags()
	flags.StringVar(&f.auth, "auth", "", "way to authenticate: bearerToken, mtls, kubeconfig, eks or oidc (default: as it is, bearerToken for a new cluster)")
	flags.StringVar(&f.renew, "renew", "", "with --auth mtls: csr or watch (default: csr if the member controllers run there)")
	flags.StringSliceVar(&f.capabilities, "capabilities", nil, "what the connection is for: connect (always), endpoints")
	flags.StringSliceVar(&f.endpointCIDRs, "endpoint-cidrs", nil, "with capability endpoints: the only addresses that the cluster may contribute, such as 10.4.0.0/16; may be repeated, and '' is none (default: as they are)")
	flags.StringVar(&f.server, "server", "", "address by which the manager reaches the remote cluster (default: that of the context)")
	flags.StringVar(&f.caFile, "ca-file", "", "file with the CA of that address, PEM (default: that of the context)")
	flags.StringVar(&f.serverName, "tls-server-name", "", "name in the server's certificate, where it is not the host of the address")
	flags.StringVar(&f.proxyURL, "proxy-url", "", "proxy by which the manager reaches the remote cluster (default: that of the context)")
	flags.DurationVar(&f.lifetime, "lifetime", 0, "lifetime of the first credential, and so of those that follow; 10m at least")
	flags.StringVar(&f.localName, "local-name", "", "name of the local cluster (default: what the manager was started with)")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait until the cluster is Ready")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print every object on each side, and change nothing")
	flags.BoolVar(&f.replace, "replace", false, "go on although NAME is another cluster now, or a Secret of yours would be overwritten")
	f.eks.add(cmd)
	f.oidc.add(cmd)
	fixed := func(flag string, values ...string) {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	fixed("auth", "bearerToken", "mtls", "kubeconfig", "eks", "oidc")
	fixed("renew", "csr", "watch")
	fixed("capabilities", "connect", "endpoints")
	_ = cmd.RegisterFlagCompletionFunc("endpoint-cidrs", cobra.NoFileCompletions)
	return cmd
}

// validate refuses what needs no cluster to be refused.
func (f *joinFlags) validate(name string) error {
	switch v1alpha1.AuthType(f.auth) {
	case "", v1alpha1.AuthBearerToken, v1alpha1.AuthMTLS, v1alpha1.AuthKubeconfig, v1alpha1.AuthEKS, v1alpha1.AuthOIDC:
	default:
		return usageError("--auth %q: join knows bearerToken, mtls, kubeconfig, eks and oidc", f.auth)
	}
	switch {
	case member.ValidateLocal(name) != nil: // the same rule as for RemoteClusters
		return usageError("cluster name %q: it must be a DNS label of at most 50 characters, such as alpha", name)
	case f.renew != "" && f.auth != string(v1alpha1.AuthMTLS):
		return usageError("--renew is only for --auth mtls")
	case f.renew != "" && f.renew != string(v1alpha1.RenewByCSR) && f.renew != string(v1alpha1.RenewByWatch):
		return usageError("--renew %q: there is only csr and watch", f.renew)
	case f.remote.given() == f.eks.fromEKS:
		return f.refuseWay()
	case f.lifetime != 0 && (f.lifetime < 10*time.Minute || f.lifetime%time.Second != 0):
		return usageError("--lifetime %s: use whole seconds, and 10m at least, since an API server grants no less", f.lifetime)
	case f.server != "" && !strings.HasPrefix(f.server, "https://"):
		return usageError("--server %q: it must be https:// with a host", f.server)
	}
	return f.validateRanges()
}

// validateRanges refuses what is no range, as an API server would, and what is hardly meant as it is written.
func (f *joinFlags) validateRanges() error {
	var all []string
	for _, text := range f.endpointCIDRs {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		switch {
		case err != nil || p.Addr().Is4In6():
			return usageError("--endpoint-cidrs %q: it must be a range of addresses, such as 10.4.0.0/16", text)
		case p != p.Masked():
			return usageError("--endpoint-cidrs %q: the range of that length begins at %s: write %s, or a longer prefix", text, p.Masked().Addr(), p.Masked())
		case !slices.Contains(all, p.String()):
			all = append(all, p.String())
		}
	}
	f.endpointCIDRs = all
	return nil
}

// run is join from beginning to end.
func (j *joining) run(ctx context.Context) error {
	if err := j.flags.validate(j.name); err != nil {
		return err
	}
	if err := j.validateEKS(); err != nil {
		return err
	}
	if err := j.validateOIDC(); err != nil {
		return err
	}
	if err := j.prepare(ctx); err != nil {
		return fmt.Errorf("joining cluster %q: %w", j.name, err)
	}
	if j.flags.dryRun {
		return j.printPlan(ctx)
	}
	if err := j.apply(ctx); err != nil {
		return fmt.Errorf("joining cluster %q: %w", j.name, err)
	}
	if err := j.wait(ctx); err != nil {
		return err
	}
	if err := j.settle(ctx); err != nil {
		return fmt.Errorf("joining cluster %q: taking the rights of its old identity away: %w", j.name, err)
	}
	if err := j.forgetStored(ctx); err != nil {
		return fmt.Errorf("joining cluster %q: %w", j.name, err)
	}
	return nil
}

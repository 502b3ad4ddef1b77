package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/internal/version"
	"github.com/hawser-io/hawser/member"
)

type manifestsFlags struct {
	local        string
	auth, renew  string
	capabilities []string
	requires     string
	users        []string
	groups       []string
	maxLifetime  time.Duration
	controllers  bool
	gate         bool
	grantable    []string
}

func newMemberManifests(d *deps) *cobra.Command {
	var f manifestsFlags
	cmd := &cobra.Command{
		Use:   "manifests [--local NAME] [--controllers [--gate]]",
		Short: "Print the YAML of what a remote cluster needs, for review",
		Long: `Print, as YAML, what a remote cluster needs so that the local cluster of the given name can
connect to it: what hawser join installs, for those who review before they apply. It reads
and writes no cluster.

--controllers adds what the member controllers need: the kinds TrustedIssuer and AccessGrant, their
account and rights, and the policies that bound them and whoever writes grants. --gate adds the gate.
With either, --local may be left out.

--requires names a file with rules as in spec.requires of a RemoteCluster: a list of
{apiGroups, resources, verbs, resourceNames}, or an object with the key requires.
With --auth kubeconfig the identity is not Hawser's to make, so --users or --groups name it.
With --auth eks it is whoever an access entry puts into the group hawser-members.`,
		Example: `  hawser member manifests --local primary > member.yaml
  hawser member manifests --local primary --capabilities endpoints --requires rules.yaml
  hawser member manifests --local primary --auth mtls --renew csr --controllers | kubectl --context alpha-admin apply -f -
  hawser member manifests --local primary --auth eks | kubectl --context prod-admin apply -f -
  hawser member manifests --controllers --gate --grantable-roles view,edit | kubectl --context alpha-admin apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := f.text()
			if err != nil {
				return err
			}
			_, err = d.out.Write(text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.local, "local", "", "name of the local cluster (required without --controllers)")
	flags.StringVar(&f.auth, "auth", string(v1alpha1.AuthBearerToken), "how the connection authenticates: bearerToken, mtls, kubeconfig or eks")
	flags.StringVar(&f.renew, "renew", string(v1alpha1.RenewByWatch), "with --auth mtls: csr or watch")
	flags.StringSliceVar(&f.capabilities, "capabilities", nil, "what the connection is for: connect (always), endpoints")
	flags.StringVar(&f.requires, "requires", "", "file with further rules")
	flags.StringSliceVar(&f.users, "users", nil, "users that get the same rights")
	flags.StringSliceVar(&f.groups, "groups", nil, "groups that get the same rights")
	flags.DurationVar(&f.maxLifetime, "max-token-lifetime", member.DefaultMaxTokenLifetime, "longest lifetime of the connection's tokens")
	flags.BoolVar(&f.controllers, "controllers", false, "add the kinds, the account and the rights of the member controllers")
	flags.BoolVar(&f.gate, "gate", false, "with --controllers: add the account and rights of the gate")
	flags.StringSliceVar(&f.grantable, "grantable-roles", nil, "with --controllers: the only ClusterRoles that the member controllers may bind (default: all that the author of a grant may bind)")
	_ = cmd.MarkFlagFilename("requires", "yaml", "yml", "json")
	return cmd
}

// text is everything that the flags ask for, kinds first.
func (f *manifestsFlags) text() ([]byte, error) {
	if !f.controllers && (f.gate || len(f.grantable) > 0) {
		return nil, usageError("--gate and --grantable-roles need --controllers")
	}
	if !f.controllers && f.local == "" {
		return nil, usageError("name the local cluster by --local, or ask for --controllers")
	}
	var objs []client.Object
	if f.local == "" {
		objs = member.ControllerObjects(member.ControllerOptions{Gate: f.gate, GrantableRoles: f.grantable})
	} else {
		o, err := f.options()
		if err != nil {
			return nil, err
		}
		objs = member.Objects(o)
	}
	text, err := member.YAML(objs)
	if err != nil || !f.controllers {
		return text, err
	}
	kinds, err := crd.YAML(crd.TrustedIssuers, crd.AccessGrants)
	return append(kinds, text...), err
}

func (f *manifestsFlags) options() (member.Options, error) {
	o := member.Options{
		Local: f.local, Users: f.users, Groups: f.groups,
		MaxTokenLifetime: f.maxLifetime, Version: version.String(),
		Controllers: f.controllers, Gate: f.gate, GrantableRoles: f.grantable,
	}
	auth := v1alpha1.Auth{Type: v1alpha1.AuthType(f.auth)}
	switch auth.Type {
	case v1alpha1.AuthBearerToken, v1alpha1.AuthKubeconfig:
	case v1alpha1.AuthEKS:
		o.Groups = append(member.GroupsOf(auth), o.Groups...)
	case v1alpha1.AuthMTLS:
		auth.MTLS = &v1alpha1.MTLSAuth{Renew: v1alpha1.CertificateRenewal(f.renew)}
	default:
		return o, usageError("--auth %q: there is only bearerToken, mtls, kubeconfig and eks", f.auth)
	}
	if f.renew != string(v1alpha1.RenewByWatch) && f.renew != string(v1alpha1.RenewByCSR) {
		return o, usageError("--renew %q: there is only csr and watch", f.renew)
	}
	o.Identity = member.IdentityOf(auth)
	for _, c := range f.capabilities {
		o.Capabilities = append(o.Capabilities, v1alpha1.Capability(c))
	}
	var err error
	if o.Requires, err = readRules(f.requires); err != nil {
		return o, err
	}
	if err := o.Validate(); err != nil {
		return o, usageError("%w", err)
	}
	return o, nil
}

// readRules reads a list of rules, or an object that holds one under requires, such as the spec of a RemoteCluster.
func readRules(file string) ([]v1alpha1.Rule, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading --requires: %w", err)
	}
	var rules []v1alpha1.Rule
	if err := yaml.UnmarshalStrict(text, &rules); err == nil {
		return rules, nil
	}
	var holder struct {
		Requires []v1alpha1.Rule `json:"requires"`
	}
	if err := yaml.UnmarshalStrict(text, &holder); err != nil {
		return nil, fmt.Errorf("reading --requires %s: it is neither a list of rules nor an object with the key requires: %w", file, err)
	}
	return holder.Requires, nil
}

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/trust"
)

func newTrust(d *deps) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trust",
		GroupID: groupConnect,
		Short:   "Whose identities a cluster believes",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newTrustRender(d))
	return cmd
}

func newTrustRender(d *deps) *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print a cluster's TrustedIssuers as the configuration of its API server",
		Long: `Print the TrustedIssuers of a cluster as an AuthenticationConfiguration, for those who own the
flags of its API server: save it as the file of --authentication-config. The API server then
believes the same tokens as the gate would, as the same users and groups, without a gate.
API servers read the file again when it changes.

An API server cannot do all that the gate can: issuers whose keys are in spec.jwks or pinned are
left out, and so are those that are not Ready. stderr names them, and the exit code is then 1.

Where the API server has a file already, add the entries under jwt to it. Nothing takes an
issuer out of the file by itself: render again when a TrustedIssuer changes or is deleted. What
its subjects may do ends with their AccessGrants, at once.`,
		Example: `  hawser trust render --context beta-admin > authentication.yaml
  hawser trust render --context beta-admin --config-version v1beta1 > authentication.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.trustRender(cmd, version) },
	}
	cmd.Flags().StringVar(&version, "config-version", "v1", "version of the configuration: v1 (from Kubernetes 1.34 on), or v1beta1 (from 1.30 on)")
	_ = cmd.RegisterFlagCompletionFunc("config-version", cobra.FixedCompletions([]string{"v1", "v1beta1"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (d *deps) trustRender(cmd *cobra.Command, version string) error {
	versions := map[string]string{"v1": trust.ConfigV1, "v1beta1": trust.ConfigV1beta1}
	if versions[version] == "" {
		return usageError("--config-version %q: there is only v1 and v1beta1", version)
	}
	here, err := d.local()
	if err != nil {
		return err
	}
	ctx, cancel := within(cmd, answerTimeout)
	defer cancel()
	var all v1alpha1.TrustedIssuerList
	if err := here.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("listing TrustedIssuers: %w", err)
	}
	system, err := here.Kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the id of the cluster: %w", err)
	}
	text, notes, err := trust.RenderAs(versions[version], all.Items, v1alpha1.DefaultAudience(string(system.UID)))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "# Made by hawser trust render of the TrustedIssuers of cluster %s. Changes here are lost.\n", system.UID)
	if _, err := d.out.Write(text); err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(d.err, note)
	}
	if len(notes) > 0 {
		return gaps()
	}
	return nil
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/hawser-io/hawser/internal/gate"
)

func newGate(d *deps) *cobra.Command {
	o := gate.Options{Limits: gate.DefaultLimits()}
	var verbose bool
	cmd := &cobra.Command{
		Use:     "gate --tls-cert-file FILE --tls-private-key-file FILE",
		GroupID: groupRun,
		Short:   "Run the gate: let trusted identities of elsewhere in",
		Long: `Run the gate in the cluster that is entered. It takes a token of a TrustedIssuer and gives
back a short-lived one of the account that an AccessGrant keeps for its subject: the token
exchange of RFC 8693, as a POST to /token. It stands beside the API server, not before it.

It needs the rights that hawser member manifests --gate prints, and the member controllers,
which make keys and accounts. Several may run at the same time. The certificate is read
again when its file changes.

The log has one line for each token that was given away, and for each that was refused with
the reason, which the other side is not told.`,
		Example: `  hawser gate --tls-cert-file /etc/gate/tls.crt --tls-private-key-file /etc/gate/tls.key
  hawser gate --tls-cert-file tls.crt --tls-private-key-file tls.key --bind-address 127.0.0.1:8443 --subject-rate 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usageError("%w", err)
			}
			here, err := d.local()
			if err != nil {
				return err
			}
			o.Config, o.Log = here.Config, d.logger(verbose)
			return gate.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Address, "bind-address", ":8443", "address of the token endpoint")
	flags.StringVar(&o.CertFile, "tls-cert-file", "", "file of the serving certificate and what vouches for it, PEM (required)")
	flags.StringVar(&o.KeyFile, "tls-private-key-file", "", "file of its key, PEM (required)")
	flags.Float64Var(&o.Limits.Issuer.PerSecond, "issuer-rate", o.Limits.Issuer.PerSecond, "exchanges a second for each TrustedIssuer")
	flags.IntVar(&o.Limits.Issuer.Burst, "issuer-burst", o.Limits.Issuer.Burst, "how many of them at once")
	flags.Float64Var(&o.Limits.Subject.PerSecond, "subject-rate", o.Limits.Subject.PerSecond, "exchanges a second for each subject")
	flags.IntVar(&o.Limits.Subject.Burst, "subject-burst", o.Limits.Subject.Burst, "how many of them at once")
	flags.StringVar(&o.MetricsAddr, "metrics-bind-address", ":8080", `address of /metrics; "0" for none`)
	flags.StringVar(&o.ProbeAddr, "health-probe-bind-address", ":8081", `address of /healthz and /readyz; "0" for none`)
	flags.BoolVar(&verbose, "verbose", false, "log details")
	for _, name := range []string{"tls-cert-file", "tls-private-key-file"} {
		_ = cmd.MarkFlagRequired(name)
		_ = cmd.MarkFlagFilename(name, "crt", "key", "pem")
	}
	return cmd
}

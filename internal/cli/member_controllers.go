package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/controller/certificaterequest"
)

type controllersFlags struct {
	metrics, probes string
	maxLifetime     time.Duration
	verbose         bool
}

func newMemberControllers(d *deps) *cobra.Command {
	var f controllersFlags
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Run what a remote cluster decides for itself: certificate renewals",
		Long: `Run the member controllers in a remote cluster. They approve the renewal of a connection's
client certificate (auth.mtls.renew: csr), for the same user, within bounds, and nothing else.

They need the rights that hawser member manifests --controllers prints. Several may run: one acts.`,
		Example: `  hawser member controllers
  hawser member controllers --max-certificate-lifetime 24h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.memberControllers(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.metrics, "metrics-bind-address", ":8080", `address of /metrics; "0" for none`)
	flags.StringVar(&f.probes, "health-probe-bind-address", ":8081", `address of /healthz and /readyz; "0" for none`)
	flags.DurationVar(&f.maxLifetime, "max-certificate-lifetime", certificaterequest.DefaultMaxLifetime, "longest lifetime that a renewal may ask for; 10m at least")
	flags.BoolVar(&f.verbose, "verbose", false, "log details")
	return cmd
}

func (d *deps) memberControllers(ctx context.Context, f controllersFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(here.Config, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        d.logger(f.verbose),
		Metrics:                       metricsserver.Options{BindAddress: f.metrics},
		HealthProbeBindAddress:        f.probes,
		LeaderElection:                true,
		LeaderElectionID:              v1alpha1.MemberControllersLease,
		LeaderElectionNamespace:       v1alpha1.Namespace, // where connections look for it
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("starting the member controllers: %w", err)
	}
	err = errors.Join(
		certificaterequest.SetupWithManager(mgr, certificaterequest.Options{MaxLifetime: f.maxLifetime}),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("ping", healthz.Ping),
	)
	if err != nil {
		return fmt.Errorf("starting the member controllers: %w", err)
	}
	return mgr.Start(ctx)
}

// logger writes structured lines to stderr, also for the libraries that have a logger of their own.
func (d *deps) logger(verbose bool) logr.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(d.err, &slog.HandlerOptions{Level: level}))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log
}

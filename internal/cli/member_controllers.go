package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/config/crd"
	"github.com/hawser-io/hawser/internal/controller/accessgrant"
	"github.com/hawser-io/hawser/internal/controller/certificaterequest"
	"github.com/hawser-io/hawser/internal/controller/trustedissuer"
	"github.com/hawser-io/hawser/internal/crds"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/self"
)

type controllersFlags struct {
	metrics, probes string
	maxLifetime     time.Duration
	upgradeCRDs     bool
	verbose         bool
}

func newMemberControllers(d *deps) *cobra.Command {
	var f controllersFlags
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Run what a remote cluster decides for itself: grants, trusted issuers, certificate renewals",
		Long: `Run the member controllers in a remote cluster. They carry out AccessGrants, fetch the keys of
TrustedIssuers, and approve the renewal of a connection's client certificate (auth.mtls.renew: csr), for
the same user, within bounds.

They need the kinds, rights and policies that hawser member manifests --controllers prints. Several may
run: one acts.`,
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
	flags.BoolVar(&f.upgradeCRDs, "upgrade-crds", false, "bring the CustomResourceDefinitions of TrustedIssuers and AccessGrants to this version before anything else")
	flags.BoolVar(&f.verbose, "verbose", false, "log details")
	return cmd
}

func (d *deps) memberControllers(ctx context.Context, f controllersFlags) error {
	here, err := d.local()
	if err != nil {
		return err
	}
	scheme, err := kinds.Scheme()
	if err != nil {
		return err
	}
	log := d.logger(f.verbose)
	if f.upgradeCRDs {
		if err := crds.Start(ctx, here.Config, log, crd.Entered()...); err != nil {
			return err
		}
	}
	if err := kindsThere(here); err != nil {
		return err
	}
	// A grant may be thousands of bindings. What an API server can bear it knows best: priority and fairness.
	config := rest.CopyConfig(here.Config)
	config.QPS = -1
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        log,
		Metrics:                       metricsserver.Options{BindAddress: f.metrics},
		HealthProbeBindAddress:        f.probes,
		LeaderElection:                true,
		LeaderElectionID:              v1alpha1.MemberControllersLease,
		LeaderElectionNamespace:       v1alpha1.Namespace, // where connections look for it
		LeaderElectionReleaseOnCancel: true,
		Cache:                         cache.Options{ByObject: accessgrant.Cache(), DefaultTransform: cache.TransformStripManagedFields()},
	})
	if err != nil {
		return fmt.Errorf("starting the member controllers: %w", err)
	}
	err = errors.Join(
		certificaterequest.SetupWithManager(mgr, certificaterequest.Options{MaxLifetime: f.maxLifetime}),
		trustedissuer.SetupWithManager(mgr, trustedissuer.Options{}),
		accessgrant.SetupWithManager(ctx, mgr, accessgrant.Options{}),
		mgr.Add(ownLease{here.Kube}),
		mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("ping", healthz.Ping),
	)
	if err != nil {
		return fmt.Errorf("starting the member controllers: %w", err)
	}
	return mgr.Start(ctx)
}

// ownLease lets the Lease go with the account that the member controllers run as, when Hawser is uninstalled.
type ownLease struct{ kube kubernetes.Interface }

// NeedLeaderElection implements manager.LeaderElectionRunnable: there is no Lease before.
func (ownLease) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (o ownLease) Start(ctx context.Context) error {
	owner, err := self.Owner(ctx, o.kube, v1alpha1.Namespace)
	if err != nil {
		return err
	}
	return self.OwnLease(ctx, o.kube, v1alpha1.Namespace, v1alpha1.MemberControllersLease, owner)
}

// kindsThere tells who has not installed them what to do, before controllers wait for what never comes.
func kindsThere(here *cluster) error {
	there, err := here.Kube.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("asking for the kinds of %s: %w", v1alpha1.GroupVersion, err)
	}
	for _, plural := range []string{crd.TrustedIssuers, crd.AccessGrants} {
		if err != nil || !slices.ContainsFunc(there.APIResources, func(r metav1.APIResource) bool { return r.Name == plural }) {
			return fmt.Errorf("starting the member controllers: the cluster has no %s.%s: apply what hawser member manifests --controllers prints", plural, v1alpha1.GroupVersion.Group)
		}
	}
	return nil
}

// libraries have one logger in a process, that of the first command which runs: they read it at any time.
var libraries sync.Once

// logger writes structured lines to stderr, also for the libraries that have a logger of their own.
func (d *deps) logger(verbose bool) logr.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(d.err, &slog.HandlerOptions{Level: level}))
	libraries.Do(func() {
		ctrl.SetLogger(log)
		klog.SetLogger(log)
	})
	return log
}

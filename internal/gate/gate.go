// Package gate runs in the cluster that is entered and exchanges a token of a TrustedIssuer for a
// short-lived one of the account that an AccessGrant keeps for its subject (RFC 8693). It stands beside
// the way to the API server, never on it: when it is down, nobody new is let in, and nobody is cut off.
//
// It decides nothing itself. Package trust says whose a token is, package grant who is let in as which
// account, and the controllers of both kinds, which run elsewhere, make keys and accounts. The gate
// holds the right to mint tokens in one namespace and no other.
package gate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/kinds"
	"github.com/hawser-io/hawser/internal/version"
)

// Options of a gate.
type Options struct {
	// Address that the token endpoint is served on, host:port.
	Address string
	// CertFile and KeyFile are the serving certificate and its key, PEM. They are read again when they change.
	CertFile, KeyFile string
	// MetricsAddr and ProbeAddr are where /metrics and /healthz, /readyz are served; "0" is nowhere.
	MetricsAddr, ProbeAddr string
	// Limits of exchanges.
	Limits Limits
	// Config reaches the cluster that the gate runs in and lets others into.
	Config *rest.Config
	Log    logr.Logger
	// Clock of the gate. Nil means the real one.
	Clock clock.WithTicker
	// Started is told the address that the gate answers on, once it does. May be nil.
	Started func(address string)
}

// Validate says what is wrong with the options, all of it.
func (o *Options) Validate() error {
	var errs []error
	if o.CertFile == "" || o.KeyFile == "" {
		errs = append(errs, errors.New("a gate needs a certificate and its key: without TLS, whoever listens has the tokens"))
	}
	for _, l := range []struct {
		of    string
		limit Limit
	}{{"issuer", o.Limits.Issuer}, {"subject", o.Limits.Subject}} {
		if math.IsNaN(l.limit.PerSecond) || math.IsInf(l.limit.PerSecond, 0) || l.limit.PerSecond <= 0 || l.limit.Burst < 1 {
			errs = append(errs, fmt.Errorf("limit of each %s: %g a second and %d at once let nobody in", l.of, l.limit.PerSecond, l.limit.Burst))
		}
	}
	return errors.Join(errs...)
}

// Run runs a gate until ctx ends.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	ctrl.SetLogger(o.Log) // for what controller-runtime logs outside of the manager
	certificate, err := readCertificate(o.CertFile, o.KeyFile, o.Clock, o.Log)
	if err != nil {
		return err
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	audience, err := defaultAudience(ctx, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("making a client of the cluster: %w", err)
	}
	figures := newFigures(certificate.expiry)
	reports := newReports(mgr.GetClient(), o.Clock, o.Log)
	known := &view{issuers: newIssuers(audience, o.Log), grants: newGrants(), figures: figures, reports: reports}
	synced, err := known.follow(ctx, mgr.GetCache())
	if err != nil {
		return err
	}
	front := &server{
		address: o.Address, getCertificate: certificate.get, synced: synced, log: o.Log, listening: o.Started,
		handler: &exchanger{
			issuers: known.issuers, grants: known.grants, limits: newLimiter(o.Limits), kube: kube, reports: reports,
			book: newBook(o.Log), figures: figures, clock: o.Clock, log: o.Log, turns: make(chan struct{}, inFlight),
		},
	}
	err = errors.Join(
		mgr.Add(reports), mgr.Add(front),
		mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("gate", front.check),
	)
	if err != nil {
		return fmt.Errorf("setting up the gate: %w", err)
	}
	if o.MetricsAddr != "0" {
		if err := metrics.Registry.Register(figures); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
		defer metrics.Registry.Unregister(figures)
	}
	return mgr.Start(ctx)
}

func newManager(o Options) (ctrl.Manager, error) {
	scheme, err := kinds.Scheme()
	if err != nil {
		return nil, fmt.Errorf("making the scheme: %w", err)
	}
	config := rest.CopyConfig(o.Config)
	config.QPS = -1 // the gate's own limits are what protects the API server
	config.UserAgent = "hawser-gate/" + version.String()
	longest := shutdownTimeout + 5*time.Second
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Logger: o.Log,
		Cache:  cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		// The namespace kube-system is read once, and nothing of its kind may be listed.
		Client:                  client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Namespace{}}}},
		Metrics:                 metricsserver.Options{BindAddress: o.MetricsAddr},
		HealthProbeBindAddress:  o.ProbeAddr,
		GracefulShutdownTimeout: &longest,
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return mgr, nil
}

// defaultAudience is that of tokens for this cluster.
func defaultAudience(ctx context.Context, c client.Reader) (string, error) {
	var ns corev1.Namespace
	if err := c.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &ns); err != nil {
		return "", fmt.Errorf("reading the id of the cluster: %w", err)
	}
	return v1alpha1.DefaultAudience(string(ns.UID)), nil
}

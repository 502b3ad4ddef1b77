package gate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of exchanges, beside the reasons of refusals.
const (
	resultOK          = "ok"
	resultMalformed   = "MalformedRequest"
	resultRateLimited = "RateLimited"
	resultFailed      = "InternalError"
	resultBusy        = "Busy"
)

// figures are the metrics of a gate. docs/operations.md lists them.
type figures struct {
	exchanges *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	expiry    prometheus.GaugeFunc
}

// Metrics describes what a gate serves beside the figures of controller-runtime.
func Metrics() prometheus.Collector { return newFigures(nil) }

// newFigures makes the metrics. certificateExpiry is when the serving certificate ends.
func newFigures(certificateExpiry func() time.Time) *figures {
	return &figures{
		exchanges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hawser_gate_exchanges_total",
			Help: "Requests to exchange a token, by TrustedIssuer (empty where none was proved) and result: ok, or why not.",
		}, []string{"issuer", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hawser_gate_exchange_duration_seconds",
			Help:    "How long requests took, by whether a token was given away.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"granted"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hawser_gate_exchanges_in_flight",
			Help: "Requests that are being answered.",
		}),
		expiry: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hawser_gate_certificate_expiry_seconds",
			Help: "When the serving certificate ends, in seconds since 1970.",
		}, func() float64 { return float64(certificateExpiry().Unix()) }),
	}
}

// observe counts one request.
func (f *figures) observe(issuer, result string, took time.Duration) {
	f.exchanges.WithLabelValues(issuer, result).Inc()
	granted := "false"
	if result == resultOK {
		granted = "true"
	}
	f.duration.WithLabelValues(granted).Observe(took.Seconds())
}

// forget drops the figures of an issuer that was deleted.
func (f *figures) forget(issuer string) {
	f.exchanges.DeletePartialMatch(prometheus.Labels{"issuer": issuer})
}

// Describe implements prometheus.Collector.
func (f *figures) Describe(out chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{f.exchanges, f.duration, f.inFlight, f.expiry} {
		c.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (f *figures) Collect(out chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{f.exchanges, f.duration, f.inFlight, f.expiry} {
		c.Collect(out)
	}
}

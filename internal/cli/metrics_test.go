package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hawser-io/hawser/endpoint"
	"github.com/hawser-io/hawser/fleet/shard"
	"github.com/hawser-io/hawser/internal/gate"
	"github.com/hawser-io/hawser/internal/manager"
)

// TestTheDocumentedMetricsAreThoseThatAreServed compares the tables of docs/operations.md with what manager and gate
// register. The dashboard and the alerts are held to the tables, by conformance/dashboards.
func TestTheDocumentedMetricsAreThoseThatAreServed(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+_[a-z_]+)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = strings.TrimSpace(strings.NewReplacer("`", "", " ", "").Replace(row[2]))
	}
	library, ok := ctrlmetrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("the registry of controller-runtime does not tell what is in it")
	}
	served := map[string]string{}
	for name, labels := range described(t, library) {
		if _, ok := documented[name]; ok { // of those, only what the dashboard uses is documented
			served[name] = labels
		}
	}
	for _, ours := range []prometheus.Collector{manager.Metrics(), gate.Metrics(), &shard.Replica{}, &endpoint.Catalog{}} {
		for name, labels := range described(t, ours) {
			served[name] = labels
		}
	}
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("metrics with their labels (-served +docs/operations.md)\n%s", diff)
	}
}

// described are the labels of metrics by name.
func described(t *testing.T, c prometheus.Collector) map[string]string {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() { // ends when all are told
		c.Describe(descriptions)
		close(descriptions)
	}()
	found := map[string]string{}
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	for d := range descriptions {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("what does %s describe?", d)
		}
		found[m[1]] = m[2]
	}
	return found
}

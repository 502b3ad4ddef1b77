package dashboards

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

// metrics are labels by the name of the metric, from the tables of docs/operations.md.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{}
	word := regexp.MustCompile("`([a-z_]+)`")
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		name := ""
		if len(cells) > 3 {
			if m := word.FindStringSubmatch(cells[1]); m != nil && strings.TrimSpace(cells[1]) == m[0] && strings.Contains(m[1], "_") {
				name = m[1]
			}
		}
		if name == "" {
			continue
		}
		listed[name] = []string{}
		for _, m := range word.FindAllStringSubmatch(cells[2], -1) {
			listed[name] = append(listed[name], m[1])
		}
	}
	if len(listed) < 15 {
		t.Fatalf("the tables list only %v", slices.Sorted(maps.Keys(listed)))
	}
	return listed
}

// scraped are the labels that Prometheus adds to what it scrapes by a ServiceMonitor.
var scraped = []string{"job", "instance", "namespace", "pod", "service", "container", "endpoint"}

// labelsOf are the labels of a metric, or of a series of a histogram.
func labelsOf(listed map[string][]string, name string) ([]string, bool) {
	if list, ok := listed[name]; ok {
		return slices.Concat(list, scraped), true
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		base, ok := strings.CutSuffix(name, suffix)
		if list, known := listed[base]; ok && known && strings.HasSuffix(base, "_seconds") {
			if suffix == "_bucket" {
				list = append(slices.Clone(list), "le")
			}
			return slices.Concat(list, scraped), true
		}
	}
	return nil, false
}

// known are the values of labels that our own code knows, by metric and label.
var known = map[string][]string{
	"hawser_cluster_condition/condition":   {"Ready", "Reachable", "Authenticated", "Authorized", "CredentialFresh", "Compatible"},
	"hawser_probe_duration_seconds/result": {"ok", "failed"},
	"hawser_gate_exchanges_total/result":   {"ok", "InternalError", "Busy"},
	"leader_election_master_status/name":   {"hawser-manager", "hawser-member-controllers"},
}

// examine says what is wrong with a query, and which labels its result may have.
func examine(listed map[string][]string, query string) (has []string, err error) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return nil, err
	}
	var errs []error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			errs = append(errs, selected(listed, n)...)
		case *parser.AggregateExpr:
			errs = append(errs, within(listed, n.Expr, n.Grouping, "groups by")...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				errs = append(errs, within(listed, n.LHS, n.VectorMatching.MatchingLabels, "matches on")...)
				errs = append(errs, within(listed, n.RHS, n.VectorMatching.MatchingLabels, "matches on")...)
			}
		case *parser.Call:
			if n.Func.Name == "histogram_quantile" && !slices.Contains(resultLabels(listed, n.Args[1]), "le") {
				errs = append(errs, errors.New("histogram_quantile of what has no label le"))
			}
		}
		return nil
	})
	return resultLabels(listed, expr), errors.Join(errs...)
}

func selected(listed map[string][]string, s *parser.VectorSelector) (errs []error) {
	list, ok := labelsOf(listed, s.Name)
	if !ok {
		return []error{fmt.Errorf("there is no metric %q", s.Name)}
	}
	base := s.Name
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if _, ok := listed[s.Name]; !ok {
			base = strings.TrimSuffix(base, suffix)
		}
	}
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		if !slices.Contains(list, m.Name) {
			errs = append(errs, fmt.Errorf("metric %s has no label %q", s.Name, m.Name))
		}
		if values, ok := known[base+"/"+m.Name]; ok && m.Value != ".*" {
			for value := range strings.SplitSeq(m.Value, "|") {
				if !slices.Contains(values, value) {
					errs = append(errs, fmt.Errorf("label %s of metric %s is never %q", m.Name, s.Name, value))
				}
			}
		}
	}
	return errs
}

func within(listed map[string][]string, expr parser.Expr, names []string, what string) (errs []error) {
	has := resultLabels(listed, expr)
	for _, name := range names {
		if !slices.Contains(has, name) {
			errs = append(errs, fmt.Errorf("it %s %q, which %s does not have", what, name, expr))
		}
	}
	return errs
}

// resultLabels are the labels that the result of an expression may have.
func resultLabels(listed map[string][]string, expr parser.Expr) []string {
	if a, ok := expr.(*parser.AggregateExpr); ok {
		switch a.Op {
		case parser.TOPK, parser.BOTTOMK: // they choose
		default:
			if !a.Without {
				return a.Grouping
			}
		}
	}
	if s, ok := expr.(*parser.VectorSelector); ok {
		list, _ := labelsOf(listed, s.Name)
		return list
	}
	var has []string
	for child := range parser.ChildrenIter(expr) {
		if e, ok := child.(parser.Expr); ok {
			has = append(has, resultLabels(listed, e)...)
		}
	}
	if c, ok := expr.(*parser.Call); ok && c.Func.Name == "histogram_quantile" {
		has = slices.DeleteFunc(has, func(name string) bool { return name == "le" })
	}
	return has
}

// query is one query, with where it is from and the labels that words around it speak of.
type query struct {
	where, expr string
	speaks      []string
}

func TestQueriesAskForWhatThereIs(t *testing.T) {
	listed := metrics(t)
	queries := slices.Concat(dashboard(t), alerts(t), rendered(t))
	if len(queries) < 30 {
		t.Errorf("only %d queries were found", len(queries))
	}
	asked := map[string]bool{}
	for _, q := range queries {
		has, err := examine(listed, q.expr)
		if err != nil {
			t.Errorf("%s: %s\n%v", q.where, q.expr, err)
		}
		for _, name := range q.speaks {
			if !slices.Contains(has, name) {
				t.Errorf("%s speaks of label %q, which is not in the result of %s", q.where, name, q.expr)
			}
		}
		for name := range listed {
			asked[name] = asked[name] || strings.Contains(q.expr, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if !asked[name] && strings.HasPrefix(name, "hawser_") && !strings.HasPrefix(name, "hawser_fleet_") {
			t.Errorf("no panel and no alert shows %s", name)
		}
	}
}

// dashboard returns the queries of all panels and variables.
func dashboard(t *testing.T) (queries []query) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "charts/hawser/dashboards/hawser.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID    string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Type, Name, Definition string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	legend := regexp.MustCompile(`\{\{\s*([a-zA-Z_]+)\s*\}\}`)
	variable := regexp.MustCompile(`\$\{?([a-zA-Z_]+)\}?`)
	values := map[string]string{"__rate_interval": "5m"}
	for _, v := range d.Templating.List {
		values[v.Name] = ".*"
		if v.Type != "query" {
			continue
		}
		m := regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`).FindStringSubmatch(v.Definition)
		if m == nil {
			t.Fatalf("variable %s: what does %q ask for?", v.Name, v.Definition)
		}
		queries = append(queries, query{"variable " + v.Name, m[1], []string{m[2]}})
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q has the id of another one, or does not fit", p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			q := query{where: fmt.Sprintf("panel %q", p.Title)}
			q.expr = variable.ReplaceAllStringFunc(target.Expr, func(text string) string {
				value, ok := values[variable.FindStringSubmatch(text)[1]]
				if !ok {
					t.Errorf("%s: there is no variable %s", q.where, text)
				}
				return value
			})
			for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				q.speaks = append(q.speaks, m[1])
			}
			queries = append(queries, q)
		}
	}
	return queries
}

// rule is an alert.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Annotations map[string]string `yaml:"annotations"`
}

func (r rule) query(from string) query {
	q := query{where: from + ": alert " + r.Alert, expr: r.Expr}
	for _, text := range r.Annotations {
		for _, m := range regexp.MustCompile(`\$labels\.([a-zA-Z_]+)`).FindAllStringSubmatch(text, -1) {
			q.speaks = append(q.speaks, m[1])
		}
	}
	return q
}

// alerts returns the expressions of the chart's alerts.
func alerts(t *testing.T) (queries []query) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "charts/hawser/files/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var groups map[string][]rule
	if err := yaml.Unmarshal(text, &groups); err != nil {
		t.Fatal(err)
	}
	for name, rules := range groups {
		for _, r := range rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: alert %q lacks a name or its words", name, r.Alert)
			}
			queries = append(queries, r.query("alerts.yaml"))
		}
	}
	return queries
}

// rendered returns the expressions of every PrometheusRule in the golden files of the chart.
func rendered(t *testing.T) (queries []query) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "charts/testdata/*.golden.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var o struct {
				Kind string `yaml:"kind"`
				Spec struct {
					Groups []struct {
						Rules []rule `yaml:"rules"`
					} `yaml:"groups"`
				} `yaml:"spec"`
			}
			err := decoder.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil && o.Kind == "PrometheusRule" {
				t.Fatalf("%s: %v", file, err)
			}
			for _, g := range o.Spec.Groups {
				for _, r := range g.Rules {
					queries = append(queries, r.query(filepath.Base(file)))
				}
			}
		}
	}
	return queries
}

func TestExamine(t *testing.T) {
	listed := map[string][]string{"up_total": {"cluster"}, "took_seconds": {"result"}}
	tests := map[string]struct{ query, want string }{
		"a query that is right":                {`sum by (cluster) (rate(up_total{cluster="a"}[5m]))`, ""},
		"a histogram that is right":            {`histogram_quantile(0.9, sum by (le, result) (rate(took_seconds_bucket[5m])))`, ""},
		"a query that is none":                 {`sum by (cluster (up_total)`, `1:17: parse error: unexpected "(" in grouping opts, expected "," or ")"`},
		"a metric that nobody serves":          {`down_total`, `there is no metric "down_total"`},
		"a series of a metric that has none":   {`up_total_bucket`, `there is no metric "up_total_bucket"`},
		"a label that a metric does not have":  {`up_total{name="a"}`, `metric up_total has no label "name"`},
		"a group by what is not there":         {`sum by (reason) (up_total)`, `it groups by "reason", which up_total does not have`},
		"a group by what was summed up":        {`sum by (cluster) (sum by (pod) (up_total))`, `it groups by "cluster", which sum by (pod) (up_total) does not have`},
		"a match on what is not there":         {`up_total and on (name) took_seconds_sum`, "it matches on \"name\", which up_total does not have\nit matches on \"name\", which took_seconds_sum does not have"},
		"a quantile of what is not in buckets": {`histogram_quantile(0.9, sum by (result) (rate(took_seconds_bucket[5m])))`, "histogram_quantile of what has no label le"},
		"a value that a label never has":       {`hawser_cluster_condition{condition="Reachible"}`, `label condition of metric hawser_cluster_condition is never "Reachible"`},
	}
	listed["hawser_cluster_condition"] = []string{"cluster", "condition"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if _, err := examine(listed, test.query); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

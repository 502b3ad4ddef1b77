package service

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/endpoint/staleness"
)

func selecting(annotations ...string) *corev1.Service {
	s := &corev1.Service{}
	s.Namespace, s.Name, s.Annotations = "shop", "db", map[string]string{}
	for i := 0; i < len(annotations); i += 2 {
		s.Annotations[annotations[i]] = annotations[i+1]
	}
	s.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
	return s
}

func TestReadsWhatAServiceAsksFor(t *testing.T) {
	for name, test := range map[string]struct {
		service *corev1.Service
		change  func(*corev1.Service)
		reason  string // of the problem
		says    string
		last    string // selector that the slices were made by
		asks    bool
	}{
		"nothing":                 {service: selecting()},
		"our annotation":          {service: selecting(SelectorAnnotation, `app == "db"`), asks: true},
		"Calico's":                {service: selecting(CalicoSelectorAnnotation, `app == "db"`), asks: true},
		"both alike":              {service: selecting(SelectorAnnotation, "has(app)", CalicoSelectorAnnotation, "has(app)"), asks: true},
		"both, and they differ":   {service: selecting(SelectorAnnotation, "has(app)", CalicoSelectorAnnotation, "has(db)"), reason: ReasonAnnotationsDiffer, says: "take one away"},
		"an empty one":            {service: selecting(SelectorAnnotation, ""), asks: true},
		"one that cannot be read": {service: selecting(SelectorAnnotation, "app = 'db'"), reason: ReasonSelectorInvalid, says: "column 5"},
		"one that means nothing":  {service: selecting(SelectorAnnotation, "global()"), reason: ReasonSelectorInvalid, says: "global()"},
		"one that cannot be read, after one that could": {service: selecting(SelectorAnnotation, "app = 'db'"), last: "has(app)", reason: ReasonSelectorInvalid, says: "the selector that was read last: has(app)", asks: true},
		"one that means nothing, after one that did":    {service: selecting(SelectorAnnotation, "global()"), last: "has(app)", reason: ReasonSelectorInvalid, says: "global() means nothing for services; until it is mended", asks: true},
		"a last one that cannot be read either":         {service: selecting(SelectorAnnotation, "app = 'db'"), last: "app = 'x'", reason: ReasonSelectorInvalid, says: "column 5"},
		"one that is too long":                          {service: selecting(SelectorAnnotation, strings.Repeat("(", 500)+"has(app)"+strings.Repeat(")", 517)), reason: ReasonSelectorInvalid, says: "at most 1024 characters, and this has 1025"},
		"one that is too long, after one whose form is": {service: selecting(SelectorAnnotation, strings.Repeat(" ", 1025)), last: strings.Repeat(" ", 1025) + "has(app)", reason: ReasonSelectorInvalid, says: "read last: has(app)", asks: true},
		"one that is as long as may be":                 {service: selecting(SelectorAnnotation, "has(app)"+strings.Repeat(" ", 1016)), asks: true},
		"with a selector of its own":                    {service: selecting(SelectorAnnotation, "all()"), change: func(s *corev1.Service) { s.Spec.Selector = map[string]string{"a": "b"} }, reason: ReasonHasSelector, says: "spec.selector"},
		"of type ExternalName":                          {service: selecting(SelectorAnnotation, "all()"), change: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }, reason: ReasonExternalName},
	} {
		t.Run(name, func(t *testing.T) {
			if test.change != nil {
				test.change(test.service)
			}
			f, p := ReadFederated(test.service, test.last)
			if (f != nil) != test.asks || p.Reason != test.reason || !strings.Contains(p.Message, test.says) {
				t.Errorf("got %v, %+v", f, p)
			}
		})
	}
}

func TestABadStalenessKeepsWhatThereIsAndSaysSo(t *testing.T) {
	f, p := ReadFederated(selecting(SelectorAnnotation, "all()", StalenessAnnotation, "expire-after=1"), "")
	if f == nil || !p.None() || f.Staleness != (staleness.Policy{}) || !strings.Contains(f.Warning, StalenessAnnotation) {
		t.Errorf("got %+v %+v", f, p)
	}
}

func TestSelectsServicesByTheirLabelsAndWhereTheyAre(t *testing.T) {
	lies := map[string]string{"app": "db", CalicoClusterLabel: "elsewhere", "hawser.io/cluster": "elsewhere", "projectcalico.org/namespace": "kube-system"}
	alpha, home := Cluster{Name: "alpha", ID: "1"}, Cluster{Name: "home", ID: "2", Local: true}
	view := NewView()
	add := func(namespace, name string, s *Service) {
		view.SetService(types.NamespacedName{Namespace: namespace, Name: name}, s)
		view.SetSlice(types.NamespacedName{Namespace: namespace, Name: name + "-x"}, &Slice{Service: name})
	}
	add("shop", "db", &Service{Labels: lies})
	add("shop", "chain", &Service{Labels: lies, Federated: true})
	add("shop", "outside", &Service{Labels: lies, External: true})
	add("other", "db", &Service{Labels: lies})
	for text, want := range map[string]struct{ alpha, home int }{
		"":                                        {1, 1},
		"all()":                                   {1, 1},
		`app == "db"`:                             {1, 1},
		`app == "web"`:                            {0, 0},
		`hawser.io/cluster == "alpha"`:            {1, 0},
		`hawser.io/cluster == "home"`:             {0, 1},
		`hawser.io/cluster == "elsewhere"`:        {0, 0},
		CalicoClusterLabel + ` == "alpha"`:        {1, 0},
		`!has(` + CalicoClusterLabel + `)`:        {0, 1},
		`projectcalico.org/namespace == "shop"`:   {1, 1},
		`projectcalico.org/namespace == "other"`:  {0, 0},
		`app == "db" || hawser.io/cluster == "x"`: {1, 1},
	} {
		f, p := ReadFederated(selecting(SelectorAnnotation, text), "")
		if f == nil {
			t.Fatalf("%s: %+v", text, p)
		}
		if a, h := len(view.Backing(f, alpha)), len(view.Backing(f, home)); a != want.alpha || h != want.home {
			t.Errorf("%q selects %d of alpha and %d of home, want %v", text, a, h, want)
		}
	}
}

func TestReadsStaleness(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "keep": 0, " keep ": 0, "expire-after=10m": 10 * time.Minute, "expire-after=168h": 168 * time.Hour,
		"expire": -1, "expire-after=": -1, "expire-after=9s": -1, "expire-after=169h": -1, "Keep": -1,
	} {
		got, err := ParseStaleness(text)
		if (err != nil) != (want < 0) || err == nil && got.ExpireAfter != want || want > 0 && got.Settle != staleness.DefaultSettle {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

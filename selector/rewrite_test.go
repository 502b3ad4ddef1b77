package selector_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/selector"
)

// result is a selector or the cause why there is none.
func result(s *selector.Selector, err error) string {
	if err != nil {
		return err.Error()
	}
	if s == nil {
		return "nil"
	}
	return s.String()
}

func TestMakingSelectors(t *testing.T) {
	a, b := selector.MustParse(`has(a)`), selector.MustParse(`has(b) || has(c)`)
	deep := selector.MustParse(strings.Repeat("has(a)||(has(b)&&(", 255) + "has(a)||has(b)" + strings.Repeat("))", 255))
	long := selector.MustParse(`a == "` + strings.Repeat("x", selector.MaxLength/2) + `"`)
	tests := []struct {
		name string
		make func() (*selector.Selector, error)
		want string
	}{
		{"equality", func() (*selector.Selector, error) { return selector.Equals("hawser.io/cluster", "prod") }, `hawser.io/cluster == "prod"`},
		{"a value with a double quote", func() (*selector.Selector, error) { return selector.Equals("a", `"`) }, `a == '"'`},
		{"a value that could not be written", func() (*selector.Selector, error) { return selector.Equals("a", `"'`) },
			`making a selector for label "a": the value "\"'" has both kinds of quotes, and a string has no escapes`},
		{"a value of a set that could not be written", func() (*selector.Selector, error) { return selector.In("a", "b", `"'`) },
			`making a selector for label "a": the value "\"'" has both kinds of quotes, and a string has no escapes`},
		{"a value that tries to break out", func() (*selector.Selector, error) { return selector.Equals("a", `x' || all() || a == 'y`) }, `a == "x' || all() || a == 'y"`},
		{"a value that is too long", func() (*selector.Selector, error) {
			return selector.Equals("a", strings.Repeat("x", selector.MaxLength))
		},
			`making a selector for label "a": the selector has 65543 bytes in its canonical form: no more than 65536 are allowed`},
		{"a label that is none", func() (*selector.Selector, error) { return selector.Has("a b") },
			`making a selector for label "a b": a label has 1 to 512 letters, digits, or any of _ . / -`},
		{"no label", func() (*selector.Selector, error) { return selector.In("") },
			`making a selector for label "": a label has 1 to 512 letters, digits, or any of _ . / -`},
		{"a set in any order", func() (*selector.Selector, error) { return selector.In("a", "z", "b", "z") }, `a in {"b", "z"}`},
		{"an empty set", func() (*selector.Selector, error) { return selector.In("a") }, `a in {}`},
		{"presence", func() (*selector.Selector, error) { return selector.Has("a") }, `has(a)`},
		{"all", func() (*selector.Selector, error) { return selector.All(), nil }, `all()`},
		{"and", func() (*selector.Selector, error) { return selector.And(a, b, a) }, `(has(a) && (has(b) || has(c)) && has(a))`},
		{"or", func() (*selector.Selector, error) { return selector.Or(b, a) }, `((has(b) || has(c)) || has(a))`},
		{"and of one", func() (*selector.Selector, error) { return selector.And(b) }, `(has(b) || has(c))`},
		{"and of none", func() (*selector.Selector, error) { return selector.And() }, `joining selectors with &&: there are none`},
		{"and of one that was lost", func() (*selector.Selector, error) { return selector.And(a, nil) },
			`joining selectors with &&: operand 2: it is no selector, but nil or the zero value`},
		{"or of one that was lost", func() (*selector.Selector, error) { return selector.Or(&selector.Selector{}) },
			`joining selectors with ||: operand 1: it is no selector, but nil or the zero value`},
		{"not", func() (*selector.Selector, error) { return selector.Not(b) }, `!(has(b) || has(c))`},
		{"not of not", func() (*selector.Selector, error) { return selector.Not(selector.MustParse(`!has(a)`)) }, `has(a)`},
		{"not of one that was lost", func() (*selector.Selector, error) { return selector.Not(nil) },
			`negating a selector: it is no selector, but nil or the zero value`},
		{"two together too deep", func() (*selector.Selector, error) {
			s, err := selector.And(deep, a)
			if err != nil {
				return nil, err
			}
			return selector.Or(s, a)
		}, `joining selectors with ||: the selector has && and || within each other 513 deep: no more than 512 are allowed`},
		{"two together too long", func() (*selector.Selector, error) { return selector.And(long, long) },
			`joining selectors with &&: the selector has 65556 bytes in its canonical form: no more than 65536 are allowed`},
		{"a prefix", func() (*selector.Selector, error) {
			return selector.MustParse(`!(!(k == 'v' && has(t) || all()) && (a in {'b', 'c'})) || x not in {"has(y)"}`).Prefix("p/")
		}, `(!(!((p/k == "v" && has(p/t)) || all()) && p/a in {"b", "c"}) || p/x not in {"has(y)"})`},
		{"a prefix that is none", func() (*selector.Selector, error) { return a.Prefix(`x == "" || `) },
			`setting prefix "x == \"\" || " before the labels of a selector: it cannot be part of a label`},
		{"a label that is too long with its prefix", func() (*selector.Selector, error) {
			return selector.MustParse("has(" + strings.Repeat("a", 510) + ")").Prefix("pcns.")
		}, `setting prefix "pcns." before the labels of a selector: the label "pcns.` + strings.Repeat("a", 35) + `"… has 515 bytes: no more than 512 are allowed`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := result(test.make())
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	tests := []struct{ name, text, namespaces, accounts string }{
		{"labels", `a == "b" && !has(c)`, `(pcns.a == "b" && !has(pcns.c))`, `(pcsa.a == "b" && !has(pcsa.c))`},
		{"all()", `all()`, `has(projectcalico.org/namespace)`, `has(projectcalico.org/serviceaccount)`},
		{"nothing is all()", ``, `has(projectcalico.org/namespace)`, `has(projectcalico.org/serviceaccount)`},
		{"all() among others", `!all() || has(a)`, `(!has(projectcalico.org/namespace) || has(pcns.a))`, `(!has(projectcalico.org/serviceaccount) || has(pcsa.a))`},
		{"all() in a string is text", `a == "all()"`, `pcns.a == "all()"`, `pcsa.a == "all()"`},
		{"global() in a string is text", `a in {"global()"}`, `pcns.a in {"global()"}`, `pcsa.a in {"global()"}`},
		{"a prefix is set before another", `has(pcns.a)`, `has(pcns.pcns.a)`, `has(pcsa.pcns.a)`},
		{"global()", `(global())`, `!has(projectcalico.org/namespace)`,
			`selecting service accounts: global() is allowed in a namespaceSelector only`},
		{"global() among others", `global() || has(a)`,
			`selecting namespaces: global() has to stand alone in a namespaceSelector`,
			`selecting service accounts: global() is allowed in a namespaceSelector only`},
		{"global() denied", `!global()`,
			`selecting namespaces: global() has to stand alone in a namespaceSelector`,
			`selecting service accounts: global() is allowed in a namespaceSelector only`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := selector.MustParse(test.text)
			if diff := cmp.Diff(test.namespaces, result(s.ForNamespaces())); diff != "" {
				t.Errorf("for namespaces (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.accounts, result(s.ForServiceAccounts())); diff != "" {
				t.Errorf("for service accounts (-want +got)\n%s", diff)
			}
		})
	}
	t.Run("a selector that was lost", func(t *testing.T) {
		var s *selector.Selector
		if _, err := s.ForNamespaces(); err == nil {
			t.Error("it is scoped to namespaces")
		}
		if _, err := s.ForServiceAccounts(); err == nil {
			t.Error("it is scoped to service accounts")
		}
	})
}

func TestPeers(t *testing.T) {
	parse := selector.MustParse
	accounts := selector.ServiceAccounts{Names: []string{"sa2", "sa1"}, Selector: parse(`key == 'v'`)}
	tests := []struct {
		name      string
		peer      selector.Peer
		namespace string
		want      string // as a person would write it, or as Calico does
	}{
		{"a peer that says nothing is any address", selector.Peer{}, "ns", `nil`},
		{"a policy of no namespace bounds nothing", selector.Peer{Selector: parse(`has(a)`)}, "", `has(a)`},
		{"a policy's namespace bounds the selector", selector.Peer{Selector: parse(`has(a)`)}, "ns",
			`(projectcalico.org/namespace == 'ns') && (has(a))`},
		{"an empty selector is bounded too", selector.Peer{Selector: parse(``)}, "ns",
			`(projectcalico.org/namespace == 'ns') && (all())`},
		{"a notSelector alone is bounded", selector.Peer{NotSelector: parse(`has(a)`)}, "ns", `projectcalico.org/namespace == 'ns'`},
		{"a notSelector alone in a policy of no namespace", selector.Peer{NotSelector: parse(`has(a)`)}, "", `nil`},
		{"a namespaceSelector takes the place of the policy's namespace",
			selector.Peer{NamespaceSelector: parse(`namespace == 'red'`), Selector: parse(`has(label1)`)}, "ns",
			`(pcns.namespace == "red") && (has(label1))`},
		{"a namespaceSelector alone", selector.Peer{NamespaceSelector: parse(`!has(key) || (has(key) && !key in {'value'})`)}, "ns",
			`(!has(pcns.key) || (has(pcns.key) && !pcns.key in {"value"}))`},
		{"all namespaces", selector.Peer{NamespaceSelector: parse(`all()`), Selector: parse(`has(label2)`)}, "",
			`(has(projectcalico.org/namespace)) && (has(label2))`},
		{"no namespace", selector.Peer{NamespaceSelector: parse(`global()`), Selector: parse(`has(label3)`)}, "ns",
			`(!has(projectcalico.org/namespace)) && (has(label3))`},
		{"service accounts by name", selector.Peer{ServiceAccounts: selector.ServiceAccounts{Names: []string{"sa3"}}}, "ns",
			`(projectcalico.org/namespace == 'ns') && (projectcalico.org/serviceaccount in {"sa3"})`},
		{"service accounts by name and label", selector.Peer{ServiceAccounts: accounts}, "ns",
			`(projectcalico.org/namespace == 'ns') && ((pcsa.key == "v") && (projectcalico.org/serviceaccount in {"sa1", "sa2"}))`},
		{"all service accounts are not bounded by having one",
			selector.Peer{ServiceAccounts: selector.ServiceAccounts{Selector: parse(`all()`)}}, "", `all()`},
		{"all at once",
			selector.Peer{Selector: parse(`has(a)`), NotSelector: parse(`has(b)`), NamespaceSelector: parse(`has(c)`), ServiceAccounts: accounts}, "ns",
			`(has(pcns.c)) && (((pcsa.key == "v") && (projectcalico.org/serviceaccount in {"sa1", "sa2"})) && (has(a)))`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := test.want
			if want != "nil" {
				want = parse(want).String()
			}
			got, err := test.peer.Endpoints(test.namespace)
			if diff := cmp.Diff(want, result(got, err)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestPeersThatAreRefused(t *testing.T) {
	global := selector.MustParse(`global()`)
	tests := []struct {
		name      string
		peer      selector.Peer
		namespace string
		want      string
	}{
		{"global() in the selector", selector.Peer{Selector: global}, "", `reading selector: global() is allowed in a namespaceSelector only`},
		{"global() in the notSelector", selector.Peer{NotSelector: global}, "", `reading notSelector: global() is allowed in a namespaceSelector only`},
		{"global() for service accounts", selector.Peer{ServiceAccounts: selector.ServiceAccounts{Selector: global}}, "",
			`reading serviceAccounts: global() is allowed in a namespaceSelector only`},
		{"global() that is not alone", selector.Peer{NamespaceSelector: selector.MustParse(`global() && has(a)`)}, "",
			`reading namespaceSelector: selecting namespaces: global() has to stand alone in a namespaceSelector`},
		{"a zero selector", selector.Peer{Selector: &selector.Selector{}}, "ns",
			`reading selector: it is no selector, but nil or the zero value`},
		{"a zero notSelector", selector.Peer{NotSelector: &selector.Selector{}}, "ns",
			`reading notSelector: it is no selector, but nil or the zero value`},
		{"a zero namespaceSelector", selector.Peer{NamespaceSelector: &selector.Selector{}}, "ns",
			`reading namespaceSelector: selecting namespaces: it is no selector, but nil or the zero value`},
		{"a namespace that could not be written", selector.Peer{Selector: selector.All()}, `'"`,
			`making a selector for label "projectcalico.org/namespace": the value "'\"" has both kinds of quotes, and a string has no escapes`},
		{"a service account that could not be written", selector.Peer{ServiceAccounts: selector.ServiceAccounts{Names: []string{`'"`}}}, "",
			`reading serviceAccounts: making a selector for label "projectcalico.org/serviceaccount": the value "'\"" has both kinds of quotes, and a string has no escapes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, result(test.peer.Endpoints(test.namespace))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

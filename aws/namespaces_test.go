package aws

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

func TestNamespaces(t *testing.T) {
	staging := Namespace{Name: "staging", Labels: map[string]string{"env": "staging"}}
	selector := func(s metav1.LabelSelector) *v1alpha1.AllowedNamespaces {
		return &v1alpha1.AllowedNamespaces{Selector: &s}
	}
	tests := []struct {
		name    string
		allowed *v1alpha1.AllowedNamespaces
		ns      Namespace
		want    bool
	}{
		{"absent admits none", nil, staging, false},
		{"{} admits all", &v1alpha1.AllowedNamespaces{}, staging, true},
		{"an empty list admits none", &v1alpha1.AllowedNamespaces{Names: []string{}}, staging, false},
		{"a list admits who is on it", &v1alpha1.AllowedNamespaces{Names: []string{"dev", "staging"}}, staging, true},
		{"a list admits nobody else", &v1alpha1.AllowedNamespaces{Names: []string{"dev"}}, staging, false},
		{"an empty selector admits none", selector(metav1.LabelSelector{}), staging, false},
		{"a selector of no labels admits none", selector(metav1.LabelSelector{MatchLabels: map[string]string{}}), staging, false},
		{"a selector admits what it matches", selector(metav1.LabelSelector{MatchLabels: map[string]string{"env": "staging"}}), staging, true},
		{"a selector admits nothing else", selector(metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}), staging, false},
		{"labels and expressions have to match together", selector(metav1.LabelSelector{
			MatchLabels:      map[string]string{"env": "staging"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: metav1.LabelSelectorOpExists}},
		}), staging, false},
		{"a namespace without labels is not in a selector", selector(metav1.LabelSelector{MatchLabels: map[string]string{"env": "staging"}}), Namespace{Name: "staging"}, false},
		{"the list or the selector is enough", &v1alpha1.AllowedNamespaces{
			Names: []string{"dev"}, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "staging"}},
		}, staging, true},
		{"the list counts where the selector is empty", &v1alpha1.AllowedNamespaces{Names: []string{"staging"}, Selector: &metav1.LabelSelector{}}, staging, true},
		{"an empty list and an empty selector admit none", &v1alpha1.AllowedNamespaces{Names: []string{}, Selector: &metav1.LabelSelector{}}, staging, false},
		{"what a person wrote needs no leave", nil, Namespace{}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := NamespacesOf(test.allowed)
			if err != nil {
				t.Fatal(err)
			}
			if got := n.Admit(test.ns); got != test.want {
				t.Errorf("Admit(%q) = %t, want %t", test.ns.Name, got, test.want)
			}
		})
	}
}

func TestNamespacesThatCannotBeReadAdmitNone(t *testing.T) {
	n, err := NamespacesOf(&v1alpha1.AllowedNamespaces{Names: []string{"staging"}, Selector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: "Maybe"}},
	}})
	if err == nil {
		t.Fatal("a selector with an unknown operator has to be refused")
	}
	if n.Admit(Namespace{Name: "staging"}) {
		t.Error("what cannot be read must not admit anybody")
	}
}

func TestNamespacesWithASelectorOfEverythingAdmitNone(t *testing.T) {
	if (Namespaces{Selector: labels.Everything()}).Admit(Namespace{Name: "staging"}) {
		t.Error("an empty selector must not admit anybody, whoever made it")
	}
}

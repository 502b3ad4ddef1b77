package guard_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/fleettest"
	"github.com/hawser-io/hawser/internal/authors"
	"github.com/hawser-io/hawser/internal/guard"
	"github.com/hawser-io/hawser/internal/rbac"
)

func TestMain(m *testing.M) { os.Exit(fleettest.Run(m, "primary")) }

// TestAPolicyThatWasWeakenedIsNone reads as the manager does, by the role that it has.
func TestAPolicyThatWasWeakenedIsNone(t *testing.T) {
	cluster := fleettest.Use(t, "primary")
	cluster.Install(t, "../../config/rbac/manager.yaml", "../../config/endpoints/rbac.yaml")
	admin, err := client.New(cluster.AdminConfig(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	manager, err := client.New(cluster.TokenConfig(cluster.Token(t, v1alpha1.Namespace, rbac.Account, time.Hour)), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ofAuthors, ofManager := authors.OfAuthors(), authors.OfManager()
	policyThere, bindingThere := ofAuthors[0].(*admissionv1.ValidatingAdmissionPolicy), ofAuthors[1].(*admissionv1.ValidatingAdmissionPolicyBinding)
	missing := func(words string) {
		t.Helper()
		err := guard.Federation(manager, clock.RealClock{}).Missing(t.Context())
		switch {
		case words == "" && err != nil:
			t.Errorf("it is in force: %v", err)
		case words != "" && (err == nil || !strings.Contains(err.Error(), words) || !strings.HasSuffix(err.Error(), "apply config/endpoints, or the chart with endpoints.enabled")):
			t.Errorf("got %v, want %q, and what to do", err, words)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	missing(`ValidatingAdmissionPolicy "hawser-federation-authors" is missing`)
	must(admin.Create(t.Context(), policyThere))
	missing(`ValidatingAdmissionPolicyBinding "hawser-federation-authors" is missing`)
	must(admin.Create(t.Context(), bindingThere))
	missing(`ValidatingAdmissionPolicy "hawser-federation-manager" is missing: nobody keeps the manager to what it made`)
	must(admin.Create(t.Context(), ofManager[0]))
	missing(`ValidatingAdmissionPolicyBinding "hawser-federation-manager" is missing`)
	must(admin.Create(t.Context(), ofManager[1]))
	missing("")

	update := func(obj client.Object, change func()) {
		t.Helper()
		fleettest.Eventually(t, 30*time.Second, func() error { // the API server writes what it thinks of the policy into its status
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
				return err
			}
			change()
			return admin.Update(t.Context(), obj)
		})
	}
	// That it could not be read says nothing of what was written meanwhile, unless it may not be read.
	var unasked guard.Unasked
	web := guard.Spec{NamespacedName: types.NamespacedName{Name: "web"}, UID: "one", Generation: 1}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if verdict, err := unasked.Ask(cancelled, guard.Federation(manager, clock.RealClock{}), web); !errors.Is(err, context.Canceled) || verdict != (guard.Verdict{}) {
		t.Errorf("it could not be read, and that is %+v (%v)", verdict, err)
	}
	if verdict, err := unasked.Ask(t.Context(), guard.Federation(manager, clock.RealClock{}), web); err != nil || verdict != (guard.Verdict{}) {
		t.Errorf("it is in force, and that is %+v (%v)", verdict, err)
	}
	must(admin.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "stranger"}}))
	stranger, err := client.New(cluster.TokenConfig(cluster.Token(t, v1alpha1.Namespace, "stranger", time.Hour)), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	anew := guard.Spec{NamespacedName: types.NamespacedName{Name: "anew"}, UID: "two", Generation: 1}
	if verdict, err := unasked.Ask(t.Context(), guard.Federation(stranger, clock.RealClock{}), anew); err != nil || !verdict.Held || verdict.Reason != v1alpha1.ReasonAuthorUnasked {
		t.Errorf("it may not be read, and that is %+v (%v)", verdict, err)
	}

	whole := policyThere.DeepCopy()
	for name, weaken := range map[string]func(*admissionv1.ValidatingAdmissionPolicySpec){
		"asks for less":    func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.Validations = s.Validations[:3] },
		"is about another": func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.Variables[4].Expression = "[['', 'x', '', '']]" },
		"leaves a kind out": func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ResourceRules[0].Resources = []string{"endpointsets"}
		},
		"leaves namespaces out": func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.NamespaceSelector.MatchLabels = map[string]string{"a": "b"}
		},
		"leaves updates out": func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ResourceRules[0].Operations = []admissionv1.OperationType{"CREATE"}
		},
		"leaves deleting out": func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ResourceRules[0].Operations = []admissionv1.OperationType{"CREATE", "UPDATE"}
		},
		"leaves some out by a filter": func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConditions[0].Expression = "false" },
		"is about nothing that is there": func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
		},
		"lets pass what it cannot do": func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.FailurePolicy = new(admissionv1.Ignore) },
	} {
		t.Run(name, func(t *testing.T) {
			update(policyThere, func() {
				whole.Spec.DeepCopyInto(&policyThere.Spec)
				weaken(&policyThere.Spec)
			})
			missing("is not Hawser's")
		})
	}
	update(policyThere, func() { whole.Spec.DeepCopyInto(&policyThere.Spec) })
	missing("")
	ofIts := ofManager[0].(*admissionv1.ValidatingAdmissionPolicy)
	asItIs := ofIts.Spec.DeepCopy()
	update(ofIts, func() { ofIts.Spec.MatchConditions[0].Expression = "request.userInfo.username == 'nobody'" })
	missing(`ValidatingAdmissionPolicy "hawser-federation-manager" is not Hawser's`)
	update(ofIts, func() { asItIs.DeepCopyInto(&ofIts.Spec) })
	missing("")
	update(bindingThere, func() { bindingThere.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit} })
	missing("does not put it in force for every object")
	update(bindingThere, func() {
		bindingThere.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Deny}
		bindingThere.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
	})
	missing("does not put it in force for every object")
}

package guard_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hawser-io/hawser/api/v1alpha1"
	"github.com/hawser-io/hawser/internal/guard"
)

// says is what policies say.
type says struct{ missing error }

func (s says) Missing(context.Context) error { return s.missing }

func TestNobodyIsAskedOfWhatWasWrittenWhileThePolicyWasMissing(t *testing.T) {
	missing := errors.New("the policy is missing")
	spec := func(generation int64, said ...string) guard.Spec {
		s := guard.Spec{NamespacedName: types.NamespacedName{Name: "web"}, UID: "one", Generation: generation}
		for _, reason := range said {
			s.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Reason: reason, ObservedGeneration: generation}}
		}
		return s
	}
	worked := spec(1, v1alpha1.ReasonWritten)
	worked.Worked = true
	unsaid := spec(1)
	unsaid.Worked = true
	another := spec(1)
	another.UID = "two"
	type look struct {
		missing error
		spec    guard.Spec
		held    bool
		reason  string
	}
	for name, looks := range map[string][]look{
		"written while it is in force":                 {{nil, spec(1), false, ""}},
		"written before, and made":                     {{missing, worked, false, v1alpha1.ReasonAuthorsUnbounded}, {nil, worked, false, ""}},
		"written before, and made, by one who is gone": {{missing, unsaid, false, v1alpha1.ReasonAuthorsUnbounded}, {nil, unsaid, false, ""}},
		"written before, and made in no cluster":       {{nil, spec(1), false, ""}, {missing, spec(1), true, v1alpha1.ReasonAuthorsUnbounded}, {nil, spec(1), false, ""}},
		"written before a restart":                     {{missing, spec(1, v1alpha1.ReasonWritten), true, v1alpha1.ReasonAuthorsUnbounded}, {nil, spec(1, v1alpha1.ReasonAuthorsUnbounded), false, ""}},
		"written meanwhile":                            {{missing, spec(1), true, v1alpha1.ReasonAuthorUnasked}, {nil, spec(1), true, v1alpha1.ReasonAuthorUnasked}},
		"written meanwhile, before a restart":          {{nil, spec(1, v1alpha1.ReasonAuthorUnasked), true, v1alpha1.ReasonAuthorUnasked}},
		"written meanwhile, and again":                 {{missing, spec(1), true, v1alpha1.ReasonAuthorUnasked}, {nil, spec(2), false, ""}},
		"written meanwhile, and made anew":             {{missing, spec(1), true, v1alpha1.ReasonAuthorUnasked}, {nil, another, false, ""}},
		"written again meanwhile":                      {{nil, spec(1), false, ""}, {missing, spec(2), true, v1alpha1.ReasonAuthorUnasked}, {nil, spec(2), true, v1alpha1.ReasonAuthorUnasked}},
		"the leader has seen it while it was there":    {{missing, spec(1), true, v1alpha1.ReasonAuthorUnasked}, {nil, spec(1, v1alpha1.ReasonWritten), false, ""}},
		"said of an earlier one":                       {{nil, func() guard.Spec { s := spec(1, v1alpha1.ReasonAuthorUnasked); s.Generation = 2; return s }(), false, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			var u guard.Unasked
			for i, l := range looks {
				if got, err := u.Ask(t.Context(), says{l.missing}, l.spec); err != nil || got.Held != l.held || got.Reason != l.reason || got.Missing != (l.missing != nil) || (got.Message == "") != (l.reason == "") {
					t.Errorf("look %d: got %+v (%v), want held %t, %s", i, got, err, l.held, l.reason)
				}
			}
			u.Forget(types.NamespacedName{Name: "web"})
			if got, err := u.Ask(t.Context(), says{}, spec(1)); err != nil || got.Held {
				t.Errorf("it is remembered when it is gone: %+v (%v)", got, err)
			}
		})
	}
}

// TestWithoutThePolicyOfTheManagerAuthorsAreAskedAllTheSame, so that nothing has to be written again.
func TestWithoutThePolicyOfTheManagerAuthorsAreAskedAllTheSame(t *testing.T) {
	var u guard.Unasked
	missing := guard.ManagerUnbounded(fmt.Errorf("the policy is missing"))
	s := guard.Spec{NamespacedName: types.NamespacedName{Name: "web"}, UID: "one", Generation: 1}
	if got, err := u.Ask(t.Context(), says{missing}, s); err != nil || !got.Held || got.Reason != v1alpha1.ReasonManagerUnbounded {
		t.Errorf("got %+v (%v)", got, err)
	}
	if got, err := u.Ask(t.Context(), says{}, s); err != nil || got.Held {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestWhereThereIsNobodyToAskAllIsWell(t *testing.T) {
	var u guard.Unasked
	s := guard.Spec{NamespacedName: types.NamespacedName{Name: "web"}, UID: "one", Generation: 1}
	s.Conditions = []metav1.Condition{{Type: v1alpha1.Ready, Reason: v1alpha1.ReasonAuthorUnasked, ObservedGeneration: 1}}
	if got, err := u.Ask(t.Context(), nil, s); err != nil || got != (guard.Verdict{}) {
		t.Errorf("got %+v (%v)", got, err)
	}
}

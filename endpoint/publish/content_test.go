package publish

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hawser-io/hawser/api/v1alpha1"
)

// requests are how many were made so far.
func (a *api) requests() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, times := range a.asked {
		n += times
	}
	return n
}

// again are objects that know what is there, as after a restart.
func (a *api) again(t *testing.T) *Objects {
	t.Helper()
	s := a.following(t)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range a.objects {
		s.records.put(o.DeepCopy())
	}
	return s
}

// writes makes objects of a cluster what they are to be, with so many requests.
func writes(t *testing.T, a *api, s *Objects, requests int, wants []wanted) {
	t.Helper()
	before := a.requests()
	out, err := s.write(t.Context(), ofA, wants, manner{ours: true})
	if n := a.requests() - before; err != nil || out.objects != len(wants) || n != requests {
		t.Errorf("%d requests, want %d: %q (%v)", n, requests, out.refused, err)
	}
}

// TestWhatAnAPIServerAddsIsNoEdit: not at once, not after a restart, and not where that could not be noted at first.
func TestWhatAnAPIServerAddsIsNoEdit(t *testing.T) {
	a := newAPI(t)
	a.makes = func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "default", "spec", "tier")
	}
	s := a.following(t)
	first := wantsOf(t, ofA, networkSet(t, ofA, "web", "10.0.0.1/32"))
	second := wantsOf(t, ofA, networkSet(t, ofA, "web", "10.0.0.2/32"))
	writes(t, a, s, 2, first) // and what became of it
	writes(t, a, s, 0, first)
	writes(t, a, a.again(t), 0, first)
	writes(t, a, a.again(t), 2, second)
	s = a.again(t)
	a.failing(http.StatusInternalServerError, http.MethodPut, gnsPath)
	if _, err := s.write(t.Context(), ofA, first, manner{}); err == nil {
		t.Error("a failure is no error")
	}
	a.failing(0, "", "")
	writes(t, a, s, 2, first)
	a.fails = func(method, _ string) int { // what is noted
		if method == http.MethodPut && a.asked["PUT "+gnsPath+"/web-a"]%2 == 0 {
			return http.StatusInternalServerError
		}
		return 0
	}
	a.asked = map[string]int{}
	if _, err := s.write(t.Context(), ofA, second, manner{}); err == nil {
		t.Error("a failure is no error")
	}
	a.failing(0, "", "")
	writes(t, a, s, 2, second)
	writes(t, a, a.again(t), 0, second)
}

// TestAnEditIsSeen whatever it does, before and after a restart, and nothing is written over it.
func TestAnEditIsSeen(t *testing.T) {
	path := gnsPath + "/web-a"
	for name, edit := range map[string]func(*unstructured.Unstructured){
		"an address is taken away": func(o *unstructured.Unstructured) { _ = unstructured.SetNestedSlice(o.Object, []any{}, "spec", "nets") },
		"everything is taken away": func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, "spec") },
		"an address is added": func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedStringSlice(o.Object, []string{"0.0.0.0/0"}, "spec", "nets")
		},
		"a label that was asked for is another": func(o *unstructured.Unstructured) { set(o, "labels", "role", "other") },
		"a label that was asked for is gone": func(o *unstructured.Unstructured) {
			unstructured.RemoveNestedField(o.Object, "metadata", "labels", "role")
		},
		"which labels were asked for": func(o *unstructured.Unstructured) {
			unstructured.RemoveNestedField(o.Object, "metadata", "annotations", LabelsAnnotation)
		},
		"the hash": func(o *unstructured.Unstructured) {
			unstructured.RemoveNestedField(o.Object, "metadata", "annotations", HashAnnotation)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, makes := range []func(*unstructured.Unstructured){
				func(*unstructured.Unstructured) {},
				func(o *unstructured.Unstructured) {
					o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: v1alpha1.FieldManager, FieldsV1: fields(`{"f:spec":{"f:nets":{}}}`)}})
				},
			} {
				a := newAPI(t)
				a.makes = makes
				s := a.following(t)
				wants := wantsOf(t, ofA, networkSet(t, ofA, "web", "10.0.0.1/32"))
				writes(t, a, s, 1, wants)
				a.edit(path, s, edit)
				for _, s := range []*Objects{s, a.again(t)} {
					for _, net := range []string{"10.0.0.1/32", "10.0.0.2/32"} {
						before := a.requests()
						out, err := s.write(t.Context(), ofA, wantsOf(t, ofA, networkSet(t, ofA, "web", net)), manner{})
						if err != nil || out.objects > 0 || a.requests() > before || !strings.Contains(strings.Join(out.refused, ""), "GlobalNetworkSet web-a was edited by somebody") {
							t.Errorf("%d requests: %+v (%v)", a.requests()-before, out, err)
						}
					}
				}
				if out, err := s.write(t.Context(), ofA, nil, manner{}); err != nil || len(out.refused) > 0 || len(a.has()) > 0 { // not wanted any more
					t.Errorf("there is %v: %q (%v)", a.has(), out.refused, err)
				}
			}
		})
	}
}

func set(o *unstructured.Unstructured, in, name, value string) {
	_ = unstructured.SetNestedField(o.Object, value, "metadata", in, name)
}

func fields(text string) *metav1.FieldsV1 {
	f := &metav1.FieldsV1{}
	f.SetRawBytes([]byte(text))
	return f
}

// TestAnEditorIsNamed where the managed fields know him. Where a later version of an API has defaults that nobody wrote,
// there is none.
func TestAnEditorIsNamed(t *testing.T) {
	const ours = `{"f:metadata":{"f:labels":{".":{},"f:role":{}}},"f:spec":{".":{},"f:nets":{}}}`
	for name, c := range map[string]struct {
		edit   func(*unstructured.Unstructured)
		ours   string
		theirs string
		want   string
	}{
		"nobody has":                         {func(*unstructured.Unstructured) {}, ours, "", ""},
		"somebody has written and unwritten": {func(*unstructured.Unstructured) {}, ours, `{"f:spec":{"f:nets":{}}}`, ""},
		"a default that nobody wrote":        {func(o *unstructured.Unstructured) { _ = unstructured.SetNestedField(o.Object, "x", "spec", "tier") }, ours, "", ""},
		"a part that nobody wrote":           {func(o *unstructured.Unstructured) { o.Object["more"] = map[string]any{"x": "y"} }, ours, "", ""},
		"a field that he wrote":              {func(o *unstructured.Unstructured) { _ = unstructured.SetNestedField(o.Object, "x", "spec", "tier") }, ours, `{"f:spec":{"f:tier":{}}}`, "eve"},
		"a label that was asked for":         {func(o *unstructured.Unstructured) { set(o, "labels", "role", "x") }, ours, `{"f:metadata":{"f:labels":{"f:role":{}}}}`, "eve"},
		"a label, and a default":             {func(o *unstructured.Unstructured) { set(o, "labels", "role", "x"); o.Object["more"] = "x" }, ours, "", "somebody"},
		"a label of his":                     {func(o *unstructured.Unstructured) { set(o, "labels", "his", "x") }, ours, `{"f:metadata":{"f:labels":{"f:his":{}}}}`, ""},
		"he took something away":             {func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, "spec", "nets") }, `{"f:spec":{".":{}}}`, "", "somebody"},
		"he took who wrote away":             {func(o *unstructured.Unstructured) { _ = unstructured.SetNestedField(o.Object, "x", "spec", "tier") }, "", "", "somebody"},
	} {
		t.Run(name, func(t *testing.T) {
			o := wantsOf(t, ofA, networkSet(t, ofA, "web", "10.0.0.1/32"))[0].object
			c.edit(o)
			var managed []metav1.ManagedFieldsEntry
			if c.theirs != "" {
				managed = append(managed, metav1.ManagedFieldsEntry{Manager: "eve", FieldsV1: fields(c.theirs)})
			}
			if c.ours != "" {
				managed = append(managed, metav1.ManagedFieldsEntry{Manager: v1alpha1.FieldManager, FieldsV1: fields(c.ours)})
			}
			o.SetManagedFields(managed)
			if got := editor(o, ContentHash(o)); got != c.want {
				t.Errorf("it was edited by %q, want %q", got, c.want)
			}
		})
	}
}

// TestWhatTheAPIServerMadeOfItIsBelievedWhereWeSaySoOurselves: the hash is no secret.
func TestWhatTheAPIServerMadeOfItIsBelievedWhereWeSaySoOurselves(t *testing.T) {
	const spec, stored = `"f:spec":{".":{},"f:nets":{},"f:tier":{}}`, `"f:metadata":{"f:annotations":{"f:` + StoredAnnotation + `":{}}}`
	for name, c := range map[string]struct{ ours, theirs, want string }{
		"we have":             {"{" + spec + "," + stored + "}", "", ""},
		"he has written both": {`{"f:spec":{".":{}}}`, `{"f:spec":{"f:tier":{}},` + stored + `}`, "eve"},
		"he has written what it says, and we both": {"{" + spec + "," + stored + "}", `{"f:spec":{"f:tier":{}}}`, "eve"},
		"he has taken something away, and says so": {"{" + spec + "}", "{" + stored + "}", "eve"},
		"nobody knows who has":                     {"", "", "somebody"},
	} {
		t.Run(name, func(t *testing.T) {
			o := wantsOf(t, ofA, networkSet(t, ofA, "web", "10.0.0.1/32"))[0].object
			_ = unstructured.SetNestedField(o.Object, "x", "spec", "tier")
			annotations := o.GetAnnotations()
			annotations[StoredAnnotation] = ContentHash(o)
			o.SetAnnotations(annotations)
			var managed []metav1.ManagedFieldsEntry
			for manager, text := range map[string]string{"eve": c.theirs, v1alpha1.FieldManager: c.ours} {
				if text != "" {
					managed = append(managed, metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: fields(text)})
				}
			}
			o.SetManagedFields(managed)
			if got := editor(o, ContentHash(o)); got != c.want {
				t.Errorf("it was edited by %q, want %q", got, c.want)
			}
		})
	}
}

// TestAWatchMayTellOfWhatWeWroteBeforeTheAnswerComes, and of what somebody has made of it.
func TestAWatchMayTellOfWhatWeWroteBeforeTheAnswerComes(t *testing.T) {
	w := wantsOf(t, ofA, networkSet(t, ofA, "web", "10.0.0.1/32"))[0]
	made := w.object.DeepCopy()
	made.SetUID("u")
	made.SetResourceVersion("7")
	_ = unstructured.SetNestedField(made.Object, "default", "spec", "tier")
	later := made.DeepCopy()
	later.SetResourceVersion("8")
	edited := later.DeepCopy()
	unstructured.RemoveNestedField(edited.Object, "spec", "nets")
	for name, c := range map[string]struct {
		first, then *unstructured.Unstructured
		want        string
	}{
		"the same":                {first: made},
		"a later one":             {first: later},
		"one that was edited":     {first: edited, want: "somebody"},
		"after the answer":        {then: later},
		"edited after the answer": {then: edited, want: "somebody"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRecords(func(owner, bool) {})
			if c.first != nil {
				s.put(c.first)
			}
			s.wrote(made, true)
			if c.then != nil {
				s.put(c.then)
			}
			if got := s.of(ofA)[w.ref].editor; got != c.want {
				t.Errorf("it was edited by %q", got)
			}
		})
	}
}

package gate

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/hawser-io/hawser/trust"
)

// dueOf is what would be written now, by issuer: whether a use is, and which failure.
func dueOf(r *reports) map[string]string {
	got := map[string]string{}
	for issuer, p := range r.due() {
		if p.LastUse != nil {
			got[issuer] += "used "
		}
		if p.LastFailure != nil {
			got[issuer] += p.LastFailure.Reason
		}
	}
	return got
}

func TestReportsAreWrittenOnceAMinute(t *testing.T) {
	clk := clocktesting.NewFakeClock(now)
	r := newReports(nil, clk, logr.Discard())
	expect := func(what string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, dueOf(r)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	nothing := map[string]string{}

	r.used("b")
	r.failed("c", trust.Expired, "")
	expect("the first of each at once", map[string]string{"b": "used ", "c": "Expired"})
	r.used("b")
	r.failed("c", trust.WrongAudience, "")
	r.failed("b", trust.Expired, "")
	expect("a failure does not wait for a use", map[string]string{"b": "Expired"})
	clk.Step(59 * time.Second)
	expect("not within the minute", nothing)
	clk.Step(time.Second)
	expect("the latest after a minute", map[string]string{"b": "used ", "c": "WrongAudience"})
	clk.Step(time.Hour)
	expect("nothing where nothing happened", nothing)
}

func TestUnknownKeyIsWrittenSoonerAndNotHidden(t *testing.T) {
	clk := clocktesting.NewFakeClock(now)
	r := newReports(nil, clk, logr.Discard())
	expect := func(what string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, dueOf(r)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	r.failed("b", trust.Expired, "")
	expect("another failure first", map[string]string{"b": trust.Expired})
	clk.Step(time.Second)
	r.failed("b", trust.UnknownKey, "")
	r.failed("b", trust.Expired, "junk that would hide it")
	expect("an unknown key at once", map[string]string{"b": trust.UnknownKey})
	clk.Step(29 * time.Second)
	r.failed("b", trust.UnknownKey, "")
	expect("but not twice within 30 seconds", map[string]string{})
	clk.Step(time.Second)
	expect("and again then", map[string]string{"b": trust.UnknownKey})
}

func TestReportsForgetIssuersThatAreGone(t *testing.T) {
	r := newReports(nil, clocktesting.NewFakeClock(now), logr.Discard())
	r.used("b")
	r.forget("b")
	if got := dueOf(r); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestReportsEndWithTheirContext(t *testing.T) {
	r := newReports(nil, clocktesting.NewFakeClock(now), logr.Discard())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Start(ctx); err != nil {
		t.Error(err)
	}
}

func TestTruncate(t *testing.T) {
	for _, test := range []struct{ in, want string }{{"", ""}, {"abc", "abc"}, {"abcd", "abc…"}, {"äöüß", "äöü…"}} {
		if got := truncate(test.in, 3); got != test.want {
			t.Errorf("truncate(%q): got %q, want %q", test.in, got, test.want)
		}
	}
}

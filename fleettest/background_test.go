package fleettest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/fleettest"
)

// fakeTest is a test that ends when end is called, and remembers its errors.
type fakeTest struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (f *fakeTest) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }
func (f *fakeTest) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *fakeTest) end() {
	for _, cleanup := range slices.Backward(f.cleanups) {
		cleanup()
	}
}

func TestWhatRunsInTheBackgroundEndsWithTheTest(t *testing.T) {
	ended := errors.New("it ended")
	untilStopped := func(err error) func(ctx context.Context) error {
		return func(ctx context.Context) error { <-ctx.Done(); return err }
	}
	cases := []struct {
		name string
		f    func(ctx context.Context) error
		stop bool
		want []string
	}{
		{"and is right if it returns nil", untilStopped(nil), false, nil},
		{"and is wrong if it returns an error", untilStopped(ended), false, []string{"the thing ended with: it ended"}},
		{"or is stopped before, and reports its error once", untilStopped(ended), true, []string{"the thing ended with: it ended"}},
		{"or by itself, with an error that is not lost", func(context.Context) error { return ended }, false, []string{"the thing ended with: it ended"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f := &fakeTest{TB: t}
			r := fleettest.Background(f, "the thing", tc.f)
			if tc.stop {
				r.Stop()
				if len(f.errors) != 1 {
					t.Errorf("Stop has reported %q", f.errors)
				}
			}
			f.end()
			select {
			case <-r.Ended():
			default:
				t.Error("it was not waited for")
			}
			if diff := cmp.Diff(tc.want, f.errors); diff != "" {
				t.Errorf("errors (-want +got)\n%s", diff)
			}
		})
	}
}

func TestUntilReturnsWhatWasSaidLastWhenTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	not, calls := errors.New("not yet"), 0
	err := fleettest.Until(ctx, time.Millisecond, func() error {
		if calls++; calls == 3 {
			cancel()
		}
		return not
	})
	if !errors.Is(err, not) || !errors.Is(err, context.Canceled) || calls < 3 {
		t.Errorf("error %v after %d calls", err, calls)
	}
	if err := fleettest.Until(ctx, time.Hour, func() error { return nil }); err != nil {
		t.Errorf("what is so at once needs no time: %v", err)
	}
}

package group_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/inventory"
	"github.com/hawser-io/hawser/inventory/group"
)

// sink writes down the faults that it is told of.
type sink struct{ told []string }

func (s *sink) Set(inventory.Cluster) {}
func (s *sink) Remove(string)         {}
func (s *sink) Synced()               {}
func (s *sink) Fault(name string, err error) {
	s.told = append(s.told, fmt.Sprintf("%q %v", name, err))
}

func TestAGroupIsInSyncWhenAllOfItAre(t *testing.T) {
	synced := 0
	g := &group.Group{To: &sink{}, Synced: func() { synced++ }}
	a, b := g.Member(), g.Member()
	a.InSync()
	a.InSync()
	if synced != 0 {
		t.Error("one of two is not all")
	}
	b.InSync()
	a.InSync()
	if synced != 1 {
		t.Errorf("told %d times, want once", synced)
	}
}

func TestTheFaultsOfAGroupAreOne(t *testing.T) {
	to := &sink{}
	g := &group.Group{To: to}
	a, b := g.Member(), g.Member()
	a.Fault(nil)
	b.Fault(errors.New("no secrets"))
	a.Fault(errors.New("no clusters"))
	a.Fault(errors.New("no clusters"))
	b.Fault(nil)
	a.Fault(nil)
	want := []string{`"" no secrets`, "\"\" no clusters\nno secrets", `"" no clusters`, `"" <nil>`}
	if diff := cmp.Diff(want, to.told); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAnErrorEndsTheRest(t *testing.T) {
	broken := errors.New("a selector that is none")
	waits := func(ctx context.Context) error { <-ctx.Done(); return nil }
	if err := group.Run(t.Context(), waits, func(context.Context) error { return broken }, waits); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := group.Run(ctx, waits, waits); err != nil {
		t.Errorf("got %v", err)
	}
}

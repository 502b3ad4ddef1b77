package publish

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

func TestAPanicIsAnErrorOfItsTaskAlone(t *testing.T) {
	p := begin(t, newClock(), nil)
	p.heard()
	said := ""
	p.options.Log = funcr.New(func(_, args string) { said += args }, funcr.Options{})
	item := p.items[p.at.key]
	render := item.Render
	item.Render = func(Request) (Rendered, error) { panic("one too many") }
	writes := task{p.at.key, p.at.cluster, writing}
	p.work(t.Context(), p.queue, writes)
	if !strings.Contains(said, "one too many") || !strings.Contains(said, "panic_test.go") || !strings.Contains(said, "shop/web") {
		t.Errorf("it is logged as %q", said)
	}
	if p.queue.failures.NumRequeues(writes) != 1 {
		t.Error("it is not tried again")
	}
	if len(p.tenures) > 0 {
		t.Errorf("work on the cluster has not ended: %v", p.tenures)
	}
	item.Render = render
	p.work(t.Context(), p.queue, writes)
	if g := p.progress[p.at]; g == nil || g.entry == nil || g.entry.Endpoints != 1 {
		t.Errorf("afterwards it says %+v", g)
	}
}

func TestAPanicWhileAnObjectIsWrittenIsAnErrorOfThatObject(t *testing.T) {
	errs := atOnce([]step{{do: func() error { return nil }}, {do: func() error { panic("one too many") }}})
	var mistake *panicked
	if errs[0] != nil || !errors.As(errs[1], &mistake) || errs[1].Error() != "panic: one too many" {
		t.Errorf("got %v", errs)
	}
}

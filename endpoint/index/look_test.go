package index_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hawser-io/hawser/endpoint/index"
	"github.com/hawser-io/hawser/selector"
)

func TestLookSeesWhatMatchesWhileOthersComeAndGo(t *testing.T) {
	x := index.New()
	c, err := x.Cluster("alpha", "a")
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) index.ID {
		return index.ID{Kind: index.Pod, Namespace: "shop", Name: fmt.Sprint("pod-", i)}
	}
	set := func(i int, app string) {
		c.Set(&index.Endpoint{ID: name(i), Node: "n", Labels: []index.Label{{Name: "app", Value: app}}})
	}
	const stay, come = 3000, 500
	for i := range stay {
		set(i, "web")
	}
	done := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() { // ends by done
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			n := stay + i%come
			set(n, "web")
			set(n, "db") // a look that has found it has to see that it is another by now
			c.Delete(name(n))
		}
	})
	s := selector.MustParse(`app == "web" && projectcalico.org/namespace == "shop"`)
	for range 5 {
		seen := map[index.ID]bool{}
		for e := range x.Look(s, "alpha") {
			if app := e.Labels()["app"]; app != "web" {
				t.Fatalf("%v is %s", e.ID(), app)
			}
			seen[e.ID()] = true
		}
		for i := range stay {
			if !seen[name(i)] {
				t.Fatalf("%v was there all the time, and was not seen", name(i))
			}
		}
	}
	close(done)
	churn.Wait()
}

func TestWhatIsSeenOfAnEndpoint(t *testing.T) {
	x := index.New()
	c, err := x.Cluster("alpha", "a")
	if err != nil {
		t.Fatal(err)
	}
	c.SetNamespace("shop", []index.Label{{Name: "team", Value: "shop"}})
	id := index.ID{Kind: index.Pod, Namespace: "shop", Name: "web"}
	c.Set(&index.Endpoint{ID: id, Node: "n", Labels: []index.Label{{Name: "app", Value: "web"}, {Name: "pcns.team", Value: "liar"}}})
	for e := range x.Look(selector.All(), "alpha") {
		want := map[string]string{"app": "web", "pcns.team": "shop", "pcns.projectcalico.org/name": "shop", "projectcalico.org/namespace": "shop",
			"projectcalico.org/orchestrator": "k8s", "hawser.io/cluster": "alpha", "hawser.io/cluster-id": "a"}
		if diff := cmp.Diff(want, e.Labels()); diff != "" || e.ID() != id || e.Node() != "n" {
			t.Errorf("%v on %s: %s", e.ID(), e.Node(), diff)
		}
	}
	for range x.Look(selector.All(), "beta") {
		t.Error("a cluster that is not there has endpoints")
	}
}

package index_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/endpoint/index"
)

// Where there are many endpoints, an evaluation goes by the sets of labels, and finds no more and no less.
func TestAnEvaluationOfManyFindsWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, l := index.New(), newLand("id")
		c, err := x.Cluster("c1", "id")
		if err != nil {
			t.Fatal(err)
		}
		for _, ns := range []string{"ns0", "ns1", "ns2"} {
			labels := ownOnly(t)
			c.SetNamespace(ns, labels)
			l.namespaces[ns] = mapOf(labels)
		}
		// Few kinds of endpoints, of which there are many each: large sets, and small ones.
		kinds := rapid.SliceOfN(rapid.Custom(labelsOf), 1, 4).Draw(t, "kinds")
		for i := range rapid.IntRange(0, 300).Draw(t, "endpoints") {
			e := index.Endpoint{ID: index.ID{Kind: index.Pod, Namespace: fmt.Sprint("ns", i%3), Name: fmt.Sprint("e", i)}, Labels: kinds[i*i%len(kinds)]}
			c.Set(&e)
			l.endpoints[e.ID] = e
		}
		for range 10 {
			s := selectorOf(t)
			if want, got := (world{"c1": l}).eval(s, "c1"), names(x.Eval(s, "c1")); !slices.Equal(want, got) {
				t.Fatalf("%s finds %d, want %d", s, len(got), len(want))
			}
		}
	})
}

package shard_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/fleet/shard"
)

func clusterNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("cluster-%d", i)
	}
	return names
}

// naming makes names as Kubernetes gives them to pods.
var naming = map[string]func(i int) string{
	"the pods of a StatefulSet": func(i int) string { return fmt.Sprintf("hawser-%d", i) },
	"the pods of a Deployment": func(i int) string {
		suffixes := []string{"x7k2p", "x7k2q", "bdc4f", "zz9lm", "4t5vw", "4t5vx", "qhn8s", "gp2jd", "m6rc9", "w8ztb", "7vq5x"}
		return "hawser-6d5f7c9b48-" + suffixes[i]
	},
}

func replicaNames(name func(int) string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = name(i)
	}
	return all
}

func loads(owner map[string]string) map[string]int {
	n := map[string]int{}
	for _, r := range owner {
		n[r]++
	}
	return n
}

func moved(before, after map[string]string) int {
	n := 0
	for c, r := range after {
		if old, ok := before[c]; ok && old != r {
			n++
		}
	}
	return n
}

func TestPlanDividesEvenlyWhateverPodsAreCalled(t *testing.T) {
	clusters := clusterNames(1000)
	for kind, name := range naming {
		for _, n := range []int{2, 3, 5, 10} {
			t.Run(fmt.Sprintf("%d of %s", n, kind), func(t *testing.T) {
				owner := shard.Plan(clusters, replicaNames(name, n), nil)
				most := slices.Max(slices.Collect(maps.Values(loads(owner))))
				if imbalance := float64(most) * float64(n) / 1000; len(owner) != 1000 || imbalance > 1.01 {
					t.Errorf("%d clusters have an owner, and the largest share is %.3f of the even one", len(owner), imbalance)
				}
				joined := shard.Plan(clusters, replicaNames(name, n+1), owner)
				if least, got := 1000/(n+1), moved(owner, joined); got > least {
					t.Errorf("when one joins, %d clusters move, and %d had to", got, least)
				}
				left := shard.Plan(clusters, replicaNames(name, n)[1:], owner)
				for c, r := range left {
					if owner[c] != name(0) && owner[c] != r {
						t.Fatalf("when %s leaves, %s moves from %s to %s", name(0), c, owner[c], r)
					}
				}
			})
		}
	}
}

// The hash alone: what the bound has to mend is what the hash got wrong.
func TestAClusterIsDrawnToEachReplicaAsOften(t *testing.T) {
	for kind, name := range naming {
		for _, n := range []int{2, 3, 5, 7, 10} {
			drawn := map[string]int{}
			const clusters = 5000
			for _, c := range clusterNames(clusters) {
				replicas := replicaNames(name, n)
				drawn[slices.MaxFunc(replicas, func(a, b string) int {
					if shard.Affinity(c, a) < shard.Affinity(c, b) {
						return -1
					}
					return 1
				})]++
			}
			for r, got := range drawn {
				if even := float64(clusters) / float64(n); float64(got) < 0.85*even || float64(got) > 1.15*even {
					t.Errorf("%d of %s: %s draws %d, and the even share is %.0f", n, kind, r, got, even)
				}
			}
		}
	}
}

func TestPlanIsAFunctionOfItsArguments(t *testing.T) {
	clusters, replicas := clusterNames(50), replicaNames(naming["the pods of a StatefulSet"], 3)
	want := shard.Plan(clusters, replicas, nil)
	slices.Reverse(clusters)
	slices.Reverse(replicas)
	if diff := cmp.Diff(want, shard.Plan(clusters, replicas, nil)); diff != "" {
		t.Errorf("the order of the arguments matters (-want +got)\n%s", diff)
	}
	if got := shard.Plan(clusters, nil, nil); len(got) != 0 {
		t.Errorf("without replicas somebody owns something: %v", got)
	}
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := func(label string, most int) []string {
			return rapid.SliceOfNDistinct(rapid.StringN(1, 12, -1), 0, most, rapid.ID[string]).Draw(t, label)
		}
		clusters, replicas, before := names("clusters", 60), names("replicas", 8), map[string]string{}
		for _, c := range clusters {
			if len(replicas) > 0 && rapid.Bool().Draw(t, "placed") {
				before[c] = rapid.SampledFrom(replicas).Draw(t, "at")
			}
		}
		after := shard.Plan(clusters, replicas, before)
		if len(replicas) == 0 {
			return
		}
		if len(after) != len(clusters) {
			t.Fatalf("%d of %d clusters have an owner", len(after), len(clusters))
		}
		share := (len(clusters) + len(replicas) - 1) / len(replicas)
		bound := max(share, len(clusters)*105/(100*len(replicas)))
		n, had := loads(after), loads(before)
		for r, got := range n {
			if got > bound {
				t.Fatalf("%q has %d, and at most %d was right", r, got, bound)
			}
		}
		// Only what must move does: from whoever had too much, down to the even share.
		least := 0
		for _, count := range had {
			if count > bound {
				least += count - share
			}
		}
		if got := moved(before, after); got > least {
			t.Fatalf("%d clusters moved, and %d had to", got, least)
		}
		if diff := cmp.Diff(after, shard.Plan(clusters, replicas, after)); diff != "" {
			t.Fatalf("it does not stay as it is: %s", diff)
		}
		// One cluster less stops no other.
		if len(clusters) > 1 {
			for c, r := range shard.Plan(clusters[1:], replicas, after) {
				if r != after[c] && n[after[c]] <= max((len(clusters)-1+len(replicas)-1)/len(replicas), (len(clusters)-1)*105/(100*len(replicas))) {
					t.Fatalf("%q went, and %q moved from %q to %q", clusters[0], c, after[c], r)
				}
			}
		}
	})
}

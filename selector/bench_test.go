package selector_test

import (
	"testing"

	"github.com/hawser-io/hawser/selector"
)

// benchmark is the selector of Calico's own BenchmarkParse.
const benchmark = `! (a == "b"&&! c != "d") || !(a == "b" && !c != "d")`

// ordinary is what a policy has.
const ordinary = `app == "web" && tier in {"front", "edge"} && !has(debug) && version starts with "v1"`

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{"Calico's benchmark": benchmark, "an ordinary selector": ordinary, "a label": `app == "web"`} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := selector.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkString(b *testing.B) {
	s := selector.MustParse(benchmark)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.String()
	}
}

func BenchmarkID(b *testing.B) {
	s := selector.MustParse(benchmark)
	b.ReportAllocs()
	for b.Loop() {
		_ = s.ID()
	}
}

func BenchmarkMatch(b *testing.B) {
	calico, policy := selector.MustParse(benchmark), selector.MustParse(ordinary)
	labels := map[string]string{"a": "b", "c": "d", "app": "web", "tier": "front", "version": "v12"}
	b.Run("a map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			calico.MatchMap(labels)
		}
	})
	b.Run("an interface", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			calico.Match(selector.Map(labels))
		}
	})
	b.Run("an ordinary selector", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.MatchMap(labels)
		}
	})
}

func BenchmarkPeer(b *testing.B) {
	peer := selector.Peer{Selector: selector.MustParse(ordinary), NamespaceSelector: selector.MustParse(`team == "shop"`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := peer.Endpoints("shop"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequirements(b *testing.B) {
	s := selector.MustParse(ordinary)
	b.ReportAllocs()
	for b.Loop() {
		s.Requirements()
	}
}

package service

import (
	"fmt"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestWhatHasNowhereToGoStaysWhereItStands(t *testing.T) {
	key := Key{Namespace: "shop", Name: "db", Cluster: "alpha"}
	slice := func(n int, p Port, addresses ...string) *discoveryv1.EndpointSlice {
		w := &Wanted{Key: key}
		piece := Piece{N: n, Group: Group{discoveryv1.AddressTypeIPv4, []Port{p}}}
		for _, a := range addresses {
			addr, not := strings.CutSuffix(a, "!")
			e := pod(addr)
			if not {
				notReady(&e)
			}
			piece.Endpoints = append(piece.Endpoints, e)
		}
		return w.slice(piece, nil, "")
	}
	many := func(n, first, count int) *discoveryv1.EndpointSlice {
		var all []string
		for i := range count {
			all = append(all, fmt.Sprintf("10.1.%d.%d", (first+i)/250, (first+i)%250))
		}
		return slice(n, http, all...)
	}
	const old = "the old one"
	for name, test := range map[string]struct {
		old, next *discoveryv1.EndpointSlice
		unwritten []*discoveryv1.EndpointSlice
		want      string // old: nothing is done; "": it is deleted
	}{
		"what is gone goes": {slice(0, http, "10.1.0.1", "10.1.0.2"), slice(0, http, "10.1.0.1"), []*discoveryv1.EndpointSlice{slice(1, http, "10.1.0.3")}, "http:8080 10.1.0.1"},
		"what moves stays": {slice(0, http, "10.1.0.1", "10.1.0.2", "10.1.0.3"), slice(0, http, "10.1.0.1"), []*discoveryv1.EndpointSlice{slice(1, other, "10.1.0.2")},
			"http:8080 10.1.0.1,10.1.0.2"},
		"as it is now": {slice(0, http, "10.1.0.1", "10.1.0.2"), slice(0, http, "10.1.0.1"), []*discoveryv1.EndpointSlice{slice(1, other, "10.1.0.2!")},
			"http:8080 10.1.0.1,10.1.0.2!"},
		"which may be nothing new":       {slice(0, http, "10.1.0.1", "10.1.0.2"), slice(0, http, "10.1.0.1"), []*discoveryv1.EndpointSlice{slice(1, http, "10.1.0.2")}, old},
		"a slice that is to go":          {slice(0, http, "10.1.0.1", "10.1.0.2"), nil, []*discoveryv1.EndpointSlice{slice(1, http, "10.1.0.2")}, "http:8080 10.1.0.2"},
		"one of which nothing is wanted": {slice(0, http, "10.1.0.1"), nil, []*discoveryv1.EndpointSlice{slice(1, http, "10.1.0.2")}, ""},
		"one that is to have other ports keeps its own": {slice(0, http, "10.1.0.1", "10.1.0.2", "10.1.0.3"), slice(0, other, "10.1.0.1", "10.1.0.4"),
			[]*discoveryv1.EndpointSlice{slice(1, metric, "10.1.0.2")}, "http:8080 10.1.0.1,10.1.0.2"},
		"no more than a slice can have": {many(0, 0, MostPerSlice), many(0, MostPerSlice, MostPerSlice), []*discoveryv1.EndpointSlice{many(1, 0, MostPerSlice)}, "1000"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Spare(test.old, test.next, test.unwritten)
			text := ""
			switch {
			case got == test.old:
				text = old
			case got != nil:
				text = collected([]Grouped{{pieceOf(0, got).Group, pieceOf(0, got).Endpoints}})
				if len(got.Endpoints) > 100 {
					text = fmt.Sprint(len(got.Endpoints))
				}
			}
			if text != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
		})
	}
}

func TestWhatStandsOnASliceStaysWhereItsNewOneCannotBeWritten(t *testing.T) {
	key := Key{Import: true, Namespace: "shop", Name: "db", Cluster: "alpha"}
	slice := func(n int, source string, addresses ...string) *discoveryv1.EndpointSlice {
		piece := Piece{N: n, Group: Group{discoveryv1.AddressTypeIPv4, []Port{http}}}
		for _, a := range addresses {
			piece.Endpoints = append(piece.Endpoints, pod(a))
		}
		return (&Wanted{Key: key}).slice(piece, nil, source)
	}
	const deleted = "deleted"
	text := func(s *discoveryv1.EndpointSlice) string {
		if s == nil {
			return deleted
		}
		return s.Annotations[SourceAnnotation] + " with " + collected([]Grouped{{pieceOf(0, s).Group, pieceOf(0, s).Endpoints}})
	}
	for name, test := range map[string]struct {
		old, next, unwritten *discoveryv1.EndpointSlice
		want                 string
	}{
		"a slice that loses it keeps it":          {slice(1, "then", "10.1.0.1"), slice(1, "", "10.1.0.1", "10.1.0.2"), slice(0, "now", "10.1.0.3"), "now with http:8080 10.1.0.1,10.1.0.2"},
		"so does one that is to go":               {slice(1, "then", "10.1.0.1"), nil, slice(0, "now", "10.1.0.2"), "now with http:8080 "},
		"and what is to move stays, too":          {slice(1, "then", "10.1.0.1", "10.1.0.2"), nil, slice(0, "now", "10.1.0.2"), "now with http:8080 10.1.0.2"},
		"one that never had it gets none":         {slice(1, "", "10.1.0.1"), slice(1, "", "10.1.0.1"), slice(0, "now"), " with http:8080 10.1.0.1"},
		"one that never had it goes":              {slice(1, "", "10.1.0.1"), nil, slice(0, "now"), deleted},
		"one that loses it for nothing loses it":  {slice(1, "then", "10.1.0.1"), slice(1, "", "10.1.0.1"), slice(0, "", "10.1.0.3"), " with http:8080 10.1.0.1"},
		"one that is to go, without anything new": {slice(1, "then", "10.1.0.1"), nil, slice(0, "", "10.1.0.2"), deleted},
	} {
		t.Run(name, func(t *testing.T) {
			if got := text(Spare(test.old, test.next, []*discoveryv1.EndpointSlice{test.unwritten})); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	empty := slice(1, "now")
	if got := Spare(empty, nil, []*discoveryv1.EndpointSlice{slice(0, "now", "10.1.0.1")}); got != empty {
		t.Errorf("it is written again: %s", text(got))
	}
}

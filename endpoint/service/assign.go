package service

import (
	"cmp"
	"slices"
)

// DefaultPerSlice and MostPerSlice are how many endpoints a slice has by default, and at most: as in Kubernetes.
const (
	DefaultPerSlice = 100
	MostPerSlice    = 1000
)

// Piece is what one slice holds.
type Piece struct {
	// N is the number of the slice.
	N int
	Group
	Endpoints []Endpoint
}

// unnumbered is the number of a piece that has none yet.
const unnumbered = -1

// Assign says which slice holds which endpoints, so that little is written: what is in a slice stays there. One
// endpoint that comes, goes or changes is one slice that changes; beside that, a slice may be taken away whose rest
// moved to the changed one. A group that is wanted without endpoints gets an empty slice. perSlice is at least 1; the
// numbers that taken holds are given to nothing new.
func Assign(want []Grouped, have []Piece, perSlice int, taken map[int]bool) []Piece {
	byKey := map[string][]Piece{}
	used := map[int]bool{}
	for _, p := range have {
		byKey[p.key()] = append(byKey[p.key()], p)
		used[p.N] = true
	}
	var all []Piece
	for _, g := range want {
		all = append(all, pack(g, byKey[g.key()], perSlice)...)
	}
	return numbered(all, have, used, taken)
}

// numbered gives each new piece a number: that of a slice of the same family that nothing needs any more, so that it is
// changed rather than replaced, or else the lowest that is free.
func numbered(all, have []Piece, used, taken map[int]bool) []Piece {
	kept := map[int]bool{}
	for _, p := range all {
		if p.N != unnumbered {
			kept[p.N] = true
		}
	}
	free := slices.DeleteFunc(slices.Clone(have), func(p Piece) bool { return kept[p.N] })
	slices.SortFunc(free, byNumber)
	lowest := 0
	for i := range all {
		p := &all[i]
		if p.N != unnumbered {
			continue
		}
		if at := slices.IndexFunc(free, func(f Piece) bool { return f.Family == p.Family }); at >= 0 {
			p.N = free[at].N
			free = slices.Delete(free, at, at+1)
			continue
		}
		for used[lowest] || taken[lowest] {
			lowest++
		}
		p.N = lowest
		used[lowest] = true
	}
	slices.SortFunc(all, byNumber)
	return all
}

func byNumber(a, b Piece) int { return cmp.Compare(a.N, b.N) }

// identity is what makes an endpoint the same one, whatever is told of it.
type identity struct {
	addr   string
	target Target
}

func (e *Endpoint) identity() identity { return identity{e.Addr.String(), e.Target} }

// box is a piece that is being filled.
type box struct {
	Piece
	changed bool
}

// pack puts the endpoints of one group into its pieces.
func pack(g Grouped, have []Piece, perSlice int) []Piece {
	if len(g.Endpoints) == 0 {
		p := Piece{N: unnumbered, Group: g.Group}
		if len(have) > 0 {
			p.N = slices.MinFunc(have, byNumber).N
		}
		return []Piece{p}
	}
	boxes, rest := keep(g, have, perSlice)
	boxes = fill(boxes, rest, g.Group, perSlice)
	boxes = merge(boxes, perSlice)
	pieces := make([]Piece, 0, len(boxes))
	for _, b := range boxes {
		slices.SortFunc(b.Endpoints, func(x, y Endpoint) int { return x.compare(&y) })
		pieces = append(pieces, b.Piece)
	}
	return pieces
}

// keep leaves endpoints where they are, and returns those that are nowhere yet.
func keep(g Grouped, have []Piece, perSlice int) (boxes []*box, rest []Endpoint) {
	wanted := make(map[identity]Endpoint, len(g.Endpoints))
	for _, e := range g.Endpoints {
		wanted[e.identity()] = e
	}
	have = slices.Clone(have)
	slices.SortFunc(have, byNumber)
	for _, p := range have {
		b := &box{Piece: Piece{N: p.N, Group: g.Group}}
		for _, e := range p.Endpoints {
			id := e.identity()
			now, ok := wanted[id]
			if !ok || len(b.Endpoints) == perSlice {
				b.changed = true
				continue
			}
			b.changed = b.changed || now != e
			b.Endpoints = append(b.Endpoints, now)
			delete(wanted, id)
		}
		boxes = append(boxes, b)
	}
	for _, e := range g.Endpoints {
		if _, nowhere := wanted[e.identity()]; nowhere {
			rest = append(rest, e)
		}
	}
	return boxes, rest
}

// fill puts what is nowhere yet into boxes that change anyway, then into the fullest that have room, then into new ones.
func fill(boxes []*box, rest []Endpoint, g Group, perSlice int) []*box {
	order := slices.Clone(boxes)
	slices.SortStableFunc(order, func(a, b *box) int {
		if a.changed != b.changed {
			if a.changed {
				return -1
			}
			return 1
		}
		return cmp.Compare(len(b.Endpoints), len(a.Endpoints))
	})
	for len(rest) > 0 {
		var b *box
		if len(order) > 0 {
			b, order = order[0], order[1:]
		} else {
			b = &box{Piece: Piece{N: unnumbered, Group: g}}
			boxes = append(boxes, b)
		}
		n := min(perSlice-len(b.Endpoints), len(rest))
		b.Endpoints = append(b.Endpoints, rest[:n]...)
		rest = rest[n:]
	}
	return slices.DeleteFunc(boxes, func(b *box) bool { return len(b.Endpoints) == 0 })
}

// merge joins the two smallest as long as both fill no more than half of one: so there are never many that are nearly
// empty, and nothing moves to and fro.
func merge(boxes []*box, perSlice int) []*box {
	for len(boxes) > 1 {
		slices.SortStableFunc(boxes, func(a, b *box) int { return cmp.Compare(len(a.Endpoints), len(b.Endpoints)) })
		a, b := boxes[0], boxes[1]
		if len(a.Endpoints)+len(b.Endpoints) > perSlice/2 {
			break
		}
		if b.N == unnumbered || a.N != unnumbered && a.N < b.N {
			a, b = b, a
		}
		b.Endpoints = append(b.Endpoints, a.Endpoints...)
		boxes = slices.DeleteFunc(boxes, func(x *box) bool { return x == a })
	}
	return boxes
}

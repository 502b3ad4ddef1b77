package fedtest

import (
	"iter"
	"math/bits"
	"net/netip"
)

// addresses is a set of the addresses of a world, by id.
type addresses []uint64

func (w *World) none() addresses { return make(addresses, (len(w.all)+63)/64) }

func (w *World) any() addresses {
	all := w.none()
	for i := range w.all {
		all.add(i)
	}
	return all
}

func (s addresses) add(id int)      { s[id/64] |= 1 << (id % 64) }
func (s addresses) remove(id int)   { s[id/64] &^= 1 << (id % 64) }
func (s addresses) has(id int) bool { return s[id/64]&(1<<(id%64)) != 0 }

// join adds what is in another one.
func (s addresses) join(other addresses) {
	for i, word := range other {
		s[i] |= word
	}
}

// differences yields the ids that are in one of both.
func (s addresses) differences(other addresses) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range s {
			for word := s[i] ^ other[i]; word != 0; word &= word - 1 {
				if !yield(i*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// within adds the addresses of a range, and calls strange with those that nothing has at any time. A range that is too
// wide for that is asked for each address of the world.
func (w *World) within(to addresses, p netip.Prefix, strange func(netip.Addr)) {
	ok := each(p, func(a netip.Addr) {
		if id, ok := w.ids[a]; ok {
			to.add(id)
		} else if strange != nil {
			strange(a)
		}
	})
	if ok {
		return
	}
	for id, a := range w.all {
		if p.Contains(a) {
			to.add(id)
		}
	}
}

// inOne says whether an address is in one of some ranges.
func inOne(ranges []string, a netip.Addr) bool {
	for _, text := range ranges {
		if netip.MustParsePrefix(text).Contains(a) {
			return true
		}
	}
	return false
}

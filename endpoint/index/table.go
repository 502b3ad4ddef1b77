package index

import (
	"hash/maphash"
	"iter"
)

// table finds numbers by text that is kept elsewhere, with the number. A map would keep a string for each,
// and that is most of what it takes. The zero value is empty.
type table struct {
	slots []slot // a power of two, or none
	used  int
}

type slot struct {
	hash uint32
	ref  uint32 // the number plus one; zero where the slot is free
}

var seed = maphash.MakeSeed()

func hashOf(text string) uint32 { return uint32(maphash.String(seed, text)) } //nolint:gosec // the low bits are as good

// get returns the number whose text is the one that is looked for, as is tells. Here and below, hash is that of the text.
func (t *table) get(hash uint32, is func(id uint32) bool) (id uint32, ok bool) {
	if t.used == 0 {
		return 0, false
	}
	mask := uint32(len(t.slots) - 1) //nolint:gosec // memory ends before
	for at := hash & mask; t.slots[at].ref != 0; at = (at + 1) & mask {
		if s := t.slots[at]; s.hash == hash && is(s.ref-1) {
			return s.ref - 1, true
		}
	}
	return 0, false
}

// put adds a number whose text is not there yet.
func (t *table) put(hash, id uint32) {
	if 4*(t.used+1) > 3*len(t.slots) {
		t.grow()
	}
	t.place(slot{hash, id + 1})
	t.used++
}

func (t *table) place(s slot) {
	mask := uint32(len(t.slots) - 1) //nolint:gosec // memory ends before
	at := s.hash & mask
	for t.slots[at].ref != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = s
}

func (t *table) grow() {
	before := t.slots
	t.slots = make([]slot, max(2*len(before), 2))
	for _, s := range before {
		if s.ref != 0 {
			t.place(s)
		}
	}
}

// remove removes a number that is there, and closes the gap: what stands behind it may have wanted its place.
func (t *table) remove(hash, id uint32) {
	mask := uint32(len(t.slots) - 1) //nolint:gosec // memory ends before
	at := hash & mask
	for t.slots[at].ref != id+1 {
		at = (at + 1) & mask
	}
	t.used--
	for next := (at + 1) & mask; t.slots[next].ref != 0; next = (next + 1) & mask {
		if wanted := t.slots[next].hash & mask; (next-wanted)&mask >= (next-at)&mask {
			t.slots[at] = t.slots[next]
			at = next
		}
	}
	t.slots[at] = slot{}
	if t.used == 0 {
		t.slots = nil
	}
}

// all yields every number, in no particular order.
func (t *table) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, s := range t.slots {
			if s.ref != 0 && !yield(s.ref-1) {
				return
			}
		}
	}
}

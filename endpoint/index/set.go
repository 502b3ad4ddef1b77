package index

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// set is a set of slots. Most sets have one member, or few, and there are as many sets as there are values
// of labels: a set of one takes no memory besides itself. The zero value is empty.
type set struct {
	one  uint32 // the only member, plus one; zero where there is none, or more
	more *several
}

// several are two members and more: in order while they are few.
type several struct {
	few  []uint32
	many *roaring.Bitmap
	room [fewer]uint32 // of few, until there are more
}

// fewer is how many members have room beside what tells of them, and so cost no other look into memory.
const fewer = 12

// fewest is the size up to which a slice takes less memory than a bitmap, and is about as fast.
const fewest = 64

func (s *set) len() int {
	switch {
	case s.one != 0:
		return 1
	case s.more == nil:
		return 0
	case s.more.many != nil:
		return int(s.more.many.GetCardinality()) //nolint:gosec // at most 2^32
	}
	return len(s.more.few)
}

func (s *set) has(id uint32) bool {
	switch {
	case s.one != 0:
		return s.one == id+1
	case s.more == nil:
		return false
	case s.more.many != nil:
		return s.more.many.Contains(id)
	}
	_, ok := slices.BinarySearch(s.more.few, id)
	return ok
}

// add adds a member, and reports whether it is new.
func (s *set) add(id uint32) bool {
	switch {
	case s.one == id+1:
		return false
	case s.one != 0:
		more := &several{}
		more.few = append(more.room[:0], min(s.one-1, id), max(s.one-1, id))
		*s = set{more: more}
		return true
	case s.more == nil:
		s.one = id + 1
		return true
	case s.more.many != nil:
		return s.more.many.CheckedAdd(id)
	}
	at, ok := slices.BinarySearch(s.more.few, id)
	if ok {
		return false
	}
	if len(s.more.few) == fewest {
		s.more.many = roaring.BitmapOf(s.more.few...)
		s.more.few = nil
		return s.more.many.CheckedAdd(id)
	}
	s.more.few = slices.Insert(s.more.few, at, id)
	return true
}

// remove removes a member, and reports whether it was one.
func (s *set) remove(id uint32) bool {
	switch {
	case s.one != 0:
		if s.one != id+1 {
			return false
		}
		s.one = 0
		return true
	case s.more == nil:
		return false
	case s.more.many != nil:
		if !s.more.many.CheckedRemove(id) {
			return false
		}
		if s.more.many.GetCardinality() <= fewest/2 { // well below the size at which it became one
			s.more.few = s.more.many.ToArray()
			s.more.many = nil
		}
		return true
	}
	at, ok := slices.BinarySearch(s.more.few, id)
	if !ok {
		return false
	}
	s.more.few = slices.Delete(s.more.few, at, at+1)
	if len(s.more.few) == 1 {
		*s = set{one: s.more.few[0] + 1}
	}
	return true
}

// all calls yield for each member, in order, until it returns false. The set must not change meanwhile.
func (s *set) all(yield func(id uint32) bool) {
	switch {
	case s.one != 0:
		yield(s.one - 1)
	case s.more == nil:
	case s.more.many != nil:
		s.more.many.Iterate(yield)
	default:
		for _, id := range s.more.few {
			if !yield(id) {
				return
			}
		}
	}
}

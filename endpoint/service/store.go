package service

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// store holds the objects of one kind of one cluster: as a watch tells of them, and as they were written where the watch
// is late. So whoever has written an object finds it. It is not for several goroutines.
type store[T metav1.Object] struct {
	all  map[types.NamespacedName]T
	gone map[types.NamespacedName]types.UID // deleted by us; the watch has not told of it yet
}

func newStore[T metav1.Object]() store[T] {
	return store[T]{map[types.NamespacedName]T{}, map[types.NamespacedName]types.UID{}}
}

func keyOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

// set takes an object, unless a later one of it is known; taken says whether.
func (s *store[T]) set(o T) (before T, had, taken bool) {
	key := keyOf(o)
	before, had = s.all[key]
	if s.gone[key] == o.GetUID() || had && before.GetUID() == o.GetUID() && versionOf(before) >= versionOf(o) {
		return before, had, false
	}
	s.all[key] = o
	return before, had, true
}

// drop forgets the object of that UID, which is gone. Another that has its name stays: a watch that is late tells of the end
// of the earlier one when the later one was written already.
func (s *store[T]) drop(key types.NamespacedName, uid types.UID) (before T, had bool) {
	if s.gone[key] == uid {
		delete(s.gone, key)
	}
	before, had = s.all[key]
	if !had || before.GetUID() != uid {
		var none T
		return none, false
	}
	delete(s.all, key)
	return before, true
}

// displace forgets what there was under the name of an object that is none of these, or is one no more.
func (s *store[T]) displace(o T) (before T, had bool) {
	key := keyOf(o)
	before, had = s.all[key]
	if !had || versionOf(before) > versionOf(o) {
		var none T
		return none, false
	}
	return s.drop(key, before.GetUID())
}

// bury forgets an object that we have deleted, also if the watch tells of it once more, and reports whether it was there.
func (s *store[T]) bury(o T) bool {
	key := keyOf(o)
	has, had := s.all[key]
	if !had || has.GetUID() != o.GetUID() {
		return false
	}
	delete(s.all, key)
	s.gone[key] = o.GetUID()
	return true
}

// versionOf is a resourceVersion as the number that it is; zero where it is none.
func versionOf(o metav1.Object) uint64 {
	n, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

package index

import (
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/hawser-io/hawser/selector"
)

// origin is where endpoints have a label from. It follows from the label's name.
type origin uint8

const (
	own origin = iota
	fromNamespace
	fromAccount
	fromKind
	fromCluster
)

func originOf(label string) origin {
	switch {
	case strings.HasPrefix(label, selector.NamespacePrefix), label == selector.NamespaceLabel:
		return fromNamespace
	case strings.HasPrefix(label, selector.ServiceAccountPrefix), label == selector.ServiceAccountLabel:
		return fromAccount
	case label == OrchestratorLabel:
		return fromKind
	case label == ClusterLabel, label == ClusterIDLabel:
		return fromCluster
	}
	return own
}

// key is a label of one cluster, with all the values that it has there.
type key struct {
	name   string
	origin origin
	values table // of pairs
	// ordered are the pairs by value, from the time that there are too many to look at one by one.
	ordered *order
	has     int // how many carry the label: endpoints, or scopes
}

// pair is a label with a value: who carries it are endpoints, or, of labels that are inherited, scopes.
// It takes 64 bytes, with the value, which is most often a short one: what is looked at is one place in memory.
type pair struct {
	key   *key
	by    set
	long  string // the value, where it has no room in short
	hash  uint32 // of the value
	size  uint8  // of a short one
	short [shortest]byte
}

// shortest is up to how many bytes a value is kept in its pair.
const shortest = 19

func newPair(k *key, value string, hash uint32) pair {
	p := pair{key: k, hash: hash}
	if len(value) <= shortest {
		p.size = uint8(copy(p.short[:], value)) //nolint:gosec // it has room
	} else {
		p.long = strings.Clone(value) // which may be a part of something large
	}
	return p
}

// value is good for as long as somebody carries the pair and the lock is held: another value may take its place.
func (p *pair) value() string {
	if p.long != "" {
		return p.long
	}
	return unsafe.String(&p.short[0], p.size) //nolint:gosec // see above
}

// text is the value, for good.
func (p *pair) text() string {
	if p.long != "" {
		return p.long
	}
	return string(p.short[:p.size])
}

// fewValues is how many values are looked at one by one.
const fewValues = 64

// labels are all labels of a cluster.
type labels struct {
	keys  map[string]*key
	pages []*[pageSize]pair // a slice that grows has room to spare
	used  uint32
	free  []uint32
}

// pageSize is how much is added at once to what grows with the number of endpoints.
const pageSize = 1024

func (l *labels) pair(id uint32) *pair { return &l.pages[id/pageSize][id%pageSize] }

func (l *labels) value(id uint32) string { return l.pair(id).value() }

// has says of a pair whether it has a value.
func (l *labels) has(value string) func(id uint32) bool {
	return func(id uint32) bool { return l.value(id) == value }
}

// find returns the pair of a label and a value, if somebody carries it.
func (l *labels) find(k *key, value string) (id uint32, ok bool) {
	return k.values.get(hashOf(value), l.has(value))
}

// intern returns the pair of a label and a value.
func (l *labels) intern(name, value string) uint32 {
	k := l.keys[name]
	if k == nil {
		k = &key{name: strings.Clone(name), origin: originOf(name)}
		l.keys[k.name] = k
	}
	return l.internValue(k, value)
}

func (l *labels) internValue(k *key, value string) uint32 {
	hash := hashOf(value)
	id, ok := k.values.get(hash, l.has(value))
	if ok {
		return id
	}
	id = l.unused()
	*l.pair(id) = newPair(k, value, hash)
	k.values.put(hash, id)
	switch {
	case k.ordered != nil:
		k.ordered.insert(l, id)
	case k.values.used > fewValues:
		k.ordered = &order{}
		for id := range k.values.all() {
			k.ordered.insert(l, id)
		}
	}
	return id
}

func (l *labels) unused() (id uint32) {
	if n := len(l.free); n > 0 {
		id, l.free = l.free[n-1], l.free[:n-1]
		return id
	}
	if l.used%pageSize == 0 {
		l.pages = append(l.pages, new([pageSize]pair))
	}
	l.used++
	return l.used - 1
}

// carry notes that somebody carries a pair.
func (l *labels) carry(id, who uint32) {
	p := l.pair(id)
	if p.by.add(who) {
		p.key.has++
	}
}

// drop notes that somebody does not carry a pair any more, and forgets it with its last carrier.
func (l *labels) drop(id, who uint32) {
	p := l.pair(id)
	if p.by.remove(who) {
		p.key.has--
	}
	l.forget(id)
}

// exchange notes that somebody who carried some pairs carries others. It looks only at what tells them apart.
func (l *labels) exchange(before, after []uint32, who uint32) {
	for _, id := range after {
		if !slices.Contains(before, id) {
			l.carry(id, who)
		}
	}
	for _, id := range before {
		if !slices.Contains(after, id) {
			l.drop(id, who)
		}
	}
}

// forget forgets a pair that nobody carries, unless it is forgotten already.
func (l *labels) forget(id uint32) {
	p := l.pair(id)
	if p.by.len() > 0 || p.key == nil {
		return
	}
	k := p.key
	k.values.remove(p.hash, id)
	switch {
	case k.ordered == nil:
		l.release(id)
	case k.values.used > 0:
		k.ordered.remove(l, id)
	default:
		k.ordered.end(l)
	}
	if k.values.used == 0 {
		delete(l.keys, k.name)
	}
}

// release frees the number of a pair.
func (l *labels) release(id uint32) {
	*l.pair(id) = pair{}
	l.free = append(l.free, id)
}

// starting yields the pairs of a label whose value starts with a prefix.
func (l *labels) starting(k *key, prefix string) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if k.ordered == nil {
			for id := range k.values.all() {
				if strings.HasPrefix(l.value(id), prefix) && !yield(id) {
					return
				}
			}
			return
		}
		k.ordered.starting(l, prefix)(yield)
	}
}

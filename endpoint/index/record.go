package index

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"unique"
	"unsafe"
)

// record is what is kept of an endpoint. It takes 64 bytes, and with its text, which is most of what is looked at when an
// endpoint changes, two places in memory: at a million endpoints it is these that take time.
type record struct {
	text      []byte // see pack; nil where there is no endpoint
	node      unique.Handle[string]
	ports     unique.Handle[string] // see packPorts
	more      *[]netip.Prefix       // addresses, where it is not one of IPv4 alone
	namespace uint32                // scopes
	account   uint32
	v4        [4]byte // the address, where it is
	kind      Kind
	hasV4     bool
}

// pack takes over the name of an endpoint and the pairs of its own labels: how many these are, they themselves, the name.
func (r *record) pack(name string, pairs []uint32) {
	r.text = make([]byte, 4*(1+len(pairs))+len(name))
	binary.LittleEndian.PutUint32(r.text, uint32(len(pairs))) //nolint:gosec // memory ends before
	copy(r.text[4*(1+len(pairs)):], name)
	r.put(pairs)
}

func (r *record) put(pairs []uint32) {
	for i, id := range pairs {
		binary.LittleEndian.PutUint32(r.text[4*(1+i):], id)
	}
}

// repack takes over other pairs: in their place, if they have room there.
func (r *record) repack(pairs []uint32) {
	if len(pairs) == r.own() {
		r.put(pairs)
		return
	}
	r.pack(r.name(), pairs)
}

func (r *record) is() bool { return r.text != nil }

// own is how many labels of its own the endpoint has.
func (r *record) own() int { return int(binary.LittleEndian.Uint32(r.text)) }

// name is the end of the text itself, which whoever holds the name keeps: unlike the pairs before it, it is never written over.
func (r *record) name() string {
	name := r.text[4*(1+r.own()):]
	return unsafe.String(unsafe.SliceData(name), len(name)) //nolint:gosec // no byte of it changes
}

// pairs appends those of the endpoint's own labels.
func (r *record) pairs(to []uint32) []uint32 {
	for i := range r.own() {
		to = append(to, r.pair(i))
	}
	return to
}

func (r *record) pair(i int) uint32 { return binary.LittleEndian.Uint32(r.text[4*(1+i):]) }

// scopes are those that the endpoint is in.
func (r *record) scopes() [4]uint32 {
	return [4]uint32{r.namespace, r.account, kindScope(r.kind), clusterScope}
}

// fill takes over what no selector asks for, and reports whether it changes what is rendered.
func (r *record) fill(e *Endpoint) (changed bool) {
	var room [64]byte
	keep(&r.node, append(room[:0], e.Node...))
	changed = keep(&r.ports, packPorts(room[:0], e.Ports))
	if len(e.Addresses) == 1 && e.Addresses[0].Addr().Is4() && e.Addresses[0].Bits() == 32 {
		v4 := e.Addresses[0].Addr().As4()
		changed = changed || !r.hasV4 || r.v4 != v4
		r.v4, r.hasV4, r.more = v4, true, nil
		return changed
	}
	changed = changed || r.hasV4 || r.more == nil != (len(e.Addresses) == 0) || r.more != nil && !slices.Equal(*r.more, e.Addresses)
	if changed {
		r.hasV4, r.more = false, nil
		if len(e.Addresses) > 0 {
			more := slices.Clone(e.Addresses)
			r.more = &more
		}
	}
	return changed
}

// keep makes a text that is kept once what it should be, and reports whether it was another.
func keep(h *unique.Handle[string], text []byte) (changed bool) {
	if *h != (unique.Handle[string]{}) && h.Value() == string(text) {
		return false
	}
	*h = unique.Make(string(text))
	return true
}

// addresses calls yield for each address.
func (r *record) addresses(yield func(netip.Prefix) bool) bool {
	if r.hasV4 {
		return yield(netip.PrefixFrom(netip.AddrFrom4(r.v4), 32))
	}
	if r.more != nil {
		for _, a := range *r.more {
			if !yield(a) {
				return false
			}
		}
	}
	return true
}

// packPorts appends ports in a form that is kept once for all endpoints that have the same.
func packPorts(text []byte, ports []Port) []byte {
	for _, p := range ports {
		text = binary.AppendUvarint(text, uint64(p.Number))
		for _, s := range []string{p.Name, p.Protocol} {
			text = binary.AppendUvarint(text, uint64(len(s)))
			text = append(text, s...)
		}
	}
	return text
}

func unpackPorts(text string) (ports []Port) {
	rest := []byte(text)
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		rest = rest[n:]
		return v
	}
	word := func() string {
		n := number()
		s := string(rest[:n])
		rest = rest[n:]
		return s
	}
	for len(rest) > 0 {
		p := Port{Number: uint16(number())} //nolint:gosec // it was one
		p.Name, p.Protocol = word(), word()
		ports = append(ports, p)
	}
	return ports
}

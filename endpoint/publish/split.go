package publish

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"
	"net/netip"
	"slices"
)

const (
	// PieceSize is how many prefixes one object holds at most: with the longest addresses, in both directions of a
	// NetworkPolicy, 270 kB.
	PieceSize = 2000
	// MaxPieces is among how many objects they are divided at most.
	MaxPieces = 4096
)

// What is never divided: addresses that differ in the last six bits alone, which is what Calico hands to a node at
// once. Neighbours stand in one piece, and so are put together there; and no more than that are, so that a change of one
// address touches one piece.
const (
	block4 = 26
	block6 = 122
)

// Split divides addresses among pieces of at most PieceSize prefixes, each aggregated: a slice for each piece, some of
// which may be empty, and one piece at least. Together they hold exactly the given addresses. have is the number of
// pieces that there are, 0 for none yet: where that serves, it stays, so that a change of one address changes one
// piece. The number is a power of two. It doubles where a piece would be too large, and halves where pieces would
// then be no more than half full. It sorts what it is given.
//
// Where have is negative, there are that many pieces whatever they come to hold, as others cannot be made. There, and where
// even MaxPieces do not serve (somebody has chosen addresses for it), pieces are larger than PieceSize, and what the API
// server does not take is refused.
func Split(prefixes []netip.Prefix, have int) [][]netip.Prefix {
	return split(prefixes, have, PieceSize)
}

func split(prefixes []netip.Prefix, have, size int) [][]netip.Prefix {
	all := Distinct(prefixes)
	have, stays := max(have, -have), have < 0
	if have <= 1 { // by far the most
		if one := Aggregate(slices.Clone(all)); stays || len(one) <= size {
			return [][]netip.Prefix{one}
		}
	}
	blocks := blocksOf(all)
	n := number(blocks, have, size, stays)
	pieces := make([][]netip.Prefix, n)
	for _, b := range blocks {
		at := b.hash & uint32(n-1) //nolint:gosec // n is at most MaxPieces
		pieces[at] = append(pieces[at], b.prefixes...)
	}
	for i := range pieces {
		pieces[i] = Aggregate(pieces[i])
	}
	return pieces
}

// number is that of the pieces.
func number(blocks []block, have, size int, stays bool) int {
	n := 1
	if have > 1 {
		n = 1 << bits.Len(uint(min(have, MaxPieces)-1)) // somebody may have written any number
	}
	if stays {
		return n
	}
	for n < MaxPieces && fullest(blocks, n) > size {
		n *= 2
	}
	for n > 1 && fullest(blocks, n/2) <= size/2 {
		n /= 2
	}
	return n
}

// block is what is never divided. The hash is that of its prefix.
type block struct {
	hash     uint32
	prefixes []netip.Prefix
}

// blocksOf cuts prefixes, which are in order, at the borders of blocks. One that is wider than a block is a block by
// itself, also where it holds others: if these went with it, it would change many pieces.
func blocksOf(all []netip.Prefix) (blocks []block) {
	for len(all) > 0 {
		b, end := blockOf(all[0]), 1
		for end < len(all) && blockOf(all[end]) == b {
			end++
		}
		blocks = append(blocks, block{hashOf(b), Aggregate(all[:end:end])})
		all = all[end:]
	}
	return blocks
}

func blockOf(p netip.Prefix) netip.Prefix {
	length := block6
	if p.Addr().Is4() {
		length = block4
	}
	return netip.PrefixFrom(p.Addr(), min(length, p.Bits())).Masked()
}

// hashOf is the same for ever: pieces are found again by it after a restart.
func hashOf(p netip.Prefix) uint32 {
	h := fnv.New64a()
	address := p.Addr().As16()
	_, _ = h.Write(address[:])
	_, _ = h.Write([]byte{byte(p.Bits())}) //nolint:gosec // at most 128
	sum := h.Sum64()
	sum ^= sum >> 33 // the low bits of FNV alone are poor
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	return binary.LittleEndian.Uint32(binary.LittleEndian.AppendUint64(nil, sum))
}

// fullest is how many prefixes the fullest of n pieces has.
func fullest(blocks []block, n int) (most int) {
	count := make([]int, n)
	for _, b := range blocks {
		at := b.hash & uint32(n-1) //nolint:gosec // n is at most MaxPieces
		count[at] += len(b.prefixes)
		most = max(most, count[at])
	}
	return most
}

package publish

import (
	"net/netip"
	"slices"
)

// SplitTogether is Split of several sets that stand in the same objects, such as those of the rules of one policy: a
// piece holds a part of each set, and no more than PieceSize prefixes of all of them together. A piece has one element
// for each set.
func SplitTogether(sets [][]netip.Prefix, have int) [][][]netip.Prefix {
	return splitTogether(sets, have, PieceSize)
}

func splitTogether(sets [][]netip.Prefix, have, size int) [][][]netip.Prefix {
	have, stays := max(have, -have), have < 0
	if have <= 1 {
		one, count := make([][]netip.Prefix, len(sets)), 0
		for i, set := range sets {
			one[i] = Aggregate(slices.Clone(set))
			count += len(one[i])
		}
		if stays || count <= size {
			return [][][]netip.Prefix{one}
		}
	}
	all := make([][]block, len(sets))
	var together []block
	for i, set := range sets {
		all[i] = blocksOf(Distinct(set))
		together = append(together, all[i]...)
	}
	n := number(together, have, size, stays)
	pieces := make([][][]netip.Prefix, n)
	for p := range pieces {
		pieces[p] = make([][]netip.Prefix, len(sets))
	}
	for i, blocks := range all {
		for _, b := range blocks {
			piece := pieces[b.hash&uint32(n-1)] //nolint:gosec // n is at most MaxPieces
			piece[i] = append(piece[i], b.prefixes...)
		}
		for _, piece := range pieces {
			piece[i] = Aggregate(piece[i])
		}
	}
	return pieces
}

package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hawser-io/hawser/endpoint/publish"
)

// nets reads ranges of addresses, into canonical ones, in order, each once.
func (r *reader) nets(field string, texts []string) (all []netip.Prefix) {
	for i, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err == nil && p.Addr().Is4In6() {
			err = errors.New("an IPv4 range is written as one")
		}
		if err != nil {
			r.problems.add(fmt.Sprintf("%s[%d]", field, i), fmt.Errorf("reading range %.60q: %w", text, err))
			continue
		}
		all = append(all, p.Masked())
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// everywhere are all addresses.
var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// block is a range without others that lie in it.
type block struct {
	net    netip.Prefix
	except []netip.Prefix
}

// blocks are the ranges that a side without endpoints stands for. ok is false where that is any address, of which
// blocks need not be written; no blocks, and ok, is no address at all.
func (s *Side) blocks() (all []block, ok bool) {
	if s.Nets == nil && len(s.NotNets) == 0 {
		return nil, false
	}
	nets := s.Nets
	if nets == nil {
		nets = everywhere
	}
	nets, not := outermost(nets), outermost(s.NotNets)
	for _, n := range nets {
		if slices.ContainsFunc(not, func(x netip.Prefix) bool { return publish.Holds(x, n) }) {
			continue
		}
		b := block{net: n}
		for _, x := range not {
			if publish.Holds(n, x) {
				b.except = append(b.except, x)
			}
		}
		all = append(all, b)
	}
	return all, true
}

// outermost leaves out what lies in another range.
func outermost(all []netip.Prefix) (kept []netip.Prefix) {
	for _, p := range all {
		if !slices.ContainsFunc(all, func(o netip.Prefix) bool { return o != p && publish.Holds(o, p) }) {
			kept = append(kept, p)
		}
	}
	return kept
}

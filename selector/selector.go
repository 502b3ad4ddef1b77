package selector

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

const (
	// MaxLength is how many bytes a selector may have, as it is read and as it is printed. Objects
	// that carry one have bounds of their own (Calico's: 1024); this one is for what has none.
	MaxLength = 64 << 10
	// MaxDepth is how many parentheses may be open at once, and how many && and || may stand within
	// each other. No selector of 1024 bytes comes near.
	MaxDepth = 512
	// MaxLabel is how many bytes a label's name may have.
	MaxLabel = 512
)

// Selector is a parsed selector. It does not change, and may be used from several goroutines. The
// zero value and nil match nothing.
type Selector struct {
	tree   []node
	length int // of the canonical form
	height int // how many && and || stand within each other
}

// newSelector takes a tree that is within bounds, or refuses it.
func newSelector(tree []node, height int) (*Selector, error) {
	length := printedLength(tree)
	if length > MaxLength {
		return nil, fmt.Errorf("the selector has %d bytes in its canonical form: no more than %d are allowed", length, MaxLength)
	}
	if height > MaxDepth {
		return nil, fmt.Errorf("the selector has && and || within each other %d deep: no more than %d are allowed", height, MaxDepth)
	}
	return &Selector{tree: tree, length: length, height: height}, nil
}

func (s *Selector) nodes() []node {
	if s.empty() {
		return nothing
	}
	return s.tree
}

// String returns the canonical form. Parsed, it gives the same selector again. Two texts with the same
// one mean the same; the order of operands counts, so that two with the same meaning may have two.
func (s *Selector) String() string {
	var space [256]byte
	b := space[:0]
	if s != nil && s.length > len(space) {
		b = make([]byte, 0, s.length)
	}
	return string(appendTree(b, s.nodes()))
}

// ID returns a name for the selector, made from a hash of its canonical form. Calico has the same for
// the same canonical form.
func (s *Selector) ID() string {
	var space [512]byte
	sum := sha256.Sum224(appendTree(append(space[:0], "s:"...), s.nodes()))
	return string(base64.RawURLEncoding.AppendEncode(append(space[:0], "s:"...), sum[:]))
}

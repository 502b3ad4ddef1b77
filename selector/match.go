package selector

// Labels is where a match takes labels from. An empty value is a value. What is no pointer or map is
// copied to the heap as it becomes Labels: that, and nothing in the match, would allocate.
type Labels interface {
	Get(name string) (value string, ok bool)
}

// Map are labels in a map.
type Map map[string]string

// Get implements Labels.
func (m Map) Get(name string) (value string, ok bool) {
	value, ok = m[name]
	return value, ok
}

// Match says whether labels match. It allocates nothing.
func (s *Selector) Match(labels Labels) bool { return match(s.nodes(), labels) }

// MatchMap is Match of labels in a map, which may be nil.
func (s *Selector) MatchMap(labels map[string]string) bool { return match(s.nodes(), Map(labels)) }

// match walks down as deep as the selector is, which parsing has bounded.
func match[L Labels](tree []node, labels L) bool {
	n := &tree[0]
	var ok bool
	switch n.op {
	case opAll, opGlobal:
		ok = true
	case opAnd:
		ok = true
		for i := 1; ok && i < len(tree); i += int(tree[i].size) {
			ok = match(tree[i:i+int(tree[i].size)], labels)
		}
	case opOr:
		for i := 1; !ok && i < len(tree); i += int(tree[i].size) {
			ok = match(tree[i:i+int(tree[i].size)], labels)
		}
	default:
		value, has := labels.Get(n.label)
		ok = has && n.test(value) != n.op.denies() || !has && n.op.denies()
	}
	return ok != n.not
}

// Package selector owns label selectors in Calico's grammar: it parses, prints, matches and rewrites
// them, and says what an index has to know of them. It knows labels and nothing of what carries them.
//
//	selector = "" | or             or  = and { "||" and }             and = operand { "&&" operand }
//	operand  = { "!" } ( "all()" | "global()" | "has(" LABEL ")" | "(" or ")" | LABEL test )
//	test     = "==" STRING | "!=" STRING | "in" SET | "not in" SET
//	         | "contains" STRING | "starts with" STRING | "ends with" STRING
//	SET      = "{" [ STRING { "," STRING } [ "," ] ] "}"
//
// Only spaces and tabs may stand between words; the words of an operator may touch ("startswith",
// "notin"). A label is 1 to 512 of A-Z a-z 0-9 _ . / and -, and may be a word of the grammar. A string
// stands in quotes of either kind and has no escapes, so that no value can have both kinds in it.
//
// A label that is missing makes != and "not in" true, and every other test false. Comparisons are of
// bytes. An empty selector is all(). Whoever evaluates global() gets true: it means something only as
// the whole of a namespaceSelector, see [Selector.ForNamespaces].
//
// What the package does not read, it refuses: nothing that is refused has a Selector, and the zero
// Selector and a nil one match nothing.
package selector

package policytest

import (
	"pgregory.net/rapid"

	"github.com/hawser-io/hawser/internal/fedtest"
)

// drawExpression draws a selector of labels. Depth is how many && and || may be within each other.
func drawExpression(t *rapid.T, labels []string, depth int) fedtest.Term {
	kind := number(t, 9+3*depth+1, "kind")
	label := oneOf(t, "label", labels)
	value := oneOf(t, "value", labelValues)
	switch { // a name, mostly, where one stands
	case label == "app", label == "tier", label == "env", label == "team":
	case !oneIn(t, 8, "a value of a label"):
		value = oneOf(t, "name", []string{"shop", "web", Home, "id-" + Home, "a", "k8s", "no value!", "robot"})
	}
	switch kind {
	case 0, 1:
		return fedtest.Is(label, value)
	case 2:
		return fedtest.IsNot(label, value)
	case 3:
		return fedtest.Has(label)
	case 4, 5:
		set := someOf(t, "set", 0, 3, []string{"x", "y", "z", "shop", "web", Home, "a", "no value!"})
		if kind == 4 {
			return fedtest.In(label, set...)
		}
		return fedtest.NotIn(label, set...)
	case 6:
		if oneIn(t, 2, "of nothing") {
			return fedtest.Starts(label, "")
		}
		if number(t, 4, "a part") > 0 {
			return drawExpression(t, labels, 0)
		}
		return fedtest.Starts(label, value)
	case 7:
		return fedtest.Everything()
	case 8, 9:
		return fedtest.Not(drawExpression(t, labels, max(0, depth-1)))
	}
	one, two := drawExpression(t, labels, depth-1), drawExpression(t, labels, depth-1)
	if kind%2 == 0 {
		return fedtest.And(one, two)
	}
	return fedtest.Or(one, two)
}

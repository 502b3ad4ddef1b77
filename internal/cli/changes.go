package cli

import (
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hawser-io/hawser/internal/cli/install"
)

// changes prints what a command changed on one side, under a title that is printed before the first.
type changes struct {
	d     *deps
	title string
	count int
}

// report is an install.Report.
func (c *changes) report(obj client.Object, what string) {
	if what != install.Unchanged {
		c.add(what, install.Describe(obj))
	}
}

func (c *changes) add(what, object string) {
	if c.count == 0 {
		fmt.Fprintln(c.d.out, c.title)
	}
	c.count++
	fmt.Fprintf(c.d.out, "  %-8s %s\n", what, object)
}

// end says so if nothing was changed.
func (c *changes) end() {
	if c.count == 0 {
		fmt.Fprintln(c.d.out, c.title, "nothing to change")
	}
}

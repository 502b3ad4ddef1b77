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
	used  bool // some of it is of a Helm release
}

// report is an install.Report.
func (c *changes) report(obj client.Object, what string) {
	switch what {
	case install.Unchanged:
	case install.Used:
		c.used = true
	default:
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
	if c.used {
		fmt.Fprintln(c.d.out, "  what is of a Helm release there is used as it is")
	}
}

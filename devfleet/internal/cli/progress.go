package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows the phase of each cluster: one line that is written over on a terminal, and elsewhere a line
// for each change, so that a log stays readable.
type progress struct {
	out      io.Writer
	terminal bool
	started  time.Time

	mu     sync.Mutex
	names  []string
	phases map[string]string
}

func newProgress(out io.Writer, names []string) *progress {
	file, ok := out.(*os.File)
	p := &progress{
		out: out, terminal: ok && term.IsTerminal(int(file.Fd())), started: time.Now(),
		names: names, phases: map[string]string{},
	}
	return p
}

func (p *progress) set(name, phase string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phases[name] = phase
	if !p.terminal {
		fmt.Fprintf(p.out, "%s: %s (%.1fs)\n", name, phase, time.Since(p.started).Seconds())
		return
	}
	var parts []string
	for _, n := range p.names {
		parts = append(parts, n+": "+p.phases[n])
	}
	fmt.Fprintf(p.out, "\r\033[K%s", strings.Join(parts, "   "))
}

func (p *progress) close(ok bool) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
	if ok {
		fmt.Fprintf(p.out, "%d cluster(s) ready after %.1fs\n", len(p.names), time.Since(p.started).Seconds())
	}
}

// Package kubeconfigfile is the inventory of the contexts in kubeconfig files, for programs that people run
// where their kubeconfigs are, and for mounted Secrets. It reads, in this order of preference: the files and
// directories that it is given; the files of $KUBECONFIG; ~/.kube/config; in the working directory, what looks
// like a kubeconfig. Which of them it is, is decided when Run begins.
//
//   - Each context is a cluster, called PATH+CONTEXT. It needs no permission but to read the files: there is no
//     Role to it. Each file is read by itself: a context cannot refer to a user in another file.
//   - A context whose cluster or user has changed, or a file that these name, is the same cluster with another
//     Version.
//   - A context that cannot be used is a Fault, and so is each context of a file that cannot be read; then what
//     was known stands. Where nothing was known of a file, the Fault has the file's path for a name.
//   - A context that is no longer in its file is a cluster that is gone, and so are all contexts of a file that is
//     no longer there; a renamed context, or file, is one gone and another one come. Both have to last for two
//     seconds, because a file may be replaced by deleting it and writing it anew.
//   - A change counts when the file has been the same for a fifth of a second. A file that has lost a context and
//     lacks one of the lists "clusters", "contexts" and "users" is taken to be half-written, for however long.
//   - A file given by its name that is not there is a Fault; one of $KUBECONFIG is not, as with kubectl.
//
// Files are watched where the system can do that, and looked at every ten seconds in any case.
//
// They are the operator's own: they may name files with a token, certificates or a CA, relative to their own
// directory, which are read again when they change. They are still not trusted with everything: exec and
// auth-provider are Faults, as auth.type exec is not built yet, and so is insecure-skip-tls-verify. A file with
// secrets that its group or others can read is warned of in the log, once.
package kubeconfigfile

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/hawser-io/hawser/inventory"
)

// Defaults of an Inventory.
const (
	DefaultSeparator    = "+"
	DefaultPollInterval = 10 * time.Second
)

// Inventory tells of the contexts of kubeconfig files. The zero value looks where kubectl would.
type Inventory struct {
	// Files are kubeconfig files. They need not be there yet.
	Files []string
	// Directories hold kubeconfig files whose names match one of Globs. Directories in them are not looked into.
	Directories []string
	// Globs are patterns of path.Match for the names of files in directories. Empty means kubeconfig.yaml,
	// kubeconfig.yml, *.kubeconfig, *.kubeconfig.yaml and *.kubeconfig.yml.
	Globs []string
	// Separator stands between path and context in a name. Empty means DefaultSeparator.
	Separator string
	// PollInterval is how often files are looked at where no notification comes. Zero means DefaultPollInterval.
	PollInterval time.Duration
	// Clock for every wait. Nil means the real one.
	Clock clock.WithTicker

	unwatched bool // tests of polling set it
}

// String is what the inventory is called among others.
func (i *Inventory) String() string {
	if given := append(append([]string{}, i.Files...), i.Directories...); len(given) > 0 {
		return "kubeconfigs in " + strings.Join(given, ", ")
	}
	return "kubeconfigs"
}

// Run implements inventory.Inventory. It returns early with an error if Globs has no pattern in it, or if there
// is nowhere to look: no home directory and no working directory.
//
// All of it runs in the calling goroutine, beside the one of the notifications, which ends with it.
func (i *Inventory) Run(ctx context.Context, to inventory.Sink) error {
	places, err := i.places()
	if err != nil {
		return err
	}
	clk := i.Clock
	if clk == nil {
		clk = clock.RealClock{}
	}
	log := logr.FromContextOrDiscard(ctx)
	s := &scanner{
		places:    places,
		separator: cmp.Or(i.Separator, DefaultSeparator),
		claims:    inventory.NewClaims(to),
		warnings:  warnings{log: log, warned: map[string]bool{}},
		files:     map[string]*file{},
		faults:    map[string]bool{},
	}
	w := &watcher{}
	if !i.unwatched {
		w = newWatcher(log)
	}
	defer w.close()

	w.watch(places.directories())
	s.scan(clk.Now(), true)
	to.Synced()
	for {
		w.watch(s.directories())
		now := clk.Now()
		timer := clk.NewTimer(s.next(now, cmp.Or(i.PollInterval, DefaultPollInterval)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		case <-w.events():
			timer.Stop()
			if !calm(ctx, clk, w) {
				return nil
			}
		}
		s.scan(clk.Now(), false)
	}
}

// burst is how long notifications are gathered: one save of a file makes several.
const burst = 100 * time.Millisecond

// calm gathers notifications, and reports whether to go on.
func calm(ctx context.Context, clk clock.Clock, w *watcher) bool {
	timer := clk.NewTimer(burst)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C():
			return true
		case <-w.events():
		}
	}
}

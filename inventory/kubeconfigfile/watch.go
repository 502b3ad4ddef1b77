package kubeconfigfile

import (
	"slices"

	"github.com/fsnotify/fsnotify"
	"github.com/go-logr/logr"
)

// watcher tells that something happened in one of some directories. It need not tell of everything: files are
// looked at from time to time in any case. Its zero value tells nothing.
type watcher struct {
	notify *fsnotify.Watcher
	wake   chan struct{}
	done   chan struct{}
}

// newWatcher starts a goroutine that close ends.
func newWatcher(log logr.Logger) *watcher {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Info("files cannot be watched, and are looked at from time to time only", "err", err.Error())
		return &watcher{}
	}
	w := &watcher{notify: notify, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.run()
	}()
	return w
}

// run passes on that something happened until close.
func (w *watcher) run() {
	for {
		select {
		case _, ok := <-w.notify.Events:
			if !ok {
				return
			}
		case _, ok := <-w.notify.Errors: // events were lost
			if !ok {
				return
			}
		}
		select {
		case w.wake <- struct{}{}:
		default: // that is known already
		}
	}
}

func (w *watcher) events() <-chan struct{} { return w.wake }

// watch watches these directories and no others. One that is not there is tried again next time.
func (w *watcher) watch(dirs []string) {
	if w.notify == nil {
		return
	}
	watched := w.notify.WatchList()
	for _, dir := range watched {
		if !slices.Contains(dirs, dir) {
			_ = w.notify.Remove(dir) // it may be gone
		}
	}
	for _, dir := range dirs {
		if !slices.Contains(watched, dir) {
			_ = w.notify.Add(dir) // it may not be there yet, or be one too many for the system
		}
	}
}

func (w *watcher) close() {
	if w.notify != nil {
		_ = w.notify.Close() // nothing is left to do about it
		<-w.done
	}
}

package kubeconfigfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/go-logr/logr"
)

// maxSize of a file, far beyond what a person or a Secret holds.
const maxSize = 16 << 20

// readFile reads a regular file, and nothing that could make a reader wait.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, reading(path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading %s: it is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, reading(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch {
	case err != nil:
		return nil, reading(path, err)
	case len(data) > maxSize:
		return nil, fmt.Errorf("reading %s: it is larger than 16 MiB", path)
	}
	return data, nil
}

// reading says what went wrong, and names the path once.
func reading(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("reading %s: %w", path, err)
}

// warnings tell, once, of files with secrets that too many can read.
type warnings struct {
	log    logr.Logger
	warned map[string]bool // by path and mode
}

// readableByOthers are the permissions that a file with secrets should not give.
const readableByOthers fs.FileMode = 0o044

func (w *warnings) look(path string) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&readableByOthers == 0 {
		return
	}
	mode := fmt.Sprintf("%04o", info.Mode().Perm())
	if w.warned[path+mode] {
		return
	}
	w.warned[path+mode] = true
	w.log.Info("a file with credentials can be read by its group or by others", "path", path, "mode", mode, "repair", "chmod 600 "+path)
}

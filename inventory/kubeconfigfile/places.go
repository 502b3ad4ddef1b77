package kubeconfigfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// defaultGlobs are those of multicluster-runtime's provider.
var defaultGlobs = []string{"kubeconfig.yaml", "kubeconfig.yml", "*.kubeconfig", "*.kubeconfig.yaml", "*.kubeconfig.yml"}

// places are where kubeconfigs are looked for.
type places struct {
	files    []string
	required bool // a file that is not there is a Fault
	dirs     []string
	globs    []string
}

// places decides where to look.
func (i *Inventory) places() (places, error) {
	p := places{files: unique(i.Files), dirs: unique(i.Directories), globs: i.Globs, required: true}
	if len(p.globs) == 0 {
		p.globs = defaultGlobs
	}
	for _, glob := range p.globs {
		if _, err := path.Match(glob, ""); err != nil {
			return p, fmt.Errorf("looking for kubeconfigs by the pattern %q: %w", glob, err)
		}
	}
	if len(p.files)+len(p.dirs) > 0 {
		return p, nil
	}
	p.required = false
	if p.files = unique(filepath.SplitList(os.Getenv("KUBECONFIG"))); len(p.files) > 0 {
		return p, nil
	}
	home, homeErr := os.UserHomeDir()
	if homeErr == nil {
		standard := filepath.Join(home, ".kube", "config")
		if _, err := os.Stat(standard); err == nil {
			p.files = []string{standard}
			return p, nil
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return p, fmt.Errorf("looking for kubeconfigs: %w", errors.Join(homeErr, err))
	}
	p.dirs = []string{wd}
	return p, nil
}

// unique cleans paths and leaves out empty and repeated ones.
func unique(paths []string) []string {
	var out []string
	for _, p := range paths {
		if p == "" {
			continue
		}
		if p = filepath.Clean(p); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// found is what there is to read in places.
type found struct {
	files  []string
	faults map[string]error // of directories, by path
}

// find lists the files of places, each once.
func (p places) find() found {
	f := found{files: slices.Clone(p.files), faults: map[string]error{}}
	for _, dir := range p.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			f.faults[dir] = fmt.Errorf("looking for kubeconfigs: %w", err)
		}
		for _, entry := range entries {
			if p.matches(entry) {
				f.files = append(f.files, filepath.Join(dir, entry.Name()))
			}
		}
	}
	f.files = unique(f.files)
	return f
}

func (p places) matches(entry fs.DirEntry) bool {
	return !entry.IsDir() && slices.ContainsFunc(p.globs, func(glob string) bool {
		ok, err := path.Match(glob, entry.Name())
		return ok && err == nil
	})
}

// directories are where a change of places shows.
func (p places) directories() []string {
	dirs := slices.Clone(p.dirs)
	for _, file := range p.files {
		dirs = append(dirs, filepath.Dir(file))
	}
	return unique(dirs)
}

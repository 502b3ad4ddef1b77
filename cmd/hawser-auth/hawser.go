package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// find returns the program hawser: no variable of the environment but the PATH says where it is, since an
// inventory may be let to set some of them.
func find() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err == nil {
		beside, err := exec.LookPath(filepath.Join(filepath.Dir(self), "hawser"))
		if err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("hawser")
	if err != nil {
		return "", errors.New("there is nothing in the cache, and the program hawser is neither beside hawser-auth nor on the PATH: install both in one folder")
	}
	return path, nil
}

// command is `hawser auth`, told where to keep the answer. Without a lock it keeps none.
func command(lock string, key string, args []string, more ...string) []string {
	line := []string{"hawser", "auth"}
	if lock != "" {
		line = append(line, "--cache-key="+key, "--cache-lock="+lock)
	}
	return append(append(line, more...), args...)
}

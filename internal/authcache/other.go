//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package authcache

import (
	"errors"
	"io/fs"
	"os"
)

const nonblocking = 0

// errUnsupported switches the cache off: there are neither owners nor locks to rely on.
var errUnsupported = errors.New("there is no cache on this operating system")

func ownerOf(fs.FileInfo) (uid int, known bool) { return 0, false }

func flock(*os.File) error { return errUnsupported }

// KeepOverExec is not supported here.
func (l *Lock) KeepOverExec() (int, error) { return 0, errUnsupported }

// Adopt is not supported here.
func Adopt(string, int) (*Lock, error) { return nil, errUnsupported }

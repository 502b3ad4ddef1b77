//go:build unix

package exec

import (
	osexec "os/exec"
	"syscall"
)

// inGroup gives a program a process group of its own, all of which is killed when its time is over: also what it
// started itself.
func inGroup(cmd *osexec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

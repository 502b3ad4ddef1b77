//go:build unix

package authcache

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// holderVariable makes this program one that holds a lock until it is killed: DIR, or a descriptor that it is given.
const holderVariable = "AUTHCACHE_TEST_HOLD"

func TestMain(m *testing.M) {
	if where := os.Getenv(holderVariable); where != "" {
		hold(where)
	}
	os.Exit(m.Run())
}

func hold(where string) {
	var lock *Lock
	var err error
	if fd, notNumber := strconv.Atoi(where); notNumber == nil {
		lock, err = Adopt(key(1), fd)
	} else {
		var c *Cache
		if c, err = OpenAt(where); err == nil {
			lock, err = c.Lock(key(1), time.Second)
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == "leave-a-child" {
		child := exec.Command("sleep", "60")
		if err := child.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held", child.Process.Pid)
	} else {
		fmt.Println("held 0")
	}
	defer lock.Release()
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	<-never // until it is killed
}

// startHolder starts one and waits until it has the lock. It returns the process that it left behind, too.
func startHolder(t *testing.T, where string, files []*os.File, args ...string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), holderVariable+"="+where)
	cmd.ExtraFiles = files
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	child := 0
	if _, err := fmt.Sscanf(line, "held %d", &child); err != nil {
		t.Fatalf("the holder says %q", line)
	}
	return cmd, child
}

func TestALockEndsWithItsHolder(t *testing.T) {
	c, dir := newCache(t)
	holder, _ := startHolder(t, dir, nil)
	if _, err := c.tryLock(key(1)); !errors.Is(err, ErrTaken) {
		t.Fatalf("while it is held: %v", err)
	}
	if _, err := c.Lock(key(1), 20*time.Millisecond); !errors.Is(err, ErrTaken) {
		t.Fatalf("while it is held, after some waiting: %v", err)
	}
	if _, ok := c.TryLock(key(2)); !ok {
		t.Error("another key is locked, too")
	}
	must(t, holder.Process.Signal(syscall.SIGKILL))
	lock, err := c.Lock(key(1), 10*time.Second)
	if err != nil {
		t.Fatalf("after its holder was killed: %v", err)
	}
	lock.Release()
}

func TestALockIsHandedToAChildAndNoFurther(t *testing.T) {
	c, _ := newCache(t)
	lock, ok := c.TryLock(key(1))
	if !ok {
		t.Fatal("the lock is taken")
	}
	holder, left := startHolder(t, "3", []*os.File{lock.File()}, "leave-a-child")
	t.Cleanup(func() { _ = syscall.Kill(left, syscall.SIGKILL) })
	lock.Release()
	if _, err := c.tryLock(key(1)); !errors.Is(err, ErrTaken) {
		t.Fatalf("after it was handed on: %v", err)
	}
	must(t, holder.Process.Signal(syscall.SIGKILL))
	if lock, err := c.Lock(key(1), 10*time.Second); err != nil {
		t.Fatalf("what the holder left behind keeps the lock: %v", err)
	} else {
		lock.Release()
	}
}

func TestALockWhoseFileWasPrunedIsTakenAnew(t *testing.T) {
	c, _ := newCache(t)
	first, ok := c.TryLock(key(1))
	if !ok {
		t.Fatal("the lock is taken")
	}
	defer first.Release()
	must(t, c.root.Remove(key(1)+lockSuffix))
	second, ok := c.TryLock(key(1))
	if !ok {
		t.Fatal("the lock of the new file cannot be had")
	}
	defer second.Release()
	if _, err := c.tryLock(key(1)); !errors.Is(err, ErrTaken) {
		t.Errorf("two hold it: %v", err)
	}
}

func TestAdoptRefusesWhatIsNoLock(t *testing.T) {
	c, _ := newCache(t)
	lock, ok := c.TryLock(key(1))
	if !ok {
		t.Fatal("the lock is taken")
	}
	defer lock.Release()
	for _, fd := range []int{-1, 0, 1, 2, 1 << 20} {
		if _, err := Adopt(key(1), fd); err == nil {
			t.Errorf("descriptor %d is taken for a lock", fd)
		}
	}
	if _, err := Adopt("../x", int(lock.File().Fd())); err == nil {
		t.Error("../x is taken for a key")
	}
}

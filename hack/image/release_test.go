package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnImageIsARelease(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_COMMITTER_DATE", "2026-05-01T12:00:00Z")
	dir := t.TempDir()
	in := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	completed := func() release {
		t.Helper()
		var r release
		if err := r.complete(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if got := completed(); got.Version != "devel" || got.Revision != "" || got.Created.Unix() != 0 {
		t.Errorf("without git it is %+v", got)
	}
	in("init", "-q")
	in("commit", "-q", "--allow-empty", "-m", "first")
	head := git(t.Context(), dir, "rev-parse", "HEAD")
	if got := completed(); got.Version != "devel" || got.Revision != head || got.Created.Unix() != 1777636800 {
		t.Errorf("without a tag it is %+v", got)
	}
	in("tag", "v1.2.3")
	if got := completed(); got.Version != "v1.2.3" {
		t.Errorf("at a tag it is %+v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := completed()
	if diff := cmp.Diff([]string{"devel", head + "-dirty"}, []string{got.Version, got.Revision}); diff != "" {
		t.Errorf("with something that is not committed (-want +got)\n%s", diff)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "42")
	if got := completed(); got.Created.Unix() != 42 {
		t.Errorf("SOURCE_DATE_EPOCH is passed over: %s", got.Created)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	var r release
	if err := r.complete(t.Context(), dir); err == nil {
		t.Error("SOURCE_DATE_EPOCH=yesterday is taken")
	}
}

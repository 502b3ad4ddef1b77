package main

import (
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// TestTheDockerfileMakesTheSame compares what a Dockerfile says itself. The files of its image come from --rootfs.
func TestTheDockerfileMakesTheSame(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`(org\.opencontainers\.image\.[a-z]+)="([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		labels[m[1]] = m[2]
	}
	want := release{Version: "${VERSION}", Revision: "${REVISION}"}.annotations()
	delete(want, "org.opencontainers.image.created") // an engine has a time of its own
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("labels (-hack/image +Dockerfile)\n%s", diff)
	}
	lines := strings.Split(string(text), "\n")
	for _, line := range []string{
		"FROM scratch", "COPY --from=build /rootfs /", "USER " + userID + ":" + userID, "WORKDIR /", "ENV PATH=/" + programsDir,
		`ENTRYPOINT ["/` + programsDir + `/` + programs[0] + `"]`,
	} {
		if !slices.Contains(lines, line) {
			t.Errorf("the Dockerfile lacks %q", line)
		}
	}
}

func TestRootfsHoldsTheFilesOfTheImage(t *testing.T) {
	dir := t.TempDir()
	files, err := baseFiles()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range files {
		want[f.name] = string(f.body)
		if err := f.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for name := range maps.Keys(want) {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = string(body)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"an architecture that we do not build":   {[]string{"--arch", "amd64,s390x"}, `--arch "s390x": there is only amd64 and arm64`},
		"a file system of several architectures": {[]string{"--rootfs", "x"}, "--rootfs holds one architecture: choose it by --arch"},
		"an argument that belongs to no flag":    {[]string{"x"}, `reading the arguments: there is no "x"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(test.args); err == nil || err.Error() != test.want {
				t.Errorf("want %q, got %v", test.want, err)
			}
		})
	}
}

func TestRootsOnConditionsAreLeftOut(t *testing.T) {
	text, err := certificates()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		there[string(block.Bytes)] = true
	}
	for root := range bundle.Roots() {
		if trusted := root.Constraint == nil; there[string(root.Certificate)] != trusted {
			t.Errorf("a root that is trusted without conditions: %t; it is in the image: %t", trusted, !trusted)
		}
	}
}

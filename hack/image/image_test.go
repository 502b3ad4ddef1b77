package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const root = "../.."

var tested = release{Version: "v9.8.7", Revision: "0123456789abcdef", Created: time.Unix(1_700_000_000, 0).UTC()}

// made is an image of one architecture, as `make image` writes it.
type made struct {
	dir, pushed string
	arch        string
	index       v1.ImageIndex
	image       v1.Image
	sbom        []byte
}

// runProgram runs this program as people do: compiled without the race detector, under which packing an image takes
// a minute. It pushes to a registry, too.
func runProgram(t *testing.T, program, registry string) made {
	t.Helper()
	m := made{dir: t.TempDir(), arch: runtime.GOARCH, pushed: strings.TrimPrefix(registry, "http://") + "/hawser:" + tested.Version}
	cmd := exec.CommandContext(t.Context(), program, "--root", root, "--out", m.dir, "--arch", m.arch,
		"--version", tested.Version, "--revision", tested.Revision, "--tarball", filepath.Join(m.dir, "image.tar"), "--push", m.pushed)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(tested.Created.Unix(), 10))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("making the image: %v\n%s", err, out)
	}
	all, err := layout.ImageIndexFromPath(filepath.Join(m.dir, "image"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.index, err = all.ImageIndex(manifest.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	inner, err := m.index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if p := inner.Manifests[0].Platform; p.OS != "linux" || p.Architecture != m.arch {
		t.Errorf("the index says that the image is for %s", p)
	}
	if m.image, err = m.index.Image(inner.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	if m.sbom, err = os.ReadFile(filepath.Join(m.dir, "sbom-"+m.arch+".json")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), digestOf(t, m.index)) {
		t.Errorf("it does not print the digest of what it made:\n%s", out)
	}
	return m
}

func TestImage(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("its programs do not run on this machine")
	}
	program := filepath.Join(t.TempDir(), "image")
	output(t, "go", "build", "-o", program, ".")
	servers := []*httptest.Server{
		httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))),
		httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)))),
	}
	runs := make([]made, len(servers))
	for i, server := range servers {
		defer server.Close()
		runs[i] = runProgram(t, program, server.URL)
	}
	m := runs[0]
	t.Run("the same source makes the same image twice", func(t *testing.T) {
		if first, second := digestOf(t, m.index), digestOf(t, runs[1].index); first != second {
			t.Errorf("the second image has digest %s, the first %s", second, first)
		}
		if diff := cmp.Diff(string(m.sbom), string(runs[1].sbom)); diff != "" {
			t.Errorf("the second bill of materials differs (-first +second)\n%s", diff)
		}
	})
	files := unpack(t, m.image)
	t.Run("it holds programs, users and certificates, and nothing else", func(t *testing.T) { checkFiles(t, files) })
	t.Run("its programs run from the layer, without anything around them", func(t *testing.T) { runPrograms(t, files) })
	t.Run("it says who runs it and where it comes from", m.config)
	t.Run("the bill of materials lists what is in the programs", m.bill)
	t.Run("the layout is whole", m.layout)
	t.Run("it can be loaded from a tarball", m.tarball)
	t.Run("it is in a registry that lists referrers, with its bill of materials", m.inRegistry)
	t.Run("it is in a registry that knows none, with its bill of materials", runs[1].inRegistry)
}

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// unpack writes the image's file system into a folder, and returns the headers.
func unpack(t *testing.T, img v1.Image) map[string]entry {
	t.Helper()
	files := map[string]entry{}
	stream := mutate.Extract(img)
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = entry{h, body}
	}
}

type entry struct {
	head *tar.Header
	body []byte
}

func checkFiles(t *testing.T, files map[string]entry) {
	got := map[string]string{}
	for name, f := range files {
		got[name] = f.head.FileInfo().Mode().String()
		if f.head.Uid != 0 || f.head.Gid != 0 {
			t.Errorf("%s belongs to %d:%d, and so to whoever runs the programs", name, f.head.Uid, f.head.Gid)
		}
		if !f.head.ModTime.Equal(tested.Created) {
			t.Errorf("%s is of %s, not of the source's time", name, f.head.ModTime)
		}
	}
	dir, text, program := (fs.ModeDir | 0o755).String(), fs.FileMode(0o644).String(), fs.FileMode(0o755).String()
	want := map[string]string{
		"etc": dir, "etc/passwd": text, "etc/group": text, "etc/ssl": dir, "etc/ssl/certs": dir, "etc/ssl/certs/ca-certificates.crt": text,
		"usr": dir, "usr/local": dir, "usr/local/bin": dir, "usr/local/bin/hawser": program, "usr/local/bin/hawser-auth": program,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files of the image (-want +got)\n%s", diff)
	}
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range programs {
		if bytes.Contains(files[programsDir+"/"+name].body, []byte(here)) {
			t.Errorf("%s holds the path of the source: it differs from machine to machine", name)
		}
	}
	if n := bytes.Count(files[certificatesFile].body, []byte("BEGIN CERTIFICATE")); n < 80 {
		t.Errorf("there are only %d CA certificates", n)
	}
}

func runPrograms(t *testing.T, files map[string]entry) {
	dir := t.TempDir()
	for _, name := range programs {
		f := file{filepath.Join(programsDir, name), 0o755, files[programsDir+"/"+name].body}
		if err := f.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ program, args, want string }{
		{"hawser", "version", tested.Version},
		{"hawser-auth", "--help", "hawser auth"}, // it becomes the program hawser beside it
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, programsDir, test.program), test.args)
		cmd.Env, cmd.Dir = []string{}, dir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%s %s: want %q, got %v\n%s", test.program, test.args, test.want, err, out)
		}
	}
}

func (m made) config(t *testing.T) {
	config, err := m.image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		User: "65532:65532", WorkingDir: "/", Entrypoint: []string{"/usr/local/bin/hawser"}, Env: []string{"PATH=/usr/local/bin"},
		Labels: tested.annotations(),
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if config.OS != "linux" || config.Architecture != m.arch || !config.Created.Equal(tested.Created) {
		t.Errorf("it is of %s for %s/%s", config.Created, config.OS, config.Architecture)
	}
	manifest, err := m.image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tested.annotations(), manifest.Annotations); diff != "" {
		t.Errorf("annotations (-want +got)\n%s", diff)
	}
}

func (m made) bill(t *testing.T) {
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(m.sbom), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	digest := digestOf(t, m.image)
	if bom.Metadata.Component.Version != digest {
		t.Errorf("it is about %s, not about image %s", bom.Metadata.Component.Version, digest)
	}
	got := map[string]string{}
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, c := range *bom.Components {
		got[c.Name] = c.Version
		refs[c.BOMRef] = true
	}
	for _, name := range []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "github.com/spf13/cobra"} {
		want := strings.TrimSpace(output(t, "go", "list", "-C", root, "-m", "-f", "{{.Version}}", name))
		if got[name] != want {
			t.Errorf("it has %s %q, go.mod has %q", name, got[name], want)
		}
	}
	if want := strings.TrimPrefix(strings.TrimSpace(output(t, "go", "env", "GOVERSION")), "go"); got["std"] != want {
		t.Errorf("it has the standard library of %q, want %q", got["std"], want)
	}
	if want := strings.TrimSpace(output(t, "go", "list", "-m", "-f", "{{.Version}}", rootsModule)); got[rootsModule] != want {
		t.Errorf("it has the certificates of %q, want %q", got[rootsModule], want)
	}
	for _, d := range *bom.Dependencies {
		for _, on := range *d.Dependencies {
			if !refs[d.Ref] || !refs[on] {
				t.Errorf("it says that %s needs %s, which are not both in it", d.Ref, on)
			}
		}
	}
}

func (m made) layout(t *testing.T) {
	if err := validate.Index(m.index, validate.Fast); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(m.dir, "image")
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != tested.Version {
		t.Fatalf("want the index and a bill of materials, got %+v", manifest.Manifests)
	}
	text, err := layout.Path(dir).Bytes(manifest.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	var artifact v1.Manifest
	if err := json.Unmarshal(text, &artifact); err != nil {
		t.Fatal(err)
	}
	bill, err := layout.Path(dir).Bytes(artifact.Layers[0].Digest)
	if err != nil || !bytes.Equal(bill, m.sbom) {
		t.Errorf("the bill of materials is not in the layout: %v", err)
	}
	if artifact.ArtifactType != sbomType || artifact.Subject.Digest.String() != digestOf(t, m.image) {
		t.Errorf("the bill of materials is a %s of %s", artifact.ArtifactType, artifact.Subject.Digest)
	}
}

func (m made) tarball(t *testing.T) {
	tag, err := name.NewTag(defaultName + ":" + tested.Version)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tarball.ImageFromPath(filepath.Join(m.dir, "image.tar"), &tag)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if config, err := got.ConfigName(); err != nil || config != want {
		t.Errorf("the tarball holds image %s, want %s: %v", config, want, err)
	}
}

func (m made) inRegistry(t *testing.T) {
	ref, err := name.ParseReference(m.pushed)
	if err != nil {
		t.Fatal(err)
	}
	there, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := digestOf(t, there), digestOf(t, m.index); got != want {
		t.Errorf("the registry has %s, want %s", got, want)
	}
	list, err := remote.Referrers(ref.Context().Digest(digestOf(t, m.image)))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := list.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("want one referrer of the image, got %+v, %v", manifest, err)
	}
	bill, err := remote.Image(ref.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := bill.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("want one blob, got %v, %v", layers, err)
	}
	want, _, err := v1.SHA256(bytes.NewReader(m.sbom))
	if err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, layers[0]); got != want.String() {
		t.Errorf("the registry has bill of materials %s, want %s", got, want)
	}
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).Output()
	if err != nil {
		t.Fatalf("running %s %v: %v", program, args, err)
	}
	return string(out)
}

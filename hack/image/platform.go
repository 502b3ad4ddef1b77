package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// platformImage is the image of one architecture, with its bill of materials.
type platformImage struct {
	v1.Image
	arch string
	sbom []byte
}

func (p platformImage) platform() v1.Platform { return v1.Platform{OS: "linux", Architecture: p.arch} }

// buildPlatform compiles the programs into the folder dir and makes an image of them.
func buildPlatform(ctx context.Context, root, dir, arch string, r release) (platformImage, error) {
	p := platformImage{arch: arch}
	if err := build(ctx, root, dir, arch, r.Version); err != nil {
		return p, err
	}
	img, err := makeImage(dir, p.platform(), r)
	if err != nil {
		return p, err
	}
	p.Image = img
	digest, err := img.Digest()
	if err != nil {
		return p, fmt.Errorf("summing up the image: %w", err)
	}
	p.sbom, err = billOfMaterials(dir, arch, digest.String(), r)
	return p, err
}

// makeImage puts the programs in dir on top of the files that seldom change.
func makeImage(dir string, platform v1.Platform, r release) (v1.Image, error) {
	base, err := baseFiles()
	if err != nil {
		return nil, err
	}
	var binaries []file
	for _, name := range programs {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading a program: %w", err)
		}
		binaries = append(binaries, file{path.Join(programsDir, name), 0o755, body})
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	var layers []mutate.Addendum
	for _, l := range []struct {
		what  string
		files []file
	}{{"users and CA certificates", base}, {"programs", binaries}} {
		layer, err := makeLayer(l.files, r)
		if err != nil {
			return nil, err
		}
		layers = append(layers, mutate.Addendum{
			Layer: layer, MediaType: types.OCILayer,
			History: v1.History{Created: v1.Time{Time: r.Created}, CreatedBy: "hack/image: " + l.what},
		})
	}
	if img, err = mutate.Append(img, layers...); err != nil {
		return nil, fmt.Errorf("making the image: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making the image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = platform.OS, platform.Architecture, v1.Time{Time: r.Created}
	config.Config = v1.Config{
		User:       userID + ":" + userID,
		WorkingDir: "/",
		Entrypoint: []string{"/" + path.Join(programsDir, programs[0])},
		Env:        []string{"PATH=/" + programsDir},
		Labels:     r.annotations(),
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, fmt.Errorf("making the image: %w", err)
	}
	return mutate.Annotations(img, r.annotations()).(v1.Image), nil //nolint:forcetypeassert // it returns what it was given
}

func makeLayer(files []file, r release) (v1.Layer, error) {
	text, err := archive(files, r.Created)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("making a layer: %w", err)
	}
	return layer, nil
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// whole is everything that belongs to one version: the index of the images, and what refers to them.
type whole struct {
	index     v1.ImageIndex
	digest    v1.Hash
	referrers []referrer
}

// assemble joins the images of all architectures, and attaches to each its bill of materials.
func assemble(images []platformImage, r release) (whole, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	w := whole{}
	for _, p := range images {
		platform := p.platform()
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: p.Image, Descriptor: v1.Descriptor{Platform: &platform}})
		ref, err := referTo(p)
		if err != nil {
			return w, err
		}
		w.referrers = append(w.referrers, ref)
	}
	w.index = mutate.Annotations(index, r.annotations()).(v1.ImageIndex) //nolint:forcetypeassert // it returns what it was given
	digest, err := w.index.Digest()
	if err != nil {
		return w, fmt.Errorf("summing up the index: %w", err)
	}
	w.digest = digest
	return w, nil
}

// writeLayout writes the OCI layout and the bills of materials into o.out, in place of older ones.
func writeLayout(o options, images []platformImage) (whole, error) {
	w, err := assemble(images, o.release)
	if err != nil {
		return w, err
	}
	dir := filepath.Join(o.out, "image")
	if err := os.RemoveAll(dir); err != nil { // blobs of an older image would stay in it
		return w, fmt.Errorf("removing the last image: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return w, fmt.Errorf("making the image layout: %w", err)
	}
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return w, fmt.Errorf("making the image layout: %w", err)
	}
	named := layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": o.release.Version,
		"io.containerd.image.name":          o.name + ":" + o.release.Version,
	})
	if err := to.AppendIndex(w.index, named); err != nil {
		return w, fmt.Errorf("writing the image layout: %w", err)
	}
	for i, ref := range w.referrers {
		if err := ref.write(to); err != nil {
			return w, err
		}
		bill := filepath.Join(o.out, "sbom-"+images[i].arch+".json")
		if err := os.WriteFile(bill, images[i].sbom, 0o644); err != nil {
			return w, fmt.Errorf("writing the bill of materials: %w", err)
		}
	}
	return w, nil
}

func (r referrer) write(to layout.Path) error {
	for _, blob := range [][]byte{r.config, r.body, r.manifest} {
		digest, _, err := v1.SHA256(bytes.NewReader(blob))
		if err == nil {
			err = to.WriteBlob(digest, io.NopCloser(bytes.NewReader(blob)))
		}
		if err != nil {
			return fmt.Errorf("attaching the bill of materials: %w", err)
		}
	}
	descriptor, err := r.descriptor()
	if err == nil {
		err = to.AppendDescriptor(descriptor)
	}
	if err != nil {
		return fmt.Errorf("attaching the bill of materials: %w", err)
	}
	return nil
}
